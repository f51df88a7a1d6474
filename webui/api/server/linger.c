/* SPDX-License-Identifier: Apache-2.0 */
/* See linger.h. */
#include "webui/api/server/linger.h"

#include "blockcore/base/list.h"
#include "webui/api/server/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull
#define READ_BYTES (1u << 20)

struct lingerer {
	struct lingers *all;
	struct lingerer **held; /* by whom; NULL: it has begun */
	struct loop_watch watch;
	struct loop_timer timer;
	size_t left; /* bytes that may come yet */
	LIST_ENTRY(lingerer) link;
};

struct lingers {
	struct loop *loop;
	LIST_HEAD(, lingerer) list;
	unsigned count;
};

struct lingers *lingers_new(struct api *api)
{
	struct lingers *self = calloc(1, sizeof *self);
	if (self)
		self->loop = api->loop;
	return self;
}

static void end(struct lingerer *linger)
{
	struct lingers *self = linger->all;
	if (linger->held)
		*linger->held = NULL;
	loop_timer_clear(self->loop, &linger->timer);
	loop_unwatch(self->loop, &linger->watch);
	close(linger->watch.fd);
	LIST_REMOVE(linger, link);
	self->count--;
	free(linger);
}

void lingers_free(struct lingers *self)
{
	while (self && !LIST_EMPTY(&self->list))
		end(LIST_FIRST(&self->list));
	free(self);
}

/* TCP drops without a copy (MSG_TRUNC, tcp(7)). */
static void drop(struct loop_watch *watch, unsigned events)
{
	struct lingerer *linger = container_of(watch, struct lingerer, watch);
	size_t most = linger->left < READ_BYTES ? linger->left : READ_BYTES;
	ssize_t got = recv(watch->fd, NULL, most, MSG_TRUNC | MSG_DONTWAIT);
	(void)events;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0 || (linger->left -= (size_t)got) == 0)
		end(linger);
}

static void expired(struct loop_timer *timer)
{
	end(container_of(timer, struct lingerer, timer));
}

void linger_hold(struct lingers *self, int fd, struct lingerer **held)
{
	if (*held)
		return;
	int own = self && self->count < LINGER_MOST
		? fcntl(fd, F_DUPFD_CLOEXEC, 0)
		: -1;
	struct lingerer *linger = own >= 0 ? calloc(1, sizeof *linger) : NULL;
	if (!linger) {
		if (own >= 0)
			close(own);
		return;
	}
	linger->all = self;
	linger->held = held;
	linger->left = LINGER_BYTES;
	linger->watch.fd = own;
	linger->watch.ready = drop;
	linger->timer.expired = expired;
	LIST_INSERT_HEAD(&self->list, linger, link);
	self->count++;
	*held = linger;
}

void linger_begin(struct lingerer **held)
{
	struct lingerer *linger = *held;
	if (!linger)
		return;
	linger->held = NULL;
	*held = NULL;
	struct loop *loop = linger->all->loop;
	linger->watch.interest = LOOP_READABLE;
	shutdown(linger->watch.fd, SHUT_WR);
	loop_timer_set(loop, &linger->timer, LINGER_S * NS_PER_S);
	if (loop_watch(loop, &linger->watch))
		end(linger);
}
