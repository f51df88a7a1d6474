/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk over what a source has allocated. People wait for its result: a source that
 * does not answer, since its I/O is held or its disk is gone, ends it.
 */
#include "blockcore/figures.h"
#include "blockcore/spec/spec_internal.h"

#include <errno.h>
#include <string.h>

#define WALK_EXTENTS 64u

int spec_extents_co(struct block_source *source, struct block_lane *lane,
	unsigned flags, uint64_t at, uint64_t end,
	int (*each_co)(const struct block_extent *extent, void *argument),
	void *argument)
{
	struct block_extent extent[WALK_EXTENTS] = {0};
	int error = 0;

	while (at < end && !error) {
		struct block_extents answer = {
			.extent = extent, .room = WALK_EXTENTS};
		uint64_t before = at;

		error = block_extents_within_co(source, lane,
			BLOCK_INTERNAL | flags, at, end - at, SPEC_ANSWER_NS,
			&answer);
		if (error == -EOPNOTSUPP) { /* for all one knows */
			extent[0] = (struct block_extent){
				at, end - at, BLOCK_EXTENT_DATA};
			answer.count = 1;
			error = 0;
		}
		for (uint32_t i = 0; !error && i < answer.count; i++) {
			error = each_co(&extent[i], argument);
			at += extent[i].length_bytes;
		}
		if (!error && at == before)
			error = -EIO;
	}
	return error;
}

int spec_extents_error(
	const struct block_source *source, int error, struct err *err)
{
	if (error == -ETIMEDOUT)
		return err_set(err, ETIMEDOUT,
			"'%s' has not said for %llu s what is allocated: look "
			"for a fault that holds its I/O, or a disk that hangs",
			source->name, SPEC_ANSWER_NS / 1000000000);
	/* Whatever number it is: it is the storage's, and says nothing of us. */
	return err_set(err, EIO, "what is allocated cannot be read: %s",
		strerror(-error));
}
