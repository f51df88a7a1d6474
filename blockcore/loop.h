/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop as the block core sees it: clock, timers, messages between
 * threads, file descriptors, a worker pool, random numbers. Implemented by
 * target/reactor (libevent), by loop_epoll.c (tools) and by the simulator
 * (virtual clock), so that everything above runs in all three.
 *
 * A turn of a loop
 *	1. wait for descriptors, timers, messages (or not, if a hook has work)
 *	2. run their callbacks
 *	3. hooks, phase by phase; those of one phase in order of registration
 *	     LOOP_REAP      collect what the ring finished
 *	     LOOP_COMPLETE  run completions of requests (until none is left)
 *	     LOOP_SUBMIT    give the kernel what disk I/O is left, in one call
 *	     LOOP_SEND      one gathered send for each dirty connection
 *
 * Invariants
 *  1. A loop belongs to one thread. Only loop_post and loop_work may be called
 *     from others.
 *  2. Callbacks run from the loop only, never inside the call that asks for them.
 *  3. Idle means idle: without descriptors, timers and messages a loop sleeps.
 *  4. Nothing here allocates: the caller embeds the object that is queued.
 */
#ifndef BLOCKCORE_LOOP_H
#define BLOCKCORE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define LOOP_AGAIN_NS 10000000ull /* until what lacked memory is tried again */

enum loop_phase {
	LOOP_REAP,
	LOOP_COMPLETE,
	LOOP_SUBMIT,
	LOOP_SEND,
	LOOP_PHASES
};

/* A function that runs in every turn. Returns true if it has more to do at
 * once, so that the loop looks for events without sleeping. */
struct loop_hook {
	bool (*run)(struct loop_hook *hook);
	/* Set by who makes work for the hook, at any time: if its run of this
	 * turn is over, the loop does not sleep before the next. Cleared before
	 * each run. */
	bool again;
	TAILQ_ENTRY(loop_hook) link;
};

/* A message to a loop: runs there once. May be posted again from its callback
 * on; until then it belongs to the loop. */
struct loop_message {
	void (*run)(struct loop_message *message);
	STAILQ_ENTRY(loop_message) link;
};

/* A one-shot timer; armed again from its callback if wanted. Zeroed memory with
 * `expired` set is a valid, unarmed timer. */
struct loop_timer {
	void (*expired)(struct loop_timer *timer);
	uint64_t deadline_ns;
	bool armed;
	struct loop_timer *below; /* the loop's, as is the link */
	LIST_ENTRY(loop_timer) link;
};

enum loop_events { LOOP_READABLE = 1, LOOP_WRITABLE = 2 };

/* Interest in a descriptor, level-triggered. */
struct loop_watch {
	void (*ready)(struct loop_watch *watch, unsigned events);
	int fd;
	unsigned interest;
	void *impl; /* the loop's */
};

/* Blocking or computing work: `work` runs on a pool thread, then `done` on the
 * loop that asked. */
struct loop_job {
	void (*work)(struct loop_job *job);
	void (*done)(struct loop_job *job);
	struct loop *loop; /* set by loop_work */
	struct loop_message message;
	STAILQ_ENTRY(loop_job) link;
};

struct loop;

struct loop_ops {
	uint64_t (*now_ns)(struct loop *loop);
	void (*timer_set)(struct loop *loop, struct loop_timer *timer);
	void (*timer_clear)(struct loop *loop, struct loop_timer *timer);
	void (*post)(struct loop *loop, struct loop_message *message);
	int (*watch)(struct loop *loop, struct loop_watch *watch);
	void (*unwatch)(struct loop *loop, struct loop_watch *watch);
	void (*work)(struct loop *loop, struct loop_job *job);
	uint64_t (*random)(struct loop *loop);
};

TAILQ_HEAD(loop_hook_list, loop_hook);

/* Embedded as the first member by each implementation. */
struct loop {
	const struct loop_ops *ops;
	struct loop_hook_list hooks[LOOP_PHASES];
	uint64_t turn_ns; /* see loop_turn_ns; 0: not read yet */
	uint64_t turns; /* ended; the loop's thread */
};

/* Common part of every implementation: call at start, and once per turn. */
void loop_base_init(struct loop *loop, const struct loop_ops *ops);
/* Runs step 3 of the turn; true if any hook has more to do at once. */
bool loop_run_hooks(struct loop *loop);

void loop_hook_add(
	struct loop *loop, enum loop_phase phase, struct loop_hook *hook);
void loop_hook_remove(
	struct loop *loop, enum loop_phase phase, struct loop_hook *hook);

/* Monotonic time; the same value all through one callback is allowed. */
static inline uint64_t loop_now_ns(struct loop *loop)
{
	return loop->ops->now_ns(loop);
}

/* The time of the present half of the turn (callbacks, then hooks), read once
 * when it is first asked for: for figures, where microseconds of a turn do not
 * matter. Never falls. On the loop's thread. */
static inline uint64_t loop_turn_ns(struct loop *loop)
{
	if (!loop->turn_ns)
		loop->turn_ns = loop_now_ns(loop);
	return loop->turn_ns;
}

/* Arms `timer` for loop_now_ns() + after_ns (again: replaces the deadline). */
void loop_timer_set(
	struct loop *loop, struct loop_timer *timer, uint64_t after_ns);
/* After this the callback does not run. Unarmed timers are fine. */
void loop_timer_clear(struct loop *loop, struct loop_timer *timer);

/* From any thread: `message->run` runs on the loop's thread, in order of posts
 * from one thread. */
static inline void loop_post(struct loop *loop, struct loop_message *message)
{
	loop->ops->post(loop, message);
}

/* Starts or changes the interest of `watch`: 0 interest is allowed and keeps it
 * known. 0 or -errno (the first call only). */
static inline int loop_watch(struct loop *loop, struct loop_watch *watch)
{
	return loop->ops->watch(loop, watch);
}

/* Forgets it; `ready` does not run after this. */
static inline void loop_unwatch(struct loop *loop, struct loop_watch *watch)
{
	loop->ops->unwatch(loop, watch);
}

static inline void loop_work(struct loop *loop, struct loop_job *job)
{
	job->loop = loop;
	loop->ops->work(loop, job);
}

/* Not for secrets: seeded and repeatable in the simulator. */
static inline uint64_t loop_random(struct loop *loop)
{
	return loop->ops->random(loop);
}

/* In a coroutine: runs `work(arg)` on the worker pool and comes back with its
 * result. */
int loop_work_co(struct loop *loop, int (*work)(void *arg), void *arg);
/* In a coroutine: comes back after `after_ns`. */
void loop_sleep_co(struct loop *loop, uint64_t after_ns);

/* A coroutine that must run, for work which nobody could be told the failure of
 * (closing, waking who waits). Needs no preparation; the loop's until `entry`
 * runs, from then on the caller's again. */
struct loop_errand {
	void (*entry)(void *arg);
	void *arg;
	struct loop *loop;
	struct loop_timer again;
};
/* Runs `entry(arg)` in a coroutine: at once or, while there is no memory for a
 * stack, as soon as there is, looked for every LOOP_AGAIN_NS. On the loop's
 * thread, in a coroutine or not. */
void loop_errand(struct loop *loop, struct loop_errand *errand,
	void (*entry)(void *arg), void *arg);

#endif
