/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logout (RFC 7143 11.14, 11.15): what the host has under way is ended first,
 * so that the answer also says that its data has come to rest.
 */
#include "target/iscsi/handlers.h"
#include "target/iscsi/out.h"

#define GOODBYE_NS 5000000000ull

enum { LOGOUT_SESSION = 0, LOGOUT_CONNECTION = 1, LOGOUT_RECOVERY = 2 };
enum { LOGOUT_DONE = 0, LOGOUT_NO_CID = 1, LOGOUT_NO_RECOVERY = 2 };

static void send_response(struct iscsi_connection *connection,
	const uint8_t *header, uint8_t response)
{
	struct iscsi_control *control =
		control_get(connection, PDU_LOGOUT_RESPONSE, PDU_FINAL);

	if (!control)
		return;
	pdu_put_response(control->out.header, response);
	pdu_put_task_tag(control->out.header, pdu_get_task_tag(header));
	pdu_put_time2wait(
		control->out.header, (uint16_t)connection->params.time2wait_s);
	control_send(control, OUT_STATUS, NULL, 0);
}

/* Nothing of the session runs any more. */
static void quiet(struct iscsi_connection *connection)
{
	send_response(connection, connection->logout_header, LOGOUT_DONE);
	connection_finish(connection, "logout");
}

enum framing_plan logout_header(
	struct iscsi_connection *connection, const uint8_t *header)
{
	uint8_t reason = pdu_get_flags(header) & PDU_LOW_BITS;

	if (reason > LOGOUT_RECOVERY) {
		reject_send(connection, header, PDU_REJECT_FIELD);
	} else if (reason == LOGOUT_RECOVERY) {
		send_response(connection, header, LOGOUT_NO_RECOVERY);
	} else if (reason == LOGOUT_CONNECTION &&
		pdu_get_cid(header) != connection->result->cid) {
		send_response(connection, header, LOGOUT_NO_CID);
	} else {
		memcpy(connection->logout_header, header, PDU_BHS_BYTES);
		connection->state = CONNECTION_LOGOUT;
		stream_pause(&connection->stream);
		connection_close_nexus(connection, quiet);
	}
	return FRAMING_DISCARD;
}
