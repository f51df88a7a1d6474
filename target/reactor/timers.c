/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pairing heap: the first timer has a list of sub-heaps below it, each of the
 * same shape. Melding two heaps hangs the later one below the earlier; taking
 * the first out melds its sub-heaps in pairs, then the pairs into one.
 */
#include "target/reactor/timers.h"

#include <stddef.h>

static struct loop_timer *meld(struct loop_timer *a, struct loop_timer *b)
{
	if (!a || !b)
		return a ? a : b;
	if (b->deadline_ns < a->deadline_ns) {
		struct loop_timer *earlier = b;
		b = a;
		a = earlier;
	}
	b->link.le_next = a->below;
	b->link.le_prev = &a->below;
	if (a->below)
		a->below->link.le_prev = &b->link.le_next;
	a->below = b;
	return a;
}

/* Melds a list of siblings into one heap. */
static struct loop_timer *meld_siblings(struct loop_timer *list)
{
	struct loop_timer *pairs = NULL, *all = NULL;
	while (list) {
		struct loop_timer *a = list, *b = a->link.le_next;
		list = b ? b->link.le_next : NULL;
		struct loop_timer *pair = meld(a, b);
		pair->link.le_next = pairs;
		pairs = pair;
	}
	while (pairs) {
		struct loop_timer *rest = pairs->link.le_next;
		all = meld(all, pairs);
		pairs = rest;
	}
	return all;
}

static void set_first(struct timers *timers, struct loop_timer *first)
{
	timers->first = first;
	if (!first)
		return;
	first->link.le_next = NULL;
	first->link.le_prev = &timers->first;
}

void timers_insert(struct timers *timers, struct loop_timer *timer)
{
	timer->below = NULL;
	set_first(timers, meld(timers->first, timer));
}

void timers_remove(struct timers *timers, struct loop_timer *timer)
{
	struct loop_timer *next = timer->link.le_next;
	*timer->link.le_prev = next;
	if (next)
		next->link.le_prev = timer->link.le_prev;
	set_first(timers, meld(timers->first, meld_siblings(timer->below)));
}

uint64_t timers_first_ns(const struct timers *timers)
{
	return timers->first ? timers->first->deadline_ns : UINT64_MAX;
}

/* A timer that its own callback arms again gets a deadline after `now_ns`, but
 * for one tick of the clock, so this ends. */
bool timers_expire(struct timers *timers, uint64_t now_ns)
{
	bool any = false;
	while (timers_first_ns(timers) <= now_ns) {
		struct loop_timer *timer = timers->first;
		timers_remove(timers, timer);
		timer->armed = false;
		timer->expired(timer);
		any = true;
	}
	return any;
}
