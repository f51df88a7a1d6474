/* SPDX-License-Identifier: Apache-2.0 */
/* See drain.h. */
#include "target/volume/drain.h"

#include "blockcore/base/list.h"

bool volume_drain_open(struct volume_drain *drain, struct volume *volume)
{
	unsigned slot = 0;

	while (slot < VOLUME_DRAINS && volume->drain[slot])
		slot++;
	if (slot == VOLUME_DRAINS)
		return false;
	*drain = (struct volume_drain){.volume = volume, .slot = slot};
	atomic_init(&drain->left, 1);
	volume->drain[slot] = drain;
	return true;
}

static void drain_visit(struct block_lane *lane, void *argument)
{
	struct volume_drain *drain = argument;
	struct volume_nexus *nexus, *next;

	TAILQ_FOREACH_SAFE (
		nexus, &drain->volume->lane[lane->index].nexuses, link, next) {
		if (!drain->visit(nexus, drain->argument) || !nexus->tasks)
			continue;
		nexus->draining |= 1u << drain->slot;
		atomic_fetch_add(&drain->left, 1);
	}
}

void volume_drain_visit_co(struct volume_drain *drain,
	bool (*visit)(struct volume_nexus *nexus, void *argument),
	void *argument)
{
	drain->visit = visit;
	drain->argument = argument;
	block_broadcast_co(drain->volume->core, drain_visit, drain);
}

static void drain_over(struct loop_message *message)
{
	co_resume(container_of(message, struct volume_drain, message)->co);
}

void volume_nexus_drained(struct volume_nexus *nexus)
{
	struct volume *volume = nexus->volume;
	uint32_t draining = nexus->draining;

	nexus->draining = 0;
	while (draining) {
		unsigned slot = (unsigned)__builtin_ctz(draining);
		struct volume_drain *drain = volume->drain[slot];

		draining &= draining - 1;
		if (atomic_fetch_sub(&drain->left, 1) == 1)
			loop_post(block_core_lane(volume->core, 0)->loop,
				&drain->message);
	}
	if (nexus->wake)
		nexus->wake(nexus);
}

void volume_drain_close_co(struct volume_drain *drain)
{
	drain->co = co_self();
	drain->message.run = drain_over;
	/* Whoever takes the last count posts the message; if that is us,
	 * nobody runs any more. */
	if (atomic_fetch_sub(&drain->left, 1) != 1)
		co_yield ();
	drain->volume->drain[drain->slot] = NULL;
}

#define SLOT_AGAIN_NS 1000000u

void volume_visit_co(struct volume *volume,
	bool (*visit)(struct volume_nexus *nexus, void *argument),
	void *argument)
{
	struct volume_drain drain;

	while (!volume_drain_open(&drain, volume))
		loop_sleep_co(
			block_core_lane(volume->core, 0)->loop, SLOT_AGAIN_NS);
	volume_drain_visit_co(&drain, visit, argument);
	volume_drain_close_co(&drain);
}

/* -- telling --------------------------------------------------------------- */

struct volume_news {
	struct volume *volume;
	void (*tell)(struct volume_nexus *nexus, void *argument);
	void *argument;
};

static void tell_lane(struct block_lane *lane, void *argument)
{
	const struct volume_news *news = argument;
	struct volume_nexus *nexus, *next;

	TAILQ_FOREACH_SAFE (
		nexus, &news->volume->lane[lane->index].nexuses, link, next)
		news->tell(nexus, news->argument);
}

void volume_tell_co(struct volume *volume,
	void (*tell)(struct volume_nexus *nexus, void *argument),
	void *argument)
{
	struct volume_news news = {volume, tell, argument};

	block_broadcast_co(volume->core, tell_lane, &news);
}
