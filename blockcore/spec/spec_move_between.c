/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves: the images between one and another that it stands on.
 */
#include "blockcore/figures.h"
#include "blockcore/spec/spec_internal.h"
#include "blockcore/spec/spec_move_internal.h"

#include <errno.h>

struct block_source *spec_move_base(
	struct block_source *source, const char *path, struct err *err)
{
	struct block_source *base = spec_image_find(source, path, err);

	if (base != spec_image_below(source) || !base)
		return base;
	err_set(err, EINVAL, "the image of '%s' stands on '%s' already: done",
		source->name, path);
	return NULL;
}

/* The same of one of them. */
static int held_co(struct block_source *layer, uint64_t offset, uint64_t *bytes,
	bool *held)
{
	struct block_lane *lane = block_core_lane(layer->core, 0);
	uint64_t size = block_source_info(layer, lane).size_bytes;
	struct block_extent extent = {0};
	struct block_extents answer = {.extent = &extent, .room = 1};

	*held = offset >= size;
	if (*held)
		return 0;
	if (*bytes > size - offset)
		*bytes = size - offset;
	int error = block_extents_within_co(layer, lane,
		BLOCK_INTERNAL | BLOCK_LOCAL, offset, *bytes, SPEC_ANSWER_NS,
		&answer);
	if (error)
		return error;
	if (!answer.count || !extent.length_bytes)
		return -EIO;
	if (*bytes > extent.length_bytes)
		*bytes = extent.length_bytes;
	*held = !(extent.flags & BLOCK_EXTENT_BACKING);
	return 0;
}

int spec_move_find_held_co(const struct block_source *source,
	const struct block_source *base, uint64_t offset, uint64_t *bytes,
	bool *held)
{
	struct block_source *layer = spec_image_below(source);
	int error = 0;

	*held = false;
	for (; !error && !*held && layer && layer != base;
		layer = spec_image_below(layer))
		error = held_co(layer, offset, bytes, held);
	return error;
}
