/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves: chunk after chunk (spec_chunk.h), several at a time, through the listener
 * follow.
 */
#include "blockcore/core/request.h"
#include "blockcore/core/stack.h"
#include "blockcore/core/watch.h"
#include "blockcore/spec/spec_move_internal.h"
#include "blockcore/spec_mirror.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* -- a chunk -------------------------------------------------------------- */

static struct spec_move_chunk *move_chunk_of(struct spec_chunk *part)
{
	return container_of(part, struct spec_move_chunk, part);
}

/* What images between hold of the range. */
static int move_between_co(
	struct spec_chunk *part, uint64_t offset, uint64_t bytes)
{
	const struct spec_move *move = move_chunk_of(part)->move;
	int error = 0;

	while (bytes && !error) {
		uint64_t run = bytes;
		bool held;

		do {
			error = spec_move_find_held_co(move->source,
				move->target, offset, &run, &held);
		} while (error == -ETIMEDOUT && !move->cancelled);
		if (!error && held)
			error = spec_chunk_whole_co(part, offset, run);
		offset += run;
		bytes -= run;
	}
	return error;
}

/* What there is to do with an extent: of COMMIT only what the image itself holds, of
 * PULL, STREAM and REBASE only what it does not. */
static int move_extent_co(
	struct spec_chunk *part, const struct block_extent *extent)
{
	bool below = extent->flags & BLOCK_EXTENT_BACKING;
	uint64_t offset = extent->offset_bytes, bytes = extent->length_bytes;

	const struct spec_move *move = move_chunk_of(part)->move;

	switch (move->kind) {
	case SPEC_MOVE_COMMIT:
		if (below)
			return 0;
		break;
	case SPEC_MOVE_PULL:
		return below ? spec_chunk_shown_co(part, offset, bytes) : 0;
	case SPEC_MOVE_STREAM:
		return below ? move_between_co(part, offset, bytes) : 0;
	case SPEC_MOVE_REBASE:
		return below ? spec_chunk_differing_co(
				       part, move->target, offset, bytes)
			     : 0;
	case SPEC_MOVE_COPY: break;
	}
	return extent->flags & BLOCK_EXTENT_ZERO
		? spec_chunk_zero_co(part, offset, bytes)
		: spec_chunk_data_co(part, offset, bytes);
}

static int move_chunk_work_co(struct spec_move_chunk *chunk)
{
	struct spec_move *move = chunk->move;
	struct spec_chunk *part = &chunk->part;
	unsigned flags = move->kind == SPEC_MOVE_COPY ? 0 : BLOCK_LOCAL;
	int error = block_ticket_enter_co(&part->ticket, move->source,
		&move->follow->driver, part->offset, part->bytes);

	if (error)
		return error;
	error = move->cancelled
		? -ECANCELED
		: spec_chunk_each_co(part, flags, move_extent_co);
	block_ticket_leave_co(&part->ticket, error);
	if (!error && move->follow)
		error = atomic_load(&move->follow->error);
	return error;
}

static void move_chunk_run_co(void *argument)
{
	struct spec_move_chunk *chunk = argument;
	struct spec_move *move = chunk->move;
	int error = move_chunk_work_co(chunk);

	if (error && !move->error) {
		move->error = error;
		if (error != -ECANCELED)
			err_set(move->err, -error,
				"%" PRIu64 " bytes at %" PRIu64 ": %s",
				chunk->part.bytes, chunk->part.offset,
				strerror(-error));
	}
	if (!error)
		move->ended += chunk->part.bytes;
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

		if (chunk->busy && chunk->part.offset < reached)
			reached = chunk->part.offset;
	}
	return reached;
}

static int move_start(struct spec_move *move)
{
	struct spec_move_chunk *chunk = move_free_chunk(move);
	struct spec_chunk *part = &chunk->part;
	uint64_t end = (move->next | (SPEC_MOVE_CHUNK_BYTES - 1)) + 1;

	if (spec_chunk_ready(part))
		return -ENOMEM;
	chunk->move = move;
	/* COPY and COMMIT: into the target; PULL: up into the source, where zeroes
	 * are written too, so that its tables tell that it was there. */
	part->source = move->source;
	part->to = spec_move_stays(move) ? NULL : move->target;
	part->skips_zeroes = move->kind == SPEC_MOVE_COPY && move->zero;
	part->keeps_zeroes = move->keep_zeroes;
	part->cancelled = &move->cancelled;
	part->offset = move->next;
	part->bytes = (end < move->bytes ? end : move->bytes) - move->next;
	chunk->busy = true;
	move->next += part->bytes;
	if (co_start(move_chunk_run_co, chunk))
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

	if (move->mirror)
		return spec_carry_run_co(move, step_co, argument, err);
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
	if (move->resync)
		spec_resync_cancel(move->resync);
	block_source_wake(move->source);
	for (unsigned i = 0; i < SPEC_MOVE_CHUNKS; i++) {
		struct spec_move_chunk *chunk = &move->chunk[i];

		if (chunk->busy)
			spec_chunk_cancel(&chunk->part);
	}
	if (move->is_leaving)
		spec_chunk_cancel(&move->leaving);
}

/* -- what a restart need not do again -------------------------------------- */

/* Else hosts may make holes again where the new one reaches further. */
static bool move_rebase_lasts(const struct spec_move *move)
{
	const struct block_source *backing = move->format->backing;

	return backing &&
		move->target->current->info.size_bytes <=
		backing->current->info.size_bytes;
}

bool spec_move_lasts(const struct spec_move *move)
{
	switch (move->kind) {
	case SPEC_MOVE_COPY: /* or spec_move_there */
		return block_source_info(move->source, move->lane).read_only;
	case SPEC_MOVE_COMMIT:
		return move->source != move->root /* nobody writes to it */
			|| spec_move_leaves(move);
	case SPEC_MOVE_PULL:
	case SPEC_MOVE_STREAM: return true;
	case SPEC_MOVE_REBASE: return move_rebase_lasts(move);
	}
	return false;
}

bool spec_move_looks_again(const struct spec_move *move)
{
	return move->kind == SPEC_MOVE_PULL || move->kind == SPEC_MOVE_STREAM ||
		spec_move_leaves(move);
}

static int move_flush_co(const struct spec_move *move,
	struct block_source *source, const char *what, struct err *err)
{
	int error = block_transfer_co(
		source, move->lane, BLOCK_FLUSH, BLOCK_INTERNAL, 0, 0, NULL);

	return error ? err_set(err, -error, "%s cannot be flushed: %s", what,
			       strerror(-error))
		     : 0;
}

int spec_move_flush_co(struct spec_move *move, struct err *err)
{
	return move_flush_co(move,
		spec_move_stays(move) ? move->source : move->target,
		"the target", err);
}

/* What hosts have changed since the flush may not be durable in the target: it stays. */
static int move_leave_locked_co(
	struct spec_move *move, uint64_t offset, uint64_t bytes)
{
	int error = atomic_load(&move->follow->error);

	if (!error && move->cancelled)
		error = -ECANCELED;
	if (error || follow_is_changed(move->follow, offset, bytes))
		return error;
	return move->format->kind->backing_leave_co(
		move->format, offset, bytes);
}

static int move_leave_co(struct spec_move *move, uint64_t bytes)
{
	struct block_ticket *ticket = &move->leaving.ticket;
	int error;

	move->is_leaving = true;
	error = block_ticket_enter_co(
		ticket, move->source, &move->follow->driver, move->left, bytes);
	if (!error) {
		error = move_leave_locked_co(move, move->left, bytes);
		block_ticket_leave_co(ticket, error);
	}
	move->is_leaving = false;
	move->left += bytes;
	return error;
}

/* In whole clusters; the rest goes with what comes behind it. */
static int move_leave_all_co(struct spec_move *move, uint64_t reached)
{
	struct block_info info = block_source_info(move->source, move->lane);
	uint64_t piece = info.discard_bytes > SPEC_MOVE_CHUNK_BYTES
		? info.discard_bytes
		: SPEC_MOVE_CHUNK_BYTES;
	int error = 0;

	while (!error && move->left < reached) {
		uint64_t bytes = reached - move->left;

		if (bytes < piece && reached < move->bytes)
			break;
		error = move_leave_co(move, bytes < piece ? bytes : piece);
	}
	return error;
}

int spec_move_secure_co(
	struct spec_move *move, uint64_t reached, struct err *err)
{
	bool leaves = spec_move_leaves(move);
	int error;

	if (leaves)
		follow_forget(move->follow);
	error = spec_move_flush_co(move, err);
	if (error || !leaves)
		return error;
	error = move_leave_all_co(move, reached);
	if (!error)
		return move_flush_co(move, move->source, "the image", err);
	return error != -ECANCELED
		? err_set(err, -error,
			  "what was written down cannot leave the image: %s",
			  strerror(-error))
		: error;
}
