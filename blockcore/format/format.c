/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all formats share: sources, claims, count of views. See format.h.
 */
#include "blockcore/format/format.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void format_free_co(struct block_format *format)
{
	if (format->kind->options && format->options)
		opts_free(format->kind->options, format->options);
	free(format->options);
	if (format->backing)
		block_source_put_co(format->backing);
	if (format->file)
		block_source_put_co(format->file);
	free(format);
}

static int format_claim(
	struct block_format *format, const char *holder, struct err *err)
{
	struct block_lane *control = block_core_lane(format->core, 0);
	struct block_claim *file = &format->file_claim;
	struct block_claim *backing = &format->backing_claim;

	format->read_only = block_source_info(format->file, control).read_only;
	file->mode = format->read_only ? BLOCK_CLAIM_STABLE : BLOCK_CLAIM_WRITE;
	snprintf(file->holder, sizeof(file->holder), "format of '%s'", holder);
	int error = block_source_claim(format->file, file, err);
	if (error || !format->backing)
		return error;
	backing->mode = BLOCK_CLAIM_STABLE;
	snprintf(backing->holder, sizeof(backing->holder), "backing of '%s'",
		holder);
	error = block_source_claim(format->backing, backing, err);
	if (error)
		block_source_unclaim(file);
	return error;
}

static void format_unclaim(struct block_format *format)
{
	block_source_unclaim(&format->file_claim);
	if (format->backing)
		block_source_unclaim(&format->backing_claim);
}

int block_format_open_co(struct block_core *core,
	const struct block_format_kind *kind, const char *holder, void *options,
	struct block_source *file, struct block_source *backing,
	struct block_format **out, struct err *err)
{
	assert(kind->format_bytes >= sizeof(struct block_format));
	struct block_format *format = calloc(1, kind->format_bytes);

	if (!format) {
		opts_free(kind->options, options);
		free(options);
		block_source_put_co(file);
		if (backing)
			block_source_put_co(backing);
		return err_set(err, ENOMEM, "no memory for a format");
	}
	format->references = 1;
	format->kind = kind;
	format->core = core;
	format->options = options;
	format->file = file;
	format->backing = backing;
	int error = format_claim(format, holder, err);
	if (error) {
		format_free_co(format);
		return error;
	}
	error = kind->open_co ? kind->open_co(format, err) : 0;
	if (error) {
		format_unclaim(format);
		format_free_co(format);
		return err_wrap(err, "format %s", kind->name);
	}
	*out = format;
	return 0;
}

void block_format_put_co(struct block_format *format)
{
	assert(format->references);
	if (--format->references)
		return;
	if (format->kind->close_co)
		format->kind->close_co(format);
	format_unclaim(format);
	format_free_co(format);
}

void block_format_view_opened(struct block_view *view)
{
	struct block_format *format = view->format;

	block_format_get(format);
	LIST_INSERT_HEAD(&format->views, view, link);
	view->writable =
		!view->snapshot[0] && !format->read_only && !format->writer;
	if (view->writable)
		format->writer = true;
}

void block_format_view_closed_co(struct block_view *view)
{
	struct block_format *format = view->format;

	if (view->writable)
		format->writer = false;
	LIST_REMOVE(view, link);
	block_format_put_co(format);
	if (!view->of)
		return;
	block_source_unclaim(&view->of_claim);
	block_source_put_co(view->of);
}
