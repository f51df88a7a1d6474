/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that a listener holds for a time; see hold.h. A new deadline is
 * nearly always the latest one, so the place is looked for from the end.
 */
#include "blockcore/core/hold.h"

#include "blockcore/base/list.h"

#include <assert.h>
#include <errno.h>

static bool frame_done(struct block_request *request, struct block_frame *frame)
{
	(void)request;
	(void)frame;
	return true;
}

/* hold_add's frame is the last one: nobody pushed since. */
static uint64_t deadline(const struct block_request *request)
{
	const struct block_frame *frame = &request->frame[request->frames - 1];

	assert(frame->fn == frame_done);
	return frame->value;
}

static void take_out(struct hold_queue *queue, struct block_request *request)
{
	TAILQ_REMOVE(&queue->list, request, link);
	counter_add(&queue->held, -1ull);
	block_unhold(request);
}

static void arm(struct hold_queue *queue)
{
	struct block_request *first = TAILQ_FIRST(&queue->list);
	uint64_t now = loop_now_ns(queue->lane->loop);

	if (!first)
		loop_timer_clear(queue->lane->loop, &queue->timer);
	else
		loop_timer_set(queue->lane->loop, &queue->timer,
			deadline(first) > now ? deadline(first) - now : 0);
}

static void expired(struct loop_timer *timer)
{
	struct hold_queue *queue =
		container_of(timer, struct hold_queue, timer);
	uint64_t now = loop_now_ns(queue->lane->loop);
	struct block_request *request;

	while ((request = TAILQ_FIRST(&queue->list)) &&
		deadline(request) <= now) {
		take_out(queue, request);
		queue->go(request);
	}
	arm(queue);
}

static void cancel(struct block_request *request)
{
	struct hold_queue *queue = request->held_by;

	take_out(queue, request);
	arm(queue);
	block_complete(request, -ECANCELED);
}

void hold_add(struct hold_queue *queue, struct block_request *request,
	uint64_t after_ns)
{
	uint64_t at = loop_now_ns(queue->lane->loop) + after_ns;
	struct block_request *before =
		TAILQ_LAST(&queue->list, block_request_list);

	block_push(request, frame_done, queue, at);
	while (before && deadline(before) > at)
		before = TAILQ_PREV(before, block_request_list, link);
	if (before)
		TAILQ_INSERT_AFTER(&queue->list, before, request, link);
	else
		TAILQ_INSERT_HEAD(&queue->list, request, link);
	counter_add(&queue->held, 1);
	block_hold(request, cancel, queue);
	if (!before)
		arm(queue);
}

void hold_release(struct hold_queue *queue)
{
	struct block_request_list list = TAILQ_HEAD_INITIALIZER(list);
	struct block_request *request;

	loop_timer_clear(queue->lane->loop, &queue->timer);
	while ((request = TAILQ_FIRST(&queue->list))) {
		take_out(queue, request);
		TAILQ_INSERT_TAIL(&list, request, link);
	}
	while ((request = TAILQ_FIRST(&list))) {
		TAILQ_REMOVE(&list, request, link);
		queue->go(request);
	}
}

void hold_init(struct hold_queue *queue, struct block_lane *lane,
	void (*go)(struct block_request *request))
{
	queue->lane = lane;
	queue->timer.expired = expired;
	queue->go = go;
	TAILQ_INIT(&queue->list);
}

void hold_fini(struct hold_queue *queue)
{
	assert(TAILQ_EMPTY(&queue->list));
	loop_timer_clear(queue->lane->loop, &queue->timer);
}
