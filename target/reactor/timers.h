/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timers of one reactor: a pairing heap (Fredman, Sedgewick, Sleator, Tarjan
 * 1986) threaded through struct loop_timer, so that arming one allocates nothing.
 * Insert and first are O(1), remove is O(log n) amortised.
 *
 * Invariants
 *  1. A timer is in the heap exactly while it is armed.
 *  2. `link.le_prev` is the pointer that points to the timer: the heap's first,
 *     its parent's `below` or its elder sibling's next. So any timer can be taken
 *     out without a search.
 */
#ifndef TARGET_REACTOR_TIMERS_H
#define TARGET_REACTOR_TIMERS_H

#include "blockcore/loop.h"

struct timers {
	struct loop_timer *first; /* the earliest; NULL: none */
};

void timers_insert(struct timers *timers, struct loop_timer *timer);
void timers_remove(struct timers *timers, struct loop_timer *timer);

/* Deadline of the earliest, UINT64_MAX if there is none. */
uint64_t timers_first_ns(const struct timers *timers);

/* Runs those that are due at `now_ns`, in order of their deadlines. True if there
 * was one. */
bool timers_expire(struct timers *timers, uint64_t now_ns);

#endif
