/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text in full feature phase (RFC 7143 11.10, 11.11) on a connection: carries
 * out what the text machine decides.
 */
#include "target/iscsi/handlers.h"
#include "target/iscsi/out.h"

#include <stdlib.h>

enum framing_plan text_header(
	struct iscsi_connection *connection, const uint8_t *header)
{
	if (pdu_get_data_bytes(header) > ISCSI_TEXT_BYTES) {
		reject_send(connection, header, PDU_REJECT_PROTOCOL);
		return FRAMING_DISCARD;
	}
	if (!connection->text)
		connection->text =
			iscsi_text_new(&connection->world, connection->result);
	if (!connection->text) {
		reject_send(connection, header, PDU_REJECT_RESOURCES);
		return FRAMING_DISCARD;
	}
	return FRAMING_TAKE;
}

static void answer(struct iscsi_connection *connection, const uint8_t *header,
	const struct iscsi_text_answer *text)
{
	uint8_t flags = (uint8_t)((text->final ? PDU_FINAL : 0) |
		(text->continued ? PDU_CONTINUE : 0));
	struct iscsi_control *control =
		control_get(connection, PDU_TEXT_RESPONSE, flags);

	if (!control)
		return;
	memcpy(control->out.header + 8, header + 8, 8); /* LUN */
	pdu_put_task_tag(control->out.header, pdu_get_task_tag(header));
	pdu_put_transfer_tag(control->out.header, text->transfer_tag);
	if (!control_send(control, OUT_STATUS, text->text, text->text_bytes))
		reject_send(connection, header, PDU_REJECT_RESOURCES);
}

void text_body(struct iscsi_connection *connection, const uint8_t *header,
	const uint8_t *data, bool intact)
{
	struct iscsi_text_answer *text;

	if (!intact) {
		reject_send(connection, header, PDU_REJECT_DATA_DIGEST);
		return;
	}
	text = calloc(1, sizeof *text);
	if (!text) {
		reject_send(connection, header, PDU_REJECT_RESOURCES);
		return;
	}
	iscsi_text_step(connection->text, header, data,
		pdu_get_data_bytes(header), connection->params.max_send_bytes,
		&connection->params, text);
	if (text->reject)
		reject_send(connection, header, text->reject);
	else
		answer(connection, header, text);
	free(text);
}
