/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FORMAT UNIT (SBC-4 5.4): every block becomes zeroes, and is given back where the
 * volume is thin. There are no defects, no protection information and no other
 * block length here, so that is all of it; a list that asks for more is refused.
 *
 * Without IMMED it is done in pieces, as a part of the command, which can be
 * aborted. With IMMED the command ends when its list is checked, and a coroutine of
 * the volume does the rest. Until it is over hosts are told FORMAT IN PROGRESS.
 */
#include "target/volume/format.h"
#include "blockcore/base/bytes.h"
#include "target/scsi/task.h"

#include <errno.h>

enum { /* CDB byte 1 */
	FORMAT_PROTECTION = 0xc0,
	FORMAT_LONG_LIST = 0x20,
	FORMAT_DATA = 0x10,
};
enum { /* byte 1 of the list */
	LIST_VALID = 0x80, /* FOV: the options are */
	LIST_PATTERN = 0x08, /* IP: a descriptor of it follows */
	LIST_OPTIONS = 0x78,
	LIST_OBSOLETE = 0x05,
	LIST_IMMED = 0x02,
};
enum { PATTERN_BYTES = 4 };

/* -- the list --------------------------------------------------------------- */

static bool list_too_short(struct scsi_task *task)
{
	scsi_sense_set(task, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
	return false;
}

static bool list_bad(struct scsi_task *task, unsigned byte, unsigned bit)
{
	scsi_sense_list(task, byte, bit);
	return false;
}

/* Only the default pattern: type 0, without bytes of its own; no SI. */
static bool list_check_pattern(struct scsi_task *task, unsigned at)
{
	const uint8_t *from = task->data->data + at;

	if (task->out_received < at + PATTERN_BYTES)
		return list_too_short(task);
	if (from[0])
		return list_bad(task, at, 7);
	if (from[1])
		return list_bad(task, at + 1, 7);
	if (get_be16(from + 2))
		return list_bad(task, at + 2, 7);
	return true;
}

static bool list_check(struct scsi_task *task)
{
	bool long_list = task->cdb[1] & FORMAT_LONG_LIST;
	unsigned header = long_list ? 8 : 4;
	const uint8_t *list;

	if (task->out_received < header || task->data_bytes < header)
		return list_too_short(task);
	list = task->data->data;
	if (list[0] & 7) /* PROTECTION FIELD USAGE */
		return list_bad(task, 0, 2);
	if (!(list[1] & LIST_VALID) && list[1] & LIST_OPTIONS)
		return list_bad(task, 1, 6);
	if (list[1] & LIST_OBSOLETE)
		return list_bad(task, 1, 2);
	if (long_list && list[3]) /* of protection information */
		return list_bad(task, 3, 7);
	if (long_list ? get_be32(list + 4) : get_be16(list + 2))
		return list_bad(task, long_list ? 4 : 2, 7);
	return !(list[1] & LIST_PATTERN) || list_check_pattern(task, header);
}

bool scsi_check_format_unit(struct scsi_task *task)
{
	if (task->cdb[1] & FORMAT_PROTECTION)
		scsi_sense_cdb(task, 1, 7);
	else if (task->cdb[4] & 3) /* FFMT: the blocks would be anything */
		scsi_sense_cdb(task, 4, 1);
	else
		return true;
	return false;
}

static bool format_check(struct scsi_task *task)
{
	return scsi_check_format_unit(task) &&
		(!(task->cdb[1] & FORMAT_DATA) || list_check(task));
}

/* -- as a part of the command ----------------------------------------------- */

static void format_next(struct scsi_task *task);

static void format_done(struct block_request *request)
{
	struct scsi_task *task = scsi_task_of(request);

	task->submitted = false;
	if (request->result) {
		scsi_sense_errno(task, request->result, true);
		scsi_finish(task);
		return;
	}
	task->position += request->length_bytes;
	format_next(task);
}

static void format_next(struct scsi_task *task)
{
	struct volume *volume = scsi_volume(task);
	struct block_info info = {0};
	enum block_opcode op;
	uint64_t bytes;

	volume_info(volume, task->nexus->lane, &info);
	if (task->position >= info.size_bytes) { /* or it is offline */
		scsi_flush(task);
		return;
	}
	volume_format_progress(volume, task->position, info.size_bytes);
	op = volume_format_op(volume, &info);
	bytes = info.size_bytes - task->position;
	if (bytes > volume_format_piece_bytes(op))
		bytes = volume_format_piece_bytes(op);
	scsi_submit(task, op, 0, task->position, bytes, 0, format_done);
}

void scsi_format_end(struct scsi_task *task)
{
	task->formats = false;
	if (task->status == SCSI_BUSY && !task->position)
		volume_format_drop(scsi_volume(task));
	else
		volume_format_end(scsi_volume(task),
			task->status == SCSI_GOOD && !task->aborted);
}

/* -- behind its back --------------------------------------------------------- */

/* In the task's scratch buffer. */
struct format_order {
	struct volume_call call;
	struct scsi_task *task;
};

static void format_begun(struct loop_message *message)
{
	scsi_finish(
		container_of(message, struct format_order, call.message)->task);
}

/* The order goes with the answer; the volume has the format by then. */
static void format_run_co(struct volume_call *call)
{
	struct format_order *order =
		container_of(call, struct format_order, call);
	struct volume *volume = scsi_volume(order->task);

	call->message.run = format_begun;
	volume_answer(order->task->nexus->lane, &call->message);
	volume_format_run_co(volume);
}

static void format_hand_over(struct scsi_task *task)
{
	struct format_order *order = (void *)task->scratch->data;

	*order = (struct format_order){
		.call.entry_co = format_run_co, .task = task};
	volume_on_control(scsi_volume(task), &order->call);
}

static bool format_immed(const struct scsi_task *task)
{
	return task->cdb[1] & FORMAT_DATA && task->data->data[1] & LIST_IMMED;
}

void scsi_format_unit(struct scsi_task *task)
{
	task->lba = 0;
	task->position = 0;
	if (!format_check(task) ||
		(format_immed(task) &&
			!scsi_scratch(task, sizeof(struct format_order)))) {
		scsi_finish(task);
	} else if (!volume_format_claim(scsi_volume(task))) {
		scsi_sense_formatting(task);
		scsi_finish(task);
	} else if (format_immed(task)) {
		format_hand_over(task);
	} else {
		task->formats = true;
		format_next(task);
	}
}
