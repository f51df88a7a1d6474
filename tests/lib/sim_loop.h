/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator: loops on a virtual clock, in one thread, under one stream of
 * random numbers. What runs on them cannot tell; who gives the same seed sees the
 * same run, event by event.
 *
 * How time passes: events (a disk finishing something, a job of the worker pool)
 * and timers have a time. A step runs the earliest event that is due, else a turn
 * of one loop chosen at random among those that have something to do, else moves
 * the clock to what comes first. A turn costs a little time. So loops race each
 * other and the disks in an order that only the seed decides.
 *
 * Invariants
 *  1. No real time, no descriptor, no thread, no address decides anything.
 *  2. Everything that happens is added to a hash: equal seeds, equal hashes.
 *  3. Several simulations may exist at a time: one may be stepped from inside
 *     another (what is on disk after a power cut is looked at so).
 */
#ifndef TESTS_LIB_SIM_LOOP_H
#define TESTS_LIB_SIM_LOOP_H

#include "blockcore/loop.h"

struct sim;

/* Something that happens at a time; embedded in whatever it concerns. */
struct sim_event {
	void (*run)(struct sim_event *event);
	uint64_t at_ns, order;
	TAILQ_ENTRY(sim_event) link;
};

struct sim *sim_new(uint64_t seed);
/* All its loops and worlds must be gone. */
void sim_free(struct sim *sim);

/* A lane: its turns come in an order that the seed decides. */
struct loop *sim_loop_new(struct sim *sim);
/* No timer, message or job may be left. */
void sim_loop_free(struct loop *loop);
/* The simulation that `loop` (made here) belongs to. */
struct sim *sim_of(struct loop *loop);
/* `loop` gets a turn though nothing was posted: its hooks have work. */
void sim_loop_wake(struct loop *loop);

/* One thing happens. False: nothing can happen any more, all is idle. */
bool sim_step(struct sim *sim);
/* Steps until all is idle. */
void sim_run(struct sim *sim);
/* Steps until *finished. False: all went idle before, so it never will be. */
bool sim_run_until(struct sim *sim, const bool *finished);
/* Steps until the clock has moved by `ns` or all is idle. */
void sim_run_for(struct sim *sim, uint64_t ns);

uint64_t sim_now_ns(const struct sim *sim);
uint64_t sim_random(struct sim *sim);
/* 0 to count - 1. */
uint64_t sim_below(struct sim *sim, uint64_t count);

/* `event->run` happens in `after_ns`; events of one time in order of asking. */
void sim_event_set(struct sim *sim, struct sim_event *event, uint64_t after_ns);

/* What has happened so far, as one number; sim_note adds to it. */
uint64_t sim_hash(const struct sim *sim);
void sim_note(struct sim *sim, uint64_t what);

#endif
