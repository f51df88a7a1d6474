/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server: its settings, its part on each lane, what it tells the lanes
 * (a new access table, the end) and what it tells its watcher.
 */
#include "target/iscsi/connection.h"
#include "target/iscsi/handlers.h"
#include "target/iscsi/lifecycle.h"
#include "target/iscsi/portal.h"
#include "target/iscsi/shortage.h"
#include "target/iscsi/task.h"

#include "blockcore/base/list.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND_NS 1000000000ull
#define STOP_LOOK_NS 5000000ull
#define QUOTA_PARTS 4u /* a connection's part of the lane's buffers */

void iscsi_settings_defaults(struct iscsi_settings *settings)
{
	*settings = (struct iscsi_settings){
		.max_connections = 4096,
		.max_host_sessions = 512,
		.max_logins = 1024,
		.login_timeout_s = 15,
		.ping_interval_s = 15,
		.ping_timeout_s = 15,
		.data_timeout_s = 60,
		.command_window = 128,
		.max_burst_bytes = 1u << 20,
		.first_burst_bytes = 256u << 10,
		.max_receive_bytes = 256u << 10,
		.max_r2t = 16,
		.immediate_data = true,
	};
}

/* -- new, free ------------------------------------------------------------- */

static int check_settings(
	const struct iscsi_settings *settings, struct err *err)
{
	if (settings->command_window < 2 ||
		settings->command_window > ISCSI_WINDOW_MAX)
		return err_set(err, EINVAL,
			"command window %u: must be 2 to %u",
			settings->command_window, ISCSI_WINDOW_MAX);
	/* A burst must fit the largest buffer. */
	if (settings->max_burst_bytes < 512 ||
		settings->max_burst_bytes > BUF_MAX_BYTES ||
		settings->first_burst_bytes < 512 ||
		settings->first_burst_bytes > settings->max_burst_bytes)
		return err_set(err, EINVAL,
			"bursts of %u and %u bytes: must be 512 to %u, the "
			"first not larger",
			settings->max_burst_bytes, settings->first_burst_bytes,
			BUF_MAX_BYTES);
	if (settings->max_receive_bytes < 512 ||
		settings->max_receive_bytes > BUF_MAX_BYTES)
		return err_set(err, EINVAL,
			"data segments of %u bytes: must be 512 to %u",
			settings->max_receive_bytes, BUF_MAX_BYTES);
	return 0;
}

struct iscsi_server *iscsi_server_new(struct block_core *core,
	const struct iscsi_settings *settings, struct iscsi_watcher *watcher,
	struct err *err)
{
	struct iscsi_server *server;

	if (check_settings(settings, err) < 0)
		return NULL;
	server = calloc(1, sizeof *server);
	if (!server) {
		err_set(err, ENOMEM, "no memory for the iSCSI server");
		return NULL;
	}
	server->core = core;
	server->settings = *settings;
	server->watcher = watcher;
	LIST_INIT(&server->portals);
	session_registry_init(&server->registry);
	bars_init(&server->bars);
	return server;
}

void iscsi_server_free(struct iscsi_server *server)
{
	assert(atomic_load(&server->connections) == 0);
	portal_close_all(server);
	portal_free_all(server);
	session_registry_fini(&server->registry);
	bars_fini(&server->bars);
	if (server->table)
		access_put(server->table);
	free(server);
}

unsigned iscsi_server_connections(const struct iscsi_server *server)
{
	return atomic_load(&((struct iscsi_server *)server)->connections);
}

static uint64_t control_now_ns(const struct iscsi_server *server)
{
	return loop_now_ns(block_core_lane(server->core, 0)->loop);
}

unsigned iscsi_server_bars(
	struct iscsi_server *server, struct iscsi_bar bars[ISCSI_BARS])
{
	return bars_list(&server->bars, bars, control_now_ns(server));
}

bool iscsi_server_unbar(struct iscsi_server *server, const char *host)
{
	return bars_remove(&server->bars, host);
}

/* -- lanes ----------------------------------------------------------------- */

static size_t quota(const struct block_lane *lane)
{
	size_t bytes;
	void *base;

	buf_pool_region(lane->pool, &base, &bytes);
	bytes /= QUOTA_PARTS;
	return bytes > BUF_MAX_BYTES ? bytes : BUF_MAX_BYTES;
}

static void receive_table(struct loop_message *message);

int iscsi_lane_start(
	struct iscsi_server *server, struct block_lane *lane, struct err *err)
{
	struct iscsi_lane *made = calloc(1, sizeof *made);

	if (!made)
		return err_set(err, ENOMEM, "no memory for an iSCSI lane");
	if (stream_lane_start(lane, err) < 0) {
		free(made);
		return -ENOMEM;
	}
	made->server = server;
	made->lane = lane;
	made->quota_bytes = quota(lane);
	made->published.run = receive_table;
	shortage_init(made);
	if (server->table)
		made->table = access_get(server->table);
	/* Bounded for each connection, see connection.h. */
	slab_init(&made->tasks, sizeof(struct iscsi_task), 0);
	slab_init(&made->pieces, DATA_PIECE_BYTES, 0);
	slab_init(&made->controls, sizeof(struct iscsi_control), 0);
	slab_init(&made->managements, MANAGEMENT_BYTES, 0);
	TAILQ_INIT(&made->connections);
	TAILQ_INIT(&made->logins);
	server->lane[lane->index] = made;
	return 0;
}

static void stop_lane(struct block_lane *lane, void *argument)
{
	struct iscsi_server *server = argument;
	struct iscsi_lane *made = server->lane[lane->index];

	if (!made)
		return;
	assert(TAILQ_EMPTY(&made->connections) && !made->starving);
	slab_fini(&made->tasks);
	slab_fini(&made->pieces);
	slab_fini(&made->controls);
	slab_fini(&made->managements);
	stream_lane_stop(lane);
	if (made->table)
		access_put(made->table);
	free(made);
	server->lane[lane->index] = NULL;
}

/* -- publishing ------------------------------------------------------------ */

static void receive_table(struct loop_message *message)
{
	struct iscsi_lane *lane =
		container_of(message, struct iscsi_lane, published);
	struct iscsi_connection *connection;

	if (lane->table)
		access_put(lane->table);
	lane->table = atomic_exchange(&lane->next_table, NULL);
	TAILQ_FOREACH (connection, &lane->connections, link) {
		if (connection->state == CONNECTION_FULL)
			lifecycle_refresh(connection);
	}
}

/* Takes no memory: a lane must never keep an old table. One that the lane has not
 * taken yet is overtaken. */
static void publish_to(struct iscsi_lane *lane, struct access_table *table)
{
	struct access_table *overtaken =
		atomic_exchange(&lane->next_table, access_get(table));

	if (overtaken)
		access_put(overtaken);
	else
		loop_post(lane->lane->loop, &lane->published);
}

void iscsi_server_publish(
	struct iscsi_server *server, struct access_table *table)
{
	struct access_table *old = server->table;

	server->table = access_get(table);
	if (old)
		access_put(old);
	for (unsigned i = 0; i < BLOCK_MAX_LANES; i++) {
		if (server->lane[i])
			publish_to(server->lane[i], table);
	}
}

/* -- the end --------------------------------------------------------------- */

struct farewell {
	struct iscsi_server *server;
	uint16_t grace_s;
};

static void ask_to_leave(struct block_lane *lane, void *argument)
{
	struct farewell *farewell = argument;
	struct iscsi_lane *made = farewell->server->lane[lane->index];
	struct iscsi_connection *connection;

	if (!made)
		return;
	TAILQ_FOREACH (connection, &made->connections, link) {
		if (connection->state == CONNECTION_FULL &&
			!connection->discovery)
			async_send(connection, PDU_ASYNC_LOGOUT,
				farewell->grace_s);
		else
			connection_drop(connection, "server stops");
	}
}

static void drop_all(struct block_lane *lane, void *argument)
{
	struct farewell *farewell = argument;
	struct iscsi_lane *made = farewell->server->lane[lane->index];
	struct iscsi_connection *connection;

	if (!made)
		return;
	TAILQ_FOREACH (connection, &made->connections, link)
		connection_drop(connection, "server stops");
}

void iscsi_server_stop_co(struct iscsi_server *server, uint64_t grace_ns)
{
	struct loop *loop = block_core_lane(server->core, 0)->loop;
	uint64_t deadline_ns = loop_now_ns(loop) + grace_ns;
	struct farewell farewell = {.server = server,
		.grace_s = (uint16_t)((grace_ns + SECOND_NS - 1) / SECOND_NS)};

	portal_close_all(server);
	block_broadcast_co(server->core, ask_to_leave, &farewell);
	while (atomic_load(&server->connections) &&
		loop_now_ns(loop) < deadline_ns)
		loop_sleep_co(loop, STOP_LOOK_NS);
	while (atomic_load(&server->connections)) {
		block_broadcast_co(server->core, drop_all, &farewell);
		loop_sleep_co(loop, STOP_LOOK_NS);
	}
	block_broadcast_co(server->core, stop_lane, server);
}
