/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol file: WRITE_ZEROES and DISCARD. Afterwards the range reads zero,
 * whatever the file system can do.
 *
 * The range is cut at block borders: what covers a part of a block is written as
 * zeroes by file_align.c; the whole blocks between are given to the first of
 * these methods that the file system does not refuse:
 *
 *			DISCARD, MAY_UNMAP	otherwise
 *	PUNCH		    1
 *	ZERO_RANGE	    2			    1
 *	zeroes written	    3			    2
 *
 * Invariants
 *  1. Work comes in bounded steps, each an ordinary change for file_lock.c;
 *     between two of them it can be cancelled.
 *  2. A method that was refused once is not asked again on that lane.
 *  3. FUA is one flush at the end, not one per step.
 */
#include "blockcore/protocol/file.h"

#include "blockcore/base/list.h"

#include <errno.h>

#define STEP_BYTES (1ull << 30) /* of PUNCH and ZERO_RANGE */
#define ZEROES_BYTES (64u << 10)
#define ZEROES_SLICES 16u

enum method { PUNCH, ZERO_RANGE, WRITTEN };

/* Never written to; all slices of a step point here. */
static uint8_t zeroes[ZEROES_BYTES] __attribute__((aligned(4096)));
#define SLICE \
	{ \
		zeroes, ZEROES_BYTES \
	}
static const struct iovec slices[ZEROES_SLICES] = {SLICE, SLICE, SLICE, SLICE,
	SLICE, SLICE, SLICE, SLICE, SLICE, SLICE, SLICE, SLICE, SLICE, SLICE,
	SLICE, SLICE};

static void next_step(struct file_io *io, int result);

static uint64_t request_end(const struct file_io *io)
{
	return io->request->offset_bytes + io->request->length_bytes;
}

static uint8_t first_method(const struct file_io *io)
{
	const struct ring_file *file = io->file->file;
	bool unmap = io->request->op == BLOCK_DISCARD ||
		(io->request->flags & BLOCK_MAY_UNMAP);
	uint8_t method = io->lane->zero_method[unmap];

	if (!unmap && method < ZERO_RANGE)
		method = ZERO_RANGE;
	if (method == PUNCH && !file->can_punch)
		method = ZERO_RANGE;
	if (method == ZERO_RANGE && !file->can_zero_range)
		method = WRITTEN;
	return method;
}

static void try_next_method(struct file_io *io)
{
	bool unmap = io->request->op == BLOCK_DISCARD ||
		(io->request->flags & BLOCK_MAY_UNMAP);

	io->lane->zero_method[unmap] = ++io->zero_method;
	next_step(io, 0);
}

static void middle_done(struct ring_op *op)
{
	struct file_io *io = container_of(op, struct file_io, op);
	bool written = op->opcode == RING_WRITE;
	int result =
		file_flush_result(io, written ? io->limit - io->position : 0);

	file_lock_release(io);
	if (result == -EOPNOTSUPP && !written) {
		try_next_method(io);
		return;
	}
	if (!result)
		io->position = io->limit;
	next_step(io, result);
}

/* One operation of zeroes: whole slices, or what is left at the end. */
static void set_slices(struct file_io *io)
{
	uint64_t bytes = io->limit - io->position;
	uint64_t count = bytes / ZEROES_BYTES;

	if (count > ZEROES_SLICES)
		count = ZEROES_SLICES;
	io->op.opcode = RING_WRITE;
	io->op.iov = slices;
	io->op.iov_count = (uint32_t)count;
	io->op.length_bytes = count * ZEROES_BYTES;
	if (!count) {
		io->iov.iov_base = zeroes;
		io->iov.iov_len = bytes;
		io->op.iov = &io->iov;
		io->op.iov_count = 1;
		io->op.length_bytes = bytes;
	}
	io->limit = io->position + io->op.length_bytes;
}

static void middle_granted(struct file_io *io)
{
	io->op = (struct ring_op){.opcode = io->zero_method == PUNCH
			? RING_PUNCH
			: RING_ZERO_RANGE,
		.file = io->file->file,
		.offset_bytes = io->position,
		.length_bytes = io->limit - io->position,
		.done = middle_done};
	if (io->zero_method == WRITTEN)
		set_slices(io);
	ring_queue(io->lane->lane->ring, &io->op);
}

/* The next part that is all edge or all middle. */
static void next_step(struct file_io *io, int result)
{
	uint64_t mask = io->file->align_bytes - 1, end = request_end(io);
	uint64_t whole_end = end & ~mask;

	if (result || io->position == end) {
		file_flush_finish(io, result);
		return;
	}
	if (io->request->cancelled) {
		file_flush_finish(io, -ECANCELED);
		return;
	}
	if ((io->position & mask) || io->position == whole_end) {
		io->limit = (io->position | mask) + 1;
		if (io->limit > end)
			io->limit = end;
		file_align_run(io, next_step);
		return;
	}
	io->limit = whole_end;
	if (io->limit - io->position > STEP_BYTES)
		io->limit = io->position + STEP_BYTES;
	file_lock_take(io, io->position, io->limit, false, middle_granted,
		file_flush_finish);
}

void file_zero_start(struct file_io *io)
{
	io->zeroes = true;
	io->zero_method = first_method(io);
	next_step(io, 0);
}
