/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves: chunk after chunk. Each is a coroutine that enters the source as one COPY:
 * from when that has come to the listener until it ends, the chunk's range is locked
 * and no swap happens; what the chunk reads and writes are children of it.
 */
#include "blockcore/core/request.h"
#include "blockcore/core/stack.h"
#include "blockcore/core/watch.h"
#include "blockcore/spec/spec_move_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MOVE_EXTENTS 32u
/* What is told apart when blocks of zeroes are looked for. */
#define MOVE_ZERO_BYTES (64u << 10)

/* -- children of a chunk -------------------------------------------------- */

static void chunk_child_done(struct block_request *child)
{
	struct follow_ticket *ticket =
		container_of(child->parent, struct follow_ticket, request);
	struct spec_move_chunk *chunk =
		container_of(ticket, struct spec_move_chunk, ticket);

	chunk->child_result = child->result;
	chunk->child_done = true;
	chunk->child = NULL;
	block_child_put(child);
	co_resume(ticket->co);
}

static struct block_request *chunk_child(struct spec_move_chunk *chunk,
	enum block_opcode op, uint64_t offset, uint64_t bytes)
{
	struct block_request *child = block_child_get(&chunk->ticket.request);

	if (!child)
		return NULL;
	child->op = (uint8_t)op;
	child->flags = BLOCK_INTERNAL;
	child->offset_bytes = offset;
	child->length_bytes = bytes;
	child->iov = NULL;
	child->iov_count = 0;
	child->done = chunk_child_done;
	chunk->child = child;
	chunk->child_done = false;
	return child;
}

/* `to` NULL: below the listener. */
static int chunk_send_co(struct spec_move_chunk *chunk,
	struct block_request *child, struct block_source *to)
{
	if (to)
		block_submit(to, child);
	else
		block_pass(child);
	while (!chunk->child_done)
		co_yield ();
	if (chunk->child_result == 0 && chunk->move->cancelled)
		return -ECANCELED;
	return chunk->child_result;
}

static int chunk_move_co(struct spec_move_chunk *chunk, struct block_source *to,
	enum block_opcode op, uint64_t offset, uint64_t bytes)
{
	struct block_request *child = chunk_child(chunk, op, offset, bytes);

	if (!child)
		return -ENOMEM;
	if (op == BLOCK_WRITE_ZEROES) {
		child->flags |= BLOCK_MAY_UNMAP;
	} else {
		chunk->iov = (struct iovec){
			chunk->data + (offset - chunk->offset), bytes};
		child->iov = &chunk->iov;
		child->iov_count = 1;
	}
	return chunk_send_co(chunk, child, to);
}

static int chunk_extents_co(struct spec_move_chunk *chunk, unsigned flags,
	uint64_t offset, uint64_t bytes, struct block_extents *answer)
{
	struct block_info info =
		block_source_info(chunk->move->source, chunk->move->lane);

	if (!(info.ops & BLOCK_OP(BLOCK_EXTENTS))) {
		answer->extent[0] =
			(struct block_extent){offset, bytes, BLOCK_EXTENT_DATA};
		answer->count = 1;
		return 0;
	}
	struct block_request *child =
		chunk_child(chunk, BLOCK_EXTENTS, offset, bytes);
	if (!child)
		return -ENOMEM;
	child->flags |= (uint16_t)flags;
	child->extents = answer;
	int error = chunk_send_co(chunk, child, NULL);
	return error || answer->count ? error : -EIO;
}

/* -- one extent ----------------------------------------------------------- */

static bool is_zero(const uint8_t *data, uint64_t bytes)
{
	return data[0] == 0 && !memcmp(data, data + 1, bytes - 1);
}

/* COPY and COMMIT: into the target; PULL: up into the source. */
static struct block_source *chunk_target(const struct spec_move_chunk *chunk)
{
	const struct spec_move *move = chunk->move;

	return move->kind == SPEC_MOVE_PULL ? NULL : move->target;
}

/* Zeroes need no writing where there are zeroes: in a target that was empty, and in
 * an image whose backing file goes. */
static int chunk_zero_co(
	struct spec_move_chunk *chunk, uint64_t offset, uint64_t bytes)
{
	const struct spec_move *move = chunk->move;

	if (move->kind == SPEC_MOVE_PULL ||
		(move->kind == SPEC_MOVE_COPY && move->zero))
		return 0;
	return chunk_move_co(
		chunk, chunk_target(chunk), BLOCK_WRITE_ZEROES, offset, bytes);
}

/* A run of blocks that are all zero or all not, from `at`. */
static uint64_t chunk_run(const struct spec_move_chunk *chunk, uint64_t at,
	uint64_t end, bool *zero)
{
	uint64_t to = at;

	do {
		uint64_t next = (to | (MOVE_ZERO_BYTES - 1)) + 1;
		if (next > end)
			next = end;
		bool this = !chunk->move->keep_zeroes &&
			is_zero(chunk->data + (to - chunk->offset), next - to);
		if (to == at)
			*zero = this;
		else if (this != *zero)
			break;
		to = next;
	} while (to < end);
	return to;
}

static int chunk_data_co(
	struct spec_move_chunk *chunk, uint64_t offset, uint64_t bytes)
{
	uint64_t end = offset + bytes;
	int error = chunk_move_co(chunk, NULL, BLOCK_READ, offset, bytes);

	while (offset < end && !error) {
		bool zero = false;
		uint64_t to = chunk_run(chunk, offset, end, &zero);

		error = zero ? chunk_zero_co(chunk, offset, to - offset)
			     : chunk_move_co(chunk, chunk_target(chunk),
				       BLOCK_WRITE, offset, to - offset);
		offset = to;
	}
	return error;
}

/* What there is to do with an extent: of COMMIT only what the image itself holds, of
 * PULL only what it does not. */
static int chunk_extent_co(
	struct spec_move_chunk *chunk, const struct block_extent *extent)
{
	bool below = extent->flags & BLOCK_EXTENT_BACKING;
	uint64_t offset = extent->offset_bytes, bytes = extent->length_bytes;

	switch (chunk->move->kind) {
	case SPEC_MOVE_COMMIT:
		if (below)
			return 0;
		break;
	case SPEC_MOVE_PULL:
		return below ? chunk_data_co(chunk, offset, bytes) : 0;
	case SPEC_MOVE_COPY: break;
	}
	return extent->flags & BLOCK_EXTENT_ZERO
		? chunk_zero_co(chunk, offset, bytes)
		: chunk_data_co(chunk, offset, bytes);
}

static int chunk_extents_all_co(struct spec_move_chunk *chunk)
{
	unsigned flags = chunk->move->kind == SPEC_MOVE_COPY ? 0 : BLOCK_LOCAL;
	uint64_t at = chunk->offset, end = chunk->offset + chunk->bytes;
	struct block_extent extent[MOVE_EXTENTS];
	int error = 0;

	while (at < end && !error) {
		struct block_extents answer = {
			.extent = extent, .room = MOVE_EXTENTS};

		error = chunk_extents_co(chunk, flags, at, end - at, &answer);
		for (uint32_t i = 0; i < answer.count && !error; i++) {
			error = chunk_extent_co(chunk, &extent[i]);
			at += extent[i].length_bytes;
		}
	}
	return error;
}

/* -- a chunk -------------------------------------------------------------- */

static void chunk_left(struct block_request *request)
{
	struct follow_ticket *ticket =
		container_of(request, struct follow_ticket, request);

	ticket->done = true;
	co_resume(ticket->co);
}

/* Waits for its turn in the source. */
static int chunk_enter_co(struct spec_move_chunk *chunk)
{
	struct follow_ticket *ticket = &chunk->ticket;
	struct block_request *request = &ticket->request;

	block_request_init(request, chunk->move->lane);
	request->op = BLOCK_COPY;
	request->flags = BLOCK_INTERNAL;
	request->offset_bytes = chunk->offset;
	request->length_bytes = chunk->bytes;
	request->iov = NULL;
	request->iov_count = 0;
	request->done = chunk_left;
	ticket->co = co_self();
	ticket->arrived = ticket->done = false;
	block_submit_back(chunk->move->source, request);
	while (!ticket->arrived && !ticket->done)
		co_yield ();
	return ticket->done ? request->result : 0;
}

static void chunk_leave_co(struct spec_move_chunk *chunk, int result)
{
	block_complete(&chunk->ticket.request, result);
	while (!chunk->ticket.done)
		co_yield ();
}

static int chunk_work_co(struct spec_move_chunk *chunk)
{
	int error = chunk_enter_co(chunk);

	if (error)
		return error;
	error = chunk->move->cancelled ? -ECANCELED
				       : chunk_extents_all_co(chunk);
	chunk_leave_co(chunk, error);
	if (!error && chunk->move->follow)
		error = atomic_load(&chunk->move->follow->error);
	return error;
}

static void chunk_run_co(void *argument)
{
	struct spec_move_chunk *chunk = argument;
	struct spec_move *move = chunk->move;
	int error = chunk_work_co(chunk);

	if (error && !move->error) {
		move->error = error;
		if (error != -ECANCELED)
			err_set(move->err, -error,
				"%" PRIu64 " bytes at %" PRIu64 ": %s",
				chunk->bytes, chunk->offset, strerror(-error));
	}
	if (!error)
		move->ended += chunk->bytes;
	chunk->busy = false;
	struct co *waiter = move->waiter;
	move->waiter = NULL;
	if (waiter)
		co_resume(waiter);
}

/* -- all ------------------------------------------------------------------ */

static void move_wait_co(struct spec_move *move)
{
	move->waiter = co_self();
	co_yield ();
}

static struct spec_move_chunk *move_free_chunk(struct spec_move *move)
{
	for (unsigned i = 0; i < SPEC_MOVE_CHUNKS; i++) {
		if (!move->chunk[i].busy)
			return &move->chunk[i];
	}
	return NULL;
}

static bool move_busy(const struct spec_move *move)
{
	for (unsigned i = 0; i < SPEC_MOVE_CHUNKS; i++) {
		if (move->chunk[i].busy)
			return true;
	}
	return false;
}

/* Everything before it is done. */
static uint64_t move_reached(const struct spec_move *move)
{
	uint64_t reached = move->next;

	for (unsigned i = 0; i < SPEC_MOVE_CHUNKS; i++) {
		const struct spec_move_chunk *chunk = &move->chunk[i];

		if (chunk->busy && chunk->offset < reached)
			reached = chunk->offset;
	}
	return reached;
}

static int move_start(struct spec_move *move)
{
	struct spec_move_chunk *chunk = move_free_chunk(move);
	uint64_t end = (move->next | (SPEC_MOVE_CHUNK_BYTES - 1)) + 1;

	if (!chunk->data)
		chunk->data = aligned_alloc(4096, SPEC_MOVE_CHUNK_BYTES);
	if (!chunk->data)
		return -ENOMEM;
	chunk->move = move;
	chunk->offset = move->next;
	chunk->bytes = (end < move->bytes ? end : move->bytes) - move->next;
	chunk->busy = true;
	move->next += chunk->bytes;
	if (co_start(chunk_run_co, chunk))
		return 0;
	chunk->busy = false;
	return -ENOMEM;
}

static int move_next_co(struct spec_move *move,
	int (*step_co)(void *argument, uint64_t reached, uint64_t bytes),
	void *argument)
{
	while (!move_free_chunk(move))
		move_wait_co(move);
	uint64_t ended = move->ended;
	move->ended = 0;
	int error = step_co(argument, move_reached(move), ended);
	if (!error)
		error = move->error;
	return error ? error : move_start(move);
}

int spec_move_run_co(struct spec_move *move, uint64_t from,
	int (*step_co)(void *argument, uint64_t reached, uint64_t bytes),
	void *argument, struct err *err)
{
	int error = 0;

	move->next = from;
	move->err = err;
	/* Requests that take no locks, or did not pass the listener. */
	while (block_stacks_old_busy(move->source) && !move->cancelled)
		block_source_wait_co(move->source);
	while (!error && move->next < move->bytes && !move->cancelled)
		error = move_next_co(move, step_co, argument);
	if (error)
		spec_move_cancel(move);
	while (move_busy(move))
		move_wait_co(move);
	if (!error)
		error = move->error;
	if (!error && move->cancelled)
		error = -ECANCELED;
	return error ? error : step_co(argument, move->bytes, move->ended);
}

void spec_move_cancel(struct spec_move *move)
{
	move->cancelled = true;
	block_source_wake(move->source);
	for (unsigned i = 0; i < SPEC_MOVE_CHUNKS; i++) {
		struct spec_move_chunk *chunk = &move->chunk[i];

		if (!chunk->busy)
			continue;
		if (chunk->child)
			block_cancel(chunk->child);
		else if (!chunk->ticket.arrived)
			block_cancel(&chunk->ticket.request);
	}
}

int spec_move_flush_co(struct spec_move *move, struct err *err)
{
	struct block_source *to =
		move->kind == SPEC_MOVE_PULL ? move->source : move->target;
	int error = block_transfer_co(
		to, move->lane, BLOCK_FLUSH, BLOCK_INTERNAL, 0, 0, NULL);

	return error ? err_set(err, -error, "the target cannot be flushed: %s",
			       strerror(-error))
		     : 0;
}
