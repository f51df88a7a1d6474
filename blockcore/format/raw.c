/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raw: an image that lies in its file as it is, or in a part of it (options
 * offset and size: a partition, an image in a container).
 *
 * Invariant: a view never reaches outside of its part, whatever the file does:
 * its size is what it shows, and the core refuses what lies beyond.
 */
#include "blockcore/format/format.h"

#include "blockcore/figures.h"
#include "blockcore/kinds.h"

#include <errno.h>
#include <inttypes.h>

struct raw_options {
	uint64_t offset_bytes, size_bytes;
};

struct raw_view {
	struct block_view view;
	struct block_source_watch watch;
	uint64_t offset_bytes; /* of the image in the file */
};

static const struct opt_spec raw_option_specs[] = {
	{.name = "offset",
		.type = OPT_SIZE,
		.offset = offsetof(struct raw_options, offset_bytes),
		.max = 1ull << 62,
		.fallback = "0",
		.help = "where the image starts in the file, a multiple of "
			"512"},
	{.name = "size",
		.type = OPT_SIZE,
		.flags = OPT_OPTIONAL,
		.offset = offsetof(struct raw_options, size_bytes),
		.min = BLOCK_SECTOR_BYTES,
		.max = 1ull << 62,
		.help = "how much of it, a multiple of 512; the rest of the "
			"file if absent"},
	OPT_END,
};

static const struct opt_spec raw_view_option_specs[] = {OPT_END};

static struct raw_view *raw_view_of(struct block_driver *driver)
{
	return container_of(driver, struct raw_view, view.driver);
}

static int raw_open_co(struct block_format *format, struct err *err)
{
	const struct raw_options *options = format->options;
	struct block_info file = block_source_info(
		format->file, block_core_lane(format->core, 0));
	uint64_t end = options->offset_bytes + options->size_bytes;

	if ((options->offset_bytes | options->size_bytes) % BLOCK_SECTOR_BYTES)
		return err_set(err, EINVAL,
			"offset and size must be multiples of %u",
			BLOCK_SECTOR_BYTES);
	if (options->offset_bytes >= file.size_bytes || end > file.size_bytes)
		return err_set(err, EINVAL,
			"offset %" PRIu64 " and size %" PRIu64
			" do not lie in '%s' of %" PRIu64 " bytes",
			options->offset_bytes, options->size_bytes,
			block_source_name(format->file), file.size_bytes);
	return 0;
}

/* -- the view ------------------------------------------------------------- */

static void raw_view_show(struct raw_view *raw)
{
	struct block_format *format = raw->view.format;
	const struct raw_options *options = format->options;
	struct block_info *info = &raw->view.driver.info;

	*info = block_source_info(
		format->file, block_core_lane(format->core, 0));
	/* The core's own locks serve: nobody else writes to the file. */
	info->ops &= ~BLOCK_OP(BLOCK_COMPARE_AND_WRITE);
	info->read_only = !raw->view.writable;
	/* A device below may have become smaller. */
	info->size_bytes -= options->offset_bytes < info->size_bytes
		? options->offset_bytes
		: info->size_bytes;
	if (options->size_bytes && options->size_bytes < info->size_bytes)
		info->size_bytes = options->size_bytes;
}

/* The file has grown, or become read-only. */
static void raw_view_changed(struct block_source_watch *watch)
{
	struct raw_view *raw = container_of(watch, struct raw_view, watch);

	raw_view_show(raw);
	block_driver_changed(&raw->view.driver);
}

static int raw_view_open_co(struct block_driver *driver, struct err *err)
{
	struct raw_view *raw = raw_view_of(driver);
	struct block_format *format = raw->view.format;
	const struct raw_options *options = format->options;

	(void)err;
	raw->offset_bytes = options->offset_bytes;
	block_format_view_opened(&raw->view);
	raw_view_show(raw);
	raw->watch.changed = raw_view_changed;
	block_source_watch(format->file, &raw->watch);
	return 0;
}

static void raw_view_close_co(struct block_driver *driver)
{
	struct raw_view *raw = raw_view_of(driver);

	block_source_unwatch(&raw->watch);
	block_format_view_closed_co(&raw->view);
}

static void raw_view_submit(
	struct block_driver *driver, struct block_request *request)
{
	struct raw_view *raw = raw_view_of(driver);

	block_redirect(request, raw->view.format->file, raw->offset_bytes);
}

static int raw_view_resize_co(
	struct block_driver *driver, uint64_t bytes, struct err *err)
{
	struct raw_view *raw = raw_view_of(driver);
	struct raw_options *options = raw->view.format->options;

	if (options->size_bytes)
		return err_set(err, EOPNOTSUPP,
			"raw image '%s' is a part of its file with a size of "
			"its own: it cannot be resized",
			driver->name);
	int error = block_source_resize_co(
		raw->view.format->file, raw->offset_bytes + bytes, err);
	if (!error)
		raw_view_show(raw);
	return error;
}

/* Of the file, whatever part of it this is. */
static int raw_view_space_co(
	struct block_driver *driver, struct ring_space *space)
{
	return block_source_space_co(
		raw_view_of(driver)->view.format->file, space);
}

static struct block_source *raw_view_below(
	struct block_driver *driver, unsigned index)
{
	return index == 0 ? raw_view_of(driver)->view.format->file : NULL;
}

const struct block_kind raw_view_kind = {
	.name = "raw",
	.help = "the image that a raw format shows",
	.role = BLOCK_VIEW,
	.part = BLOCK_BACK,
	.anchor = BLOCK_IMAGE,
	.band = BAND_BOTTOM,
	.handles = BLOCK_OPS_ALL,
	.options = raw_view_option_specs,
	.driver_bytes = sizeof(struct raw_view),
	.open_co = raw_view_open_co,
	.close_co = raw_view_close_co,
	.submit = raw_view_submit,
	.resize_co = raw_view_resize_co,
	.space_co = raw_view_space_co,
	.below = raw_view_below,
};

const struct block_format_kind raw_format_kind = {
	.name = "raw",
	.help = "the image lies in the file as it is, or in a part of it",
	.options = raw_option_specs,
	.options_bytes = sizeof(struct raw_options),
	.format_bytes = sizeof(struct block_format),
	.view = &raw_view_kind,
	.open_co = raw_open_co,
};
