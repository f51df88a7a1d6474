/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sorted list of timers, for loops that have nothing better (loop_epoll.c,
 * the simulator).
 *
 * Invariants
 *  1. Timers of one deadline expire in the order in which they were set.
 *  2. A timer that is set while others expire waits for the next turn, so that
 *     one that always sets itself for "now" starves nobody.
 */
#include "blockcore/loop/loop_timers.h"

#include <stddef.h>

void loop_timers_insert(struct loop_timers *timers, struct loop_timer *timer)
{
	struct loop_timer *at, *last = NULL;
	LIST_FOREACH (at, timers, link) {
		if (at->deadline_ns > timer->deadline_ns)
			break;
		last = at;
	}
	if (last)
		LIST_INSERT_AFTER(last, timer, link);
	else
		LIST_INSERT_HEAD(timers, timer, link);
}

void loop_timers_remove(struct loop_timer *timer)
{
	LIST_REMOVE(timer, link);
}

uint64_t loop_timers_first_ns(const struct loop_timers *timers)
{
	const struct loop_timer *first = LIST_FIRST(timers);
	return first ? first->deadline_ns : UINT64_MAX;
}

unsigned loop_timers_expire(struct loop_timers *timers, uint64_t now_ns)
{
	unsigned expired = 0;
	struct loop_timers due = LIST_HEAD_INITIALIZER(due);
	struct loop_timer *timer, *last = NULL;
	while ((timer = LIST_FIRST(timers)) && timer->deadline_ns <= now_ns) {
		LIST_REMOVE(timer, link);
		if (last)
			LIST_INSERT_AFTER(last, timer, link);
		else
			LIST_INSERT_HEAD(&due, timer, link);
		last = timer;
	}
	/* One callback may clear a timer that is next in `due`: it is then gone
	 * from the list, because removal needs no head. */
	while ((timer = LIST_FIRST(&due))) {
		LIST_REMOVE(timer, link);
		timer->armed = false;
		timer->expired(timer);
		expired++;
	}
	return expired;
}
