/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libevent under a reactor: descriptors and signals. The only file of Cairn that
 * includes it for the loop.
 *
 * Invariants
 *  1. A base is used by its reactor's thread only (after events_open), so it has
 *     no lock; other threads wake it through our eventfd.
 *  2. A watch has two events, one for each direction, so that a change of interest
 *     is one epoll_ctl (libevent would delete and add one event for both).
 *  3. Events come from the reactor's slab: watching allocates nothing once warm.
 */
#include "blockcore/base/log.h"
#include "target/reactor/reactor.h"
#include "target/reactor/reactor_private.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct events_watch {
	struct event event[2]; /* LOOP_READABLE, LOOP_WRITABLE */
	unsigned interest; /* as libevent knows it */
	struct loop_watch *watch;
	struct reactor *reactor;
};

struct events_signal {
	struct event event;
	void (*caught)(int signal, void *argument);
	void *argument;
	SLIST_ENTRY(events_signal) link;
};

static const struct {
	unsigned loop;
	short event;
} directions[2] = {
	{LOOP_READABLE, EV_READ},
	{LOOP_WRITABLE, EV_WRITE},
};

/* -- descriptors ------------------------------------------------------------ */

static void on_ready(evutil_socket_t fd, short what, void *argument)
{
	struct events_watch *self = argument;
	(void)fd;
	self->reactor->worked = true;
	self->watch->ready(
		self->watch, what & EV_READ ? LOOP_READABLE : LOOP_WRITABLE);
}

static struct events_watch *watch_new(
	struct reactor *reactor, struct loop_watch *watch)
{
	struct events_watch *self = slab_get(&reactor->watches);
	if (!self)
		return NULL;
	memset(self, 0, sizeof *self);
	self->watch = watch;
	self->reactor = reactor;
	for (int i = 0; i < 2; i++)
		event_assign(&self->event[i], reactor->base, watch->fd,
			(short)(directions[i].event | EV_PERSIST), on_ready,
			self);
	return self;
}

static int set_interest(struct events_watch *self, unsigned interest)
{
	for (int i = 0; i < 2; i++) {
		unsigned bit = directions[i].loop;
		if (!((self->interest ^ interest) & bit))
			continue;
		int failed = interest & bit ? event_add(&self->event[i], NULL)
					    : event_del(&self->event[i]);
		if (failed)
			return errno ? -errno : -ENOMEM;
		self->interest ^= bit;
	}
	return 0;
}

int events_watch(struct loop *loop, struct loop_watch *watch)
{
	struct reactor *reactor = reactor_of(loop);
	struct events_watch *self = watch->impl;
	if (self)
		return set_interest(self, watch->interest);
	if (watch->fd < 0)
		return -EBADF; /* libevent would take it for no event */
	self = watch_new(reactor, watch);
	if (!self)
		return -ENOMEM;
	watch->impl = self;
	int result = set_interest(self, watch->interest);
	if (result)
		events_unwatch(loop, watch);
	return result;
}

void events_unwatch(struct loop *loop, struct loop_watch *watch)
{
	struct events_watch *self = watch->impl;
	if (!self)
		return;
	watch->impl = NULL;
	set_interest(self, 0);
	slab_put(&reactor_of(loop)->watches, self);
}

void events_poll(struct reactor *reactor, bool sleep)
{
	int flags = EVLOOP_ONCE | (sleep ? 0 : EVLOOP_NONBLOCK);
	int result = event_base_loop(reactor->base, flags);
	assert(result >= 0);
}

/* -- signals ---------------------------------------------------------------- */

static void on_signal(evutil_socket_t signal, short what, void *argument)
{
	struct events_signal *self = argument;
	(void)what;
	self->caught((int)signal, self->argument);
}

int reactor_on_signal(struct reactor *reactor, int signal,
	void (*caught)(int signal, void *argument), void *argument)
{
	struct events_signal *self = calloc(1, sizeof *self);
	if (!self)
		return -ENOMEM;
	self->caught = caught;
	self->argument = argument;
	evsignal_assign(&self->event, reactor->base, signal, on_signal, self);
	if (event_add(&self->event, NULL)) {
		free(self);
		return -EINVAL;
	}
	SLIST_INSERT_HEAD(&reactor->signals, self, link);
	return 0;
}

/* -- life ------------------------------------------------------------------- */

static void on_wake(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	reactor_woken(argument);
}

static void on_alarm(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	reactor_alarm_rang(argument);
}

static void log_libevent(int severity, const char *text)
{
	log_write(severity >= EVENT_LOG_WARN ? LOG_WARNING : LOG_DEBUG,
		"libevent", "message", "%s", text);
}

static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	if (!config)
		return NULL;
	event_config_require_features(config, EV_FEATURE_O1);
	event_config_set_flag(config,
		EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV |
			EVENT_BASE_FLAG_NO_CACHE_TIME);
	struct event_base *base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

static bool watch_own(struct reactor *reactor)
{
	reactor->wake = event_new(reactor->base, reactor->wake_fd,
		EV_READ | EV_PERSIST, on_wake, reactor);
	reactor->alarm = event_new(reactor->base, reactor->alarm_fd,
		EV_READ | EV_PERSIST, on_alarm, reactor);
	return reactor->wake && reactor->alarm &&
		!event_add(reactor->wake, NULL) &&
		!event_add(reactor->alarm, NULL);
}

int events_open(struct reactor *reactor, struct err *err)
{
	event_set_log_callback(log_libevent);
	slab_init(&reactor->watches, sizeof(struct events_watch), 0);
	SLIST_INIT(&reactor->signals);
	reactor->base = new_base();
	reactor->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	reactor->alarm_fd =
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (!reactor->base || reactor->wake_fd < 0 || reactor->alarm_fd < 0 ||
		!watch_own(reactor))
		return err_set(err, errno ? errno : ENOMEM,
			"no event loop for thread %s: %s (raise the limit of "
			"open files)",
			reactor->name, strerror(errno));
	return 0;
}

static void close_signals(struct reactor *reactor)
{
	struct events_signal *signal;
	while ((signal = SLIST_FIRST(&reactor->signals))) {
		SLIST_REMOVE_HEAD(&reactor->signals, link);
		event_del(&signal->event);
		free(signal);
	}
}

static void close_event(struct event *event, int fd)
{
	if (event)
		event_free(event);
	if (fd > 0)
		close(fd);
}

void events_close(struct reactor *reactor)
{
	close_signals(reactor);
	close_event(reactor->wake, reactor->wake_fd);
	close_event(reactor->alarm, reactor->alarm_fd);
	if (reactor->base)
		event_base_free(reactor->base);
	slab_fini(&reactor->watches);
}
