/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequences of Data-Out.
 *
 * Invariants
 *  1. PDUs come in order (DataPDUInOrder and DataSequenceInOrder are always
 *     Yes): `received` is the only place where data may be put next.
 *  2. What does not fit its sequence (DataSN, offset, length, tag, F, and the LUN
 *     where data was asked for: of unsolicited data it is reserved, 11.7.4) is never
 *     stored: Reject, and the command ends with 0Bh/47h/05h, when all that it was
 *     asked for has come and been thrown away (11.17.1).
 *  3. Data for a task that is gone (aborted, failed) is thrown away in silence:
 *     the host may have sent it before it knew.
 */
#include "target/iscsi/data_out.h"

#include "target/iscsi/answer.h"
#include "target/iscsi/handlers.h"
#include "target/iscsi/overdue.h"

#define ABORTED_COMMAND 0x0b /* SPC-4 4.5.6 */
#define PROTOCOL_SERVICE_CRC_ERROR 0x4705 /* RFC 7143 11.4.7.2 */

/* -- R2T ------------------------------------------------------------------- */

static void send_r2t(struct iscsi_task *task, uint32_t offset, uint32_t bytes)
{
	struct iscsi_connection *connection = task->connection;
	struct iscsi_control *r2t = control_get(connection, PDU_R2T, PDU_FINAL);
	uint8_t *header;

	if (!r2t)
		return;
	header = r2t->out.header;
	memcpy(header + 8, task->scsi.lun, 8);
	pdu_put_task_tag(header, task->scsi.tag);
	pdu_put_transfer_tag(header, task->first_transfer_tag + task->r2t_sn);
	pdu_put_data_sn(header, task->r2t_sn); /* R2TSN */
	pdu_put_offset(header, offset);
	pdu_put_desired_bytes(header, bytes);
	task->r2t_sn++;
	control_send(r2t, OUT_NEXT_STATUS, NULL, 0);
}

/* Start of the nth solicited sequence. */
static uint64_t burst_start(const struct iscsi_task *task, uint32_t n)
{
	return task->first_solicited +
		(uint64_t)n * task->connection->params.max_burst_bytes;
}

/* Keeps up to MaxOutstandingR2T sequences asked for. */
static void send_r2ts(struct iscsi_task *task)
{
	const struct iscsi_params *params = &task->connection->params;

	while (task->r2t_sn - task->r2ts_answered <
			params->max_outstanding_r2t &&
		burst_start(task, task->r2t_sn) < task->wanted &&
		task->connection->state == CONNECTION_FULL) {
		uint32_t start = (uint32_t)burst_start(task, task->r2t_sn);
		uint32_t bytes = task->wanted - start;

		if (bytes > params->max_burst_bytes)
			bytes = params->max_burst_bytes;
		send_r2t(task, start, bytes);
	}
}

/* Tags for all R2Ts that the task can need, so that each is told apart. */
static void take_transfer_tags(struct iscsi_task *task)
{
	struct iscsi_connection *connection = task->connection;
	uint32_t need = (task->wanted - task->received) /
			connection->params.max_burst_bytes +
		1;

	if (connection->next_transfer_tag > PDU_NO_TAG - need - 1)
		connection->next_transfer_tag = 0;
	task->first_transfer_tag = connection->next_transfer_tag;
	connection->next_transfer_tag += need;
}

static void expect_burst(struct iscsi_task *task)
{
	uint64_t end = burst_start(task, task->r2ts_answered + 1);

	task->data_sn = 0;
	task->burst_end = end < task->wanted ? (uint32_t)end : task->wanted;
}

/* -- the way of a task ----------------------------------------------------- */

static void begin_receiving(struct iscsi_task *task)
{
	if (task->state == TASK_RECEIVING)
		return;
	task->state = TASK_RECEIVING;
	task->connection->incoming++;
	overdue_begin(task);
}

/* No unsolicited data comes (any more). */
static void solicit(struct iscsi_task *task)
{
	if (task->received >= task->wanted) {
		task_execute(task);
		return;
	}
	begin_receiving(task);
	task->first_solicited = task->received;
	take_transfer_tags(task);
	expect_burst(task);
	send_r2ts(task);
}

void data_out_start(struct iscsi_task *task)
{
	uint32_t first = task->connection->params.first_burst_bytes;

	if (!task->unsolicited) {
		solicit(task);
		return;
	}
	begin_receiving(task);
	task->burst_end =
		task->expected_bytes < first ? task->expected_bytes : first;
}

static void sequence_ended(struct iscsi_task *task)
{
	if (task->unsolicited) {
		task->unsolicited = false;
		solicit(task);
		return;
	}
	task->r2ts_answered++;
	if (task->received >= task->wanted) {
		task_execute(task);
		return;
	}
	expect_burst(task);
	send_r2ts(task);
}

/* One more sequence of a failing task has ended; the answer when it was the last. */
static void failing_sequence_ended(struct iscsi_task *task)
{
	if (task->unsolicited)
		task->unsolicited = false;
	else
		task->r2ts_answered++;
	if (task->r2ts_answered == task->r2t_sn)
		answer_failure(
			task, ABORTED_COMMAND, PROTOCOL_SERVICE_CRC_ERROR);
}

/* A PDU of it cannot be taken. */
static void fail(
	struct iscsi_task *task, const uint8_t *header, enum pdu_reject reason)
{
	reject_send(task->connection, header, reason);
	task->failing = true;
	if (pdu_is_final(header))
		failing_sequence_ended(task);
}

void data_out_immediate_damaged(struct iscsi_task *task, const uint8_t *header)
{
	reject_send(task->connection, header, PDU_REJECT_DATA_DIGEST);
	if (task->unsolicited) { /* the rest of it is on its way */
		task->failing = true;
		begin_receiving(task);
	} else {
		answer_failure(
			task, ABORTED_COMMAND, PROTOCOL_SERVICE_CRC_ERROR);
	}
}

/* -- Data-Out -------------------------------------------------------------- */

/* 0, or the reason why this PDU is not the next of its sequence. */
static enum pdu_reject check_sequence(
	const struct iscsi_task *task, const uint8_t *header)
{
	uint32_t tag = pdu_get_transfer_tag(header);
	uint32_t left = task->burst_end - task->received;
	uint32_t bytes = pdu_get_data_bytes(header);

	if (pdu_get_ahs_words(header))
		return PDU_REJECT_FIELD;
	if (task->unsolicited
			? tag != PDU_NO_TAG
			: tag != task->first_transfer_tag + task->r2ts_answered)
		return PDU_REJECT_FIELD;
	if (!task->unsolicited &&
		pdu_get_lun(header) != get_be64(task->scsi.lun))
		return PDU_REJECT_FIELD;
	if (pdu_get_data_sn(header) != task->data_sn ||
		pdu_get_offset(header) != task->received || bytes > left)
		return PDU_REJECT_PROTOCOL;
	/* A solicited sequence is as long as its R2T says (11.8.4). */
	if (!task->unsolicited && pdu_is_final(header) != (bytes == left))
		return PDU_REJECT_PROTOCOL;
	if (task->unsolicited && bytes == left && !pdu_is_final(header))
		return PDU_REJECT_PROTOCOL;
	return 0;
}

enum framing_plan data_out_header(
	struct iscsi_connection *connection, const uint8_t *header)
{
	struct iscsi_task *task =
		task_find(connection, pdu_get_task_tag(header));
	enum pdu_reject reason;

	if (!task || task->scsi.aborted)
		return FRAMING_DISCARD;
	if (task->state != TASK_RECEIVING) {
		reject_send(connection, header, PDU_REJECT_PROTOCOL);
		return FRAMING_DISCARD;
	}
	if (task->failing) {
		overdue_note(task, pdu_get_data_bytes(header));
		if (pdu_is_final(header))
			failing_sequence_ended(task);
		return FRAMING_DISCARD;
	}
	reason = check_sequence(task, header);
	if (reason) {
		fail(task, header, reason);
		return FRAMING_DISCARD;
	}
	connection->receive.task = task;
	connection->receive.hold = task->scsi.data;
	connection->receive.place = task->scsi.data->data + task->received;
	return FRAMING_TAKE;
}

void data_out_body(struct iscsi_connection *connection, const uint8_t *header,
	const uint8_t *data, bool intact)
{
	struct iscsi_task *task = connection->receive.task;

	(void)data; /* is in its place */
	if (!task || task->scsi.aborted)
		return;
	if (!intact) {
		fail(task, header, PDU_REJECT_DATA_DIGEST);
		return;
	}
	connection->moved_bytes += pdu_get_data_bytes(header);
	overdue_note(task, pdu_get_data_bytes(header));
	task->received += pdu_get_data_bytes(header);
	task->data_sn++;
	if (pdu_is_final(header))
		sequence_ended(task);
}
