/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener mirror: which marks are kept, and how they are taken off again; see
 * mirror.h.
 *
 * A lane looks at `kept` after it has made `recent` say that it is there; settling
 * takes a mark off and then looks at `recent` once more, and puts it back. Both in one
 * order for all (sequentially consistent), so one of the two sees the other.
 */
#include "blockcore/base/bits.h"
#include "blockcore/base/log.h"
#include "blockcore/core/driver_flush.h"
#include "blockcore/listener/mirror_map.h"

#include <errno.h>
#include <string.h>

static struct loop *control_of(const struct mirror *mirror)
{
	return block_core_lane(mirror->driver.core, 0)->loop;
}

static struct mirror_lane *lane_of(struct mirror *mirror, unsigned index)
{
	return block_driver_lane(
		&mirror->driver, block_core_lane(mirror->driver.core, index));
}

/* -- changes begin and end ------------------------------------------------ */

static void lane_goes(struct loop_message *message)
{
	struct mirror_lane *lane =
		container_of(message, struct mirror_lane, go);

	atomic_store(&lane->going, false);
	mirror_go(lane);
}

/* Writes for all that have asked, until nobody has. */
static void keep_run_co(void *argument)
{
	struct mirror *mirror = argument;
	unsigned lanes = block_core_lanes(mirror->driver.core);
	bool any;

	do {
		uint64_t asked = 0;

		for (unsigned i = 0; i < lanes; i++) {
			asked |= (uint64_t)lane_of(mirror, i)->asking << i;
			lane_of(mirror, i)->asking = false;
		}
		mirror_map_keep_co(mirror);
		any = false;
		for (unsigned i = 0; i < lanes; i++) {
			struct mirror_lane *lane = lane_of(mirror, i);

			any |= lane->asking;
			if ((asked >> i & 1) &&
				!atomic_exchange(&lane->going, true))
				loop_post(
					block_core_lane(mirror->driver.core, i)
						->loop,
					&lane->go);
		}
	} while (any);
	mirror->keeping = false;
	if (mirror->closer)
		co_resume(mirror->closer);
}

static void lane_asks(struct loop_message *message)
{
	struct mirror_lane *lane =
		container_of(message, struct mirror_lane, ask);
	struct mirror *mirror = lane->mirror;

	atomic_store(&lane->asked, false);
	lane->asking = true;
	if (mirror->has_map && !mirror->keeping) {
		mirror->keeping = true;
		loop_errand(
			control_of(mirror), &mirror->keep, keep_run_co, mirror);
	}
	if (!mirror->timer.armed && !mirror->settling)
		loop_timer_set(
			control_of(mirror), &mirror->timer, MIRROR_SETTLE_NS);
}

void mirror_ask(struct mirror_lane *lane)
{
	if (!atomic_exchange(&lane->asked, true))
		loop_post(control_of(lane->mirror), &lane->ask);
}

bool mirror_note(struct mirror_lane *lane, struct mirror_granules granules)
{
	struct mirror *mirror = lane->mirror;
	struct mirror_marks *marks = &mirror->marks;
	uint64_t first = granules.first, last = granules.last;

	bits_set(marks->recent[lane->period], first, last);
	if (bits_all(marks->kept, first, last))
		return true;
	if (mirror->has_map)
		bits_set(marks->wanted, first, last);
	else
		bits_set(marks->kept, first, last);
	mirror_ask(lane); /* also to settle, one day */
	return !mirror->has_map;
}

void mirror_note_end(struct mirror_lane *lane, unsigned period)
{
	lane->count[period]--;
	if (!lane->draining || period == lane->period || lane->count[period])
		return;
	lane->draining = false;
	loop_post(control_of(lane->mirror), &lane->drained);
}

void mirror_leg_failed(struct mirror *mirror, int error)
{
	int none = 0;

	if (!atomic_compare_exchange_strong(&mirror->error, &none, error) ||
		mirror_is_of_job(mirror))
		return;
	log_warning(mirror->driver.name, "degraded",
		"the leg of the mirror has failed: %s; what hosts change is "
		"noted, the job resync brings it back",
		strerror(-error));
}

/* -- a period ends -------------------------------------------------------- */

static void lane_drained(struct loop_message *message)
{
	struct mirror *mirror =
		container_of(message, struct mirror_lane, drained)->mirror;

	mirror->draining--;
	if (!mirror->draining && mirror->drainer)
		co_resume(mirror->drainer);
}

static void lane_turn(struct block_lane *lane, void *argument)
{
	struct mirror *mirror = argument;
	struct mirror_lane *l = block_driver_lane(&mirror->driver, lane);
	unsigned old = l->period;

	l->period = !old;
	l->draining = l->count[old] > 0;
	if (!l->draining)
		loop_post(control_of(mirror), &l->drained);
}

static void wait_co(struct co **waiter)
{
	*waiter = co_self();
	co_yield ();
	*waiter = NULL;
}

void mirror_turn_co(struct mirror *mirror)
{
	mirror->draining = block_core_lanes(mirror->driver.core);
	block_broadcast_co(mirror->driver.core, lane_turn, mirror);
	while (mirror->draining)
		wait_co(&mirror->drainer);
}

/* -- settling ------------------------------------------------------------- */

static void map_gone(struct mirror_map *map, uint64_t word)
{
	if (!map->end_gone || word < map->first_gone)
		map->first_gone = word;
	if (map->end_gone <= word)
		map->end_gone = word + 1;
}

/* Of a word: what need not be kept, as the old period is over and flushed. */
static void settle_word(struct mirror *mirror, uint64_t word, unsigned now)
{
	struct mirror_marks *marks = &mirror->marks;
	uint64_t gone = atomic_load(&marks->kept[word]) &
		~atomic_load(&marks->dirty[word]) &
		~atomic_load(&marks->recent[now][word]);

	atomic_store(&marks->recent[!now][word], 0);
	if (!gone)
		return;
	map_gone(&mirror->map, word);
	atomic_fetch_and(&marks->kept[word], ~gone);
	uint64_t back = gone &
		(atomic_load(&marks->recent[now][word]) |
			atomic_load(&marks->dirty[word]));
	if (back)
		atomic_fetch_or(&marks->kept[word], back);
}

int mirror_settle_co(struct mirror *mirror)
{
	struct mirror_marks *marks = &mirror->marks;
	int error;

	if (mirror_error(mirror))
		return mirror_error(mirror);
	mirror_turn_co(mirror);
	error = block_driver_flush_co(&mirror->driver);
	if (!error)
		error = mirror_error(mirror);
	if (error)
		return error;
	unsigned now = lane_of(mirror, 0)->period;
	for (uint64_t word = 0; word < BITS_WORDS(marks->count); word++)
		settle_word(mirror, word, now);
	mirror->settled++;
	if (mirror->has_map)
		mirror_map_settle_co(mirror); /* else it says too much */
	return 0;
}

/* Whether there is more to take off, one day. */
static bool settle_again(struct mirror *mirror)
{
	struct mirror_marks *marks = &mirror->marks;

	return !mirror_error(mirror) &&
		(mirror->map.all ||
			bits_count(marks->kept, marks->count) >
				atomic_load(&marks->dirty_count));
}

static void settle_run_co(void *argument)
{
	struct mirror *mirror = argument;

	co_mutex_lock_co(&mirror->turn);
	int error = mirror_settle_co(mirror);
	co_mutex_unlock(&mirror->turn);
	mirror->settling = false;
	if (mirror->closer)
		co_resume(mirror->closer);
	else if (error != -ENODEV && settle_again(mirror))
		loop_timer_set(
			control_of(mirror), &mirror->timer, MIRROR_SETTLE_NS);
}

static void settle_soon(struct loop_timer *timer)
{
	struct mirror *mirror = container_of(timer, struct mirror, timer);

	mirror->settling = true;
	loop_errand(control_of(mirror), &mirror->errand, settle_run_co, mirror);
}

/* -- life ----------------------------------------------------------------- */

void mirror_keep_start(struct mirror *mirror)
{
	co_mutex_init(&mirror->turn);
	mirror->timer.expired = settle_soon;
	for (unsigned i = 0; i < block_core_lanes(mirror->driver.core); i++) {
		struct mirror_lane *lane = lane_of(mirror, i);

		lane->mirror = mirror;
		lane->ask.run = lane_asks;
		lane->go.run = lane_goes;
		lane->drained.run = lane_drained;
		TAILQ_INIT(&lane->parked);
	}
}

void mirror_keep_stop_co(struct mirror *mirror)
{
	loop_timer_clear(control_of(mirror), &mirror->timer);
	while (mirror->settling || mirror->keeping)
		wait_co(&mirror->closer);
}

void mirror_copied(
	struct mirror *mirror, uint64_t offset_bytes, uint64_t length_bytes)
{
	struct mirror_marks *marks = &mirror->marks;
	struct mirror_granules granules =
		mirror_granules(marks, offset_bytes, length_bytes);

	bits_set(marks->recent[lane_of(mirror, 0)->period], granules.first,
		granules.last);
	uint64_t gone = bits_clear(marks->dirty, granules.first, granules.last);
	atomic_fetch_sub(&marks->dirty_count, gone);
	if (!mirror->timer.armed && !mirror->settling)
		loop_timer_set(
			control_of(mirror), &mirror->timer, MIRROR_SETTLE_NS);
}

void mirror_forget_beyond(struct mirror *mirror)
{
	struct mirror_marks *marks = &mirror->marks;
	uint64_t granule = 1ull << marks->shift;
	uint64_t first = (mirror->size_bytes + granule - 1) >> marks->shift;

	if (first < marks->count)
		atomic_fetch_sub(&marks->dirty_count,
			bits_clear(marks->dirty, first, marks->count - 1));
}
