/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbering, digests and queueing of what we send; the fast path of every
 * answer goes through out_send.
 */
#include "target/iscsi/out.h"

#include "blockcore/base/list.h"
#include "blockcore/base/trace.h"

#include <stdlib.h>

static void put_numbers(struct iscsi_connection *connection, uint8_t *header,
	enum out_number number)
{
	if (number != OUT_NO_STATUS)
		pdu_put_stat_sn(header, connection->stat_sn);
	if (number == OUT_STATUS)
		connection->stat_sn++;
	pdu_put_exp_cmd_sn(header, connection->exp_cmd_sn);
	pdu_put_max_cmd_sn(header, connection_max_cmd_sn(connection));
}

/* Header and its digest: the first slice. */
static void put_header(
	const struct iscsi_connection *connection, struct iscsi_out *out)
{
	struct iovec *slice = &out->chunk.slice[0];

	slice->iov_base = out->header;
	slice->iov_len = PDU_BHS_BYTES;
	if (!connection->header_digest)
		return;
	pdu_put_digest(
		out->header + PDU_BHS_BYTES, out->header, PDU_BHS_BYTES, 0);
	slice->iov_len += PDU_DIGEST_BYTES;
}

/* Data, then pad and digest: two more slices, or one. */
static void put_data(const struct iscsi_connection *connection,
	struct iscsi_out *out, const void *data, uint32_t bytes)
{
	struct stream_chunk *chunk = &out->chunk;
	uint32_t pad = pdu_pad_bytes(bytes), tail = pad;

	chunk->slice[1].iov_base = (void *)data;
	chunk->slice[1].iov_len = bytes;
	chunk->slices = 2;
	memset(out->tail, 0, pad);
	if (connection->data_digest) {
		pdu_put_digest(out->tail + pad, data, bytes, pad);
		tail += PDU_DIGEST_BYTES;
	}
	if (tail) {
		chunk->slice[2].iov_base = out->tail;
		chunk->slice[2].iov_len = tail;
		chunk->slices = 3;
	}
}

void out_send(struct iscsi_connection *connection, struct iscsi_out *out,
	enum out_number number, const void *data, uint32_t bytes)
{
	trace(pdu_out, connection, bytes);
	out->connection = connection;
	pdu_put_data_bytes(out->header, bytes);
	put_numbers(connection, out->header, number);
	put_header(connection, out);
	out->chunk.slices = 1;
	if (bytes)
		put_data(connection, out, data, bytes);
	stream_send(&connection->stream, &out->chunk);
}

/* -- control PDUs ---------------------------------------------------------- */

/* So much is found outside of the pool if that is empty: who holds its buffers must
 * not keep others from logging in and from discovery. */
#define HEAP_BODY_BYTES ISCSI_LOGIN_ANSWER_BYTES

static void control_put(struct iscsi_control *control)
{
	struct iscsi_connection *connection = control->out.connection;

	connection->control_bytes -= control->body_bytes;
	if (control->body)
		buf_put(control->body);
	free(control->heap);
	connection->controls--;
	slab_put(&connection->lane->controls, control);
}

/* A place for an answer that is not small; false: there is none. */
static bool take_body(struct iscsi_control *control, uint32_t bytes)
{
	struct iscsi_connection *connection = control->out.connection;

	control->body = buf_get(connection->lane->lane->pool, bytes);
	if (control->body)
		control->body_bytes = control->body->capacity;
	else if (bytes <= HEAP_BODY_BYTES)
		control->heap = malloc(bytes);
	if (control->heap)
		control->body_bytes = bytes;
	connection->control_bytes += control->body_bytes;
	return control->body || control->heap;
}

static void control_sent(struct stream_chunk *chunk, bool ok)
{
	struct iscsi_control *control =
		container_of(chunk, struct iscsi_control, out.chunk);
	struct iscsi_connection *connection = control->out.connection;

	connection->other_moved_bytes += control->body_bytes;
	control_put(control);
	if (ok)
		connection_relieve(connection);
}

struct iscsi_control *control_get(struct iscsi_connection *connection,
	enum pdu_opcode opcode, uint8_t flags)
{
	struct iscsi_control *control = slab_get(&connection->lane->controls);

	if (!control) {
		connection_drop(connection, "out of memory");
		return NULL;
	}
	control->out.chunk.sent = control_sent;
	control->out.connection = connection;
	control->body = NULL;
	control->heap = NULL;
	control->body_bytes = 0;
	connection->controls++;
	pdu_init(control->out.header, opcode, flags);
	return control;
}

bool control_send(struct iscsi_control *control, enum out_number number,
	const void *data, uint32_t bytes)
{
	struct iscsi_connection *connection = control->out.connection;
	uint8_t *body = control->small;

	if (bytes > sizeof control->small && !take_body(control, bytes)) {
		control_put(control);
		return false;
	}
	if (control->body)
		body = control->body->data;
	else if (control->heap)
		body = control->heap;
	if (data && bytes)
		memcpy(body, data, bytes);
	out_send(connection, &control->out, number, body, bytes);
	return true;
}
