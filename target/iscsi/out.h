/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PDUs on their way out: one stream chunk each, header, data, pad and digests
 * gathered by the stream.
 *
 * Invariants
 *  1. An iscsi_out, its owner and its data live until `chunk.sent`.
 *  2. Sequence numbers are put in when a PDU is queued, so they rise on the wire.
 */
#ifndef TARGET_ISCSI_OUT_H
#define TARGET_ISCSI_OUT_H

#include "target/iscsi/connection.h"

struct iscsi_out {
	struct stream_chunk chunk;
	struct iscsi_connection *connection;
	uint8_t header[PDU_BHS_BYTES + PDU_DIGEST_BYTES];
	uint8_t tail[4 + PDU_DIGEST_BYTES];
};

enum out_number {
	OUT_NO_STATUS, /* Data-In without status: StatSN is reserved */
	OUT_NEXT_STATUS, /* tells the next StatSN, takes none (R2T, ping) */
	OUT_STATUS, /* takes a StatSN */
};

static inline uint64_t out_chunk_bytes(const struct stream_chunk *chunk)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < chunk->slices; i++)
		bytes += chunk->slice[i].iov_len;
	return bytes;
}

/* Numbers the header, adds digests, queues. `out->chunk.sent` is set; `data`
 * may be NULL if `bytes` is 0. */
void out_send(struct iscsi_connection *connection, struct iscsi_out *out,
	enum out_number number, const void *data, uint32_t bytes);

/* An answer that belongs to no task: NOP-In, Reject, Text ... */
struct iscsi_control {
	struct iscsi_out out;
	struct buf *body; /* NULL: `heap`, else `small` */
	uint8_t *heap;
	size_t body_bytes; /* of `body` or `heap`; counted in control_bytes */
	uint8_t small[PDU_BHS_BYTES];
};

/* With an empty header of that opcode; NULL: no memory, and the connection has
 * been dropped. */
struct iscsi_control *control_get(struct iscsi_connection *connection,
	enum pdu_opcode opcode, uint8_t flags);
/* Copies `bytes` of data (which may be NULL: the body has been filled) and
 * sends; false, with nothing sent: no memory for the body. */
bool control_send(struct iscsi_control *control, enum out_number number,
	const void *data, uint32_t bytes);

/* reject.c: RFC 7143 11.17. `header`: BHS and AHS. */
void reject_send(struct iscsi_connection *connection, const uint8_t *header,
	enum pdu_reject reason);

#endif
