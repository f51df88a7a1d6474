/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol file: EXTENTS. Asking a file system where its holes are may
 * block, so a thread of the worker pool does it.
 *
 * Invariants
 *  1. The answer starts at the request's offset and covers at least one extent;
 *     neighbours differ in flags; every border but the last is one where the
 *     file system changes its mind.
 *  2. A hole reads zero; space that is allocated is called data, also where it
 *     was never written.
 */
#include "blockcore/protocol/file.h"

#include "blockcore/base/list.h"

#include <errno.h>

/* At most this many questions to the file system per request. */
#define EXTENTS_MAX_STEPS 1024

struct extents_step {
	uint64_t offset, length;
	unsigned flags;
};

/* The extent at `offset`, cut at `end` and on sectors: a border inside of one
 * belongs to the data. */
static int ask(struct ring_file *file, uint64_t end, struct extents_step *step)
{
	uint64_t length = 0, to;
	bool data = false;
	int result =
		file->world->ops->extent(file, step->offset, &length, &data);

	if (result)
		return result;
	if (!length) /* somebody else cut the file */
		return -EIO;
	to = length < end - step->offset ? step->offset + length : end;
	if (data)
		to += -to & (BLOCK_SECTOR_BYTES - 1);
	else
		to &= ~(uint64_t)(BLOCK_SECTOR_BYTES - 1);
	if (to <= step->offset) { /* a sector that is hole and data */
		to = step->offset + BLOCK_SECTOR_BYTES;
		data = true;
	}
	step->length = to - step->offset;
	step->flags = data ? BLOCK_EXTENT_DATA : BLOCK_EXTENT_ZERO;
	return 0;
}

/* False: no room for another one. */
static bool append(
	struct block_extents *answer, const struct extents_step *step)
{
	struct block_extent *last =
		answer->count ? &answer->extent[answer->count - 1] : NULL;

	if (last && last->flags == step->flags) {
		last->length_bytes += step->length;
		return true;
	}
	if (answer->count == answer->room)
		return false;
	answer->extent[answer->count++] = (struct block_extent){
		.offset_bytes = step->offset,
		.length_bytes = step->length,
		.flags = step->flags,
	};
	return true;
}

/* On a thread of the pool; the request stands still meanwhile. */
static void work(struct loop_job *job)
{
	struct file_io *io = container_of(job, struct file_io, job);
	struct block_extents *answer = io->request->extents;
	struct extents_step step = {.offset = io->position};
	int steps;

	io->result = 0;
	for (steps = 0; steps < EXTENTS_MAX_STEPS; steps++) {
		if (step.offset >= io->limit)
			break;
		io->result = ask(io->file->file, io->limit, &step);
		if (io->result || !append(answer, &step))
			break;
		step.offset += step.length;
	}
	if (answer->count)
		io->result = 0;
}

static void done(struct loop_job *job)
{
	struct file_io *io = container_of(job, struct file_io, job);

	file_flush_finish(io, io->result);
}

void file_extents_start(struct file_io *io)
{
	struct block_extents *answer = io->request->extents;

	answer->count = 0;
	if (!answer->room) {
		file_flush_finish(io, -EINVAL);
		return;
	}
	io->job = (struct loop_job){.work = work, .done = done};
	loop_work(io->lane->lane->loop, &io->job);
}
