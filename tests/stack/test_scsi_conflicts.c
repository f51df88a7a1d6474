/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which command of whom conflicts with which reservation: every command of the table
 * under every type (SPC-4 tables 65 to 67, SBC-3 table 13, SPC-2 table 10 for the old
 * RESERVE). Host 0 holds, host 1 is registered, host 2 is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "target/scsi/command.h"
#include "tests/lib/scsi_rig.h"

#define GOOD SCSI_RIG_GOOD

static struct scsi_rig rig;
static struct scsi_rig_command command;
static const uint8_t nothing[1024];

/* Columns of `expected`: A allowed, C conflict. */
enum column {
	STRANGER_WRITES, /* types 1, 5, 7, not registered */
	STRANGER_ALL, /* types 3, 6, 8 */
	REGISTERED_WRITES, /* type 1, registered */
	REGISTERED_ALL, /* type 3 */
	REGISTRANTS, /* types 5 to 8, registered */
	OLD, /* RESERVE of another nexus */
};
#define ANYBODY "AAAAAA"
#define READER "ACACAC"
#define WRITER "CCCCAC"

static const struct row {
	uint8_t cdb[16];
	uint32_t out_bytes;
	const char *expected;
} rows[] = {
	{{0x00}, 0, ANYBODY},
	{{0x03, [4] = 18}, 0, ANYBODY},
	{{0x04}, 0, WRITER},
	{{0x08, [4] = 1}, 0, READER},
	{{0x0a, [4] = 1}, 512, WRITER},
	{{0x12, [4] = 36}, 0, ANYBODY},
	{{0x15, 0x10}, 0, WRITER},
	{{0x16}, 0, "CCCCAC"}, /* a registrant gets GOOD, and nothing */
	{{0x17}, 0, "CCAAAA"},
	{{0x1a, 8, 8, 0, 255}, 0, READER},
	{{0x1b, [4] = 1}, 0, ANYBODY},
	{{0x1b, [4] = 0}, 0, WRITER},
	{{0x1b, [4] = 0x11}, 0, WRITER},
	{{0x1c, 1, 0, 0, 255}, 0, READER},
	{{0x1d, 4}, 0, WRITER},
	{{0x1e, [4] = 0}, 0, ANYBODY},
	{{0x1e, [4] = 1}, 0, WRITER},
	{{0x25}, 0, ANYBODY},
	{{0x28, [8] = 1}, 0, READER},
	{{0x2a, [8] = 1}, 512, WRITER},
	{{0x2e, [8] = 1}, 512, WRITER},
	{{0x2f, [8] = 1}, 0, READER},
	{{0x34, [8] = 1}, 0, READER},
	{{0x35}, 0, WRITER},
	{{0x41, [8] = 1}, 512, WRITER},
	{{0x42, [8] = 8}, 8, WRITER},
	{{0x4d, 0, 0x40, [8] = 255}, 0, ANYBODY},
	{{0x55, 0x10}, 0, WRITER},
	{{0x56}, 0, "CCCCAC"},
	{{0x57}, 0, "CCAAAA"},
	{{0x5a, 8, 8, [8] = 255}, 0, READER},
	{{0x5e, 0, [8] = 255}, 0, "AAAAAC"},
	{{0x5e, 1, [8] = 255}, 0, "AAAAAC"},
	{{0x5e, 2, [8] = 255}, 0, "AAAAAC"},
	{{0x5e, 3, [8] = 255}, 0, "AAAAAC"},
	/* Without a key a stranger can only register; who is registered, and gives
	 * none, does nothing. */
	{{0x5f, 0, [8] = 24}, 24, "AACCCC"},
	{{0x5f, 1, 1, [8] = 24}, 24, "CCCCCC"},
	{{0x5f, 2, 1, [8] = 24}, 24, "CCCCCC"},
	{{0x5f, 3, [8] = 24}, 24, "CCCCCC"},
	{{0x5f, 4, 1, [8] = 24}, 24, "CCCCCC"},
	{{0x5f, 5, 1, [8] = 24}, 24, "CCCCCC"},
	{{0x5f, 7, [8] = 24}, 24, "AAAAAC"}, /* the list is wrong already */
	{{0x88, [13] = 1}, 0, READER},
	{{0x89, [13] = 1}, 1024, WRITER},
	{{0x8a, [13] = 1}, 512, WRITER},
	{{0x8b, [13] = 1}, 512, WRITER},
	{{0x8e, [13] = 1}, 512, WRITER},
	{{0x8f, [13] = 1}, 0, READER},
	{{0x90, [13] = 1}, 0, READER},
	{{0x91}, 0, WRITER},
	{{0x93, [13] = 1}, 512, WRITER},
	{{0x9e, 0x10, [13] = 32}, 0, ANYBODY},
	{{0x9e, 0x12, [13] = 64}, 0, READER},
	{{0xa0, [9] = 64}, 0, ANYBODY},
	{{0xa3, 0x0a, [9] = 64}, 0, ANYBODY},
	{{0xa3, 0x0c, [9] = 64}, 0, READER},
	{{0xa3, 0x0d, [9] = 64}, 0, READER},
	{{0xa3, 0x0f, [9] = 64}, 0, ANYBODY},
	{{0xa8, [9] = 1}, 0, READER},
	{{0xaa, [9] = 1}, 512, WRITER},
	{{0xae, [9] = 1}, 512, WRITER},
	{{0xaf, [9] = 1}, 0, READER},
	/* ends registrations, so it is the last */
	{{0x5f, 6, [8] = 24}, 24, "AAAAAC"},
};
#define ROWS (sizeof rows / sizeof *rows)

static bool have_row(unsigned opcode, int action)
{
	for (unsigned i = 0; i < ROWS; i++)
		if (rows[i].cdb[0] == opcode &&
			(action < 0 || (rows[i].cdb[1] & 0x1f) == action))
			return true;
	return false;
}

static void all_are_here(void **state)
{
	(void)state;
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		const struct scsi_command *known = &scsi_commands[opcode];

		if (known->name && !known->actions && !have_row(opcode, -1))
			fail_msg("%s has no row", known->name);
		for (int i = 0; i < known->action_count; i++)
			if (known->actions[i].name && !have_row(opcode, i))
				fail_msg("%s has no row",
					known->actions[i].name);
	}
}

static uint8_t out_co(unsigned host, unsigned action, unsigned type,
	uint64_t key, uint64_t service_key)
{
	uint8_t list[24] = {0};

	put_be64(list, key);
	put_be64(list + 8, service_key);
	return scsi_rig_do_co(&rig, host, &command,
		SCSI_RIG_CDB(0x5f, (uint8_t)action, (uint8_t)type, [8] = 24),
		list, 24);
}

static void check_row_co(
	const struct row *row, unsigned host, enum column column, unsigned type)
{
	uint8_t status = scsi_rig_do_co(
		&rig, host, &command, row->cdb, nothing, row->out_bytes);
	bool conflict = status == SCSI_RESERVATION_CONFLICT;

	if (conflict == (row->expected[column] == 'C'))
		return;
	check_fail(__FILE__, __LINE__,
		"opcode %02x %02x byte 4 %02x of host %u under type %u: status "
		"%02x, sense %06x",
		row->cdb[0], row->cdb[1], row->cdb[4], host, type, status,
		scsi_rig_sense(&command));
}

static void check_all_co(unsigned host, enum column column, unsigned type)
{
	for (unsigned i = 0; i < ROWS; i++)
		check_row_co(&rows[i], host, column, type);
}

static enum column column_of_registered(unsigned type)
{
	return type == 1    ? REGISTERED_WRITES
		: type == 3 ? REGISTERED_ALL
			    : REGISTRANTS;
}

static void persistent_co(struct stack_rig *stack, void *argument)
{
	static const uint8_t types[] = {1, 3, 5, 6, 7, 8};
	const struct scsi_rig_setup setup = {0};

	(void)argument;
	for (unsigned i = 0; i < sizeof types; i++) {
		unsigned type = types[i];
		bool writes = type == 1 || type == 5 || type == 7;

		scsi_rig_open_co(&rig, stack, &setup);
		CHECK_INT(out_co(0, 0, 0, 0, 10), SCSI_GOOD);
		CHECK_INT(out_co(1, 0, 0, 0, 11), SCSI_GOOD);
		CHECK_INT(out_co(0, 1, type, 10, 0), SCSI_GOOD);
		check_all_co(2, writes ? STRANGER_WRITES : STRANGER_ALL, type);
		check_all_co(1, column_of_registered(type), type);
		/* Whoever holds may do all. */
		for (unsigned row = 0; row < ROWS; row++)
			if (rows[row].cdb[0] != 0x5f)
				CHECK(scsi_rig_do_co(&rig, 0, &command,
					      rows[row].cdb, nothing,
					      rows[row].out_bytes) !=
					SCSI_RESERVATION_CONFLICT);
		scsi_rig_close_co(&rig);
	}
}

static void old_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	GOOD(&rig, 0, &command, 0x16);
	check_all_co(2, OLD, 0);
	scsi_rig_close_co(&rig);
}

#define ROW(body) STACK_RIG_CASE(body, sim, .world = "simulated", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_here),
		ROW(persistent_co),
		ROW(old_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
