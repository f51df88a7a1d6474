/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps of runs that are tried again: a gate that did not close in time, as a machine
 * was busy; an image of which another snapshot is made or deleted just now; a volume
 * whose file is not there yet, as after a start.
 *
 * Invariant: pauses double, and there are so many: a run ends within a minute of
 * trying, or within some seconds if somebody waits for it. The end of the daemon ends
 * a pause.
 */
#include "target/control/schedule/schedules.h"

#include "blockcore/base/co.h"
#include "blockcore/base/log.h"

#include <errno.h>

#define FIRST_NS (250ull * 1000 * 1000)
#define TRIES 8u /* 32 s of pauses */
#define TRIES_BY_HAND 5u /* 4 s */

struct schedule_pause {
	struct loop_timer timer;
	struct co *co;
	LIST_ENTRY(schedule_pause) link;
};

static void go_on(struct schedule_pause *pause)
{
	LIST_REMOVE(pause, link);
	co_resume(pause->co);
}

static void expired(struct loop_timer *timer)
{
	go_on(container_of(timer, struct schedule_pause, timer));
}

void schedules_pause_co(struct schedules *schedules, uint64_t after_ns)
{
	struct schedule_pause pause = {
		.timer.expired = expired, .co = co_self()};
	LIST_INSERT_HEAD(&schedules->pauses, &pause, link);
	loop_timer_set(schedules->loop, &pause.timer, after_ns);
	co_yield ();
}

void schedules_hurry(struct schedules *schedules)
{
	struct schedule_pause *pause;
	while ((pause = LIST_FIRST(&schedules->pauses))) {
		loop_timer_clear(schedules->loop, &pause->timer);
		go_on(pause);
	}
}

/* Whoever asks by hand for a snapshot of what is offline is told at once. */
static bool may_pass(const struct schedule_tries *tries, int failed)
{
	return failed == -ETIMEDOUT || failed == -EBUSY || failed == -EAGAIN ||
		(failed == -ENODEV && !tries->by_hand);
}

bool kept_schedule_again_co(struct schedules *schedules, const char *schedule,
	struct schedule_tries *tries, int failed, struct err *err)
{
	unsigned most = tries->by_hand ? TRIES_BY_HAND : TRIES;
	if (schedules_ending(schedules) || !may_pass(tries, failed) ||
		tries->count + 1 >= most)
		return false;
	log_warning("api", "schedule_again",
		"schedule %s: %s; it is tried again, for the %u. of %u times",
		schedule, err->text, tries->count + 1, most - 1);
	schedules_pause_co(schedules, FIRST_NS << tries->count);
	tries->count++;
	if (schedules_ending(schedules))
		return false;
	*err = (struct err){0};
	return true;
}
