/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection's life: opened from an accepted socket, told of new access tables,
 * taken down in steps (connection.h, invariant 3).
 */
#include "target/iscsi/lifecycle.h"

#include "blockcore/base/list.h"
#include "target/iscsi/answer.h"
#include "target/iscsi/handlers.h"
#include "target/iscsi/notice.h"
#include "target/iscsi/overdue.h"
#include "target/iscsi/shortage.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SECOND_NS 1000000000ull

/* -- the beginning ------------------------------------------------------------------ */

/* "192.0.2.1:3260", "[2001:db8::1]:3260" */
static void print_address(
	char *text, size_t size, const struct sockaddr_storage *address)
{
	char host[NI_MAXHOST], port[NI_MAXSERV];
	const struct sockaddr_in6 *in6 = (const void *)address;
	const char *shown = host;
	bool brackets = address->ss_family == AF_INET6;

	if (getnameinfo((const struct sockaddr *)address, sizeof *address, host,
		    sizeof host, port, sizeof port,
		    NI_NUMERICHOST | NI_NUMERICSERV)) {
		snprintf(text, size, "unknown");
		return;
	}
	if (brackets && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		shown = strrchr(host, ':') + 1;
		brackets = false;
	}
	snprintf(text, size, brackets ? "[%.48s]:%.8s" : "%.48s:%.8s", shown,
		port);
}

static void fill_world(struct iscsi_connection *connection,
	const struct connection_arrival *arrival)
{
	struct iscsi_login_world *world = &connection->world;
	struct sockaddr_storage local = {0};
	socklen_t bytes = sizeof local;

	connection->peer = arrival->peer;
	world->settings = &connection->lane->server->settings;
	world->watcher = connection->lane->server->watcher;
	world->table = access_get(connection->lane->table);
	world->portal = arrival->portal;
	world->peer = (const struct sockaddr *)&connection->peer;
	print_address(
		world->peer_text, sizeof world->peer_text, &connection->peer);
	getsockname(arrival->fd, (struct sockaddr *)&local, &bytes);
	print_address(world->portal_text, sizeof world->portal_text, &local);
}

static void login_expired(struct loop_timer *timer)
{
	connection_drop(container_of(timer, struct iscsi_connection, timer),
		"login timeout");
}

static void teardown(struct loop_message *message);

static void init(struct iscsi_connection *connection, struct iscsi_lane *lane)
{
	connection->lane = lane;
	connection->serial = ++lane->last_serial;
	connection->state = CONNECTION_LOGIN;
	connection->counted_login = true;
	connection->window = lane->server->settings.command_window;
	connection->timer.expired = login_expired;
	connection->teardown.run = teardown;
	connection->waiter.ready = command_resume;
	overdue_init(connection);
	STAILQ_INIT(&connection->waiting);
}

/* From the same place: one IPv4 address, or one IPv6 network of 64 bits, in which a
 * host has all the addresses that it wants. */
static bool same_address(
	const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;

	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family != AF_INET6)
		return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	if (IN6_IS_ADDR_V4MAPPED(&a6->sin6_addr))
		return !memcmp(&a6->sin6_addr, &b6->sin6_addr, 16);
	return !memcmp(&a6->sin6_addr, &b6->sin6_addr, 8);
}

/* Who gives way to `fresh`: the oldest login from its address, else the oldest. */
static struct iscsi_connection *find_victim(
	const struct iscsi_connection *fresh)
{
	struct iscsi_connection *connection, *oldest = NULL;

	TAILQ_FOREACH (connection, &fresh->lane->logins, login_link) {
		if (connection == fresh ||
			connection->state != CONNECTION_LOGIN)
			continue;
		if (same_address(&connection->peer, &fresh->peer))
			return connection;
		if (!oldest)
			oldest = connection;
	}
	return oldest;
}

/* There are as many as there may be: a login of the lane gives way, so that a flood
 * of half-open ones pushes out itself and not the hosts. False: this one is alone
 * here. */
static bool evict_login(const struct iscsi_connection *fresh)
{
	struct iscsi_connection *victim = find_victim(fresh);

	if (victim)
		connection_drop(victim, "gives way to a newer login");
	return TAILQ_FIRST(&fresh->lane->logins) != fresh ||
		TAILQ_NEXT(fresh, login_link);
}

void lifecycle_open(struct iscsi_lane *lane,
	const struct connection_arrival *arrival,
	const struct stream_events *events)
{
	struct iscsi_connection *connection = calloc(1, sizeof *connection);
	struct iscsi_server *server = lane->server;

	if (!connection || !lane->table ||
		stream_open(&connection->stream, lane->lane, arrival->fd,
			events) < 0) {
		close(arrival->fd);
		free(connection);
		atomic_fetch_sub(&server->logins, 1);
		atomic_fetch_sub(&server->connections, 1);
		return;
	}
	init(connection, lane);
	fill_world(connection, arrival);
	TAILQ_INSERT_TAIL(&lane->connections, connection, link);
	TAILQ_INSERT_TAIL(&lane->logins, connection, login_link);
	loop_timer_set(lane->lane->loop, &connection->timer,
		server->settings.login_timeout_s * SECOND_NS);
	if (arrival->takes_place && !evict_login(connection) && arrival->full)
		connection_drop(connection, "too many connections");
}

void lifecycle_end_logins(
	struct iscsi_lane *lane, const struct access_portal *portal)
{
	struct iscsi_connection *connection, *next;

	TAILQ_FOREACH_SAFE (connection, &lane->logins, login_link, next) {
		if (connection->state == CONNECTION_LOGIN &&
			connection->world.portal == portal)
			connection_drop(connection, "its portal is closed");
	}
}

/* -- the end --------------------------------------------------------------- */

static void free_connection(struct loop_message *message)
{
	struct iscsi_connection *connection =
		container_of(message, struct iscsi_connection, teardown);
	struct iscsi_server *server = connection->lane->server;

	assert(connection->tasks == 0 && connection->controls == 0);
	if (connection->session) {
		notice_send(connection, connection->reason);
		session_remove(connection->session);
	} else {
		connection_log(connection, LOG_INFO, "login ended",
			connection->reason);
	}
	TAILQ_REMOVE(&connection->lane->connections, connection, link);
	access_put(connection->world.table);
	free(connection->result);
	free(connection->bucket);
	connection_leave_logins(connection);
	free(connection);
	atomic_fetch_sub(&server->connections, 1);
}

/* The device server may still be on the stack: freed from the loop. */
static void torn_down(struct iscsi_connection *connection)
{
	connection->teardown.run = free_connection;
	loop_post(connection->lane->lane->loop, &connection->teardown);
}

/* Data-In that was cut off: the device server knows these no more. */
static void sweep_tasks(struct iscsi_connection *connection)
{
	for (unsigned i = 0; connection->bucket && i < CONNECTION_BUCKETS;
		i++) {
		struct iscsi_task *task = connection->bucket[i], *next;

		for (; task; task = next) {
			next = task->next;
			if (task->state == TASK_SENDING)
				data_in_stop(task);
		}
	}
}

static void teardown(struct loop_message *message)
{
	struct iscsi_connection *connection =
		container_of(message, struct iscsi_connection, teardown);
	struct block_lane *lane = connection->lane->lane;

	stream_close(&connection->stream);
	loop_timer_clear(lane->loop, &connection->timer);
	overdue_end(connection);
	buf_wait_cancel(lane->pool, &connection->waiter);
	shortage_end(connection);
	if (connection->receive.step == RECEIVE_DATA ||
		connection->receive.step == RECEIVE_TAIL)
		buf_put(connection->receive.hold);
	sweep_tasks(connection);
	if (connection->login)
		iscsi_login_free(connection->login);
	if (connection->text)
		iscsi_text_free(connection->text);
	free(connection->login_answer);
	connection_close_nexus(connection, torn_down);
}

/* -- change of access ------------------------------------------------------ */

static void refreshed(struct scsi_nexus *nexus)
{
	struct iscsi_connection *connection =
		container_of(nexus, struct iscsi_connection, nexus);

	connection->refreshing = false;
	if (connection->quiet)
		connection_close_nexus(connection, connection->quiet);
	else
		lifecycle_refresh(connection);
}

static const struct access_host *find_host(
	const struct access_table *table, const char *name)
{
	for (unsigned i = 0; i < table->hosts; i++) {
		if (!strcmp(table->host[i]->name, name))
			return table->host[i];
	}
	return NULL;
}

/* The host's conditions may be others than those of its login. */
static bool is_host_still(const struct access_host *host, const char *initiator,
	const struct sockaddr_storage *peer)
{
	return host &&
		access_fits(host, initiator, (const struct sockaddr *)peer);
}

static void use_table(
	struct iscsi_connection *connection, struct access_table *table)
{
	struct access_table *old = connection->world.table;

	connection->world.table = access_get(table);
	access_put(old);
}

void lifecycle_refresh(struct iscsi_connection *connection)
{
	struct access_table *table = connection->lane->table;
	struct iscsi_login_result *result = connection->result;
	const struct access_target *target;
	const struct access_host *host;

	if (!result || connection->refreshing ||
		table == connection->world.table ||
		connection->state == CONNECTION_CLOSING)
		return;
	host = result->host ? find_host(table, result->host->name) : NULL;
	target = result->target ? access_find_target(table, result->target->iqn)
				: NULL;
	if (result->host &&
		!is_host_still(host, result->initiator, &connection->peer)) {
		connection_drop(connection, "access withdrawn");
		return;
	}
	if (!connection->discovery &&
		(!host || !target || !access_allows(target, host))) {
		connection_drop(connection, "access withdrawn");
		return;
	}
	result->host = host;
	result->target = target;
	use_table(connection, table);
	if (!connection->nexus_open || connection->nexus_closing)
		return;
	connection->refreshing = true;
	if (scsi_nexus_refresh(&connection->nexus, access_get(table), target,
		    host, refreshed) < 0) {
		access_put(table);
		connection->refreshing = false;
		connection_drop(connection, "out of memory");
	}
}
