/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data-In (RFC 7143 11.7): a task's data in PDUs of at most what the host takes
 * at a time, the status in the last one.
 *
 * Invariants
 *  1. DataSN counts from 0, offsets rise without a gap; F ends each sequence of
 *     MaxBurstLength bytes, no PDU crosses its end.
 *  2. At most DATA_IN_PIECES of one task are with the stream at a time, so
 *     that a host that takes 512 bytes at a time costs no more memory.
 */
#include "target/iscsi/answer.h"

#include "blockcore/base/list.h"

#define DATA_IN_PIECES 64u

struct data_piece {
	struct iscsi_out out;
	struct iscsi_task *task;
};
_Static_assert(sizeof(struct data_piece) <= DATA_PIECE_BYTES,
	"the slab of pieces is too small");

static void data_in_continue(struct iscsi_task *task);

static void piece_sent(struct stream_chunk *chunk, bool ok)
{
	struct data_piece *piece =
		container_of(chunk, struct data_piece, out.chunk);
	struct iscsi_task *task = piece->task;
	struct iscsi_connection *connection = task->connection;
	uint64_t bytes = out_chunk_bytes(chunk);

	slab_put(&connection->lane->pieces, piece);
	task->outs--;
	if (task->state == TASK_ANSWERING) {
		if (task->outs == 0)
			task_put(task);
	} else if (ok) {
		data_in_continue(task);
	}
	if (ok) {
		connection->heard = true;
		connection->moved_bytes += bytes;
		connection_relieve(connection);
	}
}

/* How much the next PDU carries. */
static uint32_t next_bytes(const struct iscsi_task *task)
{
	const struct iscsi_params *params = &task->connection->params;
	uint32_t bytes = task->in_end - task->in_next;
	uint32_t burst = params->max_burst_bytes;

	burst -= task->in_next % burst;
	if (bytes > params->max_send_bytes)
		bytes = params->max_send_bytes;
	return bytes < burst ? bytes : burst;
}

static void put_header(
	const struct iscsi_task *task, uint8_t *header, uint32_t bytes)
{
	uint32_t burst = task->connection->params.max_burst_bytes;
	uint32_t end = task->in_next + bytes;
	bool final = end == task->in_end || end % burst == 0;

	pdu_init(header, PDU_DATA_IN, final ? PDU_FINAL : 0);
	pdu_put_task_tag(header, task->scsi.tag);
	pdu_put_transfer_tag(header, PDU_NO_TAG);
	pdu_put_data_sn(header, task->in_sn);
	pdu_put_offset(header, task->in_next);
}

/* The last PDU, with the status. */
static void send_last(struct iscsi_task *task, uint32_t bytes)
{
	uint8_t *header = task->answer.header;

	task_leave(task);
	put_header(task, header, bytes);
	header[1] |= PDU_STATUS | answer_residual(task, header);
	task->answer.chunk.sent = answer_sent;
	task->outs++;
	out_send(task->connection, &task->answer, OUT_STATUS,
		task->scsi.data->data + task->in_next, bytes);
}

static bool send_piece(struct iscsi_task *task, uint32_t bytes)
{
	struct data_piece *piece = slab_get(&task->connection->lane->pieces);

	if (!piece)
		return false;
	piece->task = task;
	piece->out.chunk.sent = piece_sent;
	put_header(task, piece->out.header, bytes);
	task->outs++;
	out_send(task->connection, &piece->out, OUT_NO_STATUS,
		task->scsi.data->data + task->in_next, bytes);
	task->in_next += bytes;
	task->in_sn++;
	return true;
}

static void data_in_continue(struct iscsi_task *task)
{
	if (task->connection->state != CONNECTION_FULL)
		return; /* the teardown finds it */
	while (task->outs < DATA_IN_PIECES) {
		uint32_t bytes = next_bytes(task);

		if (task->in_next + bytes == task->in_end) {
			send_last(task, bytes);
			return;
		}
		if (!send_piece(task, bytes)) {
			if (task->outs == 0)
				connection_drop(
					task->connection, "out of memory");
			return;
		}
	}
}

void data_in_start(struct iscsi_task *task)
{
	uint32_t bytes = task->scsi.in_bytes;

	task->state = TASK_SENDING;
	task->in_end =
		bytes < task->expected_bytes ? bytes : task->expected_bytes;
	data_in_continue(task);
}

void data_in_stop(struct iscsi_task *task)
{
	task_leave(task);
	if (task->outs == 0)
		task_put(task);
}
