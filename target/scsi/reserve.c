/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PERSISTENT RESERVE OUT (SPC-4 6.16), RESERVE and RELEASE (6) and (10) (SPC-2
 * 7.21 to 7.28): from bytes to an order, which target/reservation carries out.
 */
#include "blockcore/base/bytes.h"
#include "target/scsi/port_groups.h"
#include "target/scsi/task.h"
#include "target/scsi/transport_id.h"

#include <string.h>

enum {
	OUT_LIST_BYTES = 24,
	OUT_OTHERS = 32, /* TransportIDs in one REGISTER */
	OUT_SPEC_I_PT = 8,
	OUT_ALL_TG_PT = 4,
	OUT_APTPL = 1,
	OUT_UNREG = 2, /* REGISTER AND MOVE */
};

/* In the task's scratch buffer; `other` only where ports are named. */
struct reserve_work {
	struct reservation_order order;
	struct scsi_task *task;
	struct volume_initiator other[OUT_OTHERS];
};

/* -- the answer ----------------------------------------------------------- */

static const struct {
	uint8_t key; /* 0: the status says it all */
	uint16_t code;
	uint8_t status; /* without a key */
} reserve_answers[] = {
	[RESERVATION_OK] = {0},
	[RESERVATION_CONFLICT] = {.status = SCSI_RESERVATION_CONFLICT},
	[RESERVATION_BUSY] = {.status = SCSI_BUSY},
	[RESERVATION_WITHDRAWN] = {.status = SCSI_ABORTED},
	[RESERVATION_INVALID_RELEASE] = {.key = SENSE_ILLEGAL_REQUEST,
		.code = ASC_INVALID_RELEASE},
	[RESERVATION_INVALID_CDB] = {.key = SENSE_ILLEGAL_REQUEST,
		.code = ASC_INVALID_FIELD_IN_CDB},
	[RESERVATION_INVALID_PARAMETER] = {.key = SENSE_ILLEGAL_REQUEST,
		.code = ASC_INVALID_FIELD_IN_LIST},
	[RESERVATION_NO_RESOURCES] = {.key = SENSE_ILLEGAL_REQUEST,
		.code = ASC_NO_REGISTRATION_RESOURCES},
	[RESERVATION_NOT_DURABLE] = {.key = SENSE_HARDWARE_ERROR,
		.code = ASC_INTERNAL_FAILURE},
};

static void reserve_done(struct reservation_order *order)
{
	struct reserve_work *work =
		container_of(order, struct reserve_work, order);
	struct scsi_task *task = work->task;

	task->order = NULL;
	task->status = reserve_answers[order->answer].status;
	if (reserve_answers[order->answer].key)
		scsi_sense_set(task, reserve_answers[order->answer].key,
			reserve_answers[order->answer].code);
	scsi_finish(task);
}

/* NULL: no memory, the task is BUSY. */
static struct reserve_work *reserve_prepare(
	struct scsi_task *task, enum reservation_action action, bool others)
{
	size_t bytes = others ? sizeof(struct reserve_work)
			      : offsetof(struct reserve_work, other);
	struct reserve_work *work;

	if (!scsi_scratch(task, (uint32_t)bytes))
		return NULL;
	work = (void *)task->scratch->data;
	memset(work, 0, bytes);
	work->task = task;
	work->order.volume = scsi_volume(task);
	work->order.lane = task->nexus->lane;
	work->order.action = action;
	work->order.initiator = task->nexus->initiator;
	work->order.done = reserve_done;
	return work;
}

static void reserve_submit(struct reserve_work *work)
{
	work->task->order = &work->order;
	reservation_submit(&work->order);
}

/* -- RESERVE and RELEASE -------------------------------------------------- */

static void reserve_legacy(
	struct scsi_task *task, enum reservation_action action)
{
	struct reserve_work *work;

	if (task->cdb[1] & 0x11) { /* third party; extents (obsolete) */
		scsi_sense_cdb(task, 1, task->cdb[1] & 0x10 ? 4 : 0);
		scsi_finish(task);
		return;
	}
	work = reserve_prepare(task, action, false);
	if (work)
		reserve_submit(work);
	else
		scsi_finish(task);
}

void scsi_reserve(struct scsi_task *task)
{
	reserve_legacy(task, RESERVATION_LEGACY_RESERVE);
}

void scsi_release(struct scsi_task *task)
{
	reserve_legacy(task, RESERVATION_LEGACY_RELEASE);
}

/* -- PERSISTENT RESERVE OUT ----------------------------------------------- */

static bool out_refuse_length(struct scsi_task *task)
{
	scsi_sense_set(task, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
	return false;
}

/* The ports listed at `at`, with their length before them. */
static bool out_parse_ports(
	struct scsi_task *task, struct reserve_work *work, uint32_t at)
{
	const uint8_t *list = task->data->data;
	struct reservation_order *order = &work->order;
	uint32_t end = task->data_bytes, length;

	if (end < at + 4 || get_be32(list + at) != end - at - 4)
		return out_refuse_length(task);
	for (at += 4; at < end; at += length) {
		struct volume_initiator *other = &work->other[order->others];

		if (order->others == OUT_OTHERS) {
			scsi_sense_set(task, SENSE_ILLEGAL_REQUEST,
				ASC_NO_REGISTRATION_RESOURCES);
			return false;
		}
		*other = order->initiator;
		length = transport_id_get(
			list + at, end - at, other->port, sizeof other->port);
		if (!length) {
			scsi_sense_list(task, at, 7);
			return false;
		}
		order->others++;
	}
	order->other = work->other;
	return true;
}

static bool out_parse_flags(struct scsi_task *task, struct reserve_work *work)
{
	uint8_t flags = task->data->data[20];
	struct reservation_order *order = &work->order;
	bool registers = order->action == RESERVATION_REGISTER ||
		order->action == RESERVATION_REGISTER_AND_IGNORE;

	order->spec_initiator_ports = flags & OUT_SPEC_I_PT;
	if (order->spec_initiator_ports &&
		order->action != RESERVATION_REGISTER) {
		scsi_sense_list(task, 20, 3);
		return false;
	}
	if (registers) {
		order->all_target_ports = flags & OUT_ALL_TG_PT;
		order->aptpl = flags & OUT_APTPL;
	}
	if (order->aptpl && !scsi_volume(task)->store) {
		scsi_sense_list(task, 20, 0);
		return false;
	}
	if (order->spec_initiator_ports)
		return out_parse_ports(task, work, OUT_LIST_BYTES);
	return task->data_bytes == OUT_LIST_BYTES || out_refuse_length(task);
}

/* The target's port with that relative identifier: our own name with its group, for
 * identifiers and groups are the same numbers. */
static bool out_move_to_port(const struct scsi_task *task,
	struct volume_initiator *other, uint16_t port)
{
	char *group = strstr(other->target_port, ",t,0x");

	if (!group || !scsi_has_port_group(task->nexus, port))
		return false;
	other->relative_target_port = port;
	other->target_portal_group = port;
	snprintf(group,
		sizeof other->target_port -
			(size_t)(group - other->target_port),
		",t,0x%04x", port);
	return true;
}

/* SPC-4 table 209. */
static bool out_parse_move(struct scsi_task *task, struct reserve_work *work)
{
	const uint8_t *list = task->data->data;
	struct reservation_order *order = &work->order;

	order->aptpl = list[17] & OUT_APTPL;
	order->unregister_moved = list[17] & OUT_UNREG;
	if (order->aptpl && !scsi_volume(task)->store) {
		scsi_sense_list(task, 17, 0);
		return false;
	}
	if (!out_parse_ports(task, work, 20))
		return false;
	if (order->others == 1 &&
		out_move_to_port(task, &work->other[0], get_be16(list + 18)))
		return true;
	scsi_sense_list(task, order->others == 1 ? 18 : 20, 7);
	return false;
}

/* Only the whole unit can be reserved; the type is judged with the rest. */
static bool out_check_cdb(struct scsi_task *task)
{
	unsigned action = task->cdb[1] & 0x1f;
	bool typed = action == RESERVATION_RESERVE ||
		action == RESERVATION_RELEASE ||
		action == RESERVATION_PREEMPT ||
		action == RESERVATION_PREEMPT_AND_ABORT;

	if (typed && task->cdb[2] >> 4) {
		scsi_sense_cdb(task, 2, 7);
		return false;
	}
	if (task->data_bytes < OUT_LIST_BYTES ||
		task->out_received < task->data_bytes)
		return out_refuse_length(task);
	return true;
}

void scsi_persistent_out(struct scsi_task *task)
{
	enum reservation_action action = task->cdb[1] & 0x1f;
	struct reserve_work *work;
	bool right;

	if (!out_check_cdb(task)) {
		scsi_finish(task);
		return;
	}
	work = reserve_prepare(task, action, task->data_bytes > OUT_LIST_BYTES);
	if (!work) {
		scsi_finish(task);
		return;
	}
	work->order.key = get_be64(task->data->data);
	work->order.service_key = get_be64(task->data->data + 8);
	work->order.type = task->cdb[2] & 0xf;
	right = action == RESERVATION_REGISTER_AND_MOVE
		? out_parse_move(task, work)
		: out_parse_flags(task, work);
	if (right)
		reserve_submit(work);
	else
		scsi_finish(task);
}
