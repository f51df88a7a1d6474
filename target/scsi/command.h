/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command table: one row says everything about a command that is not its
 * work. Parsing, the checks before execution and REPORT SUPPORTED OPERATION
 * CODES all read the same rows.
 */
#ifndef TARGET_SCSI_COMMAND_H
#define TARGET_SCSI_COMMAND_H

#include "target/reservation/reservation.h"
#include "target/scsi/scsi.h"

/* What moves, and how its length follows from the CDB. */
enum scsi_data {
	SCSI_MOVES_NOTHING,
	SCSI_MOVES_CAPACITY, /* in: 8 bytes, READ CAPACITY(10) */
	SCSI_MOVES_REPLY, /* in: at most `length` (an allocation length) */
	SCSI_MOVES_LIST, /* out: `length` bytes of parameters */
	SCSI_MOVES_READ, /* in: `length` blocks */
	SCSI_MOVES_WRITE, /* out: `length` blocks */
	SCSI_MOVES_SAME, /* out: one block, none with NDOB */
	SCSI_MOVES_COMPARE, /* out: twice `length` blocks */
	SCSI_MOVES_VERIFY, /* out: by BYTCHK nothing, `length` blocks, one */
	SCSI_MOVES_FORMAT, /* out: with FMTDATA what the host announces */
};

enum scsi_command_flag {
	SCSI_WITHOUT_UNIT = 1, /* answered even where there is no LUN */
	SCSI_KEEPS_ATTENTION = 2, /* attentions stay pending (SAM-5 5.14) */
	SCSI_WITHOUT_MEDIUM = 4, /* runs when not ready */
	SCSI_CHANGES_MEDIUM = 8, /* refused when write protected */
	SCSI_PROTECT_FIELD = 16, /* byte 1 bits 7..5: must be 0 */
	SCSI_NEEDS_UNMAP = 32, /* only where the volume is thin */
	/* Done by ways whose state forbids all others (port_groups.h). */
	SCSI_ON_STANDBY = 64, /* standby */
	SCSI_ON_ANY_PATH = 128, /* standby, unavailable, transitioning */
};

struct scsi_field {
	uint8_t at, bytes;
};

struct scsi_command {
	const char *name; /* NULL: no such command */
	uint8_t cdb_bytes;
	uint8_t moves; /* enum scsi_data */
	uint8_t access; /* enum reservation_access */
	uint8_t flags;
	struct scsi_field lba, length;
	uint32_t reply_bytes; /* MOVES_REPLY: never longer; 0: 4096 */
	/* Exactly one: `reply` writes at most max(4096, task->data_bytes) bytes
	 * and returns how many it has, or 0 after setting sense. */
	void (*execute)(struct scsi_task *task);
	uint32_t (*reply)(struct scsi_task *task, uint8_t *to);
	/* Of data-out: false, with sense, for what the CDB alone shows to be wrong;
	 * asked before data is. `execute` looks again: much can have changed. */
	bool (*check)(struct scsi_task *task);
	/* CDB usage data, SPC-4 6.35.3, from byte 1 on (byte 0: opcode). */
	uint8_t usage[15];
	/* By service action (byte 1, bits 4..0): rows, instead of all above. */
	const struct scsi_command *actions;
	uint8_t action_count;
};

extern const struct scsi_command scsi_commands[256];

/* The row of a CDB; NULL if there is none. *known says whether the opcode is
 * there (and so only its service action is not). */
const struct scsi_command *scsi_command_find(const uint8_t *cdb, bool *known);

/* The value of a field of a CDB. */
uint64_t scsi_field_get(const uint8_t *cdb, struct scsi_field field);

#endif
