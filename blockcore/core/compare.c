/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COMPARE_AND_WRITE (SBC-3 5.2) where the bottom has none of its own: with the
 * range locked against every other change, READ, compare, WRITE. What listeners
 * of the back part and a mirror see is the write only.
 *
 * A source starts untracked: its changes take no locks. The first
 * COMPARE_AND_WRITE makes it tracked, for good: a generation of the same drivers
 * in which changes take range locks is published, and when the untracked ones
 * have drained, each lane is told that it is `settled`. Until then only
 * COMPARE_AND_WRITE waits; all else goes on.
 */
#include "blockcore/core/compare.h"

#include "blockcore/base/iov.h"
#include "blockcore/core/change.h"
#include "blockcore/core/park.h"
#include "blockcore/core/range_lock.h"
#include "blockcore/core/request.h"
#include "blockcore/core/stack.h"
#include "blockcore/core/watch.h"

#include <assert.h>
#include <errno.h>

/* -- becoming tracked ----------------------------------------------------- */

struct compare_settle {
	struct block_source *source;
	int error;
};

static void compare_settle_lane(struct block_lane *lane, void *argument)
{
	struct compare_settle *settle = argument;
	struct block_channel *channel = &settle->source->channel[lane->index];
	struct block_request *request;

	channel->settled = settle->error == 0;
	channel->settle_asked = false;
	while ((request = TAILQ_FIRST(&channel->unsettled))) {
		block_unpark(&channel->unsettled, request);
		if (settle->error)
			block_complete(request, settle->error);
		else
			block_request_gate(request);
	}
}

static int compare_track_co(struct block_source *source)
{
	struct block_stack *now = source->current;

	if (now->tracked)
		return 0;
	if (!source->locks)
		source->locks = range_lock_table_new();
	if (!source->locks)
		return -ENOMEM;
	struct block_stack *next =
		block_stack_new(source, now->driver, now->count, true, NULL);
	if (!next)
		return -ENOMEM;
	struct block_change change = {.source = source, .next = next};
	return block_change_co(&change, NULL);
}

static void compare_settle_co(void *argument)
{
	struct compare_settle settle = {.source = argument};
	struct block_source *source = settle.source;

	co_mutex_lock_co(&source->change);
	settle.error = compare_track_co(source);
	co_mutex_unlock(&source->change);
	/* Not with the mutex: to drain them may take another change, such as
	 * detaching a listener that holds requests. */
	while (!settle.error && source->references &&
		block_stacks_untracked_busy(source))
		block_source_wait_co(source);
	source->settling = false; /* who asks after its visit asks anew */
	if (!source->references)
		settle.error = -ENODEV;
	block_broadcast_co(source->core, compare_settle_lane, &settle);
	block_source_help_end(source);
}

/* On lane 0. A source without references is closing, and refuses what waits. */
static void compare_settle_run(struct loop_message *message)
{
	struct block_channel *channel =
		container_of(message, struct block_channel, settle);
	struct block_source *source = channel->source;

	if (source->references == 0 || source->settling)
		return;
	block_source_help_begin(source);
	source->settling = true;
	loop_errand(block_core_control(source->core), &source->settle,
		compare_settle_co, source);
}

static void compare_settle(
	struct block_channel *channel, struct block_request *request)
{
	struct block_source *source = channel->source;

	block_park(&channel->unsettled, request);
	if (channel->settle_asked)
		return;
	channel->settle_asked = true;
	channel->settle.run = compare_settle_run;
	loop_post(block_core_control(source->core), &channel->settle);
}

/* -- the three steps ------------------------------------------------------ */

static struct compare *compare_of(const struct block_request *request)
{
	return request->frame[request->frames - 1].context;
}

static bool compare_end(
	struct block_request *request, struct block_frame *frame)
{
	compare_memory_put(&request->lane->private->compare, frame->context);
	return true;
}

static void compare_cancel(struct block_request *request)
{
	block_cancel(request->held_by);
}

static struct block_request *compare_child(struct block_request *request,
	enum block_opcode op, void (*done)(struct block_request *))
{
	struct block_request *child = block_child_get(request);

	if (!child) {
		block_complete(request, -ENOMEM);
		return NULL;
	}
	child->op = (uint8_t)op;
	child->done = done;
	block_hold(request, compare_cancel, child);
	return child;
}

static void compare_written(struct block_request *child)
{
	struct block_request *request = child->parent;
	int result = child->result;

	block_child_put(child);
	block_unhold(request);
	block_complete(request, result);
}

static void compare_write(struct block_request *request)
{
	struct compare *compare = compare_of(request);
	size_t length = request->length_bytes;
	struct block_request *child =
		compare_child(request, BLOCK_WRITE, compare_written);

	if (!child)
		return;
	child->iov = compare->write;
	child->iov_count = iov_slice(compare->write, request->iov_count,
		request->iov, request->iov_count, length, length);
	assert(child->iov_count);
	block_pass(child);
}

static void compare_read_done(struct block_request *child)
{
	struct block_request *request = child->parent;
	struct compare *compare = compare_of(request);
	size_t length = request->length_bytes;
	int result = child->result;

	block_child_put(child);
	block_unhold(request);
	if (result == 0 && request->cancelled)
		result = -ECANCELED;
	if (result) {
		block_complete(request, result);
		return;
	}
	size_t same = iov_compare(
		request->iov, request->iov_count, 0, compare->data, length);
	if (same == length) {
		compare_write(request);
		return;
	}
	request->miscompare_bytes = same;
	block_complete(request, -EILSEQ);
}

static void compare_start(struct block_request *request)
{
	struct compare *compare = compare_of(request);
	struct block_request *child =
		compare_child(request, BLOCK_READ, compare_read_done);

	if (!child)
		return;
	child->flags &= (uint16_t) ~(BLOCK_FUA | BLOCK_REGISTERED);
	if (compare->buf && request->lane->registered)
		child->flags |= BLOCK_REGISTERED;
	child->iov = &compare->read;
	child->iov_count = 1;
	block_pass(child);
}

/* -- at the gate ---------------------------------------------------------- */

static void compare_locked(struct block_request *request)
{
	if (request->op == BLOCK_COMPARE_AND_WRITE)
		compare_start(request);
	else
		block_pass(request);
}

/* There is memory for a COMPARE_AND_WRITE. */
static void compare_fed(struct block_request *request, struct compare *compare)
{
	block_push(request, compare_end, compare, 0);
	range_lock_enter(request, compare_locked);
}

static void compare_enter(struct block_request *request)
{
	if (request->op == BLOCK_COMPARE_AND_WRITE)
		compare_memory_get(&request->lane->private->compare, request);
	else
		range_lock_enter(request, compare_locked);
}

static int compare_lane_start(struct block_lane *lane)
{
	return compare_memory_init(
		&lane->private->compare, lane->pool, compare_fed);
}

static void compare_lane_stop(struct block_lane *lane)
{
	compare_memory_fini(&lane->private->compare);
}

const struct block_track_ops block_track = {
	.lane_start = compare_lane_start,
	.lane_stop = compare_lane_stop,
	.settle = compare_settle,
	.enter = compare_enter,
	.leave = range_lock_release,
};
