/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Login (RFC 7143 6.3) on a connection: carries out what the login machine
 * decides, registers the session, opens the nexus, enters full feature phase.
 *
 * Invariants
 *  1. The final Login Response is sent only when the session that this one takes
 *     the place of is gone, and the nexus is open.
 *  2. Digests are in force from the first PDU after it, in both directions.
 */
#include "target/iscsi/handlers.h"
#include "target/iscsi/lifecycle.h"
#include "target/iscsi/notice.h"
#include "target/iscsi/out.h"
#include "target/iscsi/sessions.h"

#include <stdio.h>
#include <stdlib.h>

#define STATUS(class, detail) ((class) << 8 | (detail)) /* 11.13.5 */
#define STATUS_TOO_MANY STATUS(2, 0x06)
#define STATUS_NO_SESSION STATUS(2, 0x0a)
#define STATUS_UNAVAILABLE STATUS(3, 0x01)
#define STATUS_RESOURCES STATUS(3, 0x02)
#define FLAG_TRANSIT 0x80 /* 11.13.2 */

/* -- answers --------------------------------------------------------------- */

static void send_response(struct iscsi_connection *connection,
	const uint8_t *request, uint16_t tsih)
{
	const struct iscsi_login_answer *answer = connection->login_answer;
	struct iscsi_control *control =
		control_get(connection, PDU_LOGIN_RESPONSE, answer->flags);
	uint8_t *header;

	if (!control)
		return;
	header = control->out.header;
	memcpy(header + 8, pdu_isid(request), 6);
	pdu_put_tsih(header, tsih);
	pdu_put_task_tag(header, pdu_get_task_tag(request));
	pdu_put_status_class(header, answer->status_class);
	pdu_put_status_detail(header, answer->status_detail);
	if (!control_send(
		    control, OUT_STATUS, answer->text, answer->text_bytes))
		connection_drop(connection, "out of buffers");
}

static void send_failure(
	struct iscsi_connection *connection, const uint8_t *request)
{
	struct iscsi_login_answer *answer = connection->login_answer;

	connection_log(
		connection, LOG_WARNING, "login refused", answer->reason);
	notice_refused(connection);
	answer->text_bytes = 0;
	answer->flags &= (uint8_t)~FLAG_TRANSIT;
	send_response(connection, request, pdu_get_tsih(request));
	connection_finish(connection, "login refused");
}

static void fail(struct iscsi_connection *connection, const uint8_t *request,
	unsigned status, enum iscsi_refusal refusal, const char *reason)
{
	struct iscsi_login_answer *answer = connection->login_answer;

	answer->refusal = refusal;
	answer->status_class = (uint8_t)(status >> 8);
	answer->status_detail = (uint8_t)status;
	snprintf(answer->reason, sizeof answer->reason, "%s", reason);
	send_failure(connection, request);
}

/* -- into full feature phase ----------------------------------------------- */

/* SCSI port names of both sides (RFC 7143 4.4.1 and SAM-5 Annex A). */
static void name_ports(struct iscsi_connection *connection)
{
	const struct iscsi_login_result *result = connection->result;
	struct volume_initiator *port = &connection->nexus.initiator;
	const uint8_t *isid = result->isid;

	port->target_portal_group = connection->world.portal->group;
	port->relative_target_port = port->target_portal_group;
	snprintf(port->port, sizeof port->port,
		"%s,i,0x%02x%02x%02x%02x%02x%02x", result->initiator, isid[0],
		isid[1], isid[2], isid[3], isid[4], isid[5]);
	snprintf(port->target_port, sizeof port->target_port, "%s,t,0x%04x",
		result->target->iqn, port->target_portal_group);
}

static bool open_nexus(struct iscsi_connection *connection)
{
	struct scsi_nexus *nexus = &connection->nexus;
	struct err err;

	if (connection->discovery)
		return true;
	connection->bucket =
		calloc(CONNECTION_BUCKETS, sizeof *connection->bucket);
	if (!connection->bucket)
		return false;
	nexus->lane = connection->lane->lane;
	nexus->target = connection->result->target;
	nexus->host = connection->result->host;
	nexus->table = access_get(connection->world.table);
	name_ports(connection);
	if (scsi_nexus_open(nexus, &err) < 0) {
		access_put(nexus->table);
		return false;
	}
	connection->nexus_open = true;
	return true;
}

static void end_login(struct iscsi_connection *connection)
{
	iscsi_login_free(connection->login);
	free(connection->login_answer);
	connection->login = NULL;
	connection->login_answer = NULL;
	connection_leave_logins(connection);
}

static void enter_full_feature(
	struct iscsi_connection *connection, const uint8_t *request)
{
	lifecycle_refresh(connection);
	if (connection->state == CONNECTION_CLOSING)
		return;
	if (!open_nexus(connection)) {
		fail(connection, request, STATUS_RESOURCES,
			ISCSI_REFUSED_RESOURCES, "out of memory");
		return;
	}
	send_response(connection, request, connection->session->tsih);
	if (connection->state == CONNECTION_CLOSING)
		return;
	connection->header_digest = connection->params.header_digest;
	connection->data_digest = connection->params.data_digest;
	connection->state = CONNECTION_FULL;
	connection->since_ms = sessions_wall_ms(connection->lane->lane,
		loop_now_ns(connection->lane->lane->loop));
	end_login(connection);
	nop_start(connection);
	notice_send(connection, NULL);
}

/* The session whose place this one takes is gone. */
static void session_ready(struct iscsi_connection *connection)
{
	if (connection->state != CONNECTION_WAITING)
		return;
	enter_full_feature(connection, connection->login_header);
	if (connection->state == CONNECTION_FULL)
		stream_resume(&connection->stream);
}

static bool take_result(struct iscsi_connection *connection)
{
	connection->result = malloc(sizeof *connection->result);
	if (!connection->result)
		return false;
	iscsi_login_result(connection->login, connection->result);
	connection->params = connection->result->params;
	connection->discovery = connection->result->discovery;
	if (connection->result->host)
		snprintf(connection->host, sizeof connection->host, "%s",
			connection->result->host->name);
	return true;
}

static void refuse_full_host(
	struct iscsi_connection *connection, const uint8_t *header)
{
	char reason[160], name[64];
	const char *initiator = connection->result->initiator;

	log_escape(name, sizeof name, initiator, (unsigned)strlen(initiator));
	snprintf(reason, sizeof reason,
		"host %.40s (%.48s) has all its %u sessions: raise "
		"iscsi.max_host_sessions",
		connection->host, name,
		connection->world.settings->max_host_sessions);
	fail(connection, header, STATUS_RESOURCES, ISCSI_REFUSED_RESOURCES,
		reason);
}

static void register_session(
	struct iscsi_connection *connection, const uint8_t *header)
{
	const struct session_request request = {
		.login = connection->result,
		.group = connection->world.portal->group,
		.max_host_sessions =
			connection->world.settings->max_host_sessions,
		.loop = connection->lane->lane->loop,
		.connection = connection,
		.close = task_end_session,
		.ready = session_ready,
	};

	switch (session_register(&connection->lane->server->registry, &request,
		&connection->session)) {
	case SESSION_READY: enter_full_feature(connection, header); return;
	case SESSION_WAIT:
		memcpy(connection->login_header, header, PDU_BHS_BYTES);
		connection->state = CONNECTION_WAITING;
		stream_pause(&connection->stream);
		return;
	case SESSION_UNKNOWN:
		fail(connection, header, STATUS_NO_SESSION,
			ISCSI_REFUSED_PROTOCOL, "no session with this TSIH");
		return;
	case SESSION_TOO_MANY:
		fail(connection, header, STATUS_TOO_MANY,
			ISCSI_REFUSED_PROTOCOL,
			"a second connection for one session");
		return;
	case SESSION_HOST_FULL: refuse_full_host(connection, header); return;
	case SESSION_FULL:
	default:
		fail(connection, header, STATUS_RESOURCES,
			ISCSI_REFUSED_RESOURCES, "out of memory");
	}
}

static bool is_barred(const struct iscsi_connection *connection)
{
	struct iscsi_lane *lane = connection->lane;

	return bars_hold(&lane->server->bars, connection->host,
		connection->world.peer, loop_now_ns(lane->lane->loop));
}

/* The host is proven and has agreed with us on everything. */
static void conclude(struct iscsi_connection *connection, const uint8_t *header)
{
	char reason[128];

	if (!take_result(connection)) {
		connection_drop(connection, "out of memory");
	} else if (is_barred(connection)) {
		snprintf(reason, sizeof reason,
			"host %s is kept out for a while by an administrator",
			connection->host);
		fail(connection, header, STATUS_UNAVAILABLE,
			ISCSI_REFUSED_BARRED, reason);
	} else {
		register_session(connection, header);
	}
}

/* -- Login Request --------------------------------------------------------- */

/* At the first request: the machine, and where the numbers start (11.12.8). */
static bool begin_login(
	struct iscsi_connection *connection, const uint8_t *header)
{
	connection->login = iscsi_login_new(&connection->world);
	connection->login_answer = malloc(sizeof *connection->login_answer);
	if (!connection->login || !connection->login_answer)
		return false;
	connection->exp_cmd_sn = pdu_get_cmd_sn(header);
	connection->stat_sn = pdu_get_exp_stat_sn(header);
	return true;
}

enum framing_plan login_header(
	struct iscsi_connection *connection, const uint8_t *header)
{
	if (!connection->login && !begin_login(connection, header)) {
		connection_drop(connection, "out of memory");
		return FRAMING_DISCARD;
	}
	return FRAMING_TAKE;
}

void login_body(struct iscsi_connection *connection, const uint8_t *header,
	const uint8_t *data, bool intact)
{
	struct iscsi_login_answer *answer = connection->login_answer;

	(void)intact; /* no digests during login */
	answer->text_bytes = 0;
	switch (iscsi_login_step(connection->login, header, data,
		pdu_get_data_bytes(header), answer)) {
	case ISCSI_LOGIN_CONTINUE:
		send_response(connection, header, pdu_get_tsih(header));
		return;
	case ISCSI_LOGIN_READY: conclude(connection, header); return;
	case ISCSI_LOGIN_FAILED: send_failure(connection, header); return;
	case ISCSI_LOGIN_DROP:
	default: connection_drop(connection, "login refused");
	}
}
