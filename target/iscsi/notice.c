/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See notice.h. Allocates: logins are no fast path.
 */
#include "target/iscsi/notice.h"

#include "blockcore/base/list.h"

#include <stdio.h>
#include <stdlib.h>

struct notice {
	struct loop_message message;
	struct iscsi_watcher *watcher;
	struct iscsi_session_info info;
	const char *reason;
};

static void deliver(struct loop_message *message)
{
	struct notice *notice = container_of(message, struct notice, message);

	if (notice->reason)
		notice->watcher->session_down(
			notice->watcher, &notice->info, notice->reason);
	else
		notice->watcher->session_up(notice->watcher, &notice->info);
	free(notice);
}

static void fill_info(const struct iscsi_connection *connection,
	struct iscsi_session_info *info)
{
	const struct iscsi_login_result *result = connection->result;

	info->id = connection->session->id;
	info->lane = connection->lane->lane->index;
	info->header_digest = connection->params.header_digest;
	info->data_digest = connection->params.data_digest;
	info->discovery = connection->discovery;
	snprintf(info->initiator, sizeof info->initiator, "%s",
		connection->session->initiator);
	snprintf(info->target, sizeof info->target, "%s",
		connection->session->target);
	snprintf(info->host, sizeof info->host, "%s", connection->host);
	snprintf(info->peer, sizeof info->peer, "%s",
		connection->world.peer_text);
	snprintf(info->portal, sizeof info->portal, "%s",
		connection->world.portal_text);
	snprintf(info->chap, sizeof info->chap, "%s", result->chap);
}

void notice_send(struct iscsi_connection *connection, const char *reason)
{
	struct iscsi_server *server = connection->lane->server;
	struct notice *notice;

	if (!server->watcher || connection->up != (reason != NULL))
		return;
	connection->up = !reason;
	notice = calloc(1, sizeof *notice);
	if (!notice)
		return;
	notice->message.run = deliver;
	notice->watcher = server->watcher;
	notice->reason = reason;
	fill_info(connection, &notice->info);
	loop_post(block_core_lane(server->core, 0)->loop, &notice->message);
}
