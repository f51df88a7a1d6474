/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plain epoll loop.
 *
 * Invariants
 *  1. Only `messages`, `stop`, `asleep` and the eventfd are touched by other
 *     threads, all but the last under the lock.
 *  2. The eventfd is written by the first post to a loop that sleeps, or is about
 *     to: a post from the loop's own thread costs no system call.
 *  3. A watch that is forgotten by a callback is also taken out of the events
 *     that the current epoll_wait returned: `ready` never runs for it again.
 */
#include "blockcore/loop/loop_epoll.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "blockcore/base/prng.h"
#include "blockcore/loop/loop_timers.h"
#include "blockcore/worker.h"

#define EVENTS_PER_WAIT 64
#define NS_PER_MS 1000000u

STAILQ_HEAD(message_list, loop_message);

struct loop_epoll {
	struct loop loop;
	int epoll_fd;
	struct loop_watch wake; /* the eventfd */
	struct loop_timers timers;
	struct worker_pool *pool;
	uint64_t random_state;
	struct epoll_event events[EVENTS_PER_WAIT];
	int event_next, event_count; /* of the wait being worked on */

	pthread_mutex_t lock; /* what follows */
	struct message_list messages;
	bool stop, asleep;
};

/* -- clock, timers, random numbers -------------------------------------------- */

static struct loop_epoll *from_loop(struct loop *loop)
{
	return (struct loop_epoll *)loop; /* the first member */
}

static uint64_t epoll_now_ns(struct loop *loop)
{
	(void)loop;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void epoll_timer_set(struct loop *loop, struct loop_timer *timer)
{
	loop_timers_insert(&from_loop(loop)->timers, timer);
}

static void epoll_timer_clear(struct loop *loop, struct loop_timer *timer)
{
	(void)loop;
	loop_timers_remove(timer);
}

static uint64_t epoll_random(struct loop *loop)
{
	return prng_next(&from_loop(loop)->random_state);
}

/* Time to sleep, rounded up to whole milliseconds: a timer may be late, never
 * early. */
static int epoll_timeout_ms(struct loop_epoll *self)
{
	uint64_t first_ns = loop_timers_first_ns(&self->timers);
	if (first_ns == UINT64_MAX)
		return -1;
	uint64_t now_ns = epoll_now_ns(&self->loop);
	if (first_ns <= now_ns)
		return 0;
	uint64_t ms = (first_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
	return ms < 1000000 ? (int)ms : 1000000;
}

/* -- messages ----------------------------------------------------------------- */

/* Locked. */
static void epoll_wake(struct loop_epoll *self)
{
	if (!self->asleep)
		return;
	self->asleep = false;
	uint64_t one = 1;
	ssize_t wrote = write(self->wake.fd, &one, sizeof one);
	assert(wrote == sizeof one || errno == EAGAIN);
}

static void epoll_post(struct loop *loop, struct loop_message *message)
{
	struct loop_epoll *self = from_loop(loop);
	pthread_mutex_lock(&self->lock);
	STAILQ_INSERT_TAIL(&self->messages, message, link);
	epoll_wake(self);
	pthread_mutex_unlock(&self->lock);
}

/* The eventfd is readable; the turn looks at the messages by itself. */
static void epoll_woken(struct loop_watch *watch, unsigned events)
{
	(void)events;
	uint64_t count;
	ssize_t got = read(watch->fd, &count, sizeof count);
	assert(got == sizeof count || errno == EAGAIN);
}

/* False: there is something to do. Else posts wake the loop from now on. */
static bool epoll_fall_asleep(struct loop_epoll *self)
{
	pthread_mutex_lock(&self->lock);
	self->asleep = STAILQ_EMPTY(&self->messages) && !self->stop;
	bool asleep = self->asleep;
	pthread_mutex_unlock(&self->lock);
	return asleep;
}

/* What was posted up to now. */
static void epoll_run_messages(struct loop_epoll *self)
{
	struct message_list run = STAILQ_HEAD_INITIALIZER(run);
	pthread_mutex_lock(&self->lock);
	self->asleep = false;
	STAILQ_CONCAT(&run, &self->messages);
	pthread_mutex_unlock(&self->lock);
	struct loop_message *message;
	while ((message = STAILQ_FIRST(&run))) {
		STAILQ_REMOVE_HEAD(&run, link);
		message->run(message);
	}
}

static void epoll_work(struct loop *loop, struct loop_job *job)
{
	worker_pool_submit(from_loop(loop)->pool, job);
}

/* -- descriptors -------------------------------------------------------------- */

/* Interest 0 keeps the descriptor in the set, so that asking for events again
 * cannot fail. A hang-up is reported even then; "one shot" makes that once. */
static uint32_t epoll_wanted(unsigned interest)
{
	if (!interest)
		return EPOLLONESHOT;
	uint32_t wanted = 0;
	if (interest & LOOP_READABLE)
		wanted |= EPOLLIN | EPOLLRDHUP;
	if (interest & LOOP_WRITABLE)
		wanted |= EPOLLOUT;
	return wanted;
}

static int epoll_watch(struct loop *loop, struct loop_watch *watch)
{
	struct loop_epoll *self = from_loop(loop);
	struct epoll_event event = {
		.events = epoll_wanted(watch->interest), .data.ptr = watch};
	int op = watch->impl ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	if (epoll_ctl(self->epoll_fd, op, watch->fd, &event))
		return -errno;
	watch->impl = self;
	return 0;
}

static void epoll_unwatch(struct loop *loop, struct loop_watch *watch)
{
	struct loop_epoll *self = from_loop(loop);
	if (!watch->impl)
		return;
	epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->impl = NULL;
	for (int i = self->event_next; i < self->event_count; i++)
		if (self->events[i].data.ptr == watch)
			self->events[i].data.ptr = NULL;
}

static void epoll_dispatch(const struct epoll_event *event)
{
	struct loop_watch *watch = event->data.ptr;
	if (!watch)
		return;
	unsigned ready = 0;
	if (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		ready |= LOOP_READABLE;
	if (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		ready |= LOOP_WRITABLE;
	ready &= watch->interest;
	if (ready)
		watch->ready(watch, ready);
}

/* -- the turn ----------------------------------------------------------------- */

static void epoll_turn(struct loop_epoll *self, bool sleep)
{
	sleep = sleep && epoll_fall_asleep(self);
	int timeout_ms = sleep ? epoll_timeout_ms(self) : 0;
	int count = epoll_wait(
		self->epoll_fd, self->events, EVENTS_PER_WAIT, timeout_ms);
	assert(count >= 0 || errno == EINTR);
	self->event_count = count > 0 ? count : 0;
	self->event_next = 0;
	while (self->event_next < self->event_count)
		epoll_dispatch(&self->events[self->event_next++]);
	self->event_count = 0;
	loop_timers_expire(&self->timers, epoll_now_ns(&self->loop));
	epoll_run_messages(self);
}

static bool epoll_take_stop(struct loop_epoll *self)
{
	pthread_mutex_lock(&self->lock);
	bool stop = self->stop;
	self->stop = false;
	pthread_mutex_unlock(&self->lock);
	return stop;
}

void loop_epoll_run(struct loop *loop)
{
	struct loop_epoll *self = from_loop(loop);
	/* The first turn does not sleep: hooks may have work from before. */
	bool more = true;
	do {
		epoll_turn(self, !more);
		more = loop_run_hooks(loop);
	} while (!epoll_take_stop(self));
}

void loop_epoll_stop(struct loop *loop)
{
	struct loop_epoll *self = from_loop(loop);
	pthread_mutex_lock(&self->lock);
	self->stop = true;
	epoll_wake(self);
	pthread_mutex_unlock(&self->lock);
}

/* -- life ---------------------------------------------------------------------- */

static const struct loop_ops epoll_ops = {
	.now_ns = epoll_now_ns,
	.timer_set = epoll_timer_set,
	.timer_clear = epoll_timer_clear,
	.post = epoll_post,
	.watch = epoll_watch,
	.unwatch = epoll_unwatch,
	.work = epoll_work,
	.random = epoll_random,
};

static int epoll_open(struct loop_epoll *self)
{
	self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (self->epoll_fd < 0)
		return -errno;
	self->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (self->wake.fd < 0)
		return -errno;
	self->wake.ready = epoll_woken;
	self->wake.interest = LOOP_READABLE;
	return epoll_watch(&self->loop, &self->wake);
}

struct loop *loop_epoll_new(struct err *err)
{
	struct loop_epoll *self = calloc(1, sizeof *self);
	if (!self) {
		err_set(err, ENOMEM, "no memory for an event loop");
		return NULL;
	}
	loop_base_init(&self->loop, &epoll_ops);
	LIST_INIT(&self->timers);
	STAILQ_INIT(&self->messages);
	pthread_mutex_init(&self->lock, NULL);
	self->epoll_fd = self->wake.fd = -1;
	if (getrandom(&self->random_state, sizeof self->random_state, 0) < 0)
		self->random_state = epoll_now_ns(&self->loop);
	self->pool = worker_pool_shared_get(err);
	int failed = self->pool ? epoll_open(self) : -ENOMEM;
	if (!failed)
		return &self->loop;
	if (self->pool)
		err_set(err, -failed,
			"no event loop: %s (raise the limit of open files)",
			strerror(-failed));
	loop_epoll_free(&self->loop);
	return NULL;
}

void loop_epoll_free(struct loop *loop)
{
	struct loop_epoll *self = from_loop(loop);
	assert(LIST_EMPTY(&self->timers) && STAILQ_EMPTY(&self->messages));
	if (self->pool)
		worker_pool_shared_put();
	if (self->wake.fd >= 0)
		close(self->wake.fd);
	if (self->epoll_fd >= 0)
		close(self->epoll_fd);
	pthread_mutex_destroy(&self->lock);
	free(self);
}
