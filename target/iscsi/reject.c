/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reject (RFC 7143 11.17): the answer to a PDU that we can still frame but will
 * not take. Its data segment is the whole header that was refused, with its
 * additions (11.17.4), cut to what the host can receive.
 */
#include "target/iscsi/out.h"

static uint32_t header_bytes(
	const struct iscsi_connection *connection, const uint8_t *header)
{
	uint32_t bytes = pdu_header_bytes(header);
	uint32_t limit = connection->params.max_send_bytes;

	if (limit < PDU_BHS_BYTES)
		limit = PDU_BHS_BYTES; /* nothing is agreed on yet */
	return bytes < limit ? bytes : limit;
}

void reject_send(struct iscsi_connection *connection, const uint8_t *header,
	enum pdu_reject reason)
{
	struct iscsi_control *reject;

	if (connection->state == CONNECTION_CLOSING)
		return;
	connection_give_cmd_sn_back(connection);
	connection_log(connection, LOG_WARNING, "reject",
		pdu_name(pdu_opcode(header)));
	reject = control_get(connection, PDU_REJECT, PDU_FINAL);
	if (!reject)
		return;
	pdu_put_response(reject->out.header, (uint8_t)reason);
	pdu_put_task_tag(reject->out.header, PDU_NO_TAG);
	if (!control_send(reject, OUT_STATUS, header,
		    header_bytes(connection, header)))
		connection_drop(connection, "out of memory");
}
