/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener mirror: requests; see mirror.h.
 */
#include "blockcore/base/bits.h"
#include "blockcore/base/list.h"
#include "blockcore/core/ticket.h"
#include "blockcore/listener/mirror.h"

#include <errno.h>

static struct mirror_granules op_granules(const struct mirror_op *op)
{
	return mirror_granules(&op->lane->mirror->marks,
		op->request->offset_bytes, op->request->length_bytes);
}

/* -- the end of a change or flush ----------------------------------------- */

/* Who has what the other has not is to be told. */
static void op_note_results(struct mirror_op *op)
{
	struct mirror *mirror = op->lane->mirror;

	if (op->leg && op->there)
		mirror_leg_failed(mirror, op->there);
	if (op->change && (op->below || (op->leg && op->there)))
		mirror_marks_dirty(&mirror->marks, op_granules(op));
}

static void op_free(struct mirror_op *op)
{
	struct mirror_lane *lane = op->lane;

	if (op->change)
		mirror_note_end(lane, op->period);
	slab_put(&lane->ops, op);
}

/* The request's result; the op is gone. */
static int op_end(struct mirror_op *op)
{
	int result = op->below;

	op_note_results(op);
	if (!result && op->leg && op->lane->mirror->on_error_fails)
		result = op->there;
	op_free(op);
	return result;
}

static void cancel_both(struct block_request *request)
{
	(void)request; /* invariant 6 */
}

static void op_ended_one(struct mirror_op *op)
{
	struct block_request *request = op->request;

	if (--op->pending)
		return;
	block_unhold(request);
	block_complete(request, op_end(op));
}

static bool below_ended(struct block_request *child, struct block_frame *frame)
{
	struct mirror_op *op = frame->context;

	op->below = child->result;
	op_ended_one(op);
	return true;
}

static bool leg_ended(struct block_request *child, struct block_frame *frame)
{
	struct mirror_op *op = frame->context;

	op->there = child->result;
	op_ended_one(op);
	return true;
}

static bool alone_ended(
	struct block_request *request, struct block_frame *frame)
{
	struct mirror_op *op = frame->context;

	op->below = request->result;
	request->result = op_end(op);
	return true;
}

/* -- its beginning -------------------------------------------------------- */

static void op_to_leg(struct mirror_op *op, struct block_request *child)
{
	child->done = block_child_put;
	if (child->op == BLOCK_DISCARD) { /* not everybody has it */
		child->op = BLOCK_WRITE_ZEROES;
		child->flags |= BLOCK_MAY_UNMAP;
	}
	block_push(child, leg_ended, op, 0);
	block_submit(op->lane->mirror->driver.others[0], child);
}

/* Both children, or none: what is done in part would be a difference. */
static void op_begin_both(struct mirror_op *op)
{
	struct block_request *request = op->request;
	struct block_request *below = block_child_get(request);
	struct block_request *there = below ? block_child_get(request) : NULL;

	if (!there) {
		if (below)
			block_child_put(below);
		op_free(op); /* nothing has happened */
		block_complete(request, -ENOMEM);
		return;
	}
	op->pending = 2;
	block_hold(request, cancel_both, op);
	op_to_leg(op, there);
	below->done = block_child_put;
	block_push(below, below_ended, op, 0);
	block_pass(below);
}

/* Whether the leg is to get it: a granule of which it lacks nothing is in it. */
static bool op_wants_leg(const struct mirror_op *op)
{
	struct mirror *mirror = op->lane->mirror;
	struct mirror_granules granules;

	if (mirror_error(mirror))
		return false;
	if (!op->change)
		return true;
	granules = op_granules(op);
	return !bits_all(mirror->marks.dirty, granules.first, granules.last);
}

static void op_begin(struct mirror_op *op)
{
	op->leg = op_wants_leg(op);
	if (op->leg) {
		op_begin_both(op);
		return;
	}
	block_push(op->request, alone_ended, op, 0);
	block_pass(op->request);
}

static void mirror_op(
	struct mirror_lane *lane, struct block_request *request, bool change)
{
	struct mirror_op *op = slab_get(&lane->ops);

	if (!op) {
		block_complete(request, -ENOMEM);
		return;
	}
	*op = (struct mirror_op){
		.lane = lane, .request = request, .change = change};
	if (change) {
		op->period = (uint8_t)lane->period;
		lane->count[lane->period]++;
		if (!mirror_note(lane, op_granules(op))) {
			TAILQ_INSERT_TAIL(&lane->parked, op, link);
			block_hold(request, cancel_both, op);
			return;
		}
	}
	op_begin(op);
}

void mirror_go(struct mirror_lane *lane)
{
	struct mirror_marks *marks = &lane->mirror->marks;
	int error = atomic_load(&lane->mirror->map.error);
	struct mirror_op *op, *next;

	TAILQ_FOREACH_SAFE (op, &lane->parked, link, next) {
		struct block_request *request = op->request;
		struct mirror_granules granules = op_granules(op);
		bool kept =
			bits_all(marks->kept, granules.first, granules.last);

		if (!kept && !error)
			continue;
		TAILQ_REMOVE(&lane->parked, op, link);
		block_unhold(request);
		if (kept) {
			op_begin(op);
		} else {
			op_free(op);
			block_complete(request, error);
		}
	}
	if (!TAILQ_EMPTY(&lane->parked))
		mirror_ask(lane);
}

/* -- reads ---------------------------------------------------------------- */

static void read_cancel(struct block_request *request)
{
	block_cancel(request->held_by);
}

/* value: what it was below, negated. */
static bool read_there(struct block_request *child, struct block_frame *frame)
{
	struct mirror_lane *lane = frame->context;
	struct block_request *request = child->parent;

	block_unhold(request);
	counter_add(&lane->failovers, child->result == 0);
	block_complete(request, child->result == 0 ? 0 : -(int)frame->value);
	return true;
}

static bool leg_has(struct mirror *mirror, const struct block_request *request)
{
	struct mirror_granules granules = mirror_granules(
		&mirror->marks, request->offset_bytes, request->length_bytes);

	return !mirror_error(mirror) &&
		!bits_any(mirror->marks.dirty, granules.first, granules.last);
}

static bool read_ended(struct block_request *request, struct block_frame *frame)
{
	struct mirror_lane *lane = frame->context;
	struct mirror *mirror = lane->mirror;
	struct block_request *child = NULL;

	if (!request->result || request->cancelled || !leg_has(mirror, request))
		return true;
	child = block_child_get(request);
	if (!child)
		return true;
	child->done = block_child_put;
	block_push(child, read_there, lane, (uint64_t)-request->result);
	block_hold(request, read_cancel, child);
	block_submit(mirror->driver.others[0], child);
	return false;
}

/* -- requests ------------------------------------------------------------- */

static void mirror_change(
	struct mirror_lane *lane, struct block_request *request)
{
	int error =
		lane->mirror->on_error_fails ? mirror_error(lane->mirror) : 0;

	if (error)
		block_complete(request, error);
	else
		mirror_op(lane, request, true);
}

void mirror_submit(struct block_driver *driver, struct block_request *request)
{
	struct mirror_lane *lane = block_driver_lane(driver, request->lane);

	switch (request->op) {
	case BLOCK_WRITE:
	case BLOCK_WRITE_ZEROES:
	case BLOCK_DISCARD: mirror_change(lane, request); return;
	case BLOCK_FLUSH: mirror_op(lane, request, false); return;
	case BLOCK_READ:
		if (lane->mirror->failover)
			block_push(request, read_ended, lane, 0);
		break;
	case BLOCK_COPY:
		if (block_ticket_is_for(driver, request)) {
			block_ticket_arrived(request);
			return;
		}
		break;
	default: break;
	}
	block_pass(request);
}
