/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener backup: a lane's operations. Each has the memory that it needs; who
 * finds none free waits in order.
 *
 * Invariant: a request that has an operation, or waits for one, is held by it
 * (block_hold). Cancelling it asks the child under way; the operation sees
 * request->cancelled at its next step, and ends.
 */
#include "blockcore/listener/backup.h"

#include <errno.h>

static void cancel_working(struct block_request *request)
{
	struct backup_op *op = request->held_by;

	if (op->child) {
		block_cancel(op->child);
	} else if (op->again.armed) {
		loop_timer_clear(op->lane->loop, &op->again);
		backup_work_end(op, -ECANCELED);
	}
}

static void cancel_waiting(struct block_request *request)
{
	struct backup_lane *lane = request->held_by;

	TAILQ_REMOVE(&lane->waiting, request, link);
	block_unhold(request);
	block_complete(request, -ECANCELED);
}

static void begin(struct backup_op *op, struct block_request *request)
{
	struct backup_driver *backup = op->lane->backup;
	uint64_t end = request->offset_bytes + request->length_bytes;
	const struct block_point *point =
		request->op == BLOCK_READ ? request->point : NULL;

	op->request = request;
	op->child = NULL;
	op->at = request->offset_bytes;
	op->end = end < backup->size_bytes ? end : backup->size_bytes;
	block_hold(request, cancel_working, op);
	if (point && !point->fill)
		backup_read(op);
	else
		backup_copy(op);
}

void backup_work(struct backup_lane *lane, struct block_request *request)
{
	struct backup_op *op = SLIST_FIRST(&lane->free);

	if (op) {
		SLIST_REMOVE_HEAD(&lane->free, link);
		begin(op, request);
		return;
	}
	counter_add(&lane->waited, 1);
	TAILQ_INSERT_TAIL(&lane->waiting, request, link);
	block_hold(request, cancel_waiting, lane);
}

static void next(struct backup_op *op)
{
	struct backup_lane *lane = op->lane;
	struct block_request *request;

	while ((request = TAILQ_FIRST(&lane->waiting))) {
		TAILQ_REMOVE(&lane->waiting, request, link);
		block_unhold(request);
		if (backup_wants(lane->backup, request)) {
			begin(op, request);
			return;
		}
		block_pass(request); /* others have copied it meanwhile */
	}
	SLIST_INSERT_HEAD(&lane->free, op, link);
}

void backup_work_end(struct backup_op *op, int result)
{
	block_unhold(op->request);
	block_complete(op->request, result);
	next(op);
}

void backup_work_pass(struct backup_op *op)
{
	block_unhold(op->request);
	block_pass(op->request);
	next(op);
}

struct block_request *backup_work_child(struct backup_op *op,
	bool (*ended)(struct block_request *child, struct block_frame *frame))
{
	struct block_request *child = block_child_get(op->request);

	if (!child)
		return NULL;
	child->flags =
		(uint16_t)((child->flags & BLOCK_TIMED) | BLOCK_INTERNAL);
	child->done = block_child_put;
	child->point = NULL;
	block_push(child, ended, op, 0);
	op->child = child;
	return child;
}
