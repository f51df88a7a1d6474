/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sorted list of timers, for loops with few of them: setting one takes time
 * in proportion to those that expire before it. Reactors have libevent's heap.
 */
#ifndef BLOCKCORE_LOOP_LOOP_TIMERS_H
#define BLOCKCORE_LOOP_LOOP_TIMERS_H

#include "blockcore/loop.h"

LIST_HEAD(loop_timers, loop_timer);

void loop_timers_insert(struct loop_timers *timers, struct loop_timer *timer);
void loop_timers_remove(struct loop_timer *timer);

/* Deadline of the first one, UINT64_MAX if there is none. */
uint64_t loop_timers_first_ns(const struct loop_timers *timers);

/* Runs those whose deadline is not after `now_ns`; returns how many. */
unsigned loop_timers_expire(struct loop_timers *timers, uint64_t now_ns);

#endif
