/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text in full feature phase (RFC 7143 11.10, 11.11) on a connection: carries
 * out what the text machine decides.
 */
#include "target/iscsi/handlers.h"
#include "target/iscsi/out.h"

#include "blockcore/base/list.h"

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

/* An answer in the making. A list of targets may take several turns of the loop;
 * until then nothing more is read from the host. */
struct connection_text_work {
	struct loop_message turn;
	struct iscsi_connection *connection;
	uint8_t header[PDU_BHS_BYTES];
	struct iscsi_text_answer answer;
};

static void send_answer(struct iscsi_connection *connection,
	const uint8_t *header, const struct iscsi_text_answer *text)
{
	uint8_t flags = (uint8_t)((text->final ? PDU_FINAL : 0) |
		(text->continued ? PDU_CONTINUE : 0));
	struct iscsi_control *control;

	if (text->reject) {
		reject_send(connection, header, text->reject);
		return;
	}
	control = control_get(connection, PDU_TEXT_RESPONSE, flags);
	if (!control)
		return;
	memcpy(control->out.header + 8, header + 8, 8); /* LUN */
	pdu_put_task_tag(control->out.header, pdu_get_task_tag(header));
	pdu_put_transfer_tag(control->out.header, text->transfer_tag);
	if (!control_send(control, OUT_STATUS, text->text, text->text_bytes))
		reject_send(connection, header, PDU_REJECT_RESOURCES);
}

/* Sends the answer if it is finished, else goes on in the next turn. */
static void conclude(struct connection_text_work *work)
{
	struct iscsi_connection *connection = work->connection;

	if (work->answer.unfinished) {
		connection->text_work = work;
		stream_pause(&connection->stream);
		loop_post(connection->lane->lane->loop, &work->turn);
		return;
	}
	send_answer(connection, work->header, &work->answer);
	free(work);
}

static void turn(struct loop_message *message)
{
	struct connection_text_work *work =
		container_of(message, struct connection_text_work, turn);
	struct iscsi_connection *connection = work->connection;

	connection->text_work = NULL;
	if (connection->state != CONNECTION_FULL) { /* the text is gone, too */
		free(work);
		connection_work_ended(connection);
		return;
	}
	iscsi_text_resume(connection->text, connection->params.max_send_bytes,
		&connection->params, &work->answer);
	conclude(work);
	connection_relieve(connection);
}

void text_body(struct iscsi_connection *connection, const uint8_t *header,
	const uint8_t *data, bool intact)
{
	struct connection_text_work *work;

	if (!intact) {
		reject_send(connection, header, PDU_REJECT_DATA_DIGEST);
		return;
	}
	work = calloc(1, sizeof *work);
	if (!work) {
		reject_send(connection, header, PDU_REJECT_RESOURCES);
		return;
	}
	work->turn.run = turn;
	work->connection = connection;
	memcpy(work->header, header, PDU_BHS_BYTES);
	iscsi_text_step(connection->text, header, data,
		pdu_get_data_bytes(header), connection->params.max_send_bytes,
		&connection->params, &work->answer);
	conclude(work);
}
