/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to a source whose I/O may be held: who asks does not wait for ever.
 *
 * Invariant: a request belongs to the core until it is done. So it, and what it is
 * answered in, lives in memory of its own, which goes with whoever is last: who asked
 * or the request.
 */
#include "blockcore/core/core.h"
#include "blockcore/figures.h"
#include "blockcore/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct asked {
	struct block_request request;
	struct loop_timer timer;
	struct co *co; /* waits; NULL: has gone */
	bool done;
	struct block_extents answer;
	struct block_extent extent[];
};

static void asked_done(struct block_request *request)
{
	struct asked *asked = container_of(request, struct asked, request);

	asked->done = true;
	if (asked->co)
		co_resume(asked->co);
	else
		free(asked);
}

static void asked_too_long(struct loop_timer *timer)
{
	struct asked *asked = container_of(timer, struct asked, timer);

	co_resume(asked->co);
}

static struct asked *asked_new(
	struct block_lane *lane, uint8_t op, uint32_t room)
{
	struct asked *asked =
		calloc(1, sizeof *asked + room * sizeof *asked->extent);

	if (!asked)
		return NULL;
	asked->answer =
		(struct block_extents){.extent = asked->extent, .room = room};
	asked->timer.expired = asked_too_long;
	block_request_init(&asked->request, lane);
	asked->request.op = op;
	asked->request.done = asked_done;
	return asked;
}

/* Whether it is done: then it is the caller's to free. */
static bool asked_wait_co(
	struct asked *asked, struct block_source *source, uint64_t patience_ns)
{
	struct loop *loop = asked->request.lane->loop;

	asked->co = co_self();
	loop_timer_set(loop, &asked->timer, patience_ns);
	block_submit(source, &asked->request);
	if (!asked->done)
		co_yield ();
	loop_timer_clear(loop, &asked->timer);
	if (asked->done)
		return true;
	/* A listener that holds it lets it go then: who asks again and again leaves
	 * no request behind for each time. */
	asked->co = NULL;
	block_cancel(&asked->request);
	return false;
}

int block_extents_within_co(struct block_source *source,
	struct block_lane *lane, unsigned flags, uint64_t offset_bytes,
	uint64_t length_bytes, uint64_t patience_ns,
	struct block_extents *answer)
{
	struct asked *asked = asked_new(lane, BLOCK_EXTENTS, answer->room);

	if (!asked)
		return -ENOMEM;
	asked->request.flags = (uint16_t)flags;
	asked->request.offset_bytes = offset_bytes;
	asked->request.length_bytes = length_bytes;
	asked->request.extents = &asked->answer;
	if (!asked_wait_co(asked, source, patience_ns))
		return -ETIMEDOUT;
	int result = asked->request.result;
	answer->count = asked->answer.count;
	memcpy(answer->extent, asked->extent,
		answer->count * sizeof *answer->extent);
	free(asked);
	return result;
}

int block_flush_within_co(struct block_source *source, struct block_lane *lane,
	uint64_t patience_ns)
{
	struct asked *asked = asked_new(lane, BLOCK_FLUSH, 0);

	if (!asked)
		return -ENOMEM;
	if (!asked_wait_co(asked, source, patience_ns))
		return -ETIMEDOUT;
	int result = asked->request.result;
	free(asked);
	return result;
}
