/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol file: what the kernel cannot take as it is. With O_DIRECT,
 * offsets, lengths and addresses have to be aligned; hosts promise 512 bytes in
 * the file and nothing in memory. So a range is moved in aligned pieces through
 * a bounce buffer; a block that is written in part is read first.
 *
 * Invariants
 *  1. An io holds at most one buffer, takes it before its lock, and waits for
 *     memory with nothing in its hands.
 *  2. Each lane has a reserve that only bounces use: when hosts' data fill the
 *     pool, the one bounce that frees them still goes on.
 *  3. Who waits for memory is served in order, the first one first.
 *  4. What a block held outside of the written range is written back as it was:
 *     the block is locked from the read to the end of the write.
 */
#include "blockcore/protocol/file.h"

#include "blockcore/base/iov.h"
#include "blockcore/base/list.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void next_piece(struct file_io *io);
static void serve(struct file_lane *lane);

static uint64_t round_down(const struct file_io *io, uint64_t bytes)
{
	return bytes & ~(uint64_t)(io->file->align_bytes - 1);
}

static uint64_t round_up(const struct file_io *io, uint64_t bytes)
{
	return round_down(io, bytes + io->file->align_bytes - 1);
}

/* -- memory --------------------------------------------------------------- */

static uint32_t wanted_bytes(const struct file_io *io)
{
	uint64_t bytes = round_up(io, io->limit) - round_down(io, io->position);

	return bytes < FILE_BOUNCE_BYTES ? (uint32_t)bytes : FILE_BOUNCE_BYTES;
}

/* A smaller buffer is better than none. */
static bool take_from_pool(struct file_io *io)
{
	uint32_t bytes = wanted_bytes(io);
	uint32_t least = io->file->align_bytes;
	struct buf *buf;

	if (least < BUF_MIN_BYTES)
		least = BUF_MIN_BYTES;
	while (!(buf = buf_get(io->lane->lane->pool, bytes)) && bytes > least)
		bytes = bytes / 2 > least ? bytes / 2 : least;
	if (!buf)
		return false;
	io->bounce.buf = buf;
	io->bounce.data = buf->data;
	io->bounce.capacity_bytes = buf->capacity;
	return true;
}

static bool take_buffer(struct file_io *io)
{
	struct file_lane *lane = io->lane;

	if (take_from_pool(io))
		return true;
	if (lane->reserve_taken)
		return false;
	lane->reserve_taken = true;
	io->bounce.data = lane->reserve;
	io->bounce.capacity_bytes = FILE_RESERVE_BYTES;
	return true;
}

static void drop_buffer(struct file_io *io)
{
	struct file_lane *lane = io->lane;

	if (!io->bounce.data)
		return;
	if (io->bounce.buf)
		buf_put(io->bounce.buf);
	else
		lane->reserve_taken = false;
	io->bounce.buf = NULL;
	io->bounce.data = NULL;
}

static void pool_ready(struct buf_waiter *waiter)
{
	serve(container_of(waiter, struct file_lane, waiter));
}

static void serve(struct file_lane *lane)
{
	struct file_io *io;

	while ((io = TAILQ_FIRST(&lane->starving))) {
		if (!take_buffer(io)) {
			if (!lane->waiter.queued)
				buf_wait(lane->lane->pool, &lane->waiter);
			return;
		}
		TAILQ_REMOVE(&lane->starving, io, link);
		block_unhold(io->request);
		next_piece(io);
	}
}

static void cancel_starving(struct block_request *request)
{
	struct file_io *io = request->held_by;

	TAILQ_REMOVE(&io->lane->starving, io, link);
	block_unhold(request);
	io->bounce.then(io, -ECANCELED);
}

static void starve(struct file_io *io)
{
	struct file_lane *lane = io->lane;

	TAILQ_INSERT_TAIL(&lane->starving, io, link);
	block_hold(io->request, cancel_starving, io);
	if (!lane->waiter.queued)
		buf_wait(lane->lane->pool, &lane->waiter);
}

/* -- one piece ------------------------------------------------------------ */

static void range_end(struct file_io *io, int result)
{
	struct file_lane *lane = io->lane;

	drop_buffer(io);
	io->bounce.then(io, result);
	if (!TAILQ_EMPTY(&lane->starving))
		serve(lane);
}

static void piece_end(struct file_io *io, int result)
{
	if (result) {
		range_end(io, result);
		return;
	}
	io->position = io->bounce.stop;
	next_piece(io);
}

/* Moves [from, from + bytes) of the file, which lies in the buffer. */
static void queue(struct file_io *io, enum ring_opcode opcode, uint64_t from,
	uint64_t bytes, void (*done)(struct ring_op *op))
{
	io->iov.iov_base = io->bounce.data + (from - io->bounce.start);
	io->iov.iov_len = bytes;
	io->op = (struct ring_op){.opcode = (uint8_t)opcode,
		.flags = opcode == RING_WRITE ? io->ring_flags : 0,
		.registered_buffer =
			io->bounce.buf && io->lane->lane->registered,
		.file = io->file->file,
		.iov = &io->iov,
		.iov_count = 1,
		.offset_bytes = from,
		.length_bytes = bytes,
		.done = done};
	ring_queue(io->lane->lane->ring, &io->op);
}

static void read_done(struct ring_op *op)
{
	struct file_io *io = container_of(op, struct file_io, op);
	struct block_request *request = io->request;
	int result = file_flush_result(io, io->iov.iov_len);

	if (!result)
		iov_from_flat(request->iov, request->iov_count,
			io->position - request->offset_bytes,
			io->bounce.data + (io->position - io->bounce.start),
			io->bounce.stop - io->position);
	piece_end(io, result);
}

static void write_done(struct ring_op *op)
{
	struct file_io *io = container_of(op, struct file_io, op);

	file_lock_release(io);
	piece_end(io, file_flush_result(io, io->iov.iov_len));
}

/* The piece's edges are in the buffer: the request's bytes between them. */
static void write_piece(struct file_io *io)
{
	struct block_request *request = io->request;
	uint8_t *to = io->bounce.data + (io->position - io->bounce.start);
	size_t bytes = io->bounce.stop - io->position;

	if (io->zeroes)
		memset(to, 0, bytes);
	else
		iov_to_flat(request->iov, request->iov_count,
			io->position - request->offset_bytes, to, bytes);
	queue(io, RING_WRITE, io->bounce.start,
		io->bounce.end - io->bounce.start, write_done);
}

static bool edge_failed(struct file_io *io)
{
	int result = file_flush_result(io, io->file->align_bytes);

	if (!result)
		return false;
	file_lock_release(io);
	piece_end(io, result);
	return true;
}

static void last_block_done(struct ring_op *op)
{
	struct file_io *io = container_of(op, struct file_io, op);

	if (!edge_failed(io))
		write_piece(io);
}

static void read_last_block(struct file_io *io)
{
	uint32_t align = io->file->align_bytes;

	if (io->bounce.stop < io->bounce.end)
		queue(io, RING_READ, io->bounce.end - align, align,
			last_block_done);
	else
		write_piece(io);
}

static void first_block_done(struct ring_op *op)
{
	struct file_io *io = container_of(op, struct file_io, op);

	if (edge_failed(io))
		return;
	if (io->bounce.end - io->bounce.start == io->file->align_bytes)
		write_piece(io); /* it is the last block, too */
	else
		read_last_block(io);
}

static void write_granted(struct file_io *io)
{
	if (io->lock.exclusive)
		counter_add(&io->lane->merged, 1);
	if (io->position > io->bounce.start)
		queue(io, RING_READ, io->bounce.start, io->file->align_bytes,
			first_block_done);
	else
		read_last_block(io);
}

/* The buffer is there: the piece that fits into it. */
static void run_piece(struct file_io *io)
{
	struct file_bounce *bounce = &io->bounce;
	uint64_t end = round_up(io, io->limit);
	bool part;

	bounce->start = round_down(io, io->position);
	bounce->end = bounce->start + round_down(io, bounce->capacity_bytes);
	if (bounce->end > end)
		bounce->end = end;
	bounce->stop = bounce->end < io->limit ? bounce->end : io->limit;
	if (!io->writes) {
		queue(io, RING_READ, bounce->start, bounce->end - bounce->start,
			read_done);
		return;
	}
	part = io->position > bounce->start || bounce->stop < bounce->end;
	file_lock_take(
		io, bounce->start, bounce->end, part, write_granted, range_end);
}

static void next_piece(struct file_io *io)
{
	if (io->position == io->limit)
		range_end(io, 0);
	else
		run_piece(io);
}

void file_align_run(
	struct file_io *io, void (*then)(struct file_io *io, int result))
{
	io->bounce = (struct file_bounce){.then = then};
	counter_add(&io->lane->bounced, 1);
	if (TAILQ_EMPTY(&io->lane->starving) && take_buffer(io))
		next_piece(io);
	else
		starve(io);
}

/* -- lanes ---------------------------------------------------------------- */

int file_align_lane_init(struct file_lane *lane)
{
	TAILQ_INIT(&lane->starving);
	lane->waiter.ready = pool_ready;
	lane->reserve = aligned_alloc(FILE_RESERVE_BYTES, FILE_RESERVE_BYTES);
	return lane->reserve ? 0 : -ENOMEM;
}

void file_align_lane_fini(struct file_lane *lane)
{
	assert(TAILQ_EMPTY(&lane->starving) && !lane->reserve_taken);
	if (lane->waiter.queued)
		buf_wait_cancel(lane->lane->pool, &lane->waiter);
	free(lane->reserve);
}
