/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves: how much one would write, and whether there is room for it. Counted from what
 * is allocated, so what hosts write meanwhile may add to it.
 */
#include "blockcore/base/doc.h"
#include "blockcore/core/core.h"
#include "blockcore/core/stack.h"
#include "blockcore/format/format.h"
#include "blockcore/job.h"
#include "blockcore/spec.h"
#include "blockcore/spec/spec_internal.h"
#include "blockcore/spec/spec_move_internal.h"
#include "blockcore/spec_move.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

struct space_walk {
	struct block_source *source;
	struct block_lane *lane;
	struct block_source
		*other; /* that it goes to; or the base of a stream */
	uint64_t bytes; /* the sum */
};

/* -- walking -------------------------------------------------------------- */

static int space_data(const struct block_extent *extent, void *argument)
{
	struct space_walk *walk = argument;

	if (extent->flags & BLOCK_EXTENT_DATA)
		walk->bytes += extent->length_bytes;
	return 0;
}

/* Bytes of data in a range of what `source` shows, as far as it reaches. */
static int space_data_of_co(struct block_source *source,
	struct block_lane *lane, const struct block_extent *range,
	uint64_t *bytes)
{
	struct space_walk walk = {0};
	uint64_t size = block_source_info(source, lane).size_bytes;
	uint64_t end = range->offset_bytes + range->length_bytes;
	int error = spec_extents_co(source, lane, 0, range->offset_bytes,
		end < size ? end : size, space_data, &walk);

	*bytes = walk.bytes;
	return error;
}

/* -- of each kind --------------------------------------------------------- */

/* What there is and the other one (of a commit: the backing file) has no place for yet. */
static int space_lacked_co(const struct block_extent *extent, void *argument)
{
	struct space_walk *walk = argument;
	uint64_t there = 0;

	if (extent->flags & BLOCK_EXTENT_BACKING ||
		!(extent->flags & BLOCK_EXTENT_DATA))
		return 0;
	int error = space_data_of_co(walk->other, walk->lane, extent, &there);
	walk->bytes += extent->length_bytes - there;
	return error;
}

/* What it does not hold itself. */
static int space_pull_co(const struct block_extent *extent, void *argument)
{
	struct space_walk *walk = argument;
	uint64_t below = 0;

	if (!(extent->flags & BLOCK_EXTENT_BACKING))
		return 0;
	int error = space_data_of_co(walk->source, walk->lane, extent, &below);
	walk->bytes += below;
	return error;
}

/* What the images between, down to the other one, hold of what it does not. */
static int space_between_co(const struct block_extent *extent, void *argument)
{
	struct space_walk *walk = argument;
	uint64_t at = extent->offset_bytes, end = at + extent->length_bytes;
	int error = 0;

	if (!(extent->flags & BLOCK_EXTENT_BACKING))
		return 0;
	while (at < end && !error) {
		struct block_extent part = {at, end - at, 0};
		uint64_t data = 0;
		bool held;

		error = spec_move_find_held_co(walk->source, walk->other, at,
			&part.length_bytes, &held);
		if (!error && held)
			error = space_data_of_co(
				walk->source, walk->lane, &part, &data);
		walk->bytes += data;
		at += part.length_bytes;
	}
	return error;
}

/* A walk over all of the source; `flags`: BLOCK_LOCAL, of the image itself. */
static int space_needs_co(struct space_walk *walk, unsigned flags,
	int (*extent_co)(const struct block_extent *extent, void *argument),
	struct job_space *space, struct err *err)
{
	walk->lane = block_core_lane(walk->source->core, 0);
	int error = spec_extents_co(walk->source, walk->lane, flags, 0,
		block_source_info(walk->source, walk->lane).size_bytes,
		extent_co, walk);

	space->needs_bytes = walk->bytes;
	return error ? spec_extents_error(walk->source, error, err) : 0;
}

/* -- where it goes --------------------------------------------------------- */

/* The file that a source's document ends in; NULL: it is none. */
static const char *space_path(const struct doc *source)
{
	const struct doc *format = doc_find(source, "format");
	const struct doc *file = format ? doc_find(format, "file") : source;
	const struct doc *protocol = file && file->kind == DOC_MAP
		? doc_find(file, "protocol")
		: NULL;
	const struct doc *path = protocol ? doc_find(protocol, "path") : NULL;

	return path && path->kind == DOC_SCALAR ? path->text : NULL;
}

/* The file system's in which it is, or will be. */
static void space_take_path(struct block_core *core, const struct doc *source,
	struct job_space *space)
{
	const char *path = source->kind == DOC_MAP ? space_path(source) : NULL;
	struct statvfs fs;
	char folder[4096];

	if (!path || strlen(path) >= sizeof space->path ||
		!block_core_path(core, path, folder, sizeof folder))
		return;
	*strrchr(folder, '/') = 0;
	if (statvfs(*folder ? folder : "/", &fs))
		return;
	space->free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	snprintf(space->path, sizeof space->path, "%s", path);
}

/* A block device has its space already. */
static int space_find_path(struct block_source *source,
	const struct doc *target, struct job_space *space, struct err *err)
{
	struct doc *document = target ? NULL : spec_bottom_now(source, err);

	if (!target && !document)
		return err ? -err->code : -ENOMEM;
	space_take_path(source->core, target ? target : document, space);
	doc_free(document);
	return 0;
}

/* -- all ------------------------------------------------------------------ */

/* The image's backing file, with a reference; NULL with *err: it is none that has
 * one. */
static struct block_source *space_backing(
	struct block_source *source, struct err *err)
{
	const struct block_driver *bottom = block_stack_bottom(source->current);
	struct block_source *backing = NULL;

	if (bottom->kind->role == BLOCK_VIEW)
		backing = container_of(bottom, struct block_view, driver)
				  ->format->backing;
	if (backing)
		block_source_get(backing);
	else if (bottom->kind->role == BLOCK_VIEW)
		err_set(err, EINVAL,
			"the image of '%s' has no backing file: it stands "
			"alone "
			"already",
			source->name);
	else
		err_set(err, EINVAL,
			"'%s' of '%s' is no image with a backing file",
			bottom->name, source->name);
	return backing;
}

/* Of all but COPY; `backing`: what the image stands on. */
static int space_image_co(const struct spec_move_setup *setup,
	struct block_source *source, struct block_source *backing,
	struct job_space *space, struct err *err)
{
	bool commits = setup->kind == SPEC_MOVE_COMMIT;
	bool streams = setup->kind == SPEC_MOVE_STREAM;
	struct space_walk walk = {.source = source, .other = backing};

	if (streams) {
		walk.other = spec_move_base(source, setup->base, err);
		if (!walk.other)
			return err ? -err->code : -ENOENT;
	}
	int error = space_needs_co(&walk, BLOCK_LOCAL,
		commits		  ? space_lacked_co
			: streams ? space_between_co
				  : space_pull_co,
		space, err);
	return error
		? error
		: space_find_path(commits ? backing : source, NULL, space, err);
}

static int space_copy_co(const struct spec_move_setup *setup,
	struct job_space *space, struct err *err)
{
	struct space_walk walk = {.source = setup->source};
	int error = space_needs_co(&walk, 0, space_data, space, err);

	return error
		? error
		: space_find_path(setup->source, setup->target, space, err);
}

int spec_move_space_co(const struct spec_move_setup *setup,
	struct job_space *space, struct err *err)
{
	struct block_source *source = setup->source;

	*space = (struct job_space){0};
	if (setup->kind == SPEC_MOVE_COPY)
		return space_copy_co(setup, space, err);
	if (setup->kind == SPEC_MOVE_REBASE && !spec_image_below(source))
		return 0; /* what it will copy up is zeroes */
	if (setup->image)
		source = spec_image_source(source, setup->image, err);
	if (!source)
		return err ? -err->code : -ENOENT;
	struct block_source *backing = space_backing(source, err);
	if (!backing)
		return -EINVAL;
	int error = space_image_co(setup, source, backing, space, err);
	block_source_put_co(backing);
	return error;
}

int spec_move_rest_co(struct spec_move *move, const struct doc *target,
	struct job_space *space, struct err *err)
{
	struct space_walk walk = {
		.source = move->source, .other = move->target};

	*space = (struct job_space){0};
	int error = space_needs_co(&walk, 0, space_lacked_co, space, err);
	return error ? error
		     : space_find_path(move->source, target, space, err);
}
