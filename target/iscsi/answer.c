/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCSI Response and the choice between it and Data-In.
 */
#include "target/iscsi/answer.h"

#include "blockcore/base/bytes.h"
#include "blockcore/base/list.h"
#include "target/scsi/sense.h"

/* What the device server moved, or would have, the way that the host expects: of what
 * goes the other way nothing is. A command for both ways was refused. */
static uint32_t moved_bytes(const struct iscsi_task *task)
{
	const struct scsi_task *scsi = &task->scsi;
	bool in = scsi->direction == SCSI_DATA_IN;
	bool against = in ? task->write : task->read;

	if (task->read && task->write)
		return 0;
	if (scsi->direction == SCSI_NO_DATA ||
		(against && task->expected_bytes))
		return 0;
	return in ? scsi->in_bytes : scsi->data_bytes;
}

uint8_t answer_residual(const struct iscsi_task *task, uint8_t *header)
{
	uint32_t expected =
		task->read || task->write ? task->expected_bytes : 0;
	uint32_t moved = moved_bytes(task);

	if (moved == expected)
		return 0;
	if (moved > expected) {
		pdu_put_residual(header, moved - expected);
		return PDU_OVERFLOW;
	}
	pdu_put_residual(header, expected - moved);
	return PDU_UNDERFLOW;
}

void answer_sent(struct stream_chunk *chunk, bool ok)
{
	struct iscsi_task *task =
		container_of(chunk, struct iscsi_task, answer.chunk);
	struct iscsi_connection *connection = task->connection;
	uint64_t bytes = out_chunk_bytes(chunk);

	if (--task->outs == 0)
		task_put(task);
	if (ok) {
		connection->heard = true;
		connection->moved_bytes += bytes;
		connection_relieve(connection);
	}
}

void answer_send(struct iscsi_task *task)
{
	uint8_t *header = task->answer.header;
	struct scsi_task *scsi = &task->scsi;
	uint32_t sense_bytes = 0;

	task_leave(task);
	pdu_init(header, PDU_SCSI_RESPONSE, PDU_FINAL);
	header[1] |= answer_residual(task, header);
	if (task->read_bytes) { /* nothing came back */
		header[1] |= PDU_READ_UNDERFLOW;
		pdu_put_read_residual(header, task->read_bytes);
	}
	pdu_put_status(header, scsi->status);
	pdu_put_task_tag(header, scsi->tag);
	pdu_put_exp_data_sn(header, task->in_sn + task->r2t_sn);
	if (scsi->sense_bytes) {
		put_be16(task->sense, scsi->sense_bytes);
		memcpy(task->sense + 2, scsi->sense, scsi->sense_bytes);
		sense_bytes = 2u + scsi->sense_bytes;
	}
	task->answer.chunk.sent = answer_sent;
	task->outs++;
	out_send(task->connection, &task->answer, OUT_STATUS, task->sense,
		sense_bytes);
}

static bool nobody_listens(const struct iscsi_task *task)
{
	return task->scsi.status == SCSI_ABORTED || task->silenced ||
		task->connection->state != CONNECTION_FULL;
}

/* Attentions are news and no errors. */
static void note_error(const struct iscsi_task *task)
{
	struct iscsi_connection *connection = task->connection;
	struct connection_figures *figures = &connection->figures;
	const struct scsi_task *scsi = &task->scsi;
	uint32_t sense = scsi->status == SCSI_CHECK_CONDITION
		? scsi_sense_value(scsi)
		: 0;

	if (sense >> 16 == SENSE_UNIT_ATTENTION)
		return;
	figures->errors++;
	figures->error_ns = loop_turn_ns(connection->lane->lane->loop);
	figures->error_sense = sense;
	figures->error_status = scsi->status;
	figures->error_opcode = scsi->cdb[0];
	figures->error_lun = get_be16(scsi->lun) & 0x3fff;
}

static void note_end(const struct iscsi_task *task)
{
	struct connection_figures *figures = &task->connection->figures;

	figures->commands++;
	figures->in_bytes += task->received;
	if (task->scsi.status == SCSI_GOOD)
		figures->out_bytes += task->scsi.in_bytes;
	else
		note_error(task);
}

void answer_task(struct iscsi_task *task)
{
	struct scsi_task *scsi = &task->scsi;

	note_end(task);
	if (nobody_listens(task)) {
		struct iscsi_connection *connection = task->connection;

		task_leave(task);
		task_put(task);
		connection_relieve(connection); /* nothing is sent that would */
	} else if (scsi->status == SCSI_GOOD && scsi->in_bytes && task->read &&
		task->expected_bytes) {
		data_in_start(task);
	} else {
		answer_send(task);
	}
}

void answer_failure(struct iscsi_task *task, uint8_t key, uint16_t asc_ascq)
{
	if (task->scsi.aborted)
		return; /* its end is on the way */
	scsi_task_fail(&task->scsi, key, asc_ascq);
	answer_task(task);
}
