/* SPDX-License-Identifier: Apache-2.0 */
/*
 * REPORT SUPPORTED OPERATION CODES (SPC-4 6.35) and TASK MANAGEMENT FUNCTIONS
 * (6.36), from the command table itself.
 */
#include "blockcore/base/bytes.h"
#include "target/scsi/limits.h"
#include "target/scsi/task.h"

#include <string.h>

enum {
	SUPPORTED_RCTD = 0x80,
	SUPPORTED_ALL = 0,
	SUPPORTED_OPCODE = 1,
	SUPPORTED_ACTION = 2,
	SUPPORTED_EITHER = 3,
	TIMEOUTS_BYTES = 12,
};

static bool row_offered(
	const struct scsi_task *task, const struct scsi_command *row)
{
	struct scsi_limits limits;

	if (!row->name)
		return false;
	if (!(row->flags & SCSI_NEEDS_UNMAP))
		return true;
	scsi_limits_read(task, &limits);
	return limits.thin;
}

/* No time-outs are promised: zeroes (SPC-4 6.35.4). */
static uint8_t *put_timeouts(uint8_t *to)
{
	memset(to, 0, TIMEOUTS_BYTES);
	put_be16(to, TIMEOUTS_BYTES - 2);
	return to + TIMEOUTS_BYTES;
}

static uint8_t *put_row(uint8_t *to, const struct scsi_command *row,
	unsigned opcode, int action, bool timeouts)
{
	memset(to, 0, 8);
	to[0] = (uint8_t)opcode;
	if (action >= 0)
		put_be16(to + 2, (uint16_t)action);
	to[5] = (uint8_t)((timeouts ? 2 : 0) | (action >= 0 ? 1 : 0));
	put_be16(to + 6, row->cdb_bytes);
	return timeouts ? put_timeouts(to + 8) : to + 8;
}

/* At most about 80 rows of 20 bytes: it fits into the smallest buffer. */
static uint32_t supported_all(
	const struct scsi_task *task, uint8_t *to, bool timeouts)
{
	uint8_t *at = to + 4;

	for (unsigned opcode = 0; opcode < 256; opcode++) {
		const struct scsi_command *row = &scsi_commands[opcode];

		if (!row->actions && row_offered(task, row))
			at = put_row(at, row, opcode, -1, timeouts);
		for (int i = 0; row->actions && i < row->action_count; i++)
			if (row_offered(task, &row->actions[i]))
				at = put_row(at, &row->actions[i], opcode, i,
					timeouts);
	}
	put_be32(to, (uint32_t)(at - to) - 4);
	return (uint32_t)(at - to);
}

static uint32_t supported_one(const struct scsi_task *task, uint8_t *to,
	const struct scsi_command *row, unsigned opcode, bool timeouts)
{
	uint32_t bytes = 4;

	memset(to, 0, 4);
	if (!row || !row_offered(task, row)) {
		to[1] = 1; /* not supported */
		return bytes;
	}
	to[1] = (uint8_t)((timeouts ? 0x80 : 0) | 3); /* as in the standard */
	put_be16(to + 2, row->cdb_bytes);
	to[4] = (uint8_t)opcode;
	memcpy(to + 5, row->usage, row->cdb_bytes - 1u);
	bytes += row->cdb_bytes;
	if (timeouts)
		bytes = (uint32_t)(put_timeouts(to + bytes) - to);
	return bytes;
}

/* The usage map of a service action has the action itself in its field. */
static uint32_t supported_action(const struct scsi_task *task, uint8_t *to,
	const struct scsi_command *group, bool timeouts)
{
	unsigned opcode = task->cdb[3], action = get_be16(task->cdb + 4);
	const struct scsi_command *row =
		action < group->action_count ? &group->actions[action] : NULL;
	uint32_t bytes = supported_one(task, to, row, opcode, timeouts);

	if (bytes > 4)
		to[5] = (uint8_t)((to[5] & 0xe0) | action);
	return bytes;
}

uint32_t scsi_supported_opcodes(struct scsi_task *task, uint8_t *to)
{
	bool timeouts = task->cdb[2] & SUPPORTED_RCTD;
	unsigned options = task->cdb[2] & 7;
	const struct scsi_command *row = &scsi_commands[task->cdb[3]];

	if (options == SUPPORTED_ALL)
		return supported_all(task, to, timeouts);
	if (options > SUPPORTED_EITHER ||
		(options == SUPPORTED_OPCODE && row->actions)) {
		scsi_sense_cdb(task, 2, 2);
		return 0;
	}
	/* Of an opcode that is not there nobody can say that it has none. */
	if (options == SUPPORTED_ACTION && row->name && !row->actions) {
		scsi_sense_cdb(task, 4, 7);
		return 0;
	}
	if (row->actions)
		return supported_action(task, to, row, timeouts);
	if (options == SUPPORTED_EITHER && get_be16(task->cdb + 4))
		row = NULL;
	return supported_one(task, to, row, task->cdb[3], timeouts);
}

uint32_t scsi_supported_functions(struct scsi_task *task, uint8_t *to)
{
	bool extended = task->cdb[2] & 0x80; /* REPD */
	uint32_t bytes = extended ? 16 : 4;

	memset(to, 0, bytes);
	to[0] = 0x80 | 0x40 | 0x10 | 0x08; /* ATS, AATS, CTSS, LURS */
	to[0] |= 0x02; /* TRS: obsolete target reset, iSCSI has it */
	to[3] = (uint8_t)(bytes - 4);
	return bytes;
}
