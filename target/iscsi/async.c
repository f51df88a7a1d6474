/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asynchronous Message (RFC 7143 11.9): what we tell a host unasked.
 */
#include "target/iscsi/handlers.h"
#include "target/iscsi/out.h"

/* `time_s` is Parameter3: how long the host may take to log out (event 1), or
 * Time2Retain (events 2 and 3). */
void async_send(struct iscsi_connection *connection, enum pdu_async event,
	uint16_t time_s)
{
	struct iscsi_control *control;

	if (connection->state != CONNECTION_FULL)
		return;
	control = control_get(connection, PDU_ASYNC, PDU_FINAL);
	if (!control)
		return;
	pdu_put_task_tag(control->out.header, PDU_NO_TAG);
	pdu_put_event(control->out.header, (uint8_t)event);
	pdu_put_parameter3(control->out.header, time_s);
	control_send(control, OUT_STATUS, NULL, 0);
}
