/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reactor's turn, its messages and its life on a thread.
 *
 * Invariants
 *  1. `posted` is a stack that any thread pushes to and only the reactor empties,
 *     by taking it whole and turning it round: order per sender is kept, and no
 *     sender ever waits for another.
 *  2. A reactor about to sleep first says so (`asleep`), then looks for messages
 *     once more; who posts first pushes, then looks whether it sleeps. All four
 *     steps are sequentially consistent, so one of the two sees the other; who
 *     takes `asleep` back writes the eventfd, once per sleep.
 *  3. Timers are ours (timers.h), in nanoseconds; the kernel is told only of an
 *     earlier deadline than it knows (one timerfd), and only before a sleep.
 */
#include "target/reactor/reactor.h"

#include "blockcore/base/co.h"
#include "blockcore/base/prng.h"
#include "blockcore/base/thread.h"
#include "target/reactor/reactor_private.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull
#define NS_PER_US 1000u

static uint64_t reactor_now_ns(struct loop *loop)
{
	(void)loop;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t reactor_random(struct loop *loop)
{
	return prng_next(&reactor_of(loop)->random_state);
}

static void reactor_work(struct loop *loop, struct loop_job *job)
{
	worker_pool_submit(reactor_of(loop)->workers, job);
}

/* -- timers ----------------------------------------------------------------- */

static void reactor_timer_set(struct loop *loop, struct loop_timer *timer)
{
	timers_insert(&reactor_of(loop)->timers, timer);
}

static void reactor_timer_clear(struct loop *loop, struct loop_timer *timer)
{
	timers_remove(&reactor_of(loop)->timers, timer);
}

/* Before a sleep: the timerfd rings at the first deadline, or earlier for
 * nothing when a timer has been cleared since. */
static void arm_alarm(struct reactor *reactor)
{
	uint64_t first_ns = timers_first_ns(&reactor->timers);
	if (first_ns >= reactor->alarm_ns)
		return;
	struct itimerspec at = {
		.it_value.tv_sec = (time_t)(first_ns / NS_PER_S),
		.it_value.tv_nsec = (long)(first_ns % NS_PER_S),
	};
	int failed = timerfd_settime(
		reactor->alarm_fd, TFD_TIMER_ABSTIME, &at, NULL);
	assert(!failed);
	reactor->alarm_ns = first_ns;
}

void reactor_alarm_rang(struct reactor *reactor)
{
	uint64_t times;
	ssize_t got = read(reactor->alarm_fd, &times, sizeof times);
	assert(got == sizeof times || errno == EAGAIN);
	reactor->alarm_ns = UINT64_MAX;
}

/* -- messages --------------------------------------------------------------- */

static void wake(struct reactor *reactor)
{
	if (!atomic_load(&reactor->asleep))
		return;
	if (!atomic_exchange(&reactor->asleep, false))
		return;
	uint64_t one = 1;
	ssize_t wrote = write(reactor->wake_fd, &one, sizeof one);
	assert(wrote == sizeof one || errno == EAGAIN);
}

static void reactor_post(struct loop *loop, struct loop_message *message)
{
	struct reactor *reactor = reactor_of(loop);
	struct loop_message *top =
		atomic_load_explicit(&reactor->posted, memory_order_relaxed);
	do {
		message->link.stqe_next = top;
	} while (
		!atomic_compare_exchange_weak(&reactor->posted, &top, message));
	wake(reactor);
}

void reactor_woken(struct reactor *reactor)
{
	uint64_t times;
	ssize_t got = read(reactor->wake_fd, &times, sizeof times);
	assert(got == sizeof times || errno == EAGAIN);
}

/* Runs what has been posted up to now, oldest first. True if there was any. */
static bool run_messages(struct reactor *reactor)
{
	struct loop_message *newest =
		atomic_load_explicit(&reactor->posted, memory_order_relaxed);
	if (!newest)
		return false;
	newest = atomic_exchange_explicit(
		&reactor->posted, NULL, memory_order_acquire);
	struct loop_message *oldest = NULL;
	while (newest) {
		struct loop_message *before = newest->link.stqe_next;
		newest->link.stqe_next = oldest;
		oldest = newest;
		newest = before;
	}
	while (oldest) {
		struct loop_message *message = oldest;
		oldest = message->link.stqe_next;
		message->run(message);
	}
	return true;
}

/* -- the turn --------------------------------------------------------------- */

/* True if nothing is left to do, the senders know that we sleep and the alarm
 * is set. */
static bool fall_asleep(struct reactor *reactor)
{
	if (reactor->spin_until_ns &&
		reactor_now_ns(&reactor->loop) < reactor->spin_until_ns)
		return false;
	reactor->spin_until_ns = 0;
	atomic_store(&reactor->asleep, true);
	if (atomic_load(&reactor->posted) || atomic_load(&reactor->stopping)) {
		atomic_store(&reactor->asleep, false);
		return false;
	}
	arm_alarm(reactor);
	return true;
}

static bool expire_timers(struct reactor *reactor)
{
	if (!reactor->timers.first)
		return false;
	return timers_expire(&reactor->timers, reactor_now_ns(&reactor->loop));
}

/* One turn of loop.h. Returns true if a hook has more to do at once. */
static bool turn(struct reactor *reactor, bool busy)
{
	bool sleep = !busy && fall_asleep(reactor);
	reactor->worked = busy;
	events_poll(reactor, sleep);
	if (sleep)
		atomic_store_explicit(
			&reactor->asleep, false, memory_order_relaxed);
	reactor->worked |= expire_timers(reactor);
	reactor->worked |= run_messages(reactor);
	bool more = loop_run_hooks(&reactor->loop);
	if (reactor->spin_ns && (reactor->worked || more))
		reactor->spin_until_ns =
			reactor_now_ns(&reactor->loop) + reactor->spin_ns;
	return more;
}

void reactor_run(struct reactor *reactor)
{
	/* The first turn does not sleep: hooks may have work from before. */
	bool busy = true;
	do {
		busy = turn(reactor, busy);
	} while (!atomic_load_explicit(
		&reactor->stopping, memory_order_acquire));
	atomic_store(&reactor->stopping, false);
}

void reactor_stop(struct reactor *reactor)
{
	atomic_store(&reactor->stopping, true);
	wake(reactor);
}

/* -- the thread ------------------------------------------------------------- */

static void *thread_main(void *argument)
{
	struct reactor *reactor = argument;
	pthread_setname_np(pthread_self(), reactor->name);
	reactor_run(reactor);
	co_thread_fini();
	return NULL;
}

int reactor_start(struct reactor *reactor, int cpu, struct err *err)
{
	assert(!reactor->started);
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	if (cpu >= 0) {
		cpu_set_t set;
		CPU_ZERO(&set);
		CPU_SET((size_t)cpu, &set);
		pthread_attr_setaffinity_np(&attributes, sizeof set, &set);
	}
	int failed = thread_start(
		&reactor->thread, &attributes, thread_main, reactor);
	pthread_attr_destroy(&attributes);
	if (failed)
		return err_set(err, failed,
			"thread %s cannot be started (%s): raise the limit of "
			"tasks of this service or container",
			reactor->name, strerror(failed));
	reactor->started = true;
	return 0;
}

void reactor_join(struct reactor *reactor)
{
	if (!reactor->started)
		return;
	pthread_join(reactor->thread, NULL);
	reactor->started = false;
}

/* -- life ------------------------------------------------------------------- */

static const struct loop_ops reactor_ops = {
	.now_ns = reactor_now_ns,
	.timer_set = reactor_timer_set,
	.timer_clear = reactor_timer_clear,
	.post = reactor_post,
	.watch = events_watch,
	.unwatch = events_unwatch,
	.work = reactor_work,
	.random = reactor_random,
};

struct reactor *reactor_new(const char *name, uint32_t spin_us, struct err *err)
{
	/* `posted` and `asleep` have a cache line of their own. */
	struct reactor *reactor =
		aligned_alloc(_Alignof(struct reactor), sizeof(struct reactor));
	if (!reactor) {
		err_set(err, ENOMEM, "no memory for thread %s", name);
		return NULL;
	}
	memset(reactor, 0, sizeof *reactor);
	loop_base_init(&reactor->loop, &reactor_ops);
	snprintf(reactor->name, sizeof reactor->name, "%s", name);
	reactor->spin_ns = (uint64_t)spin_us * NS_PER_US;
	reactor->alarm_ns = UINT64_MAX;
	reactor->random_state = reactor_now_ns(NULL) ^ (uintptr_t)reactor;
	reactor->workers = worker_pool_shared_get(err);
	if (!reactor->workers || events_open(reactor, err)) {
		reactor_free(reactor);
		return NULL;
	}
	return reactor;
}

void reactor_free(struct reactor *reactor)
{
	if (!reactor)
		return;
	assert(!reactor->started && !reactor->timers.first);
	events_close(reactor);
	if (reactor->workers)
		worker_pool_shared_put();
	free(reactor);
}

struct loop *reactor_loop(struct reactor *reactor)
{
	return &reactor->loop;
}

struct event_base *reactor_event_base(struct reactor *reactor)
{
	return reactor->base;
}
