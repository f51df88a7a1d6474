/* SPDX-License-Identifier: Apache-2.0 */
/* See command.h. */
#include "blockcore/base/bytes.h"
#include "target/scsi/task.h"

#define ALLOWED RESERVATION_ALLOWED
#define READS RESERVATION_READS
#define WRITES RESERVATION_WRITES
#define PR_OUT RESERVATION_PR_OUT

#define ALWAYS (SCSI_WITHOUT_UNIT | SCSI_KEEPS_ATTENTION | SCSI_WITHOUT_MEDIUM)
#define NO_MEDIUM SCSI_WITHOUT_MEDIUM
#define PROTECT SCSI_PROTECT_FIELD
#define CHANGES SCSI_CHANGES_MEDIUM
#define DPO_FUA 0x18u /* used bits of byte 1 */

/* Rows for the service actions of one opcode. */
#define ACTIONS(rows, count) \
	{ \
		.name = "", .actions = (rows), .action_count = (count) \
	}
/* A command whose answer is made from what we know. `at`, `width`: the
 * allocation length; the rest: CDB usage from byte 1 on. */
#define REPLY(text, size, who, flag, at, width, make, ...) \
	{ \
		.name = (text), .cdb_bytes = (size), \
		.moves = SCSI_MOVES_REPLY, .access = (who), .flags = (flag), \
		.length = {at, width}, .reply = (make), .usage = { \
			__VA_ARGS__ \
		} \
	}
/* A command that comes with a list of parameters, or with nothing. */
#define PARAMETERS(text, size, who, flag, at, width, run, ...) \
	{ \
		.name = (text), .cdb_bytes = (size), .moves = SCSI_MOVES_LIST, \
		.access = (who), .flags = (flag), .length = {at, width}, \
		.execute = (run), .usage = { \
			__VA_ARGS__ \
		} \
	}
/* A command for blocks, in its forms. `bits`: used bits of byte 1. */
#define BLOCKS(text, what, who, flag, run) \
	.name = (text), .moves = SCSI_MOVES_##what, .access = (who), \
	.flags = (flag), .execute = (run)
#define BLOCKS_6(text, what, who, flag, run) \
	{ \
		BLOCKS(text, what, who, flag, run), \
			.cdb_bytes = 6, .lba = {1, 3}, .length = {4, 1}, \
			.usage = { \
				0x1f, \
				255, \
				255, \
				255, \
				0 \
			} \
	}
#define BLOCKS_10(text, what, who, flag, run, bits) \
	{ \
		BLOCKS(text, what, who, flag, run), \
			.cdb_bytes = 10, .lba = {2, 4}, .length = {7, 2}, \
			.usage = { \
				bits, \
				255, \
				255, \
				255, \
				255, \
				0x1f, \
				255, \
				255, \
				0 \
			} \
	}
#define BLOCKS_12(text, what, who, flag, run, bits) \
	{ \
		BLOCKS(text, what, who, flag, run), \
			.cdb_bytes = 12, .lba = {2, 4}, .length = {6, 4}, \
			.usage = { \
				bits, \
				255, \
				255, \
				255, \
				255, \
				255, \
				255, \
				255, \
				255, \
				0x1f, \
				0 \
			} \
	}
#define BLOCKS_16(text, what, who, flag, run, bits) \
	{ \
		BLOCKS(text, what, who, flag, run), \
			.cdb_bytes = 16, .lba = {2, 8}, .length = {10, 4}, \
			.usage = { \
				bits, \
				255, \
				255, \
				255, \
				255, \
				255, \
				255, \
				255, \
				255, \
				255, \
				255, \
				255, \
				255, \
				0x1f, \
				0 \
			} \
	}

static const struct scsi_command table_in16[0x20] = {
	[0x10] = {.name = "READ CAPACITY(16)",
		.cdb_bytes = 16,
		.moves = SCSI_MOVES_REPLY,
		.access = ALLOWED,
		.lba = {2, 8},
		.length = {10, 4},
		.reply = scsi_read_capacity_16,
		.usage = {0x10, 255, 255, 255, 255, 255, 255, 255, 255, 255,
			255, 255, 255, 1}},
};

const struct scsi_command scsi_commands[256] = {
	[0x00] = {.name = "TEST UNIT READY",
		.cdb_bytes = 6,
		.access = ALLOWED,
		.execute = scsi_test_unit_ready},
	[0x03] = REPLY("REQUEST SENSE", 6, ALLOWED, ALWAYS, 4, 1,
		scsi_request_sense, 0x01, 0, 0, 255),
	[0x08] = BLOCKS_6("READ(6)", READ, READS, 0, scsi_read),
	[0x0a] = BLOCKS_6("WRITE(6)", WRITE, WRITES, CHANGES, scsi_write),
	[0x12] = REPLY("INQUIRY", 6, ALLOWED, ALWAYS, 3, 2, scsi_inquiry, 0x01,
		255, 255, 255),
	[0x1a] = REPLY("MODE SENSE(6)", 6, WRITES, NO_MEDIUM, 4, 1,
		scsi_mode_sense, 0x08, 255, 255, 255),
	[0x25] = {.name = "READ CAPACITY(10)",
		.cdb_bytes = 10,
		.moves = SCSI_MOVES_CAPACITY,
		.access = ALLOWED,
		.lba = {2, 4},
		.reply = scsi_read_capacity_10,
		.usage = {0, 255, 255, 255, 255, 0, 0, 1}},
	[0x28] =
		BLOCKS_10("READ(10)", READ, READS, PROTECT, scsi_read, DPO_FUA),
	[0x2a] = BLOCKS_10("WRITE(10)", WRITE, WRITES, PROTECT | CHANGES,
		scsi_write, DPO_FUA),
	[0x35] = BLOCKS_10("SYNCHRONIZE CACHE(10)", NOTHING, WRITES, 0,
		scsi_synchronize, 0x02),
	[0x5a] = REPLY("MODE SENSE(10)", 10, WRITES, NO_MEDIUM, 7, 2,
		scsi_mode_sense, 0x18, 255, 255, 0, 0, 0, 255, 255),
	[0x88] =
		BLOCKS_16("READ(16)", READ, READS, PROTECT, scsi_read, DPO_FUA),
	[0x8a] = BLOCKS_16("WRITE(16)", WRITE, WRITES, PROTECT | CHANGES,
		scsi_write, DPO_FUA),
	[0x91] = BLOCKS_16("SYNCHRONIZE CACHE(16)", NOTHING, WRITES, 0,
		scsi_synchronize, 0x02),
	[0x9e] = ACTIONS(table_in16, 0x20),
	[0xa0] = {.name = "REPORT LUNS",
		.cdb_bytes = 12,
		.moves = SCSI_MOVES_REPLY,
		.access = ALLOWED,
		.flags = ALWAYS,
		.length = {6, 4},
		.reply_bytes = 8 * (16384 + 2),
		.reply = scsi_report_luns,
		.usage = {0, 255, 0, 0, 0, 255, 255, 255, 255}},
	[0xa8] =
		BLOCKS_12("READ(12)", READ, READS, PROTECT, scsi_read, DPO_FUA),
	[0xaa] = BLOCKS_12("WRITE(12)", WRITE, WRITES, PROTECT | CHANGES,
		scsi_write, DPO_FUA),
};

const struct scsi_command *scsi_command_find(const uint8_t *cdb, bool *known)
{
	const struct scsi_command *row = &scsi_commands[cdb[0]];

	*known = row->name;
	if (row->actions)
		row = (cdb[1] & 0x1f) < row->action_count
			? &row->actions[cdb[1] & 0x1f]
			: &scsi_commands[0x01]; /* nothing */
	return row->name ? row : NULL;
}

uint64_t scsi_field_get(const uint8_t *cdb, struct scsi_field field)
{
	const uint8_t *from = cdb + field.at;

	switch (field.bytes) {
	case 1: return *from;
	case 2: return get_be16(from);
	case 3: return get_be24(from);
	case 4: return get_be32(from);
	case 8: return get_be64(from);
	default: return 0;
	}
}
