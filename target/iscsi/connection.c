/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every part of a connection needs: its bounds, its log line, its ways to
 * an end. The end itself is in lifecycle.c.
 */
#include "target/iscsi/connection.h"

#include "blockcore/base/list.h"

#define SECOND_NS 1000000000ull
#define GOODBYE_NS (5 * SECOND_NS)

void connection_log(struct iscsi_connection *connection, enum log_level level,
	const char *event, const char *text)
{
	uint32_t swallowed;

	if (!log_limit_pass(&connection->lane->log, &swallowed))
		return;
	if (swallowed)
		log_write(level, "iscsi", event, "%u lines like this left out",
			swallowed);
	log_write(level, connection->world.peer_text, event, "%s", text);
}

/* -- bounds ---------------------------------------------------------------- */

/* How many tasks may be alive, answered and not yet read by the host included. */
static uint32_t tasks_limit(const struct iscsi_connection *connection)
{
	return 2 * connection->window + CONNECTION_IMMEDIATE;
}

static bool exceeds(const struct iscsi_connection *connection, unsigned part)
{
	return stream_unsent_bytes(&connection->stream) >
		CONNECTION_UNSENT_BYTES / part ||
		connection->tasks > tasks_limit(connection) / part ||
		connection->controls > CONNECTION_CONTROLS / part ||
		connection->control_bytes > CONNECTION_CONTROL_BYTES / part;
}

void connection_check_pressure(struct iscsi_connection *connection)
{
	if (!connection->stream.paused && exceeds(connection, 1))
		stream_pause(&connection->stream);
}

void connection_relieve(struct iscsi_connection *connection)
{
	if (!connection->stream.paused || connection_is_held(connection))
		return;
	if (connection->state != CONNECTION_LOGIN &&
		connection->state != CONNECTION_FULL)
		return;
	if (!exceeds(connection, 2))
		stream_resume(&connection->stream);
}

static void mark_skipped(struct iscsi_connection *connection, uint32_t sn)
{
	uint32_t at = sn % ISCSI_WINDOW_MAX;

	connection->skipped[at / 64] |= 1ull << at % 64;
}

void connection_skip_cmd_sn(struct iscsi_connection *connection, uint32_t sn)
{
	if (sn == connection->exp_cmd_sn)
		connection_advance(connection);
	else
		mark_skipped(connection, sn);
}

void connection_take_cmd_sn(struct iscsi_connection *connection)
{
	connection->number_taken = true;
	connection->exp_cmd_sn_before = connection->exp_cmd_sn;
	connection_advance(connection);
}

void connection_give_cmd_sn_back(struct iscsi_connection *connection)
{
	if (!connection->number_taken)
		return;
	connection->number_taken = false;
	while (--connection->exp_cmd_sn != connection->exp_cmd_sn_before)
		mark_skipped(connection, connection->exp_cmd_sn);
}

void connection_leave_logins(struct iscsi_connection *connection)
{
	if (!connection->counted_login)
		return;
	connection->counted_login = false;
	TAILQ_REMOVE(&connection->lane->logins, connection, login_link);
	atomic_fetch_sub(&connection->lane->server->logins, 1);
}

/* -- the end --------------------------------------------------------------- */

static void close_state(struct iscsi_connection *connection, const char *reason)
{
	if (!connection->reason)
		connection->reason = reason;
	connection->state = CONNECTION_CLOSING;
	stream_pause(&connection->stream);
}

void connection_drop(struct iscsi_connection *connection, const char *reason)
{
	close_state(connection, reason);
	if (connection->teardown_posted)
		return;
	connection->teardown_posted = true;
	loop_post(connection->stream.lane->loop, &connection->teardown);
}

void connection_finish(struct iscsi_connection *connection, const char *reason)
{
	if (connection->state == CONNECTION_CLOSING)
		return;
	close_state(connection, reason);
	stream_finish(&connection->stream, GOODBYE_NS);
}

/* Goes on with the end if nothing holds it up any more. */
void connection_work_ended(struct iscsi_connection *connection)
{
	void (*quiet)(struct iscsi_connection *) = connection->quiet;

	if (!quiet || connection->refreshing || connection->nexus_open ||
		connection->managements || connection->text_work)
		return;
	connection->quiet = NULL;
	quiet(connection);
}

static void nexus_closed(struct scsi_nexus *nexus)
{
	struct iscsi_connection *connection =
		container_of(nexus, struct iscsi_connection, nexus);

	connection->nexus_open = false;
	access_put(nexus->table);
	connection_work_ended(connection);
}

static void begin_quiet(struct iscsi_connection *connection)
{
	if (connection->nexus_open && !connection->nexus_closing &&
		!connection->refreshing) {
		connection->nexus_closing = true;
		scsi_nexus_close(&connection->nexus, nexus_closed);
	}
	connection_work_ended(connection);
}

void connection_close_nexus(struct iscsi_connection *connection,
	void (*quiet)(struct iscsi_connection *connection))
{
	connection->quiet = quiet;
	begin_quiet(connection);
}

void connection_management_ended(struct iscsi_connection *connection)
{
	connection->managements--;
	connection_work_ended(connection);
}
