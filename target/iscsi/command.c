/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCSI Command (RFC 7143 11.3): from a header to a running task.
 *
 * Invariants
 *  1. Commands reach the device server in the order of their CmdSN. While one
 *     waits for a buffer, those behind it wait, too.
 *  2. A command whose data follows it in the stream cannot wait there: the
 *     stream is stalled until there is a buffer, unless Data-Out of others is
 *     still to come through the same stream; then the command ends with TASK
 *     SET FULL. So waiting always ends.
 */
#include "target/iscsi/answer.h"
#include "target/iscsi/data_out.h"
#include "target/iscsi/handlers.h"
#include "target/iscsi/overdue.h"
#include "target/iscsi/shortage.h"

#include "blockcore/base/list.h"

#define ILLEGAL_REQUEST 0x05
#define INVALID_FIELD_IN_CDB 0x2400

/* -- from task to execution ------------------------------------------------ */

static void command_done(struct scsi_task *scsi)
{
	answer_task((struct iscsi_task *)scsi);
}
_Static_assert(offsetof(struct iscsi_task, scsi) == 0,
	"command_done needs the device server's task first");

/* Has its buffer; no data of it has come with the command. */
static void start(struct iscsi_task *task)
{
	if (task->wanted)
		data_out_start(task);
	else
		task_execute(task);
}

static void wait_for_buffer(struct iscsi_task *task)
{
	task->state = TASK_WAITING;
	STAILQ_INSERT_TAIL(&task->connection->waiting, task, wait_link);
}

void command_resume(struct buf_waiter *waiter)
{
	struct iscsi_connection *connection =
		container_of(waiter, struct iscsi_connection, waiter);
	struct iscsi_task *task;

	while ((task = STAILQ_FIRST(&connection->waiting))) {
		if (!task_take_buffer(task))
			return;
		STAILQ_REMOVE_HEAD(&connection->waiting, wait_link);
		task->state = TASK_NEW;
		start(task);
	}
	if (connection->stalled) {
		connection->stalled = false;
		connection_relieve(connection);
		return; /* which asks again */
	}
	/* Who waited may be gone: nothing is kept for it any more. */
	buf_wait_cancel(connection->lane->lane->pool, waiter);
	shortage_end(connection);
}

/* -- the header ------------------------------------------------------------ */

/* 0, or why the command is refused before the device server hears of it. */
static enum pdu_reject check_header(
	const struct iscsi_connection *connection, const uint8_t *header)
{
	const struct iscsi_params *params = &connection->params;
	uint32_t bytes = pdu_get_data_bytes(header);
	uint32_t tag = pdu_get_task_tag(header);
	bool write = pdu_get_flags(header) & PDU_WRITE;

	if (tag == PDU_NO_TAG)
		return PDU_REJECT_FIELD;
	if (task_find(connection, tag))
		return PDU_REJECT_IN_PROGRESS;
	if (pdu_is_immediate(header) &&
		connection->immediate >= CONNECTION_IMMEDIATE)
		return PDU_REJECT_IMMEDIATE;
	if (bytes &&
		(!write || !params->immediate_data ||
			bytes > params->first_burst_bytes ||
			bytes > pdu_get_expected_bytes(header)))
		return PDU_REJECT_PROTOCOL;
	if (!pdu_is_final(header) && (!write || params->initial_r2t))
		return PDU_REJECT_PROTOCOL;
	return 0;
}

static void fill(struct iscsi_task *task, const uint8_t *header,
	const struct pdu_command *command)
{
	static const uint8_t attribute[8] = {SCSI_UNTAGGED, SCSI_SIMPLE,
		SCSI_ORDERED, SCSI_HEAD, SCSI_ACA, SCSI_SIMPLE, SCSI_SIMPLE,
		SCSI_SIMPLE}; /* 11.3.1.2 */
	struct scsi_task *scsi = &task->scsi;
	uint8_t flags = pdu_get_flags(header);

	memcpy(scsi->lun, header + 8, sizeof scsi->lun);
	memcpy(scsi->cdb, command->cdb, sizeof scsi->cdb);
	scsi->cdb_bytes = command->cdb_bytes;
	scsi->attribute = attribute[flags & PDU_ATTRIBUTE_MASK];
	scsi->done = command_done;
	task->read = flags & PDU_READ;
	task->write = flags & PDU_WRITE;
	task->expected_bytes = pdu_get_expected_bytes(header);
	task->read_bytes = command->read_bytes;
	scsi->expected_bytes = task->write ? task->expected_bytes : 0;
}

/* What is to be received and how large a buffer must be: large enough for all
 * that the host may send unasked, too. */
static void plan_data(struct iscsi_task *task, const uint8_t *header)
{
	uint32_t first = task->connection->params.first_burst_bytes;
	uint32_t bytes = pdu_get_data_bytes(header);

	task->buffer_bytes = task->scsi.data_bytes;
	if (!task->write || task->scsi.direction != SCSI_DATA_OUT)
		return;
	task->wanted = task->expected_bytes < task->scsi.data_bytes
		? task->expected_bytes
		: task->scsi.data_bytes;
	if (first > task->expected_bytes)
		first = task->expected_bytes;
	task->unsolicited = !pdu_is_final(header) && bytes < first;
	if ((bytes || task->unsolicited) && first > task->buffer_bytes &&
		task->wanted)
		task->buffer_bytes = first;
}

/* A command whose data is already on its way finds no buffer. */
static enum framing_plan no_room(struct iscsi_task *task)
{
	struct iscsi_connection *connection = task->connection;

	if (connection->incoming || !STAILQ_EMPTY(&connection->waiting)) {
		scsi_task_refuse(&task->scsi, SCSI_TASK_SET_FULL);
		answer_task(task);
		return FRAMING_DISCARD;
	}
	scsi_task_drop(&task->scsi);
	task_leave(task);
	task_put(task);
	connection->stalled = true;
	stream_pause(&connection->stream);
	return FRAMING_STALL;
}

static enum framing_plan take_data(
	struct iscsi_task *task, const uint8_t *header)
{
	struct iscsi_connection *connection = task->connection;
	bool follows = task->wanted &&
		(pdu_get_data_bytes(header) || task->unsolicited);
	bool behind = !task->immediate && !STAILQ_EMPTY(&connection->waiting);

	if (behind || !task_take_buffer(task)) {
		if (follows)
			return no_room(task);
		wait_for_buffer(task);
		return FRAMING_DISCARD;
	}
	if (follows && pdu_get_data_bytes(header)) {
		connection->receive.task = task;
		connection->receive.hold = task->scsi.data;
		connection->receive.place = task->scsi.data->data;
		return FRAMING_TAKE;
	}
	start(task);
	return FRAMING_DISCARD;
}

enum framing_plan command_header(
	struct iscsi_connection *connection, const uint8_t *header)
{
	enum pdu_reject reason = check_header(connection, header);
	struct pdu_command command;
	struct iscsi_task *task;

	if (!reason && !pdu_get_command(header, &command))
		reason = PDU_REJECT_FIELD;
	if (reason) {
		reject_send(connection, header, reason);
		return FRAMING_DISCARD;
	}
	task = task_get(
		connection, pdu_get_task_tag(header), pdu_is_immediate(header));
	if (!task) {
		reject_send(connection, header, PDU_REJECT_RESOURCES);
		return FRAMING_DISCARD;
	}
	fill(task, header, &command);
	if (!scsi_task_begin(&task->scsi)) {
		answer_task(task);
		return FRAMING_DISCARD;
	}
	if (command.bidirectional) {
		answer_failure(task, ILLEGAL_REQUEST, INVALID_FIELD_IN_CDB);
		return FRAMING_DISCARD;
	}
	plan_data(task, header);
	return take_data(task, header);
}

/* Immediate data is in the task's buffer. */
void command_body(struct iscsi_connection *connection, const uint8_t *header,
	const uint8_t *data, bool intact)
{
	struct iscsi_task *task = connection->receive.task;

	(void)data;
	if (!task || task->scsi.aborted)
		return;
	if (!intact) {
		connection->number_taken = false; /* there is a task */
		data_out_immediate_damaged(task, header);
		return;
	}
	task->received = pdu_get_data_bytes(header);
	overdue_note(task, task->received);
	data_out_start(task);
}
