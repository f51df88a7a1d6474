/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener mirror: its marks; see mirror.h.
 */
#include "blockcore/base/bits.h"
#include "blockcore/listener/mirror.h"

#include <errno.h>
#include <sys/mman.h>

/* Room for as many words as there can be, at its own pages. */
#define MAP_BYTES (MIRROR_GRANULES_MOST / 8 + PAGE_BYTES)
#define PAGE_BYTES 4096u
#define MAPS 5u

/* They grow in place, as lanes look at them meanwhile: address space is kept for the
 * most there can be, memory for what is used. */
int mirror_marks_init(
	struct mirror_marks *marks, uint64_t granularity_bytes, struct err *err)
{
	void *room = mmap(NULL, MAPS * MAP_BYTES, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	const size_t words = MAP_BYTES / 8;

	if (room == MAP_FAILED)
		return err_set(err, ENOMEM, "no address space for marks");
	_Atomic uint64_t *all = room;
	*marks = (struct mirror_marks){
		.shift = (unsigned)__builtin_ctzll(granularity_bytes),
		.dirty = all,
		.kept = all + words,
		.recent = {all + 2 * words, all + 3 * words},
		.wanted = all + 4 * words};
	return 0;
}

void mirror_marks_fini(struct mirror_marks *marks)
{
	if (marks->dirty)
		munmap((void *)marks->dirty, MAPS * MAP_BYTES);
	*marks = (struct mirror_marks){0};
}

int mirror_marks_grow(struct mirror_marks *marks, uint64_t count)
{
	size_t bytes = (BITS_WORDS(count) * 8 / PAGE_BYTES + 1) * PAGE_BYTES;

	if (count <= marks->count)
		return 0;
	if (count > MIRROR_GRANULES_MOST)
		return -EFBIG;
	for (unsigned i = 0; i < MAPS; i++) {
		uint8_t *map = (uint8_t *)marks->dirty + i * MAP_BYTES;

		if (mprotect(map, bytes, PROT_READ | PROT_WRITE))
			return -ENOMEM;
	}
	marks->count = count;
	return 0;
}

uint64_t mirror_marks_count(const struct mirror_marks *marks, uint64_t bytes)
{
	return (bytes >> marks->shift) +
		((bytes & ((1ull << marks->shift) - 1)) != 0);
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
