/* SPDX-License-Identifier: Apache-2.0 */
/* See appliance_flush.h. */
#include "target/control/appliance/appliance_flush.h"

#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "target/control/appliance/appliance_parts.h"

#include <errno.h>
#include <stdlib.h>

struct flushing {
	struct flushing_round *round;
	struct volume *volume;
	bool under_way;
	struct block_request request;
};

struct flushing_round {
	struct loop_timer deadline;
	struct co *waiter;
	unsigned count, left;
	struct flushing one[];
};

static void flush_done(struct block_request *request)
{
	struct flushing *one = container_of(request, struct flushing, request);
	struct flushing_round *round = one->round;
	one->under_way = false;
	if (!--round->left)
		co_resume(round->waiter);
}

/* What is held above the kernel gives up; the rest is said, for it can take long. */
static void deadline_expired(struct loop_timer *timer)
{
	struct flushing_round *round =
		container_of(timer, struct flushing_round, deadline);
	log_warning("cairnd", "stop",
		"%u %s still being flushed: the storage below is slow; a "
		"second signal ends at once",
		round->left, round->left == 1 ? "volume is" : "volumes are");
	for (unsigned i = 0; i < round->count; i++) {
		if (round->one[i].under_way)
			block_cancel(&round->one[i].request);
	}
}

static bool wants_flush(struct appliance *appliance, struct volume *volume)
{
	struct block_source *source = atomic_load(&volume->source);
	if (!source || volume_flags(volume) & VOLUME_FAILED)
		return false;
	return !block_source_info(
		source, block_core_lane(appliance->world.core, 0))
			.read_only;
}

static void flush_submit(
	struct flushing *one, struct block_lane *lane, struct volume *volume)
{
	struct block_request *request = &one->request;
	one->volume = volume;
	one->under_way = true;
	block_request_init(request, lane);
	request->op = BLOCK_FLUSH;
	request->flags = 0;
	request->offset_bytes = 0;
	request->length_bytes = 0;
	request->iov = NULL;
	request->iov_count = 0;
	request->done = flush_done;
	block_submit(atomic_load(&volume->source), request);
}

static struct flushing_round *round_new(const struct appliance *appliance)
{
	const struct appliance_volume *v;
	struct flushing_round *round;
	unsigned count = 0;
	TAILQ_FOREACH (v, &appliance->volumes, link)
		count++;
	round = calloc(1, sizeof *round + count * sizeof round->one[0]);
	if (round) {
		round->deadline.expired = deadline_expired;
		round->waiter = co_self();
	}
	return round;
}

static void round_co(struct flushing_round *round, struct appliance *appliance,
	uint64_t deadline_ns)
{
	struct block_lane *lane = block_core_lane(appliance->world.core, 0);
	struct appliance_volume *v;
	TAILQ_FOREACH (v, &appliance->volumes, link) {
		if (!wants_flush(appliance, v->volume))
			continue;
		round->one[round->count].round = round;
		flush_submit(&round->one[round->count++], lane, v->volume);
		round->left++;
	}
	if (!round->left)
		return;
	loop_timer_set(lane->loop, &round->deadline, deadline_ns);
	co_yield ();
	loop_timer_clear(lane->loop, &round->deadline);
}

static bool is_late(struct flushing *one)
{
	int result = volume_flushed(one->volume, one->request.result);
	return result && !(volume_flags(one->volume) & VOLUME_FAILED);
}

void appliance_flush_co(struct appliance *appliance, uint64_t deadline_ns,
	void (*late)(void *argument, const struct volume *volume),
	void *argument)
{
	struct appliance_volume *v;
	co_mutex_lock_co(&appliance->applying);
	struct flushing_round *round = round_new(appliance);
	if (round) {
		round_co(round, appliance, deadline_ns);
		for (unsigned i = 0; i < round->count; i++) {
			if (is_late(&round->one[i]))
				late(argument, round->one[i].volume);
		}
	} else {
		TAILQ_FOREACH (v, &appliance->volumes, link) {
			if (wants_flush(appliance, v->volume))
				late(argument, v->volume);
		}
	}
	co_mutex_unlock(&appliance->applying);
	free(round);
}
