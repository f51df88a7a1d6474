/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See notice.h. Allocates: logins are no fast path.
 */
#include "target/iscsi/notice.h"

#include "blockcore/base/list.h"
#include "blockcore/base/trace.h"
#include "target/iscsi/sessions.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

const char *iscsi_refusal_name(enum iscsi_refusal refusal)
{
	static const char *const names[ISCSI_REFUSALS] = {
		[ISCSI_REFUSED_PROTOCOL] = "protocol",
		[ISCSI_REFUSED_NAME] = "name",
		[ISCSI_REFUSED_ADDRESS] = "address",
		[ISCSI_REFUSED_EXPORT] = "export",
		[ISCSI_REFUSED_TARGET] = "target",
		[ISCSI_REFUSED_METHOD] = "method",
		[ISCSI_REFUSED_HASH] = "hash",
		[ISCSI_REFUSED_USER] = "user",
		[ISCSI_REFUSED_SECRET] = "secret",
		[ISCSI_REFUSED_MUTUAL] = "mutual",
		[ISCSI_REFUSED_TRIES] = "tries",
		[ISCSI_REFUSED_BARRED] = "barred",
		[ISCSI_REFUSED_RESOURCES] = "resources",
	};

	assert(refusal < ISCSI_REFUSALS);
	return names[refusal];
}

/* -- sessions -------------------------------------------------------------- */

struct notice {
	struct loop_message message;
	struct iscsi_server *server;
	struct iscsi_session_info info;
	bool up;
	char reason[CONNECTION_REASON_BYTES];
};

static void count_session(
	struct iscsi_figures *figures, const struct notice *notice)
{
	if (!notice->up)
		return;
	if (notice->info.discovery)
		figures->discoveries++;
	else
		figures->logins++;
}

static void deliver(struct loop_message *message)
{
	struct notice *notice = container_of(message, struct notice, message);
	struct iscsi_watcher *watcher = notice->server->watcher;

	count_session(&notice->server->figures, notice);
	if (watcher && notice->up && watcher->session_up)
		watcher->session_up(watcher, &notice->info);
	if (watcher && !notice->up && watcher->session_down)
		watcher->session_down(watcher, &notice->info, notice->reason);
	free(notice);
}

void notice_send(struct iscsi_connection *connection, const char *reason)
{
	struct iscsi_server *server = connection->lane->server;
	struct notice *notice;

	if (connection->up != (reason != NULL))
		return;
	connection->up = !reason;
	if (reason)
		trace(session_down, connection, (uintptr_t)reason);
	else
		trace(session_up, connection, connection->lane->lane->index);
	if (connection->up)
		atomic_fetch_add(&server->sessions, 1);
	else
		atomic_fetch_sub(&server->sessions, 1);
	notice = calloc(1, sizeof *notice);
	if (!notice)
		return;
	notice->message.run = deliver;
	notice->server = server;
	notice->up = !reason;
	snprintf(notice->reason, sizeof notice->reason, "%s",
		reason ? reason : "");
	sessions_fill(connection, &notice->info);
	loop_post(block_core_lane(server->core, 0)->loop, &notice->message);
}

/* -- refused logins -------------------------------------------------------- */

struct refused_notice {
	struct loop_message message;
	struct iscsi_server *server;
	struct iscsi_refused refused;
};

static void deliver_refused(struct loop_message *message)
{
	struct refused_notice *notice =
		container_of(message, struct refused_notice, message);
	struct iscsi_server *server = notice->server;
	struct iscsi_watcher *watcher = server->watcher;
	struct iscsi_refused *refused =
		&server->refused[server->refusals % ISCSI_REFUSED_KEPT];

	*refused = notice->refused;
	refused->serial = ++server->refusals;
	server->figures.refused[refused->refusal]++;
	free(notice);
	if (watcher && watcher->login_refused)
		watcher->login_refused(watcher, refused);
}

static void fill_refused(const struct iscsi_connection *connection,
	struct iscsi_refused *refused)
{
	const struct iscsi_login_answer *answer = connection->login_answer;
	struct iscsi_login_names names = iscsi_login_names(connection->login);
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	refused->time_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	refused->refusal = answer->refusal;
	refused->discovery = names.discovery;
	snprintf(refused->initiator, sizeof refused->initiator, "%s",
		names.initiator);
	snprintf(refused->target, sizeof refused->target, "%s", names.target);
	snprintf(refused->host, sizeof refused->host, "%s", names.host);
	snprintf(refused->peer, sizeof refused->peer, "%s",
		connection->world.peer_text);
	snprintf(refused->portal, sizeof refused->portal, "%s",
		connection->world.portal_text);
	snprintf(refused->reason, sizeof refused->reason, "%s", answer->reason);
}

void notice_refused(struct iscsi_connection *connection)
{
	struct iscsi_server *server = connection->lane->server;
	struct refused_notice *notice = calloc(1, sizeof *notice);

	if (!notice)
		return;
	notice->message.run = deliver_refused;
	notice->server = server;
	fill_refused(connection, &notice->refused);
	loop_post(block_core_lane(server->core, 0)->loop, &notice->message);
}

const struct iscsi_refused *iscsi_server_refused(
	const struct iscsi_server *server, unsigned back)
{
	uint64_t kept = server->refusals < ISCSI_REFUSED_KEPT
		? server->refusals
		: ISCSI_REFUSED_KEPT;

	if (back >= kept)
		return NULL;
	return &server->refused[(server->refusals - 1 - back) %
		ISCSI_REFUSED_KEPT];
}

void iscsi_server_figures(
	const struct iscsi_server *server, struct iscsi_figures *figures)
{
	*figures = server->figures;
	figures->connections = iscsi_server_connections(server);
	figures->sessions =
		atomic_load(&((struct iscsi_server *)server)->sessions);
}
