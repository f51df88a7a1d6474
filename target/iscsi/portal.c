/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Portals: listening sockets on the control lane. What is accepted is dealt to
 * the lanes in turn, by message.
 *
 * Invariants
 *  1. At most ACCEPT_BATCH connections are taken per turn, so that a flood of
 *     them does not keep the control lane from its work.
 *  2. Beyond max_logins a half-open login gives way to a new one, on its lane: the
 *     oldest from the same address, else the oldest; beyond max_connections, too,
 *     and if there is none the new one is closed at once. EVICT_SLACK is for those
 *     that give way and are not gone yet.
 *  3. Out of descriptors, nothing is accepted for a while. This and 2 are logged,
 *     rationed.
 */
#include "target/iscsi/portal.h"

#include "blockcore/base/list.h"
#include "target/iscsi/framing.h"
#include "target/iscsi/lifecycle.h"
#include "target/iscsi/portal_socket.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ACCEPT_BATCH 16u
#define ACCEPT_PAUSE_NS 200000000ull
#define EVICT_SLACK 64u
#define EVICT_PAUSE_NS 1000000ull

struct iscsi_portal {
	struct iscsi_server *server;
	struct loop_watch watch;
	struct access_portal
		portal; /* own copies; lives as long as the server */
	bool open; /* accepts */
	bool prepared; /* listens with watch.fd, or will take that over */
	bool used; /* connections may refer to it */
	struct iscsi_portal *takes; /* whose socket it takes over, or NULL */
	LIST_ENTRY(iscsi_portal) link;
};

static struct loop *control_loop(const struct iscsi_server *server)
{
	return block_core_lane(server->core, 0)->loop;
}

static void say(struct iscsi_server *server, const char *text)
{
	uint32_t swallowed;

	if (log_limit_pass(&server->accept_log, &swallowed))
		log_warning("iscsi", "accept", "%s (%u more times)", text,
			swallowed);
}

/* -- dealing out ----------------------------------------------------------- */

static struct iscsi_lane *next_lane(struct iscsi_server *server)
{
	unsigned lanes = block_core_lanes(server->core);

	for (unsigned i = 0; i < lanes; i++) {
		struct iscsi_lane *lane =
			server->lane[server->next_lane++ % lanes];
		if (lane)
			return lane;
	}
	return NULL;
}

/* On the lane. */
static void arrive(struct loop_message *message)
{
	struct connection_arrival *arrival =
		container_of(message, struct connection_arrival, message);

	lifecycle_open(arrival->lane, arrival, &framing_events);
	free(arrival);
}

/* Those that give way are not gone yet: what comes now waits in the backlog. */
static bool must_wait(const struct iscsi_server *server)
{
	const struct iscsi_settings *settings = &server->settings;
	unsigned logins = atomic_load(&server->logins);

	return logins >= settings->max_logins + EVICT_SLACK ||
		(logins &&
			atomic_load(&server->connections) >=
				settings->max_connections + EVICT_SLACK);
}

/* False: it is closed at once, for nothing can give way to it. */
static bool find_place(
	struct iscsi_server *server, struct connection_arrival *arrival)
{
	const struct iscsi_settings *settings = &server->settings;
	unsigned logins = atomic_load(&server->logins);

	arrival->full =
		atomic_load(&server->connections) >= settings->max_connections;
	arrival->takes_place = arrival->full || logins >= settings->max_logins;
	if (arrival->full && !logins) {
		say(server,
			"too many connections; raise the limit if all are "
			"wanted");
		return false;
	}
	if (arrival->takes_place)
		say(server,
			"too many connections that have not logged in: the "
			"oldest give way, those from the same address first");
	return true;
}

static void deal(struct iscsi_portal *portal, int fd,
	const struct sockaddr_storage *peer)
{
	struct iscsi_server *server = portal->server;
	struct connection_arrival *arrival = calloc(1, sizeof *arrival);

	if (arrival)
		arrival->lane = next_lane(server);
	if (!arrival || !arrival->lane || !find_place(server, arrival)) {
		free(arrival);
		close(fd);
		return;
	}
	arrival->message.run = arrive;
	arrival->fd = fd;
	arrival->peer = *peer;
	arrival->portal = &portal->portal;
	atomic_fetch_add(&server->connections, 1);
	atomic_fetch_add(&server->logins, 1);
	loop_post(arrival->lane->lane->loop, &arrival->message);
}

/* -- accepting ------------------------------------------------------------- */

static void set_interest(struct iscsi_server *server, unsigned interest)
{
	struct iscsi_portal *portal;

	LIST_FOREACH (portal, &server->portals, link) {
		portal->watch.interest = interest;
		if (portal->open)
			loop_watch(control_loop(server), &portal->watch);
	}
}

static void accept_again(struct loop_timer *timer)
{
	set_interest(container_of(timer, struct iscsi_server, accept_again),
		LOOP_READABLE);
}

static void pause_accepting(struct iscsi_server *server, uint64_t time_ns)
{
	set_interest(server, 0);
	server->accept_again.expired = accept_again;
	loop_timer_set(control_loop(server), &server->accept_again, time_ns);
}

static void accept_failed(struct iscsi_server *server, int error)
{
	if (error == EAGAIN || error == EINTR || error == ECONNABORTED)
		return;
	say(server, strerror(error));
	pause_accepting(server, ACCEPT_PAUSE_NS);
}

static void ready(struct loop_watch *watch, unsigned events)
{
	struct iscsi_portal *portal =
		container_of(watch, struct iscsi_portal, watch);

	(void)events;
	for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
		struct sockaddr_storage peer = {0};
		socklen_t bytes = sizeof peer;
		int fd;

		if (must_wait(portal->server)) {
			pause_accepting(portal->server, EVICT_PAUSE_NS);
			return;
		}
		fd = accept4(watch->fd, (struct sockaddr *)&peer, &bytes,
			SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			accept_failed(portal->server, errno);
			return;
		}
		deal(portal, fd, &peer);
	}
}

/* -- opening --------------------------------------------------------------- */

static void free_portal(struct iscsi_portal *portal)
{
	free(portal->portal.name);
	free(portal->portal.address);
	free(portal->portal.advertised);
	free(portal);
}

/* A closed one that was the same: opening and closing takes no more memory each
 * time, though no portal is freed while connections may refer to it. */
static struct iscsi_portal *find_closed(
	const struct iscsi_server *server, const struct access_portal *wanted)
{
	struct iscsi_portal *portal;

	LIST_FOREACH (portal, &server->portals, link) {
		if (!portal->open && !portal->prepared &&
			portal->portal.port == wanted->port &&
			access_portal_same(&portal->portal, wanted))
			return portal;
	}
	return NULL;
}

static struct iscsi_portal *find_or_make(
	struct iscsi_server *server, const struct access_portal *wanted)
{
	struct iscsi_portal *portal = find_closed(server, wanted);

	if (portal)
		return portal;
	portal = calloc(1, sizeof *portal);
	if (!portal)
		return NULL;
	if (!access_portal_copy(&portal->portal, wanted)) {
		free_portal(portal);
		return NULL;
	}
	portal->server = server;
	portal->watch.ready = ready;
	LIST_INSERT_HEAD(&server->portals, portal, link);
	return portal;
}

static void forget(struct iscsi_portal *portal)
{
	if (portal->used)
		return;
	LIST_REMOVE(portal, link);
	free_portal(portal);
}

int iscsi_portal_prepare(struct iscsi_server *server,
	const struct access_portal *portal, struct iscsi_portal *takes,
	struct iscsi_portal **prepared, struct err *err)
{
	struct iscsi_portal *made = find_or_make(server, portal);
	uint16_t port = takes ? takes->portal.port : 0;
	int fd = -1;

	if (!made)
		return err_set(
			err, ENOMEM, "portal %s: no memory", portal->name);
	if (!takes)
		fd = portal_socket_open(portal, true, &port, err);
	if (!takes && fd < 0) {
		forget(made);
		return fd;
	}
	if (made->portal.port != port) /* lanes read one that was open before */
		made->portal.port = port;
	made->watch.fd = fd;
	made->takes = takes;
	made->prepared = true;
	*prepared = made;
	return 0;
}

int iscsi_portal_try(const struct access_portal *portal, struct err *err)
{
	uint16_t port;
	int fd = portal_socket_open(portal, false, &port, err);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

uint16_t iscsi_portal_port(const struct iscsi_portal *portal)
{
	return portal->portal.port;
}

void iscsi_portal_start(struct iscsi_portal *portal)
{
	struct loop *loop = control_loop(portal->server);
	struct iscsi_portal *from = portal->takes;
	int result;

	assert(portal->prepared);
	if (from) {
		assert(from->open);
		loop_unwatch(loop, &from->watch);
		from->open = false;
		portal->watch.fd = from->watch.fd;
	}
	portal->prepared = false;
	portal->takes = NULL;
	portal->used = true;
	portal->watch.interest = LOOP_READABLE;
	result = loop_watch(loop, &portal->watch);
	portal->open = result >= 0;
	if (portal->open)
		return;
	log_error("iscsi", "portal",
		"portal %s cannot be watched: %s; nobody can log in there "
		"until it is changed",
		portal->portal.name, strerror(-result));
	close(portal->watch.fd);
}

void iscsi_portal_abandon(struct iscsi_portal *portal)
{
	assert(portal->prepared);
	if (!portal->takes)
		close(portal->watch.fd);
	portal->prepared = false;
	portal->takes = NULL;
	forget(portal);
}

/* -- closing --------------------------------------------------------------- */

static void close_portal(struct iscsi_portal *portal)
{
	loop_unwatch(control_loop(portal->server), &portal->watch);
	close(portal->watch.fd);
	portal->open = false;
}

/* What a lane is told of a portal that was closed. */
struct portal_end {
	struct loop_message message;
	struct iscsi_lane *lane;
	const struct access_portal *portal;
};

static void end_logins(struct loop_message *message)
{
	struct portal_end *end =
		container_of(message, struct portal_end, message);

	lifecycle_end_logins(end->lane, end->portal);
	free(end);
}

/* Behind all arrivals. Without memory they end by the timeout of logins. */
static void tell_lanes(struct iscsi_portal *portal)
{
	struct iscsi_server *server = portal->server;

	for (unsigned i = 0; i < block_core_lanes(server->core); i++) {
		struct iscsi_lane *lane = server->lane[i];
		struct portal_end *end = lane ? malloc(sizeof *end) : NULL;

		if (!end)
			continue;
		*end = (struct portal_end){
			{.run = end_logins}, lane, &portal->portal};
		loop_post(lane->lane->loop, &end->message);
	}
}

void iscsi_portal_close(struct iscsi_portal *portal)
{
	if (!portal->open)
		return;
	close_portal(portal);
	tell_lanes(portal);
}

void portal_close_all(struct iscsi_server *server)
{
	struct iscsi_portal *portal;

	loop_timer_clear(control_loop(server), &server->accept_again);
	LIST_FOREACH (portal, &server->portals, link)
		if (portal->open)
			close_portal(portal);
}

void portal_free_all(struct iscsi_server *server)
{
	struct iscsi_portal *portal;

	while ((portal = LIST_FIRST(&server->portals))) {
		assert(!portal->open);
		LIST_REMOVE(portal, link);
		free_portal(portal);
	}
}
