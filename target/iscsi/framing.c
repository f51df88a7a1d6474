/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many PDUs out of one receive buffer. A PDU that is there whole is handled
 * where it lies; of one that is not, the header is kept and the data goes
 * straight from the socket to its place.
 *
 * Invariants
 *  1. A header is believed only after its digest has been checked.
 *  2. A PDU is refused by Reject while the stream can still be framed; a wrong
 *     header digest, a length beyond what was agreed and anything but Login
 *     before full feature phase end the connection.
 *  3. CmdSN (RFC 7143 4.2.2.1): what lies outside the window is ignored; a gap
 *     in it cannot be filled, as this connection is the only one and in order.
 */
#include "target/iscsi/framing.h"

#include "target/iscsi/handlers.h"
#include "target/iscsi/out.h"

#include "blockcore/base/crc32c.h"
#include "blockcore/base/list.h"
#include "blockcore/base/trace.h"

#define STATE(s) (1u << (s))
#define FULL STATE(CONNECTION_FULL)
/* Data of this length goes through the stream's own hands even if it is here, so
 * that the stream learns to read it straight to its place. */
#define LARGE_BYTES 8192u
#define LOGIN_DATA_BYTES 8192u /* RFC 7143 13.12: before negotiation */

struct framing_row {
	unsigned states; /* in which it is legal */
	bool numbered; /* takes a CmdSN unless immediate */
	bool discovery; /* also in a discovery session */
	enum framing_plan (*header)(
		struct iscsi_connection *connection, const uint8_t *header);
	void (*body)(struct iscsi_connection *connection, const uint8_t *header,
		const uint8_t *data, bool intact);
};

/* ErrorRecoveryLevel 0 knows no SNACK (RFC 7143 11.16). */
static enum framing_plan snack_header(
	struct iscsi_connection *connection, const uint8_t *header)
{
	reject_send(connection, header, PDU_REJECT_SNACK);
	return FRAMING_DISCARD;
}

static const struct framing_row table[PDU_OPCODES] = {
	[PDU_NOP_OUT] = {FULL, true, true, nop_header, nop_body},
	[PDU_SCSI_COMMAND] = {FULL, true, false, command_header, command_body},
	[PDU_TASK_REQUEST] = {FULL, true, false, task_request_header, NULL},
	[PDU_LOGIN_REQUEST] = {STATE(CONNECTION_LOGIN), false, true,
		login_header, login_body},
	[PDU_TEXT_REQUEST] = {FULL, true, true, text_header, text_body},
	[PDU_DATA_OUT] = {FULL, false, false, data_out_header, data_out_body},
	[PDU_LOGOUT_REQUEST] = {FULL, true, true, logout_header, NULL},
	[PDU_SNACK] = {FULL, false, true, snack_header, NULL},
};

/* -- the header ------------------------------------------------------------ */

/* NULL if the PDU may go to its handler, else why the connection must end. */
static const char *check_frame(
	const struct iscsi_connection *connection, const uint8_t *data)
{
	uint32_t bytes = pdu_header_bytes(data);
	bool login = connection->state == CONNECTION_LOGIN;

	if (connection->header_digest &&
		!pdu_digest_fits(data + bytes, data, bytes))
		return "header digest error";
	if (pdu_get_data_bytes(data) >
		(login ? LOGIN_DATA_BYTES
		       : connection->params.max_receive_bytes))
		return "data segment too long";
	return NULL;
}

/* A ping's answer has no number of its own (11.18.2). */
static bool takes_number(const struct framing_row *row, const uint8_t *header)
{
	return row->numbered && !pdu_is_immediate(header) &&
		(pdu_opcode(header) != PDU_NOP_OUT ||
			pdu_get_task_tag(header) != PDU_NO_TAG);
}

/* Only commands have additions to their header (11.2.2.2), and a Data-Out's are
 * refused where its command is known. */
static bool may_have_additions(uint8_t opcode)
{
	return opcode == PDU_SCSI_COMMAND || opcode == PDU_DATA_OUT ||
		opcode == PDU_LOGIN_REQUEST; /* refused by the login machine */
}

static enum framing_plan call(struct iscsi_connection *connection,
	const struct framing_row *row, const uint8_t *header)
{
	if (pdu_get_ahs_words(header) &&
		!may_have_additions(pdu_opcode(header))) {
		reject_send(connection, header, PDU_REJECT_FIELD);
		return FRAMING_DISCARD;
	}
	return row->header(connection, header);
}

/* Calls the handler with its command number taken; given back if it stalls, or is
 * rejected then or later. */
static enum framing_plan call_numbered(struct iscsi_connection *connection,
	const struct framing_row *row, const uint8_t *header)
{
	uint32_t sn = pdu_get_cmd_sn(header), expected = connection->exp_cmd_sn;
	enum framing_plan plan;

	if (sn != expected) {
		if (!pdu_sn_before(sn, expected) &&
			!pdu_sn_before(connection_max_cmd_sn(connection), sn))
			connection_drop(connection, "gap in CmdSN");
		return FRAMING_DISCARD;
	}
	if (connection->running >= connection->window)
		return FRAMING_DISCARD; /* the window is closed */
	connection_take_cmd_sn(connection);
	plan = call(connection, row, header);
	if (plan == FRAMING_STALL)
		connection_give_cmd_sn_back(connection);
	return plan;
}

static enum framing_plan call_header(
	struct iscsi_connection *connection, const uint8_t *header)
{
	const struct framing_row *row = &table[pdu_opcode(header)];
	enum pdu_reject reason = PDU_REJECT_PROTOCOL;

	trace(pdu_in, connection, pdu_opcode(header));
	connection->number_taken = false;
	connection->receive.row = row;
	connection->receive.place = NULL;
	connection->receive.hold = NULL;
	connection->receive.task = NULL;
	if ((row->states & STATE(connection->state)) &&
		(row->discovery || !connection->discovery)) {
		if (takes_number(row, header))
			return call_numbered(connection, row, header);
		return call(connection, row, header);
	}
	if (!row->header)
		reason = PDU_REJECT_UNSUPPORTED;
	reject_send(connection, header, reason);
	return FRAMING_DISCARD;
}

/* -- the data segment ------------------------------------------------------ */

static bool data_intact(const struct iscsi_connection *connection,
	const uint8_t *data, uint32_t bytes, const uint8_t *tail)
{
	uint32_t pad = pdu_pad_bytes(bytes), crc;

	if (!connection->data_digest || !bytes)
		return true;
	crc = crc32c(0, data, bytes);
	if (pad)
		crc = crc32c(crc, tail, pad);
	return get_le32(tail + pad) == crc;
}

/* The whole PDU is in the buffer: `data` is its data segment. */
static void take_whole(struct iscsi_connection *connection,
	const uint8_t *header, const uint8_t *data, uint32_t bytes)
{
	struct connection_receive *receive = &connection->receive;
	bool intact = data_intact(connection, data, bytes, data + bytes);

	if (receive->place && bytes) {
		memcpy(receive->place, data, bytes);
		data = receive->place;
	}
	receive->row->body(connection, header, data, intact);
}

static void discard(struct iscsi_connection *connection, uint32_t bytes)
{
	connection->receive.step = RECEIVE_DISCARD;
	connection->receive.discard_bytes = bytes;
}

/* Whose data is taken has no longer header, but for a login that is refused for
 * that. */
static void keep_header(
	struct connection_receive *receive, const uint8_t *header)
{
	uint32_t bytes = pdu_header_bytes(header);

	if (bytes > sizeof receive->header)
		bytes = sizeof receive->header;
	memcpy(receive->header, header, bytes);
}

/* The data segment is still on its way: straight to its place from here. */
static void begin_data(struct iscsi_connection *connection,
	const uint8_t *header, uint32_t bytes, uint32_t tail_bytes)
{
	struct connection_receive *receive = &connection->receive;

	if (receive->hold) {
		buf_ref(receive->hold);
	} else {
		receive->hold = buf_get(connection->lane->lane->pool, bytes);
		if (!receive->hold) {
			reject_send(connection, header, PDU_REJECT_RESOURCES);
			discard(connection, bytes + tail_bytes);
			return;
		}
		receive->place = receive->hold->data;
		receive->own_bytes = receive->hold->capacity;
	}
	keep_header(receive, header);
	receive->data_bytes = bytes;
	receive->tail_bytes = tail_bytes;
	receive->step = RECEIVE_DATA;
	stream_receive_into(&connection->stream, receive->place, bytes);
}

/* `tail`: pad and digest. */
static void end_data(struct iscsi_connection *connection, const uint8_t *tail)
{
	struct connection_receive *receive = &connection->receive;
	struct buf *hold = receive->hold;
	bool intact = data_intact(
		connection, receive->place, receive->data_bytes, tail);

	receive->step = RECEIVE_HEADER;
	connection->other_moved_bytes += receive->own_bytes;
	receive->own_bytes = 0;
	receive->row->body(connection, receive->header, receive->place, intact);
	buf_put(hold);
}

/* -- steps: each returns the bytes it took, 0 if it needs more --------------- */

/* The bytes of a header that is here whole and right, with its digest; else 0, and the
 * connection ends if no more bytes can mend it. */
static uint32_t whole_header(
	struct iscsi_connection *connection, const uint8_t *data, size_t bytes)
{
	uint32_t header_bytes;
	const char *fault;

	if (bytes < PDU_BHS_BYTES)
		return 0;
	/* Whatever speaks there may never send the additions it seems to name. */
	if (connection->state == CONNECTION_LOGIN &&
		pdu_opcode(data) != PDU_LOGIN_REQUEST) {
		connection_drop(connection, "not a login");
		return 0;
	}
	header_bytes = pdu_header_bytes(data) +
		(connection->header_digest ? PDU_DIGEST_BYTES : 0);
	if (bytes < header_bytes)
		return 0;
	fault = check_frame(connection, data);
	if (fault)
		connection_drop(connection, fault);
	return fault ? 0 : header_bytes;
}

static size_t step_header(
	struct iscsi_connection *connection, const uint8_t *data, size_t bytes)
{
	uint32_t header_bytes = whole_header(connection, data, bytes);
	uint32_t data_bytes, tail_bytes;
	enum framing_plan plan;

	if (!header_bytes)
		return 0;
	data_bytes = pdu_get_data_bytes(data);
	tail_bytes = pdu_pad_bytes(data_bytes);
	if (data_bytes && connection->data_digest)
		tail_bytes += PDU_DIGEST_BYTES;
	plan = call_header(connection, data);
	if (plan == FRAMING_STALL)
		return 0;
	if (plan == FRAMING_DISCARD) {
		if (data_bytes)
			discard(connection, data_bytes + tail_bytes);
		return header_bytes;
	}
	if (bytes - header_bytes >= data_bytes + tail_bytes &&
		data_bytes < LARGE_BYTES) {
		take_whole(connection, data, data + header_bytes, data_bytes);
		return header_bytes + data_bytes + tail_bytes;
	}
	begin_data(connection, data, data_bytes, tail_bytes);
	return header_bytes;
}

static size_t step_discard(struct iscsi_connection *connection, size_t bytes)
{
	struct connection_receive *receive = &connection->receive;

	if (bytes > receive->discard_bytes)
		bytes = receive->discard_bytes;
	receive->discard_bytes -= (uint32_t)bytes;
	if (receive->discard_bytes == 0)
		receive->step = RECEIVE_HEADER;
	return bytes;
}

static size_t step(
	struct iscsi_connection *connection, const uint8_t *data, size_t bytes)
{
	struct connection_receive *receive = &connection->receive;

	switch (receive->step) {
	case RECEIVE_HEADER: return step_header(connection, data, bytes);
	case RECEIVE_DISCARD: return step_discard(connection, bytes);
	case RECEIVE_TAIL:
		if (bytes < receive->tail_bytes)
			return 0;
		end_data(connection, data);
		return receive->tail_bytes;
	case RECEIVE_DATA: /* the stream is filling the place */
	default: return 0;
	}
}

/* -- stream events --------------------------------------------------------- */

static size_t received(struct stream *stream, const uint8_t *data, size_t bytes)
{
	struct iscsi_connection *connection =
		container_of(stream, struct iscsi_connection, stream);
	size_t at = 0;

	connection->heard = true;
	while (at < bytes && !stream->paused) {
		size_t taken = step(connection, data + at, bytes - at);

		if (taken == 0)
			break;
		at += taken;
		connection_check_pressure(connection);
	}
	return at;
}

static void filled(struct stream *stream)
{
	struct iscsi_connection *connection =
		container_of(stream, struct iscsi_connection, stream);

	connection->heard = true;
	if (connection->receive.tail_bytes)
		connection->receive.step = RECEIVE_TAIL;
	else
		end_data(connection, NULL);
}

static void closed(struct stream *stream, int error)
{
	connection_drop(container_of(stream, struct iscsi_connection, stream),
		error ? "connection lost" : "closed by the host");
}

const struct stream_events framing_events = {
	.received = received, .filled = filled, .closed = closed};
