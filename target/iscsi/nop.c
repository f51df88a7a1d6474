/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NOP-Out and NOP-In (RFC 7143 11.18, 11.19), both ways: we echo the host's
 * pings, and ping a host that has been silent.
 *
 * The timer costs nothing per command: traffic only sets `heard`. Each time it
 * expires it looks and clears the flag, so a silent host is pinged after one to
 * two intervals, and dropped one timeout later.
 *
 * A host that talks but does not take what it asked for keeps buffers that others
 * need: after some looks at that it is dropped, too. (Data that it does not send:
 * overdue.h.)
 */
#include "target/iscsi/handlers.h"
#include "target/iscsi/out.h"

#include "blockcore/base/list.h"

#define SECOND_NS 1000000000ull
#define STUCK_LOOKS 4u
#define PING_TAG 0u /* one ping at a time */

enum framing_plan nop_header(
	struct iscsi_connection *connection, const uint8_t *header)
{
	/* An answer to our ping (11.18.1). */
	if (pdu_get_task_tag(header) == PDU_NO_TAG) {
		if (pdu_get_transfer_tag(header) != PDU_NO_TAG)
			connection->pinged = false;
		return FRAMING_DISCARD;
	}
	return FRAMING_TAKE;
}

void nop_body(struct iscsi_connection *connection, const uint8_t *header,
	const uint8_t *data, bool intact)
{
	uint32_t bytes = pdu_get_data_bytes(header);
	struct iscsi_control *control;

	if (!intact) {
		reject_send(connection, header, PDU_REJECT_DATA_DIGEST);
		return;
	}
	if (bytes > connection->params.max_send_bytes)
		bytes = connection->params.max_send_bytes;
	control = control_get(connection, PDU_NOP_IN, PDU_FINAL);
	if (!control)
		return;
	memcpy(control->out.header + 8, header + 8, 8); /* LUN */
	pdu_put_task_tag(control->out.header, pdu_get_task_tag(header));
	pdu_put_transfer_tag(control->out.header, PDU_NO_TAG);
	if (!control_send(control, OUT_STATUS, data, bytes))
		reject_send(connection, header, PDU_REJECT_RESOURCES);
}

static void ping(struct iscsi_connection *connection)
{
	struct iscsi_control *control =
		control_get(connection, PDU_NOP_IN, PDU_FINAL);

	if (!control)
		return;
	connection->pinged = true;
	pdu_put_task_tag(control->out.header, PDU_NO_TAG);
	pdu_put_transfer_tag(control->out.header, PING_TAG);
	control_send(control, OUT_NEXT_STATUS, NULL, 0);
}

/* True if data has been there for it for too long. */
static bool is_stuck(struct iscsi_connection *connection)
{
	bool due = stream_unsent_bytes(&connection->stream);

	if (!due || connection->moved_bytes != connection->stuck_bytes)
		connection->stuck = 0;
	else
		connection->stuck++;
	connection->stuck_bytes = connection->moved_bytes;
	return connection->stuck >= STUCK_LOOKS;
}

static void timer_expired(struct loop_timer *timer)
{
	struct iscsi_connection *connection =
		container_of(timer, struct iscsi_connection, timer);
	const struct iscsi_settings *settings =
		&connection->lane->server->settings;
	bool heard = connection->heard || connection_is_held(connection);

	connection->heard = false;
	if (is_stuck(connection)) {
		connection_drop(connection, "data not taken");
		return;
	}
	if (heard) {
		connection->pinged = false;
	} else if (connection->pinged) {
		connection_drop(connection, "ping timeout");
		return;
	} else {
		ping(connection);
	}
	loop_timer_set(connection->stream.lane->loop, timer,
		(connection->pinged ? settings->ping_timeout_s
				    : settings->ping_interval_s) *
			SECOND_NS);
}

void nop_start(struct iscsi_connection *connection)
{
	uint32_t interval_s =
		connection->lane->server->settings.ping_interval_s;

	loop_timer_clear(connection->stream.lane->loop, &connection->timer);
	connection->timer.expired = timer_expired;
	if (interval_s)
		loop_timer_set(connection->stream.lane->loop,
			&connection->timer, interval_s * SECOND_NS);
}
