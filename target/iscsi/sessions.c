/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at sessions and ending them from the control lane. Everything of a
 * session belongs to its lane, so a question is a visit to every lane, which
 * answers into memory of the question's own; a long list is several visits.
 */
#include "target/iscsi/sessions.h"

#include "target/iscsi/handlers.h"
#include "target/scsi/sense.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MS_NS 1000000ull

/* -- one session ----------------------------------------------------------- */

int64_t sessions_wall_ms(struct block_lane *lane, uint64_t then_ns)
{
	uint64_t ago_ns = loop_now_ns(lane->loop) - then_ns;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / (int64_t)MS_NS -
		(int64_t)(ago_ns / MS_NS);
}

static void fill_names(const struct iscsi_connection *connection,
	struct iscsi_session_info *info)
{
	const struct iscsi_login_world *world = &connection->world;

	snprintf(info->initiator, sizeof info->initiator, "%s",
		connection->session->initiator);
	snprintf(info->target, sizeof info->target, "%s",
		connection->session->target);
	snprintf(info->host, sizeof info->host, "%s", connection->host);
	snprintf(info->peer, sizeof info->peer, "%s", world->peer_text);
	snprintf(info->portal, sizeof info->portal, "%s", world->portal_text);
	snprintf(info->portal_name, sizeof info->portal_name, "%s",
		world->portal->name);
	snprintf(info->alias, sizeof info->alias, "%.63s",
		connection->result->initiator_alias);
	snprintf(info->chap, sizeof info->chap, "%s", connection->result->chap);
	info->mutual = strstr(info->chap, " mutual") != NULL;
}

static void fill_figures(const struct iscsi_connection *connection,
	struct iscsi_session_info *info)
{
	const struct connection_figures *figures = &connection->figures;
	uint32_t sense = figures->error_sense;

	info->commands = figures->commands;
	info->in_bytes = figures->in_bytes;
	info->out_bytes = figures->out_bytes;
	info->errors = figures->errors;
	if (!figures->errors)
		return;
	info->last_error_ms =
		sessions_wall_ms(connection->lane->lane, figures->error_ns);
	if (figures->error_status == SCSI_CHECK_CONDITION)
		snprintf(info->last_error, sizeof info->last_error,
			"LUN %u, opcode %02Xh: %02Xh/%02Xh/%02Xh",
			figures->error_lun, figures->error_opcode, sense >> 16,
			sense >> 8 & 255, sense & 255);
	else
		snprintf(info->last_error, sizeof info->last_error,
			"LUN %u, opcode %02Xh: status %02Xh",
			figures->error_lun, figures->error_opcode,
			figures->error_status);
}

void sessions_fill(
	struct iscsi_connection *connection, struct iscsi_session_info *info)
{
	memset(info, 0, sizeof *info);
	info->id = connection->session->id;
	info->lane = connection->lane->lane->index;
	info->header_digest = connection->params.header_digest;
	info->data_digest = connection->params.data_digest;
	info->discovery = connection->discovery;
	info->since_ms = connection->since_ms;
	memcpy(info->isid, connection->result->isid, sizeof info->isid);
	info->tsih = connection->session->tsih;
	info->cid = connection->result->cid;
	info->params = connection->params;
	info->exp_cmd_sn = connection->exp_cmd_sn;
	info->max_cmd_sn = connection_max_cmd_sn(connection);
	info->window = connection->window;
	info->running = connection->running + connection->immediate;
	info->units = connection->nexus_open ? connection->nexus.units : 0;
	fill_names(connection, info);
	fill_figures(connection, info);
}

void sessions_drop(struct iscsi_connection *connection, const char *reason,
	uint32_t keep_out_s)
{
	uint16_t wait_s =
		keep_out_s < UINT16_MAX ? (uint16_t)keep_out_s : UINT16_MAX;

	if (connection->state == CONNECTION_CLOSING)
		return;
	snprintf(connection->dropped_for, sizeof connection->dropped_for, "%s",
		reason);
	if (connection->state != CONNECTION_FULL) {
		connection_drop(connection, connection->dropped_for);
		return;
	}
	async_send_drop(connection, wait_s);
	connection_finish(connection, connection->dropped_for);
}

/* -- visiting them all ----------------------------------------------------- */

/* Sessions that have a place in lists: up, and not on their way out. */
static bool is_up(const struct iscsi_connection *connection)
{
	return connection->session &&
		(connection->state == CONNECTION_FULL ||
			connection->state == CONNECTION_LOGOUT);
}

/* What one visit to a lane brings: few enough that commands do not wait for it. */
#define CHUNK_SESSIONS 64u

struct chunk {
	struct chunk *next;
	unsigned count;
	struct iscsi_session_info session[CHUNK_SESSIONS];
};

struct listing {
	struct iscsi_server *server;
	const struct volume *volume;
	struct listing_part {
		struct chunk *chunks;
		uint64_t last; /* serial of the last connection looked at */
		bool more, failed;
	} part[BLOCK_MAX_LANES];
};

static bool is_wanted(const struct listing *listing,
	const struct iscsi_connection *connection)
{
	if (!is_up(connection))
		return false;
	return !listing->volume ||
		(connection->nexus_open &&
			scsi_nexus_sees(&connection->nexus, listing->volume));
}

static void fill_chunk(struct listing *listing, struct iscsi_lane *own,
	struct listing_part *part)
{
	struct chunk *chunk = part->chunks;
	struct iscsi_connection *connection;

	TAILQ_FOREACH (connection, &own->connections, link) {
		if (connection->serial <= part->last)
			continue;
		if (chunk->count == CHUNK_SESSIONS) {
			part->more = true;
			return;
		}
		part->last = connection->serial;
		if (is_wanted(listing, connection))
			sessions_fill(
				connection, &chunk->session[chunk->count++]);
	}
}

static void list_lane(struct block_lane *lane, void *argument)
{
	struct listing *listing = argument;
	struct listing_part *part = &listing->part[lane->index];
	struct iscsi_lane *own = listing->server->lane[lane->index];
	struct chunk *chunk;

	part->more = false;
	if (!own || part->failed || TAILQ_EMPTY(&own->connections))
		return;
	chunk = malloc(sizeof *chunk);
	part->failed = !chunk;
	if (!chunk)
		return;
	chunk->count = 0;
	chunk->next = part->chunks;
	part->chunks = chunk;
	fill_chunk(listing, own, part);
}

static void list_all_co(struct listing *listing)
{
	bool more;

	do {
		block_broadcast_co(listing->server->core, list_lane, listing);
		more = false;
		for (unsigned i = 0; i < BLOCK_MAX_LANES; i++)
			more = more || listing->part[i].more;
	} while (more);
}

static int by_id(const void *a, const void *b)
{
	const struct iscsi_session_info *first = a, *second = b;

	return first->id < second->id ? -1 : first->id > second->id;
}

static struct iscsi_session_list *make_list(const struct listing *listing)
{
	struct iscsi_session_list *list;
	size_t count = 0;

	for (unsigned i = 0; i < BLOCK_MAX_LANES; i++) {
		const struct listing_part *part = &listing->part[i];

		if (part->failed)
			return NULL;
		for (struct chunk *c = part->chunks; c; c = c->next)
			count += c->count;
	}
	list = malloc(sizeof *list + count * sizeof list->session[0]);
	if (list)
		list->count = 0;
	return list;
}

/* All in one list, if there is memory for it; the chunks are freed. */
static struct iscsi_session_list *join(struct listing *listing)
{
	struct iscsi_session_list *list = make_list(listing);
	struct chunk *chunk;

	for (unsigned i = 0; i < BLOCK_MAX_LANES; i++) {
		while ((chunk = listing->part[i].chunks)) {
			listing->part[i].chunks = chunk->next;
			if (list) {
				memcpy(&list->session[list->count],
					chunk->session,
					chunk->count * sizeof list->session[0]);
				list->count += chunk->count;
			}
			free(chunk);
		}
	}
	return list;
}

struct iscsi_session_list *iscsi_sessions_co(
	struct iscsi_server *server, const struct volume *volume)
{
	struct listing *listing = calloc(1, sizeof *listing);
	struct iscsi_session_list *list;

	if (!listing)
		return NULL;
	listing->server = server;
	listing->volume = volume;
	list_all_co(listing);
	list = join(listing);
	free(listing);
	if (list)
		qsort(list->session, list->count, sizeof list->session[0],
			by_id);
	return list;
}

/* -- one of them ----------------------------------------------------------- */

/* Only the lane of the session writes the answer. */
struct search {
	struct iscsi_server *server;
	uint64_t id;
	struct iscsi_session_info *info; /* to be filled, or NULL */
	const struct iscsi_kick *kick; /* to be carried out, or NULL */
	bool found;
};

static void kick_out(
	struct iscsi_connection *connection, const struct iscsi_kick *kick)
{
	struct block_lane *lane = connection->lane->lane;

	if (kick->keep_out_s)
		bars_add(&connection->lane->server->bars, connection->host,
			connection->world.peer, loop_now_ns(lane->loop),
			kick->keep_out_s * 1000 * MS_NS);
	sessions_drop(connection, kick->reason, kick->keep_out_s);
}

static void search_lane(struct block_lane *lane, void *argument)
{
	struct search *search = argument;
	struct iscsi_lane *own = search->server->lane[lane->index];
	struct iscsi_connection *connection;

	if (!own)
		return;
	TAILQ_FOREACH (connection, &own->connections, link) {
		if (!is_up(connection) || connection->session->id != search->id)
			continue;
		search->found = true;
		if (search->info)
			sessions_fill(connection, search->info);
		if (search->kick)
			kick_out(connection, search->kick);
		return;
	}
}

int iscsi_session_find_co(struct iscsi_server *server, uint64_t id,
	struct iscsi_session_info *info)
{
	struct search search = {.server = server, .id = id, .info = info};

	block_broadcast_co(server->core, search_lane, &search);
	return search.found ? 0 : -ENOENT;
}

int iscsi_session_kick_co(struct iscsi_server *server, uint64_t id,
	const struct iscsi_kick *kick, struct err *err)
{
	struct search search = {.server = server, .id = id, .kick = kick};

	block_broadcast_co(server->core, search_lane, &search);
	if (search.found)
		return 0;
	return err_set(err, ENOENT,
		"there is no session %llu (any more): list the sessions",
		(unsigned long long)id);
}
