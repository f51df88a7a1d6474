/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a request: down through the drivers of its generation, over the
 * gate between front and back, and up again through its frames.
 *
 * Invariants
 *  1. Down is by calls (block_pass calls the next driver's submit), up is from
 *     the lane's completion list, so a stack of calls is at most as deep as
 *     one source's drivers and a completion never meets its own submit.
 *  2. The gate pushes a frame of its own: whatever crosses it leaves the back
 *     part exactly once, also if a front listener sends it down again.
 *  3. request->position is the index of the next driver below, in the front
 *     generation or (in_back) in the back one; frames restore it.
 */
#include "blockcore/core/request.h"

#include "blockcore/base/co.h"
#include "blockcore/base/trace.h"
#include "blockcore/core/core.h"
#include "blockcore/core/park.h"
#include "blockcore/core/sample.h"
#include "blockcore/figures.h"

#include <assert.h>
#include <errno.h>

/* Completions in one turn, before the ring and the sockets have theirs. */
#define REQUESTS_PER_TURN 512u

void block_request_init(struct block_request *request, struct block_lane *lane)
{
	request->purpose = PURPOSE_NONE;
	request->frames = 0;
	request->position = 0;
	request->lock_count = 0;
	request->in_back = false;
	request->counted = false;
	request->completing = false;
	request->cancelled = false;
	request->child = false;
	request->of_job = false;
	request->lane = lane;
	request->source = NULL;
	request->front = NULL;
	request->back = NULL;
	request->cancel = NULL;
	request->parent = NULL;
}

/* -- down ----------------------------------------------------------------- */

/* 0 if the generation can carry it. */
static int request_check(
	const struct block_stack *stack, const struct block_request *request)
{
	const struct block_info *info = &stack->info;
	uint32_t op = BLOCK_OP(request->op);

	if (info->read_only && (op & BLOCK_OPS_CHANGE) && !request->of_job)
		return -EROFS;
	if (!(info->ops & op) && !request->of_job)
		return -EOPNOTSUPP;
	if (request->op == BLOCK_FLUSH)
		return 0;
	uint64_t offset = request->offset_bytes, length = request->length_bytes;
	if ((offset | length) & (BLOCK_SECTOR_BYTES - 1))
		return -EINVAL;
	if (length > info->size_bytes || offset > info->size_bytes - length)
		return -ERANGE;
	if (length > BLOCK_MAX_DATA_BYTES && (op & BLOCK_OPS_DATA))
		return -EINVAL;
	if (length > BLOCK_MAX_COMPARE_BYTES &&
		request->op == BLOCK_COMPARE_AND_WRITE)
		return -EINVAL;
	return 0;
}

void block_pass(struct block_request *request)
{
	struct block_stack *stack = request->back;

	if (!request->in_back) {
		stack = request->front;
		if (request->position == stack->front_count) {
			block_request_gate(request);
			return;
		}
	}
	assert(request->position < stack->count);
	struct block_driver *driver = stack->driver[request->position];
	if (request->flags & BLOCK_TIMED)
		block_sample_enter(request, driver);
	request->position++;
	driver->kind->submit(driver, request);
}

void block_push(struct block_request *request,
	bool (*fn)(struct block_request *, struct block_frame *), void *context,
	uint64_t value)
{
	assert(request->frames < BLOCK_FRAMES);
	struct block_frame *frame = &request->frame[request->frames++];

	frame->fn = fn;
	frame->context = context;
	frame->value = value;
	frame->position = request->position;
	frame->in_back = request->in_back;
}

static bool request_leave_back(
	struct block_request *request, struct block_frame *frame)
{
	(void)frame;
	struct block_stack *stack = request->back;

	if (request->lock_count)
		request->lane->core->track->leave(request);
	request->back = NULL;
	block_stack_leave(stack, request->lane->index, BLOCK_BACK);
	return true;
}

static void request_enter_back(
	struct block_request *request, struct block_stack *stack)
{
	block_push(request, request_leave_back, NULL, 0);
	request->back = stack;
	request->in_back = true;
	request->position = stack->front_count;
	stack->lane[request->lane->index].count[BLOCK_BACK]++;
	if (stack->lock_ops & BLOCK_OP(request->op))
		request->lane->core->track->enter(request);
	else
		block_pass(request);
}

void block_request_gate(struct block_request *request)
{
	struct block_channel *channel =
		&request->source->channel[request->lane->index];
	struct block_stack *stack = channel->stack;

	if (channel->closed) {
		block_park(&channel->parked, request);
		return;
	}
	if (stack != request->front) {
		/* What is shown has perhaps changed since it was admitted. */
		int error = stack ? request_check(stack, request) : -ENODEV;
		if (error) {
			block_complete(request, error);
			return;
		}
	}
	if (request->op == BLOCK_COMPARE_AND_WRITE && stack->emulates_compare &&
		!channel->settled) {
		request->lane->core->track->settle(channel, request);
		return;
	}
	request_enter_back(request, stack);
}

/* A child of a request that is in the back part of this source already: goes
 * with it, past gate and locks. */
static bool request_inherit(
	struct block_source *source, struct block_request *request)
{
	const struct block_request *up = request->parent;

	while (up && !(up->source == source && up->back))
		up = up->parent;
	if (!up)
		return false;
	request->front = request->back = up->back;
	request->in_back = true;
	request->position = up->back->front_count;
	request->counted = false;
	int error = request_check(up->back, request);
	if (error || (request->length_bytes == 0 && request->op != BLOCK_FLUSH))
		block_complete(request, error);
	else
		block_pass(request);
	return true;
}

void block_submit_back(
	struct block_source *source, struct block_request *request)
{
	unsigned lane = request->lane->index;
	struct block_stack *stack = source->channel[lane].stack;

	assert(stack && !request->child && request->op == BLOCK_COPY);
	request->source = source;
	request->result = 0;
	request->of_job = true;
	stack->lane[lane].count[BLOCK_FRONT]++;
	request->counted = true;
	request->front = stack;
	request->position = stack->front_count;
	int error = request_check(stack, request);
	if (error)
		block_complete(request, error);
	else
		block_pass(request);
}

void block_submit(struct block_source *source, struct block_request *request)
{
	unsigned lane = request->lane->index;
	struct block_stack *stack = source->channel[lane].stack;

	request->source = source;
	request->result = 0;
	trace(request_submit, request,
		(uint64_t)request->op << 56 | request->length_bytes);
	if (request->child && request_inherit(source, request))
		return;
	assert(stack);
	if (request->flags & BLOCK_TIMED && !request->child)
		block_sample_begin(request);
	stack->lane[lane].count[BLOCK_FRONT]++;
	request->counted = true;
	request->front = stack;
	request->back = NULL;
	request->in_back = false;
	request->position = 0;
	int error = request_check(stack, request);
	if (error || (request->length_bytes == 0 && request->op != BLOCK_FLUSH))
		block_complete(request, error);
	else
		block_pass(request);
}

/* -- up ------------------------------------------------------------------- */

void block_complete(struct block_request *request, int result)
{
	assert(!request->completing && !request->cancel);
	request->completing = true;
	request->result = result;
	struct block_lane_private *lane = request->lane->private;
	TAILQ_INSERT_TAIL(&lane->completed, request, link);
	lane->complete.again = true;
}

static void request_unwind(struct block_request *request)
{
	request->completing = false;
	while (request->frames) {
		struct block_frame *frame = &request->frame[--request->frames];

		request->position = frame->position;
		request->in_back = frame->in_back;
		if (request->flags & BLOCK_TIMED)
			block_sample_leave(
				request, frame->position, frame->in_back);
		if (frame->fn == request_leave_back) /* every request has it */
			request_leave_back(request, frame);
		else if (!frame->fn(request, frame))
			return;
	}
	if (request->flags & BLOCK_TIMED)
		block_sample_end(request);
	if (request->counted)
		block_stack_leave(
			request->front, request->lane->index, BLOCK_FRONT);
	request->source = NULL;
	request->front = request->back = NULL;
	trace(request_done, request, request->result);
	request->done(request);
}

bool block_requests_run(struct block_lane_private *lane)
{
	struct block_request *request;

	/* Cancelled before they were held: their holder is asked now. */
	while ((request = TAILQ_FIRST(&lane->cancel_soon))) {
		TAILQ_REMOVE(&lane->cancel_soon, request, held_link);
		request->cancel_soon = false;
		TAILQ_INSERT_TAIL(&lane->held, request, held_link);
		request->cancel(request);
	}
	for (unsigned i = 0; i < REQUESTS_PER_TURN; i++) {
		request = TAILQ_FIRST(&lane->completed);
		if (!request)
			break;
		TAILQ_REMOVE(&lane->completed, request, link);
		request_unwind(request);
	}
	lane->complete.again = false; /* what it made for itself is done */
	buf_pool_wake(lane->pool);
	return !TAILQ_EMPTY(&lane->completed) ||
		!TAILQ_EMPTY(&lane->cancel_soon);
}

/* -- held and cancelled --------------------------------------------------- */

void block_hold(struct block_request *request,
	void (*cancel)(struct block_request *), void *held_by)
{
	assert(!request->cancel && !request->completing);
	struct block_lane_private *lane = request->lane->private;

	request->cancel = cancel;
	request->held_by = held_by;
	request->cancel_soon = request->cancelled;
	if (request->cancel_soon) {
		TAILQ_INSERT_TAIL(&lane->cancel_soon, request, held_link);
		lane->complete.again = true;
	} else {
		TAILQ_INSERT_TAIL(&lane->held, request, held_link);
	}
}

void block_unhold(struct block_request *request)
{
	assert(request->cancel);
	struct block_lane_private *lane = request->lane->private;

	if (request->cancel_soon)
		TAILQ_REMOVE(&lane->cancel_soon, request, held_link);
	else
		TAILQ_REMOVE(&lane->held, request, held_link);
	request->cancel = NULL;
	request->held_by = NULL;
}

void block_cancel(struct block_request *request)
{
	request->cancelled = true;
	if (request->cancel && !request->cancel_soon)
		request->cancel(request);
}

/* -- children ------------------------------------------------------------- */

struct block_request *block_child_get(struct block_request *parent)
{
	struct block_request *child =
		slab_get(&parent->lane->private->children);

	if (!child)
		return NULL;
	block_request_init(child, parent->lane);
	child->op = parent->op;
	child->purpose = parent->purpose;
	child->flags = parent->flags;
	child->iov_count = parent->iov_count;
	child->offset_bytes = parent->offset_bytes;
	child->length_bytes = parent->length_bytes;
	child->iov = parent->iov;
	child->extents = parent->extents;
	child->result = 0;
	child->child = true;
	child->parent = parent;
	child->source = parent->source;
	child->front = parent->front;
	child->back = parent->back;
	child->in_back = parent->in_back;
	child->position = parent->position;
	if (child->flags & BLOCK_TIMED)
		block_sample_begin(child);
	return child;
}

void block_child_put(struct block_request *child)
{
	if (child->flags & BLOCK_TIMED) /* it was never sent */
		block_sample_end(child);
	slab_put(&child->lane->private->children, child);
}

static void redirect_cancel(struct block_request *request)
{
	block_cancel(request->held_by);
}

static void redirect_done(struct block_request *child)
{
	struct block_request *request = child->parent;
	uint64_t delta = child->offset_bytes - request->offset_bytes;
	int result = child->result;

	if (request->op == BLOCK_EXTENTS && result == 0) {
		for (uint32_t i = 0; i < request->extents->count; i++)
			request->extents->extent[i].offset_bytes -= delta;
	} else if (request->op == BLOCK_COMPARE_AND_WRITE) {
		request->miscompare_bytes = child->miscompare_bytes;
	}
	block_child_put(child);
	block_unhold(request);
	block_complete(request, result);
}

void block_redirect_as(struct block_request *request,
	struct block_source *source, uint64_t delta_bytes,
	enum block_purpose purpose)
{
	struct block_request *child = block_child_get(request);

	if (!child) {
		block_complete(request, -ENOMEM);
		return;
	}
	child->purpose = (uint8_t)purpose;
	child->offset_bytes += delta_bytes;
	child->done = redirect_done;
	block_hold(request, redirect_cancel, child);
	block_submit(source, child);
}

void block_redirect(struct block_request *request, struct block_source *source,
	uint64_t delta_bytes)
{
	block_redirect_as(request, source, delta_bytes, request->purpose);
}

/* -- for coroutines ------------------------------------------------------- */

struct request_transfer {
	struct block_request request;
	struct co *co;
	bool done;
};

static void transfer_done(struct block_request *request)
{
	struct request_transfer *transfer =
		container_of(request, struct request_transfer, request);

	transfer->done = true;
	co_resume(transfer->co);
}

static int transfer_co(
	struct request_transfer *transfer, struct block_source *source)
{
	transfer->co = co_self();
	transfer->done = false;
	block_submit(source, &transfer->request);
	while (!transfer->done)
		co_yield ();
	return transfer->request.result;
}

int block_transfer_noted_co(struct block_source *source,
	struct block_lane *lane, enum block_opcode op, unsigned flags,
	uint64_t offset_bytes, uint64_t length_bytes, void *data,
	struct block_request **note)
{
	struct request_transfer transfer;
	struct iovec iov = {data,
		op == BLOCK_COMPARE_AND_WRITE ? 2 * length_bytes
					      : length_bytes};
	struct block_request *request = &transfer.request;

	block_request_init(request, lane);
	request->op = (uint8_t)op;
	request->flags = (uint16_t)flags;
	request->offset_bytes = offset_bytes;
	request->length_bytes = length_bytes;
	request->iov = &iov;
	request->iov_count = data ? 1 : 0;
	request->done = transfer_done;
	*note = request;
	int result = transfer_co(&transfer, source);
	*note = NULL;
	return result;
}

int block_extents_co(struct block_source *source, struct block_lane *lane,
	unsigned flags, uint64_t offset_bytes, uint64_t length_bytes,
	struct block_extents *answer)
{
	struct request_transfer transfer;
	struct block_request *request = &transfer.request;

	block_request_init(request, lane);
	request->op = BLOCK_EXTENTS;
	request->flags = (uint16_t)flags;
	request->offset_bytes = offset_bytes;
	request->length_bytes = length_bytes;
	request->iov = NULL;
	request->iov_count = 0;
	request->extents = answer;
	request->done = transfer_done;
	return transfer_co(&transfer, source);
}

int block_transfer_co(struct block_source *source, struct block_lane *lane,
	enum block_opcode op, unsigned flags, uint64_t offset_bytes,
	uint64_t length_bytes, void *data)
{
	struct block_request *note;

	return block_transfer_noted_co(source, lane, op, flags, offset_bytes,
		length_bytes, data, &note);
}
