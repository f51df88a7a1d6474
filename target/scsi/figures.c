/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a task adds to the figures of its volume (target/volume/figures.h): it
 * counts from the moment when all its data is here (scsi_task_execute) to its
 * status, so time in an order, at a gate or in a throttle is in it, and time that
 * a host takes to send its data is not. Of a timed one that time is counted, too, as
 * that of the transport.
 */
#include "target/scsi/task.h"

/* WRITE SAME: SBC-3 5.42. */
#define UNMAP_BIT 0x08u

static enum volume_op operation_of(const struct scsi_task *task)
{
	const struct scsi_command *command = task->command;

	switch ((enum scsi_data)command->moves) {
	case SCSI_MOVES_READ: return VOLUME_OP_READ;
	case SCSI_MOVES_WRITE:
	case SCSI_MOVES_COMPARE: return VOLUME_OP_WRITE;
	case SCSI_MOVES_SAME:
		return task->cdb[1] & UNMAP_BIT ? VOLUME_OP_DISCARD
						: VOLUME_OP_WRITE;
	case SCSI_MOVES_LIST:
		return command->execute == scsi_unmap ? VOLUME_OP_DISCARD
						      : VOLUME_OP_OTHER;
	case SCSI_MOVES_NOTHING:
		return command->execute == scsi_synchronize ? VOLUME_OP_FLUSH
							    : VOLUME_OP_OTHER;
	default: return VOLUME_OP_OTHER;
	}
}

/* What asks nothing of the stack would only blur what the stack does. */
void scsi_figures_arrive(struct scsi_task *task)
{
	struct volume_nexus *nexus = task->logical_unit;

	if (!nexus || !nexus->page)
		return;
	task->operation = (uint8_t)operation_of(task);
	if (task->operation == VOLUME_OP_OTHER ||
		!block_times_due(&nexus->page->turn))
		return;
	task->timed = true;
	task->timed_ns = loop_now_ns(nexus->lane->loop);
}

/* The layer had it until now. */
static void time_layer(struct scsi_task *task, enum volume_layer layer)
{
	struct volume_nexus *nexus = task->logical_unit;
	uint64_t now_ns = loop_now_ns(nexus->lane->loop);

	block_times_add(&nexus->page->layer[layer], now_ns - task->timed_ns);
	task->timed_ns = now_ns;
}

void scsi_figures_begin(struct scsi_task *task)
{
	struct volume_nexus *nexus = task->logical_unit;

	if (!nexus || !nexus->page)
		return;
	task->counted = true;
	if (task->timed)
		time_layer(task, VOLUME_LAYER_TRANSPORT);
	task->begun_ns = loop_turn_ns(nexus->lane->loop);
	volume_page_begin(nexus->page, task->operation);
}

static enum volume_error error_of_sense(const struct scsi_task *task)
{
	static const uint8_t errors[16] = {
		[SENSE_NONE] = VOLUME_ERROR_MEDIUM,
		[SENSE_NOT_READY] = VOLUME_ERROR_OFFLINE,
		[SENSE_MEDIUM_ERROR] = VOLUME_ERROR_MEDIUM,
		[SENSE_HARDWARE_ERROR] = VOLUME_ERROR_MEDIUM,
		[SENSE_ILLEGAL_REQUEST] = VOLUME_ERROR_INVALID,
		[SENSE_UNIT_ATTENTION] = VOLUME_ERROR_ATTENTION,
		[SENSE_DATA_PROTECT] = VOLUME_ERROR_PROTECTED,
		[SENSE_ABORTED_COMMAND] = VOLUME_ERROR_ABORTED,
		[SENSE_MISCOMPARE] = VOLUME_ERROR_MISCOMPARE,
	};
	uint32_t sense = scsi_sense_value(task);

	if ((sense & 0xffff) == ASC_SPACE_ALLOCATION_FAILED)
		return VOLUME_ERROR_SPACE;
	return errors[sense >> 16 & 15];
}

static enum volume_error error_of(const struct scsi_task *task)
{
	switch (task->status) {
	case SCSI_GOOD: return VOLUME_ERROR_NONE;
	case SCSI_CHECK_CONDITION: return error_of_sense(task);
	case SCSI_RESERVATION_CONFLICT: return VOLUME_ERROR_CONFLICT;
	case SCSI_BUSY:
	case SCSI_TASK_SET_FULL: return VOLUME_ERROR_BUSY;
	default: return VOLUME_ERROR_ABORTED;
	}
}

void scsi_figures_end(struct scsi_task *task)
{
	struct volume_nexus *nexus = task->logical_unit;
	enum volume_error error;
	uint64_t bytes = 0;

	if (!task->counted)
		return;
	task->counted = false;
	if (task->timed)
		time_layer(task, VOLUME_LAYER_COMMAND);
	error = error_of(task);
	if (!error)
		bytes = task->operation == VOLUME_OP_READ ? task->in_bytes
							  : task->changed_bytes;
	volume_page_end(nexus->page, task->operation, error, bytes,
		loop_turn_ns(nexus->lane->loop) - task->begun_ns);
}
