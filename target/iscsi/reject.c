/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reject (RFC 7143 11.17): the answer to a PDU that we can still frame but will
 * not take. Its data segment is the header that was refused.
 */
#include "target/iscsi/out.h"

void reject_send(struct iscsi_connection *connection, const uint8_t *header,
	enum pdu_reject reason)
{
	struct iscsi_control *reject;

	if (connection->state == CONNECTION_CLOSING)
		return;
	connection_log(connection, LOG_WARNING, "reject",
		pdu_name(pdu_opcode(header)));
	reject = control_get(connection, PDU_REJECT, PDU_FINAL);
	if (!reject)
		return;
	pdu_put_response(reject->out.header, (uint8_t)reason);
	pdu_put_task_tag(reject->out.header, PDU_NO_TAG);
	control_send(reject, OUT_STATUS, header, PDU_BHS_BYTES);
}
