/* SPDX-License-Identifier: Apache-2.0 */
/* See command.h. */
#include "blockcore/base/bytes.h"
#include "target/scsi/task.h"

#define ALLOWED RESERVATION_ALLOWED
#define READS RESERVATION_READS
#define WRITES RESERVATION_WRITES
#define PR_OUT RESERVATION_PR_OUT

#define ALWAYS \
	(SCSI_WITHOUT_UNIT | SCSI_KEEPS_ATTENTION | SCSI_WITHOUT_MEDIUM | \
		SCSI_ON_ANY_PATH)
#define NO_MEDIUM SCSI_WITHOUT_MEDIUM
#define STANDBY (SCSI_WITHOUT_MEDIUM | SCSI_ON_STANDBY)
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
/* A command that comes with a list of parameters, or with nothing. `look`: .check. */
#define PARAMETERS(text, size, who, flag, at, width, run, look, ...) \
	{ \
		.name = (text), .cdb_bytes = (size), .moves = SCSI_MOVES_LIST, \
		.access = (who), .flags = (flag), .length = {at, width}, \
		.execute = (run), .check = (look), .usage = { \
			__VA_ARGS__ \
		} \
	}
/* A command for blocks, in its forms. `bits`: used bits of byte 1. */
#define BLOCKS(text, what, who, flag, run, look) \
	.name = (text), .moves = SCSI_MOVES_##what, .access = (who), \
	.flags = (flag), .execute = (run), .check = (look)
#define BLOCKS_6(text, what, who, flag, run, look) \
	{ \
		BLOCKS(text, what, who, flag, run, look), \
			.cdb_bytes = 6, .lba = {1, 3}, .length = {4, 1}, \
			.usage = { \
				0x1f, \
				255, \
				255, \
				255, \
				0 \
			} \
	}
#define BLOCKS_10(text, what, who, flag, run, look, bits) \
	{ \
		BLOCKS(text, what, who, flag, run, look), \
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
#define BLOCKS_12(text, what, who, flag, run, look, bits) \
	{ \
		BLOCKS(text, what, who, flag, run, look), \
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
#define BLOCKS_16(text, what, who, flag, run, look, bits) \
	{ \
		BLOCKS(text, what, who, flag, run, look), \
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

/* SPC-4 6.15, 6.16. `reply` is larger than usual for the full status alone. */
#define PERSISTENT_IN(text, action) \
	[action] = {.name = "PERSISTENT RESERVE IN, " text, \
		.cdb_bytes = 10, \
		.moves = SCSI_MOVES_REPLY, \
		.access = PR_OUT, \
		.flags = STANDBY, \
		.length = {7, 2}, \
		.reply_bytes = 65535, \
		.reply = scsi_persistent_in, \
		.usage = {action, 0, 0, 0, 0, 0, 255, 255}}
#define PERSISTENT_OUT(text, action) \
	[action] = PARAMETERS("PERSISTENT RESERVE OUT, " text, 10, PR_OUT, \
		STANDBY, 5, 4, scsi_persistent_out, NULL, action, 255, 0, 0, \
		255, 255, 255, 255)

static const struct scsi_command table_persistent_in[] = {
	PERSISTENT_IN("READ KEYS", 0),
	PERSISTENT_IN("READ RESERVATION", 1),
	PERSISTENT_IN("REPORT CAPABILITIES", 2),
	PERSISTENT_IN("READ FULL STATUS", 3),
};

static const struct scsi_command table_persistent_out[] = {
	PERSISTENT_OUT("REGISTER", RESERVATION_REGISTER),
	PERSISTENT_OUT("RESERVE", RESERVATION_RESERVE),
	PERSISTENT_OUT("RELEASE", RESERVATION_RELEASE),
	PERSISTENT_OUT("CLEAR", RESERVATION_CLEAR),
	PERSISTENT_OUT("PREEMPT", RESERVATION_PREEMPT),
	PERSISTENT_OUT("PREEMPT AND ABORT", RESERVATION_PREEMPT_AND_ABORT),
	PERSISTENT_OUT("REGISTER AND IGNORE EXISTING KEY",
		RESERVATION_REGISTER_AND_IGNORE),
	PERSISTENT_OUT("REGISTER AND MOVE", RESERVATION_REGISTER_AND_MOVE),
};

/* SERVICE ACTION IN(16). */
static const struct scsi_command table_in16[] = {
	[0x10] = {.name = "READ CAPACITY(16)",
		.cdb_bytes = 16,
		.moves = SCSI_MOVES_REPLY,
		.access = ALLOWED,
		.flags = SCSI_ON_STANDBY,
		.lba = {2, 8},
		.length = {10, 4},
		.reply = scsi_read_capacity_16,
		.usage = {0x10, 255, 255, 255, 255, 255, 255, 255, 255, 255,
			255, 255, 255, 1}},
	[0x12] = {.name = "GET LBA STATUS",
		.cdb_bytes = 16,
		.moves = SCSI_MOVES_REPLY,
		.access = READS,
		.lba = {2, 8},
		.length = {10, 4},
		.reply_bytes = 8 + 16 * 128,
		.execute = scsi_lba_status,
		.usage = {0x12, 255, 255, 255, 255, 255, 255, 255, 255, 255,
			255, 255, 255}},
};

/* MAINTENANCE IN. */
static const struct scsi_command table_maintenance_in[] = {
	[0x0a] = REPLY("REPORT TARGET PORT GROUPS", 12, ALLOWED,
		NO_MEDIUM | SCSI_ON_ANY_PATH, 6, 4, scsi_target_port_groups,
		0xea, 0, 0, 0, 0, 255, 255, 255, 255),
	[0x0c] = REPLY("REPORT SUPPORTED OPERATION CODES", 12, READS, NO_MEDIUM,
		6, 4, scsi_supported_opcodes, 0x0c, 0x87, 255, 255, 255, 255,
		255, 255, 255),
	[0x0d] = REPLY("REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", 12, READS,
		NO_MEDIUM, 6, 4, scsi_supported_functions, 0x0d, 0x80, 0, 0, 0,
		255, 255, 255, 255),
	[0x0f] = REPLY("REPORT TIMESTAMP", 12, ALLOWED, NO_MEDIUM, 6, 4,
		scsi_report_timestamp, 0x0f, 0, 0, 0, 0, 255, 255, 255, 255),
};

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))
#define VERIFY_BITS 0x16u /* DPO, BYTCHK */
#define IMMED_BIT 0x02u

const struct scsi_command scsi_commands[256] = {
	[0x00] = {.name = "TEST UNIT READY",
		.cdb_bytes = 6,
		.access = ALLOWED,
		.execute = scsi_test_unit_ready},
	[0x03] = REPLY("REQUEST SENSE", 6, ALLOWED, ALWAYS, 4, 1,
		scsi_request_sense, 0x01, 0, 0, 255),
	[0x04] = {.name = "FORMAT UNIT",
		.cdb_bytes = 6,
		.moves = SCSI_MOVES_FORMAT,
		.access = WRITES,
		.flags = CHANGES,
		.execute = scsi_format_unit,
		.check = scsi_check_format_unit,
		.usage = {0x3f}},
	[0x08] = BLOCKS_6("READ(6)", READ, READS, 0, scsi_read, NULL),
	[0x0a] = BLOCKS_6("WRITE(6)", WRITE, WRITES, CHANGES, scsi_write,
		scsi_check_blocks),
	[0x12] = {.name = "INQUIRY",
		.cdb_bytes = 6,
		.moves = SCSI_MOVES_REPLY,
		.access = ALLOWED,
		.flags = ALWAYS,
		.length = {3, 2},
		.reply_bytes = 65535, /* VPD page 88h */
		.reply = scsi_inquiry,
		.usage = {0x01, 255, 255, 255}},
	[0x15] = PARAMETERS("MODE SELECT(6)", 6, WRITES, STANDBY, 4, 1,
		scsi_mode_select, scsi_check_mode_select, 0x11, 0, 0, 255),
	[0x16] = PARAMETERS("RESERVE(6)", 6, ALLOWED, NO_MEDIUM, 0, 0,
		scsi_reserve, NULL, 0),
	[0x17] = PARAMETERS("RELEASE(6)", 6, ALLOWED, NO_MEDIUM, 0, 0,
		scsi_release, NULL, 0),
	[0x1a] = REPLY("MODE SENSE(6)", 6, READS, STANDBY, 4, 1,
		scsi_mode_sense, 0x08, 255, 255, 255),
	[0x1b] = {.name = "START STOP UNIT",
		.cdb_bytes = 6,
		.access = ALLOWED,
		.flags = NO_MEDIUM,
		.execute = scsi_start_stop,
		.usage = {0x01, 0, 0x0f, 0xf7}},
	[0x1c] = REPLY("RECEIVE DIAGNOSTIC RESULTS", 6, READS, STANDBY, 3, 2,
		scsi_receive_diagnostic, 0x01, 255, 255, 255),
	[0x1d] = PARAMETERS("SEND DIAGNOSTIC", 6, WRITES, STANDBY, 3, 2,
		scsi_send_diagnostic, NULL, 0xe4, 0, 255, 255),
	[0x1e] = {.name = "PREVENT ALLOW MEDIUM REMOVAL",
		.cdb_bytes = 6,
		.access = ALLOWED,
		.flags = NO_MEDIUM,
		.execute = scsi_prevent_allow,
		.usage = {0, 0, 0, 0x03}},
	[0x25] = {.name = "READ CAPACITY(10)",
		.cdb_bytes = 10,
		.moves = SCSI_MOVES_CAPACITY,
		.access = ALLOWED,
		.flags = SCSI_ON_STANDBY,
		.lba = {2, 4},
		.reply = scsi_read_capacity_10,
		.usage = {0, 255, 255, 255, 255, 0, 0, 1}},
	[0x28] = BLOCKS_10(
		"READ(10)", READ, READS, PROTECT, scsi_read, NULL, DPO_FUA),
	[0x2a] = BLOCKS_10("WRITE(10)", WRITE, WRITES, PROTECT | CHANGES,
		scsi_write, scsi_check_blocks, DPO_FUA),
	[0x2e] = BLOCKS_10("WRITE AND VERIFY(10)", WRITE, WRITES,
		PROTECT | CHANGES, scsi_write_and_verify,
		scsi_check_write_and_verify, VERIFY_BITS),
	[0x2f] = BLOCKS_10("VERIFY(10)", VERIFY, READS, PROTECT, scsi_verify,
		scsi_check_blocks, VERIFY_BITS),
	[0x34] = BLOCKS_10("PRE-FETCH(10)", NOTHING, READS, 0, scsi_pre_fetch,
		NULL, IMMED_BIT),
	[0x35] = BLOCKS_10("SYNCHRONIZE CACHE(10)", NOTHING, WRITES, 0,
		scsi_synchronize, NULL, IMMED_BIT),
	[0x41] = BLOCKS_10("WRITE SAME(10)", SAME, WRITES, PROTECT | CHANGES,
		scsi_write_same, scsi_check_write_same, 0x18),
	[0x42] = PARAMETERS("UNMAP", 10, WRITES, CHANGES | SCSI_NEEDS_UNMAP, 7,
		2, scsi_unmap, scsi_check_unmap, 0x01, 0, 0, 0, 0, 0x1f, 255,
		255),
	[0x4d] = REPLY("LOG SENSE", 10, ALLOWED, STANDBY, 7, 2, scsi_log_sense,
		0x01, 255, 255, 0, 255, 255, 255, 255),
	[0x55] = PARAMETERS("MODE SELECT(10)", 10, WRITES, STANDBY, 7, 2,
		scsi_mode_select, scsi_check_mode_select, 0x11, 0, 0, 0, 0, 0,
		255, 255),
	[0x56] = PARAMETERS("RESERVE(10)", 10, ALLOWED, NO_MEDIUM, 7, 2,
		scsi_reserve, NULL, 0, 0, 0, 0, 0, 0, 255, 255),
	[0x57] = PARAMETERS("RELEASE(10)", 10, ALLOWED, NO_MEDIUM, 7, 2,
		scsi_release, NULL, 0, 0, 0, 0, 0, 0, 255, 255),
	[0x5a] = REPLY("MODE SENSE(10)", 10, READS, STANDBY, 7, 2,
		scsi_mode_sense, 0x18, 255, 255, 0, 0, 0, 255, 255),
	[0x5e] = ACTIONS(table_persistent_in, COUNT(table_persistent_in)),
	[0x5f] = ACTIONS(table_persistent_out, COUNT(table_persistent_out)),
	[0x88] = BLOCKS_16(
		"READ(16)", READ, READS, PROTECT, scsi_read, NULL, DPO_FUA),
	[0x89] = {.name = "COMPARE AND WRITE",
		.cdb_bytes = 16,
		.moves = SCSI_MOVES_COMPARE,
		.access = WRITES,
		.flags = PROTECT | CHANGES,
		.lba = {2, 8},
		.length = {13, 1},
		.execute = scsi_compare_and_write,
		.check = scsi_check_compare,
		.usage = {DPO_FUA, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0,
			0, 255, 0x1f}},
	[0x8a] = BLOCKS_16("WRITE(16)", WRITE, WRITES, PROTECT | CHANGES,
		scsi_write, scsi_check_blocks, DPO_FUA),
	[0x8b] = BLOCKS_16("ORWRITE(16)", WRITE, WRITES, PROTECT | CHANGES,
		scsi_or_write, scsi_check_blocks, DPO_FUA),
	[0x8e] = BLOCKS_16("WRITE AND VERIFY(16)", WRITE, WRITES,
		PROTECT | CHANGES, scsi_write_and_verify,
		scsi_check_write_and_verify, VERIFY_BITS),
	[0x8f] = BLOCKS_16("VERIFY(16)", VERIFY, READS, PROTECT, scsi_verify,
		scsi_check_blocks, VERIFY_BITS),
	[0x90] = BLOCKS_16("PRE-FETCH(16)", NOTHING, READS, 0, scsi_pre_fetch,
		NULL, IMMED_BIT),
	[0x91] = BLOCKS_16("SYNCHRONIZE CACHE(16)", NOTHING, WRITES, 0,
		scsi_synchronize, NULL, IMMED_BIT),
	[0x93] = BLOCKS_16("WRITE SAME(16)", SAME, WRITES, PROTECT | CHANGES,
		scsi_write_same, scsi_check_write_same, 0x19),
	[0x9e] = ACTIONS(table_in16, COUNT(table_in16)),
	[0xa0] = {.name = "REPORT LUNS",
		.cdb_bytes = 12,
		.moves = SCSI_MOVES_REPLY,
		.access = ALLOWED,
		.flags = ALWAYS,
		.length = {6, 4},
		.reply_bytes = 8 * (16384 + 2),
		.reply = scsi_report_luns,
		.usage = {0, 255, 0, 0, 0, 255, 255, 255, 255}},
	[0xa3] = ACTIONS(table_maintenance_in, COUNT(table_maintenance_in)),
	[0xa8] = BLOCKS_12(
		"READ(12)", READ, READS, PROTECT, scsi_read, NULL, DPO_FUA),
	[0xaa] = BLOCKS_12("WRITE(12)", WRITE, WRITES, PROTECT | CHANGES,
		scsi_write, scsi_check_blocks, DPO_FUA),
	[0xae] = BLOCKS_12("WRITE AND VERIFY(12)", WRITE, WRITES,
		PROTECT | CHANGES, scsi_write_and_verify,
		scsi_check_write_and_verify, VERIFY_BITS),
	[0xaf] = BLOCKS_12("VERIFY(12)", VERIFY, READS, PROTECT, scsi_verify,
		scsi_check_blocks, VERIFY_BITS),
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
