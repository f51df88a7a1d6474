/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command moves: address, number of blocks, bytes and their direction, by
 * its CDB alone. Nothing larger than a buffer is accepted.
 */
#include "target/scsi/task.h"

static bool measure_bytes(
	struct scsi_task *task, uint64_t bytes, enum scsi_direction direction)
{
	if (bytes > SCSI_MAX_TRANSFER_BYTES) {
		scsi_sense_cdb(task, task->command->length.at, 7);
		return false;
	}
	task->direction = bytes ? (uint8_t)direction : SCSI_NO_DATA;
	task->data_bytes = (uint32_t)bytes;
	return true;
}

static bool measure_blocks(
	struct scsi_task *task, uint64_t blocks, enum scsi_direction direction)
{
	/* blocks < 2^33, so this cannot overflow */
	return measure_bytes(task, blocks * scsi_block_bytes(task), direction);
}

static bool measure_reply(struct scsi_task *task, uint64_t length)
{
	uint32_t most = task->command->reply_bytes;

	if (!most)
		most = BUF_MIN_BYTES;
	return measure_bytes(task, length < most ? length : most, SCSI_DATA_IN);
}

/* Longer lists than any that we know a use for are refused unseen. */
#define LIST_BYTES (64u << 10)

static bool measure_list(struct scsi_task *task, uint64_t length)
{
	if (length <= LIST_BYTES)
		return measure_bytes(task, length, SCSI_DATA_OUT);
	scsi_sense_set(task, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
	return false;
}

/* BYTCHK (SBC-3 5.33): 0 nothing, 1 every block, 3 one block for all. */
static bool measure_verify(struct scsi_task *task)
{
	unsigned bytchk = task->cdb[1] >> 1 & 3;

	if (bytchk == 2) {
		scsi_sense_cdb(task, 1, 2);
		return false;
	}
	if (!bytchk || !task->blocks)
		return true;
	return measure_blocks(
		task, bytchk == 1 ? task->blocks : 1, SCSI_DATA_OUT);
}

static bool task_measure(struct scsi_task *task)
{
	const struct scsi_command *command = task->command;
	uint64_t length = scsi_field_get(task->cdb, command->length);

	switch ((enum scsi_data)command->moves) {
	case SCSI_MOVES_NOTHING: break;
	case SCSI_MOVES_CAPACITY: return measure_bytes(task, 8, SCSI_DATA_IN);
	case SCSI_MOVES_REPLY: return measure_reply(task, length);
	case SCSI_MOVES_LIST: return measure_list(task, length);
	case SCSI_MOVES_READ: return measure_blocks(task, length, SCSI_DATA_IN);
	case SCSI_MOVES_WRITE:
		return measure_blocks(task, length, SCSI_DATA_OUT);
	case SCSI_MOVES_SAME: /* NDOB: SBC-3 5.43, WRITE SAME(16) only */
		return command->cdb_bytes == 16 && task->cdb[1] & 1
			? true
			: measure_blocks(task, 1, SCSI_DATA_OUT);
	case SCSI_MOVES_COMPARE:
		return measure_blocks(task, 2 * length, SCSI_DATA_OUT);
	case SCSI_MOVES_VERIFY: return measure_verify(task);
	case SCSI_MOVES_FORMAT: /* FMTDATA; the list says how long it is */
		return !(task->cdb[1] & 0x10) ||
			measure_list(task, task->expected_bytes);
	}
	return true;
}

/* The fields that are the same everywhere. READ(6) and WRITE(6): 21 bits of
 * address, and 0 blocks mean 256 (SBC-3 5.11). */
static void task_locate(struct scsi_task *task)
{
	const struct scsi_command *command = task->command;

	task->lba = scsi_field_get(task->cdb, command->lba);
	task->blocks = scsi_field_get(task->cdb, command->length);
	if (command->cdb_bytes == 6 && command->lba.bytes) {
		task->lba &= 0x1fffff;
		if (!task->blocks)
			task->blocks = 256;
	}
}

bool scsi_measure(struct scsi_task *task)
{
	const struct scsi_command *command = task->command;
	unsigned control = command->cdb_bytes - 1u;

	if (task->cdb[control] & 4) { /* NACA: no ACA here (SAM-5 5.2) */
		scsi_sense_cdb(task, control, 2);
		return false;
	}
	if (command->flags & SCSI_PROTECT_FIELD && task->cdb[1] & 0xe0) {
		scsi_sense_cdb(task, 1, 7);
		return false;
	}
	if (command->lba.bytes)
		task_locate(task);
	if (command->cdb_bytes == 6 && command->lba.bytes)
		return measure_blocks(task, task->blocks,
			command->moves == SCSI_MOVES_READ ? SCSI_DATA_IN
							  : SCSI_DATA_OUT);
	return task_measure(task);
}
