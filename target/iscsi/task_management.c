/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Task management (RFC 7143 11.5, 11.6): the transport finds the task, the
 * device server does the rest; responses come when every affected task has
 * ended and its last PDU is queued, so they never overtake one: what the function
 * concerns is silenced when it arrives, also tasks that the device server is done
 * with and whose data is on its way.
 */
#include "target/iscsi/answer.h"
#include "target/iscsi/handlers.h"

#include "blockcore/base/list.h"

#define MANAGEMENTS_MAX 16u /* of one connection at a time */

enum { TASK_REASSIGN = 8 }; /* 11.5.1; 9.. are of RFC 7144 */
enum {
	RESPONSE_NO_TASK = 1,
	RESPONSE_NO_REASSIGNMENT = 4,
	RESPONSE_UNSUPPORTED = 5,
}; /* 11.6.1 */

struct iscsi_management {
	struct scsi_management scsi;
	struct iscsi_connection *connection;
	uint32_t task_tag;
};
_Static_assert(sizeof(struct iscsi_management) <= MANAGEMENT_BYTES,
	"the slab of managements is too small");

static void send_response(
	struct iscsi_connection *connection, uint32_t tag, uint8_t response)
{
	struct iscsi_control *control;

	if (connection->state != CONNECTION_FULL)
		return;
	control = control_get(connection, PDU_TASK_RESPONSE, PDU_FINAL);
	if (!control)
		return;
	pdu_put_response(control->out.header, response);
	pdu_put_task_tag(control->out.header, tag);
	control_send(control, OUT_STATUS, NULL, 0);
}

const char task_cold_reset[] = "target cold reset";

void task_end_session(struct iscsi_connection *connection, const char *reason)
{
	if (reason != task_cold_reset || connection->state != CONNECTION_FULL) {
		connection_drop(connection, reason);
		return;
	}
	async_send_drop(connection, 0);
	connection_finish(connection, reason);
}

static void management_done(struct scsi_management *scsi)
{
	struct iscsi_management *management =
		container_of(scsi, struct iscsi_management, scsi);
	struct iscsi_connection *connection = management->connection;
	bool cold = scsi->function == SCSI_TARGET_COLD_RESET &&
		scsi->response == SCSI_FUNCTION_COMPLETE;

	send_response(connection, management->task_tag, scsi->response);
	slab_put(&connection->lane->managements, management);
	if (cold) { /* ends all sessions with the target (11.5.1) */
		session_close_others(connection->session, task_cold_reset);
		task_end_session(connection, task_cold_reset);
	}
	connection_management_ended(connection);
}

/* Does the function end tasks of that unit? */
static bool concerns(
	uint8_t function, const struct iscsi_task *task, const uint8_t *header)
{
	return function >= SCSI_TARGET_WARM_RESET ||
		scsi_lun_same(task->scsi.lun, header + 8);
}

static void silence(struct iscsi_task *task)
{
	task->silenced = true;
	if (task->state == TASK_SENDING)
		data_in_stop(task);
}

static void silence_set(struct iscsi_connection *connection, uint8_t function,
	const uint8_t *header)
{
	for (unsigned i = 0; i < CONNECTION_BUCKETS; i++) {
		struct iscsi_task *task = connection->bucket[i], *next;

		for (; task; task = next) {
			next = task->next;
			if (concerns(function, task, header))
				silence(task);
		}
	}
}

/* Hands the function to the device server. */
static void manage(struct iscsi_connection *connection, const uint8_t *header,
	struct iscsi_task *task)
{
	struct iscsi_management *management =
		slab_get(&connection->lane->managements);

	if (!management) {
		reject_send(connection, header, PDU_REJECT_RESOURCES);
		return;
	}
	memset(management, 0, sizeof *management);
	management->connection = connection;
	management->task_tag = pdu_get_task_tag(header);
	management->scsi.nexus = &connection->nexus;
	management->scsi.function = pdu_get_flags(header) & PDU_LOW_BITS;
	memcpy(management->scsi.lun, header + 8, 8);
	management->scsi.task = task ? &task->scsi : NULL;
	management->scsi.done = management_done;
	connection->managements++;
	if (task)
		silence(task);
	else if (management->scsi.function != SCSI_CLEAR_ACA)
		silence_set(connection, management->scsi.function, header);
	scsi_manage(&management->scsi);
}

/* ABORT TASK of a task that we do not know: if its CmdSN lies in the window and
 * before the function's, the command was lost on the way and counts as received from
 * now on (11.6.1). An immediate command that is over has the function's own (11.5.5),
 * which the next command will have, too. */
static uint8_t abort_unknown(
	struct iscsi_connection *connection, const uint8_t *header)
{
	uint32_t sn = pdu_get_referenced_cmd_sn(header);

	if (pdu_sn_before(sn, connection->exp_cmd_sn) ||
		pdu_sn_before(connection_max_cmd_sn(connection), sn) ||
		!pdu_sn_before(sn, pdu_get_cmd_sn(header)))
		return RESPONSE_NO_TASK;
	connection_skip_cmd_sn(connection, sn);
	return SCSI_FUNCTION_COMPLETE;
}

static void abort_task(
	struct iscsi_connection *connection, const uint8_t *header)
{
	uint32_t tag = pdu_get_task_tag(header);
	struct iscsi_task *task =
		task_find(connection, pdu_get_referenced_tag(header));

	if (task && !scsi_lun_same(task->scsi.lun, header + 8)) {
		send_response(connection, tag, RESPONSE_NO_TASK);
	} else if (!task) {
		send_response(
			connection, tag, abort_unknown(connection, header));
	} else if (task->state == TASK_SENDING) {
		data_in_stop(task);
		send_response(connection, tag, SCSI_FUNCTION_COMPLETE);
	} else {
		manage(connection, header, task);
	}
}

enum framing_plan task_request_header(
	struct iscsi_connection *connection, const uint8_t *header)
{
	uint8_t function = pdu_get_flags(header) & PDU_LOW_BITS;
	uint32_t tag = pdu_get_task_tag(header);

	if (connection->managements >= MANAGEMENTS_MAX)
		reject_send(connection, header,
			pdu_is_immediate(header) ? PDU_REJECT_IMMEDIATE
						 : PDU_REJECT_RESOURCES);
	else if (tag == PDU_NO_TAG || task_find(connection, tag))
		reject_send(connection, header,
			tag == PDU_NO_TAG ? PDU_REJECT_FIELD
					  : PDU_REJECT_IN_PROGRESS);
	else if (function == SCSI_ABORT_TASK)
		abort_task(connection, header);
	else if (function == TASK_REASSIGN)
		send_response(connection, tag, RESPONSE_NO_REASSIGNMENT);
	else if (function >= SCSI_ABORT_TASK_SET &&
		function <= SCSI_TARGET_COLD_RESET)
		manage(connection, header, NULL);
	else
		send_response(connection, tag, RESPONSE_UNSUPPORTED);
	return FRAMING_DISCARD;
}
