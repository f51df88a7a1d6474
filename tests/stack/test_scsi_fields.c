/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of CDBs and lists that are wrong: the sense, and where it points (SPC-4
 * 4.5.2.4.2: the first byte and the leftmost bit of the field). Then what holds for
 * every command of the table: NACA, protection fields, a unit that is not there, not
 * ready or write protected.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "target/scsi/command.h"
#include "tests/lib/scsi_rig.h"

enum { IN_CDB = 0x052400, IN_LIST = 0x052600 };

static struct scsi_rig rig;
static struct scsi_rig_command command;

static void check_pointer(
	const char *what, uint32_t sense, unsigned byte, unsigned bit)
{
	const uint8_t *at = command.task.sense + 15; /* fixed format */
	unsigned valid = sense == IN_CDB ? 0xc8 : 0x88; /* SKSV, C/D, BPV */

	if (scsi_rig_sense(&command) != sense || *at != (valid | bit) ||
		get_be16(at + 1) != byte)
		check_fail(__FILE__, __LINE__,
			"%s: sense %06x, %02x, byte %u; not %06x, bit %u, "
			"byte %u",
			what, scsi_rig_sense(&command), *at, get_be16(at + 1),
			sense, bit, byte);
}

/* -- single fields ---------------------------------------------------------- */

static const struct field {
	const char *what;
	uint8_t cdb[16];
	uint8_t byte, bit;
	uint8_t out; /* bytes that are sent with it */
} fields[] = {
	{"INQUIRY, CMDDT", {0x12, 2, [4] = 96}, 1, 1, 0},
	{"INQUIRY, a page without EVPD", {0x12, 0, 0x83, [4] = 96}, 2, 7, 0},
	{"INQUIRY, no such page", {0x12, 1, 0xc0, [4] = 96}, 2, 7, 0},
	{"REPORT LUNS, SELECT REPORT", {0xa0, 0, 3, [8] = 1}, 2, 7, 0},
	{"MODE SENSE(6), page", {0x1a, 0, 0x30, 0, 255}, 2, 5, 0},
	{"MODE SENSE(6), subpage", {0x1a, 0, 0x0a, 7, 255}, 3, 7, 0},
	{"MODE SENSE(10), subpage of all", {0x5a, 0, 0x3f, 1, [8] = 255}, 3, 7,
		0},
	{"MODE SELECT(6), PF", {0x15, 0, 0, 0, 4}, 1, 4, 4},
	{"MODE SELECT(10), PF", {0x55, 0, [8] = 8}, 1, 4, 8},
	{"LOG SENSE, SP", {0x4d, 1, 0x40, [8] = 255}, 1, 0, 0},
	{"LOG SENSE, page", {0x4d, 0, 0x6f, [8] = 255}, 2, 5, 0},
	{"LOG SENSE, subpage", {0x4d, 0, 0x40, 1, [8] = 255}, 3, 7, 0},
	{"LOG SENSE, PARAMETER POINTER", {0x4d, 0, 0x4d, [6] = 9, [8] = 255}, 5,
		7, 0},
	{"RECEIVE DIAGNOSTIC, PCV", {0x1c, 0, 0, 0, 255}, 1, 0, 0},
	{"RECEIVE DIAGNOSTIC, page", {0x1c, 1, 0x40, 0, 255}, 2, 7, 0},
	{"SEND DIAGNOSTIC, SELF-TEST CODE", {0x1d, 0x20}, 1, 7, 0},
	{"SEND DIAGNOSTIC, SELFTEST", {0x1d, 0}, 1, 2, 0},
	{"SEND DIAGNOSTIC, length", {0x1d, 4, 0, 0, 4}, 3, 7, 4},
	{"READ CAPACITY(10), an address", {0x25, [5] = 1}, 2, 7, 0},
	{"SERVICE ACTION IN, action", {0x9e, 0x1f}, 1, 4, 0},
	{"MAINTENANCE IN, action", {0xa3, 0x1f}, 1, 4, 0},
	{"TARGET PORT GROUPS, format", {0xa3, 0x4a, [9] = 64}, 1, 7, 0},
	{"SUPPORTED OPERATION CODES, options", {0xa3, 0x0c, 4, 0x28, [9] = 64},
		2, 2, 0},
	{"SUPPORTED OPERATION CODES, an action is needed",
		{0xa3, 0x0c, 1, 0x9e, [9] = 64}, 2, 2, 0},
	{"SUPPORTED OPERATION CODES, there are no actions",
		{0xa3, 0x0c, 2, 0x28, [5] = 1, [9] = 64}, 4, 7, 0},
	{"START STOP UNIT, LOEJ of what stays", {0x1b, 0, 0, 0, 2}, 4, 1, 0},
	{"PREVENT ALLOW, PREVENT", {0x1e, 0, 0, 0, 2}, 4, 1, 0},
	{"RESERVE(6), third party", {0x16, 0x10}, 1, 4, 0},
	{"RESERVE(6), extents", {0x16, 1}, 1, 0, 0},
	{"RELEASE(10), third party", {0x57, 0x10}, 1, 4, 0},
	{"RELEASE(10), extents", {0x57, 1}, 1, 0, 0},
	{"PERSISTENT RESERVE IN, action", {0x5e, 4, [8] = 255}, 1, 4, 0},
	{"PERSISTENT RESERVE OUT, action", {0x5f, 8, [8] = 24}, 1, 4, 24},
	{"PERSISTENT RESERVE OUT, scope", {0x5f, 1, 0x15, [8] = 24}, 2, 7, 24},
	{"UNMAP, ANCHOR", {0x42, 1, [8] = 8}, 1, 0, 8},
	{"VERIFY(10), BYTCHK 2", {0x2f, 4, [8] = 1}, 1, 2, 0},
	{"VERIFY(12), BYTCHK 2", {0xaf, 4, [9] = 1}, 1, 2, 0},
	{"VERIFY(16), BYTCHK 2", {0x8f, 4, [13] = 1}, 1, 2, 0},
	{"WRITE AND VERIFY(10), BYTCHK 2", {0x2e, 4}, 1, 2, 0},
	{"WRITE AND VERIFY(12), BYTCHK 3", {0xae, 6}, 1, 2, 0},
	{"WRITE AND VERIFY(16), BYTCHK 2", {0x8e, 4}, 1, 2, 0},
	{"WRITE SAME(10), ANCHOR", {0x41, 0x18, [8] = 1}, 1, 4, 0},
	{"WRITE SAME(16), ANCHOR", {0x93, 0x11, [13] = 1}, 1, 4, 0},
	{"WRITE SAME(16), LBDATA", {0x93, 3, [13] = 1}, 1, 2, 0},
	{"READ(10), length", {0x28, [7] = 255, [8] = 255}, 7, 7, 0},
	{"READ(12), length", {0xa8, [6] = 1}, 6, 7, 0},
	{"READ(16), length", {0x88, [10] = 1}, 10, 7, 0},
	{"WRITE(16), length", {0x8a, [10] = 1}, 10, 7, 0},
	{"FORMAT UNIT, FMTPINFO", {0x04, 0x80}, 1, 7, 0},
	{"FORMAT UNIT, FFMT", {0x04, 0, 0, 0, 1}, 4, 1, 0},
};

static void fields_co(struct stack_rig *stack, void *argument)
{
	static const struct scsi_rig_setup setup;
	static const uint8_t nothing[24];

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	for (unsigned i = 0; i < sizeof fields / sizeof *fields; i++) {
		const struct field *field = &fields[i];

		if (scsi_rig_do_co(&rig, 0, &command, field->cdb, nothing,
			    field->out) != SCSI_CHECK_CONDITION)
			check_fail(__FILE__, __LINE__, "%s: is taken",
				field->what);
		check_pointer(field->what, IN_CDB, field->byte, field->bit);
	}
	scsi_rig_close_co(&rig);
}

/* Lists of MODE SELECT(6) and PERSISTENT RESERVE OUT. */
static const struct in_list {
	const char *what;
	uint8_t cdb[16];
	uint8_t bytes, byte, bit;
	uint8_t list[44];
} in_lists[] = {
	{"a block descriptor of another length", {0x15, 0x10, 0, 0, 8}, 8, 3, 7,
		{[3] = 4}},
	{"another number of blocks", {0x15, 0x10, 0, 0, 12}, 12, 4, 7,
		{[3] = 8, [7] = 77, [10] = 2}},
	{"another length of blocks", {0x15, 0x10, 0, 0, 12}, 12, 9, 7,
		{[3] = 8, [10] = 4}},
	{"no such page", {0x15, 0x10, 0, 0, 16}, 16, 4, 7, {[4] = 0x30, 0x0a}},
	{"no such subpage", {0x15, 0x10, 0, 0, 16}, 16, 4, 7,
		{[4] = 0x4a, 0x07, 0, 8}},
	{"a page of another length", {0x15, 0x10, 0, 0, 16}, 16, 5, 7,
		{[4] = 0x0a, 0x09}},
	{"what cannot be changed", {0x15, 0x10, 0, 0, 16}, 16, 7, 7,
		{[4] = 0x0a, 0x0a, 0x02, 0x11, [12] = 0xff, 0xff}},
	{"SPEC_I_PT where it has no meaning", {0x5f, 1, 5, [8] = 24}, 24, 20, 3,
		{[20] = 0x08}},
};

static void in_lists_co(struct stack_rig *stack, void *argument)
{
	static const struct scsi_rig_setup setup;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	for (unsigned i = 0; i < sizeof in_lists / sizeof *in_lists; i++) {
		const struct in_list *row = &in_lists[i];

		if (scsi_rig_do_co(&rig, 0, &command, row->cdb, row->list,
			    row->bytes) != SCSI_CHECK_CONDITION)
			check_fail(
				__FILE__, __LINE__, "%s: is taken", row->what);
		check_pointer(row->what, IN_LIST, row->byte, row->bit);
	}
	scsi_rig_close_co(&rig);
}

/* -- every command ----------------------------------------------------------- */

/* Calls `look_co` with the shortest CDB of each: all fields are 0. */
static void every_co(
	void (*look_co)(const struct scsi_command *row, const uint8_t *cdb))
{
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		const struct scsi_command *row = &scsi_commands[opcode];
		uint8_t cdb[16] = {(uint8_t)opcode};

		if (row->name && !row->actions)
			look_co(row, cdb);
		for (int i = 0; i < row->action_count; i++) {
			cdb[1] = (uint8_t)i;
			if (row->actions[i].name)
				look_co(&row->actions[i], cdb);
		}
	}
}

static uint32_t sense_of_co(const uint8_t *cdb)
{
	static const uint8_t nothing[512 * 256];

	if (scsi_rig_do_co(&rig, 0, &command, cdb, nothing, sizeof nothing) ==
		SCSI_CHECK_CONDITION)
		return scsi_rig_sense(&command);
	return 0;
}

/* NACA, in the last byte. */
static void naca_co(const struct scsi_command *row, const uint8_t *cdb)
{
	static const uint8_t bytes[8] = {6, 10, 10, 0, 16, 12};
	unsigned last = bytes[cdb[0] >> 5] - 1u;
	uint8_t with[16];

	memcpy(with, cdb, sizeof with);
	with[last] = 4;
	sense_of_co(with);
	check_pointer(row->name, IN_CDB, last, 2);
}

static bool is_one_of(uint8_t opcode, const char *opcodes)
{
	unsigned one;
	int used;

	for (; sscanf(opcodes, "%x%n", &one, &used) == 1; opcodes += used)
		if (one == opcode)
			return true;
	return false;
}

/* Each value of RDPROTECT, WRPROTECT, VRPROTECT but 0. */
static void protect_co(const struct scsi_command *row, const uint8_t *cdb)
{
	uint8_t with[16];

	if (!is_one_of(
		    cdb[0], "28 2a 2e 2f 41 88 89 8a 8b 8e 8f 93 a8 aa ae af"))
		return;
	memcpy(with, cdb, sizeof with);
	for (unsigned value = 1; value < 8; value++) {
		with[1] = (uint8_t)(value << 5);
		sense_of_co(with);
		check_pointer(row->name, IN_CDB, 1, 7);
	}
}

/* What needs a medium (SBC-3 table 13, SPC-4 table 100), and no other. */
#define MEDIUM \
	"00 04 08 0a 25 28 2a 2e 2f 34 35 41 42 88 89 8a 8b 8e 8f 90 91 93 " \
	"9e a8 aa ae af"

static uint32_t not_ready; /* the sense that is owed */

static void ready_co(const struct scsi_command *row, const uint8_t *cdb)
{
	uint32_t sense = sense_of_co(cdb);
	bool refused = sense == not_ready;

	if (refused != is_one_of(cdb[0], MEDIUM))
		check_fail(__FILE__, __LINE__, "%s: %06x, not ready is %06x",
			row->name, sense, not_ready);
}

static void writes_co(const struct scsi_command *row, const uint8_t *cdb)
{
	uint32_t sense = sense_of_co(cdb);
	bool refused = sense == 0x072700;

	if (refused !=
		is_one_of(cdb[0], "04 0a 2a 2e 41 42 89 8a 8b 8e 93 aa ae"))
		check_fail(
			__FILE__, __LINE__, "%s: sense %06x", row->name, sense);
}

/* A LUN where no unit is; three commands answer for it (SPC-4 table 30). */
static void no_unit(const struct scsi_command *row, const uint8_t *cdb)
{
	struct scsi_task *task = &command.task;
	bool begun;

	memset(task, 0, sizeof *task);
	task->nexus = &rig.nexus[0];
	memcpy(task->cdb, cdb, 16);
	task->cdb_bytes = 16;
	put_be16(task->lun, 5);
	begun = scsi_task_begin(task);
	if (begun)
		scsi_task_drop(task);
	if (begun != is_one_of(cdb[0], "03 12 a0") ||
		(!begun && scsi_rig_sense(&command) != 0x052500))
		check_fail(__FILE__, __LINE__, "%s: sense %06x", row->name,
			scsi_rig_sense(&command));
}

static void every_command_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {.removable = true};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	every_co(naca_co);
	every_co(protect_co);
	every_co(no_unit);
	SCSI_RIG_GOOD(&rig, 0, &command, 0x1b, 0, 0, 0, 2);
	not_ready = 0x023a00; /* medium not present */
	every_co(ready_co);
	scsi_rig_close_co(&rig);

	scsi_rig_open_co(&rig, stack, &setup);
	volume_offline_co(rig.volume, "a test");
	not_ready = 0x020403; /* manual intervention required */
	every_co(ready_co);
	scsi_rig_close_co(&rig);
}

static void protected_co(struct stack_rig *stack, void *by_host)
{
	const struct scsi_rig_setup setup = {.read_only = !by_host};

	scsi_rig_open_co(&rig, stack, &setup);
	if (by_host) {
		scsi_rig_protect_co(&rig, 0);
		sense_of_co(SCSI_RIG_CDB(0x00)); /* is told of it */
	}
	every_co(writes_co);
	scsi_rig_close_co(&rig);
}

#define SIM .world = "simulated", .lanes = 3
#define ROW(body) STACK_RIG_CASE(body, sim, SIM)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(fields_co),
		ROW(in_lists_co),
		ROW(every_command_co),
		STACK_RIG_CASE_WITH(protected_co, NULL, "volume", SIM),
		STACK_RIG_CASE_WITH(protected_co, "host", "host", SIM),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
