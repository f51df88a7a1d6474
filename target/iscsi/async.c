/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asynchronous Message (RFC 7143 11.9): what we tell a host unasked.
 */
#include "target/iscsi/handlers.h"
#include "target/iscsi/out.h"

static void send_event(struct iscsi_connection *connection,
	enum pdu_async event, uint16_t wait_s, uint16_t time_s)
{
	struct iscsi_control *control;

	if (connection->state != CONNECTION_FULL)
		return;
	control = control_get(connection, PDU_ASYNC, PDU_FINAL);
	if (!control)
		return;
	pdu_put_task_tag(control->out.header, PDU_NO_TAG);
	pdu_put_event(control->out.header, (uint8_t)event);
	pdu_put_parameter2(control->out.header, wait_s);
	pdu_put_parameter3(control->out.header, time_s);
	control_send(control, OUT_STATUS, NULL, 0);
}

/* `time_s` is Parameter3: how long the host may take to log out (event 1). */
void async_send(struct iscsi_connection *connection, enum pdu_async event,
	uint16_t time_s)
{
	send_event(connection, event, 0, time_s);
}

/* Time2Wait and Time2Retain: of the session nothing is kept. */
void async_send_drop(struct iscsi_connection *connection, uint16_t wait_s)
{
	send_event(connection, PDU_ASYNC_DROP_SESSION, wait_s, 0);
}
