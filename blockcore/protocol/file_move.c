/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol file: READ and WRITE. What the kernel can take as it is goes down
 * in one operation; anything else through file_align.c.
 *
 * Invariants
 *  1. A read that comes back short (someone else cut the file) is -EIO: a host
 *     never sees bytes that were not read. Only the rest of the sector in which
 *     the file has always ended is made up, of zeroes.
 *  2. The data of a fast write is not touched, copied or looked at.
 */
#include "blockcore/protocol/file.h"

#include "blockcore/base/iov.h"
#include "blockcore/base/list.h"

/* O_DIRECT wants every slice's address on memory_align_bytes and its length on
 * align_bytes. */
static bool fits(const struct file_driver *file, const struct block_request *r)
{
	uintptr_t addresses = 0, lengths = r->offset_bytes;
	uint32_t i;

	if (file->align_bytes == 1)
		return true;
	for (i = 0; i < r->iov_count; i++) {
		addresses |= (uintptr_t)r->iov[i].iov_base;
		lengths |= r->iov[i].iov_len;
	}
	return !(addresses & (file->memory_align_bytes - 1)) &&
		!(lengths & (file->align_bytes - 1));
}

static void queue(struct file_io *io, enum ring_opcode opcode,
	void (*done)(struct ring_op *op))
{
	struct block_request *request = io->request;

	io->op = (struct ring_op){.opcode = (uint8_t)opcode,
		.flags = io->ring_flags,
		.registered_buffer = request->flags & BLOCK_REGISTERED,
		.file = io->file->file,
		.iov = request->iov,
		.iov_count = request->iov_count,
		.offset_bytes = request->offset_bytes,
		.length_bytes = request->length_bytes,
		.done = done};
	ring_queue(io->lane->lane->ring, &io->op);
}

/* A file that ended within its last sector when it was opened. */
static void fill_last_sector(struct file_io *io)
{
	const struct block_request *r = io->request;
	/* A resize may run beside it. */
	uint64_t end =
		__atomic_load_n(&io->file->file->size_bytes, __ATOMIC_RELAXED);
	uint64_t missing;

	if (io->op.result <= 0 || r->offset_bytes + io->op.result != end)
		return;
	missing = r->length_bytes - (uint64_t)io->op.result;
	if (!missing || missing >= BLOCK_SECTOR_BYTES ||
		(end + missing) % BLOCK_SECTOR_BYTES)
		return;
	iov_zero(r->iov, r->iov_count, (size_t)io->op.result, missing);
	io->op.result = (int32_t)r->length_bytes;
}

static void read_done(struct ring_op *op)
{
	struct file_io *io = container_of(op, struct file_io, op);

	fill_last_sector(io);

	file_flush_finish(io, file_flush_result(io, io->request->length_bytes));
}

void file_move_read(struct file_io *io)
{
	if (fits(io->file, io->request))
		queue(io, RING_READ, read_done);
	else
		file_align_run(io, file_flush_finish);
}

static void write_done(struct ring_op *op)
{
	struct file_io *io = container_of(op, struct file_io, op);

	file_lock_release(io);
	file_flush_finish(io, file_flush_result(io, io->request->length_bytes));
}

static void write_granted(struct file_io *io)
{
	queue(io, RING_WRITE, write_done);
}

void file_move_write(struct file_io *io)
{
	if (fits(io->file, io->request))
		file_lock_take(io, io->position, io->limit, false,
			write_granted, file_flush_finish);
	else
		file_align_run(io, file_flush_finish);
}
