/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener backup: copying before a change. A run of granules that are not in the
 * target is locked, read below, written there, and marked; so to the end of the
 * request's range, which then goes on.
 *
 * Invariants
 *  1. A granule is marked when the target has it and while its lock is held alone: who
 *     sees the mark may change it below, as nobody reads it there for the moment.
 *  2. Who waited for the lock looks again: a granule is copied once (single flight).
 *  3. What cannot be copied (the target's failure, or of reading below) is dealt with
 *     as the option says, and never by a change that goes on with the moment whole.
 */
#include "blockcore/listener/backup.h"

#include "blockcore/base/iov.h"
#include "blockcore/base/list.h"

#include <errno.h>
#include <string.h>

#define AGAIN_NS (1000ull * 1000 * 1000) /* the target is asked again */

static void step(struct backup_op *op);

static bool flushed(struct block_request *child, struct block_frame *frame)
{
	struct backup_op *op = frame->context;

	int result = child->result;

	op->child = NULL;
	if (!result && op->lane->backup->keeps)
		backup_keep(op);
	else
		backup_work_end(op, result);
	return true;
}

/* What only asked for copies: with the last one the target is durable. */
static void filled(struct backup_op *op)
{
	struct backup_driver *backup = op->lane->backup;
	struct block_request *child;

	if (!backup_is_active(backup) ||
		atomic_load(&backup->copied_count) < backup->granules) {
		backup_work_end(op, backup_is_active(backup) ? 0 : -EIO);
		return;
	}
	child = backup_work_child(op, flushed);
	if (!child) {
		backup_work_end(op, -ENOMEM);
		return;
	}
	child->op = BLOCK_FLUSH;
	child->offset_bytes = child->length_bytes = 0;
	child->iov_count = 0;
	block_submit(backup->driver.others[0], child);
}

static void finish(struct backup_op *op)
{
	struct backup_driver *backup = op->lane->backup;
	uint64_t first = op->request->offset_bytes >> backup->shift;
	uint64_t last = (op->end - 1) >> backup->shift;

	if (op->request->op == BLOCK_READ)
		filled(op);
	else if (backup->keeps && backup_keep_needed(backup, first, last))
		backup_keep(op);
	else
		backup_work_pass(op);
}

static void again(struct loop_timer *timer)
{
	step(container_of(timer, struct backup_op, again));
}

/* Without a lock. */
static void failed(struct backup_op *op, const char *what, int error)
{
	struct backup_driver *backup = op->lane->backup;
	const struct backup_options *o = backup->driver.options;

	if (op->request->cancelled) {
		backup_work_end(op, -ECANCELED);
	} else if (o->on_error == BACKUP_FAIL ||
		op->request->op == BLOCK_READ) {
		backup_work_end(
			op, error); /* a job's fill is no reason to break */
	} else if (o->on_error == BACKUP_WAIT) {
		op->again.expired = again;
		loop_timer_set(op->lane->loop, &op->again, AGAIN_NS);
	} else {
		backup_break(backup, "%s at byte %llu: %s", what,
			(unsigned long long)op->at, strerror(-error));
		finish(op);
	}
}

static bool written(struct block_request *child, struct block_frame *frame)
{
	struct backup_op *op = frame->context;
	int result = child->result;

	op->child = NULL;
	if (!result) {
		backup_set_copied(
			op->lane->backup, op->lock.first, op->lock.last);
		counter_add(&op->lane->copied_bytes, op->piece.iov_len);
	}
	backup_unlock(op);
	if (result)
		failed(op, "the target cannot be written", result);
	else
		step(op);
	return true;
}

static void write_piece(struct backup_op *op)
{
	struct backup_driver *backup = op->lane->backup;
	struct block_request *child = backup_work_child(op, written);

	if (!child) {
		backup_unlock(op);
		failed(op, "a piece", -ENOMEM);
		return;
	}
	child->offset_bytes = op->piece_offset;
	child->length_bytes = op->piece.iov_len;
	child->op = BLOCK_WRITE;
	child->iov = &op->piece;
	child->iov_count = 1;
	if (bytes_are_zero(op->piece.iov_base, op->piece.iov_len)) {
		child->op = BLOCK_WRITE_ZEROES;
		child->flags |= BLOCK_MAY_UNMAP;
		child->iov_count = 0;
	}
	block_submit(backup->driver.others[0], child);
}

static bool read_below(struct block_request *child, struct block_frame *frame)
{
	struct backup_op *op = frame->context;
	int result = child->result;

	op->child = NULL;
	if (result) {
		backup_unlock(op);
		failed(op, "the old data cannot be read", result);
	} else {
		write_piece(op);
	}
	return true;
}

static void read_piece(struct backup_op *op)
{
	struct block_request *child = backup_work_child(op, read_below);

	if (!child) {
		backup_unlock(op);
		failed(op, "a piece", -ENOMEM);
		return;
	}
	child->op = BLOCK_READ;
	child->offset_bytes = op->piece_offset;
	child->length_bytes = op->piece.iov_len;
	child->iov = &op->piece;
	child->iov_count = 1;
	block_pass(child);
}

static void locked(struct backup_op *op)
{
	const struct backup_driver *backup = op->lane->backup;
	const struct backup_lock *lock = &op->lock;
	uint64_t from = lock->first << backup->shift;
	uint64_t to = (lock->last + 1) << backup->shift;

	if (op->request->cancelled || !backup_is_active(backup) ||
		backup_is_copied(backup, lock->first) ||
		backup_run(backup, lock->first, lock->last) !=
			lock->last - lock->first + 1) {
		backup_unlock(op);
		step(op);
		return;
	}
	op->piece_offset = from;
	op->piece.iov_len =
		(to < backup->size_bytes ? to : backup->size_bytes) - from;
	read_piece(op);
}

/* The next run that is to be copied, or the end. */
static void step(struct backup_op *op)
{
	const struct backup_driver *backup = op->lane->backup;
	unsigned shift = backup->shift;
	uint64_t most = BACKUP_PIECE_BYTES >> shift;

	if (op->request->cancelled) {
		backup_work_end(op, -ECANCELED);
		return;
	}
	while (op->at < op->end && backup_is_active(backup)) {
		uint64_t first = op->at >> shift, last = (op->end - 1) >> shift;
		uint64_t run = backup_run(backup, first, last);

		if (!backup_is_copied(backup, first)) {
			if (run > most)
				run = most ? most : 1;
			backup_lock(op, first, first + run - 1, true, locked);
			return;
		}
		op->at = (first + run) << shift;
	}
	finish(op);
}

void backup_copy(struct backup_op *op)
{
	step(op);
}
