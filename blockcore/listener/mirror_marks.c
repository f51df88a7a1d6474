/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener mirror: its marks; see mirror.h.
 */
#include "blockcore/base/bits.h"
#include "blockcore/listener/mirror.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

int mirror_marks_init(struct mirror_marks *marks, uint64_t bytes,
	uint64_t granularity_bytes, struct err *err)
{
	unsigned shift = (unsigned)__builtin_ctzll(granularity_bytes);
	uint64_t count = (bytes >> shift) + (bytes % granularity_bytes != 0);

	if (count > MIRROR_GRANULES_MOST)
		return err_set(err, EFBIG,
			"%" PRIu64 " bytes are more than %llu granules: give a "
			"larger granularity",
			bytes, MIRROR_GRANULES_MOST);
	size_t words = BITS_WORDS(count) + 1; /* count 0 is fine */
	_Atomic uint64_t *all = calloc(5 * words, sizeof *all);
	if (!all)
		return err_set(err, ENOMEM, "no memory for marks");
	*marks = (struct mirror_marks){.count = count,
		.shift = shift,
		.dirty = all,
		.kept = all + words,
		.recent = {all + 2 * words, all + 3 * words},
		.wanted = all + 4 * words};
	return 0;
}

void mirror_marks_fini(struct mirror_marks *marks)
{
	free((void *)marks->dirty);
	*marks = (struct mirror_marks){0};
}

struct mirror_granules mirror_granules(const struct mirror_marks *marks,
	uint64_t offset_bytes, uint64_t length_bytes)
{
	return (struct mirror_granules){offset_bytes >> marks->shift,
		(offset_bytes + length_bytes - 1) >> marks->shift};
}

void mirror_marks_dirty(
	struct mirror_marks *marks, struct mirror_granules granules)
{
	bits_set(marks->kept, granules.first, granules.last);
	uint64_t fresh = bits_set(marks->dirty, granules.first, granules.last);
	atomic_fetch_add(&marks->dirty_count, fresh);
}

void mirror_marks_dirty_kept(struct mirror_marks *marks)
{
	uint64_t end = marks->count;
	uint64_t first = bits_next(marks->kept, 0, end, true);

	while (first < end) {
		uint64_t next = bits_next(marks->kept, first, end, false);

		mirror_marks_dirty(
			marks, (struct mirror_granules){first, next - 1});
		first = bits_next(marks->kept, next, end, true);
	}
}
