/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a reactor share.
 *
 *	reactor.c	the turn, timers, messages, the thread
 *	events.c	libevent: descriptors and signals; nothing else sees it
 *	timers.c	the heap of timers
 */
#ifndef TARGET_REACTOR_REACTOR_PRIVATE_H
#define TARGET_REACTOR_REACTOR_PRIVATE_H

#include "blockcore/base/err.h"
#include "blockcore/base/slab.h"
#include "blockcore/loop.h"
#include "blockcore/worker.h"
#include "target/reactor/timers.h"

#include <pthread.h>
#include <stdatomic.h>

struct event;
struct event_base;
struct events_signal;

struct reactor {
	struct loop loop; /* the first member */
	char name[16]; /* as the kernel allows */
	struct timers timers;
	uint64_t alarm_ns; /* what the timerfd is set to; UINT64_MAX: nothing */
	uint64_t spin_ns;
	uint64_t spin_until_ns; /* 0: may sleep */
	uint64_t random_state;
	bool worked; /* something happened in this turn */
	struct worker_pool *workers;

	/* events.c's */
	struct event_base *base;
	struct event *wake, *alarm;
	int wake_fd, alarm_fd;
	struct slab watches;
	SLIST_HEAD(, events_signal) signals;

	pthread_t thread;
	bool started;

	/* what other threads touch */
	__attribute__((aligned(64))) _Atomic(struct loop_message *) posted;
	atomic_bool asleep, stopping;
};

static inline struct reactor *reactor_of(struct loop *loop)
{
	return (struct reactor *)loop;
}

/* The eventfd or the timerfd is readable. */
void reactor_woken(struct reactor *reactor);
void reactor_alarm_rang(struct reactor *reactor);

/* -- events.c ---------------------------------------------------------------- */

int events_open(struct reactor *reactor, struct err *err);
/* Also after a failed events_open. */
void events_close(struct reactor *reactor);
/* Runs the callbacks of what is ready; with `sleep` waits until there is some. */
void events_poll(struct reactor *reactor, bool sleep);
int events_watch(struct loop *loop, struct loop_watch *watch);
void events_unwatch(struct loop *loop, struct loop_watch *watch);

#endif
