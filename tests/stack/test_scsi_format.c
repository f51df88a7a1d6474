/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FORMAT UNIT: what is asked for and what is not there; hosts while it runs; what a
 * failed or stopped one leaves behind. TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "tests/lib/scsi_rig.h"

#define GOOD SCSI_RIG_GOOD
#define FAILS SCSI_RIG_FAILS
#define FORMAT 0x04
#define FMTDATA 0x10
#define LONGLIST 0x20

static struct scsi_rig rig;
static struct scsi_rig_command command;

#define FAULTY \
	"{listeners: [{type: fault, name: fault}], " \
	"protocol: {type: mem, size: 4M}}"

static void write_co(void)
{
	uint8_t data[512];

	memset(data, 7, sizeof data);
	CHECK_INT(
		scsi_rig_do_co(&rig, 0, &command,
			SCSI_RIG_CDB(0x2a, 0, 0, 0, 0, 9, 0, 0, 1), data, 512),
		SCSI_GOOD);
}

static int byte_co(void)
{
	GOOD(&rig, 1, &command, 0x28, 0, 0, 0, 0, 9, 0, 0, 1);
	return command.data[100];
}

static uint8_t list_co(const uint8_t *cdb, const uint8_t *list, uint32_t bytes)
{
	return scsi_rig_do_co(&rig, 0, &command, cdb, list, bytes);
}

/* -- what is asked for ------------------------------------------------------ */

/* What is thick keeps its space: a discard would fail here. */
static void simple_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {
		.document = FAULTY, .thick = argument != NULL};
	const char *other = setup.thick ? "{op: discard, error: EIO}"
					: "{op: write_zeroes, error: EIO}";

	scsi_rig_open_co(&rig, stack, &setup);
	write_co();
	CHECK_INT(byte_co(), 7);
	scsi_rig_fault_co(&rig, "add", other);
	GOOD(&rig, 0, &command, FORMAT);
	CHECK_INT(byte_co(), 0);
	scsi_rig_close_co(&rig);
}

struct list_row {
	uint8_t cdb1, cdb4, bytes;
	uint8_t list[12];
	uint32_t sense; /* 0: GOOD */
	uint16_t field; /* its byte */
};

static const struct list_row list_rows[] = {
	/* as sg_format sends it, without IMMED; with DCRT; with --ip_def */
	{FMTDATA | 8, 0, 4, {0}, 0, 0},
	{FMTDATA, 0, 4, {0, 0xa0}, 0, 0},
	{FMTDATA, 0, 8, {0, 0x88}, 0, 0},
	{FMTDATA | LONGLIST, 0, 8, {0}, 0, 0},
	{FMTDATA | LONGLIST, 0, 12, {0, 0x88}, 0, 0},
	/* too short */
	{FMTDATA, 0, 0, {0}, 0x051a00, 0},
	{FMTDATA, 0, 3, {0}, 0x051a00, 0},
	{FMTDATA | LONGLIST, 0, 4, {0}, 0x051a00, 0},
	{FMTDATA, 0, 4, {0, 0x88}, 0x051a00, 0},
	/* not there */
	{0x40, 0, 0, {0}, 0x052400, 1},
	{0, 1, 0, {0}, 0x052400, 4},
	{FMTDATA, 0, 4, {1}, 0x052600, 0},
	{FMTDATA, 0, 4, {0, 0x20}, 0x052600, 1},
	{FMTDATA, 0, 4, {0, 0x01}, 0x052600, 1},
	{FMTDATA, 0, 8, {0, 0, 0, 4}, 0x052600, 2},
	{FMTDATA | LONGLIST, 0, 8, {0, 0, 0, 1}, 0x052600, 3},
	{FMTDATA | LONGLIST, 0, 12, {[7] = 8}, 0x052600, 4},
	{FMTDATA, 0, 8, {0, 0x88, 0, 0, 0x20}, 0x052600, 4},
	{FMTDATA, 0, 8, {0, 0x88, 0, 0, 0, 1}, 0x052600, 5},
	{FMTDATA, 0, 9, {0, 0x88, 0, 0, 0, 0, 0, 1}, 0x052600, 6},
};

static void list_rows_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	for (unsigned i = 0; i < sizeof list_rows / sizeof *list_rows; i++) {
		const struct list_row *row = &list_rows[i];
		const uint8_t cdb[16] = {FORMAT, row->cdb1, 0, 0, row->cdb4};

		write_co();
		CHECK_INT(list_co(cdb, row->list, row->bytes),
			row->sense ? SCSI_CHECK_CONDITION : SCSI_GOOD);
		CHECK_INT(
			row->sense ? scsi_rig_sense(&command) : 0, row->sense);
		if (row->sense && row->sense != 0x051a00)
			CHECK_INT(
				get_be16(command.task.sense + 16), row->field);
		CHECK_INT(byte_co(), row->sense ? 7 : 0);
	}
	scsi_rig_close_co(&rig);
}

static void refused_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {.read_only = true}, plain = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	FAILS(&rig, 0, &command, 0x072700, FORMAT);
	scsi_rig_close_co(&rig);
	scsi_rig_open_co(&rig, stack, &plain);
	GOOD(&rig, 1, &command, 0x16);
	CHECK_INT(scsi_rig_do_co(
			  &rig, 0, &command, SCSI_RIG_CDB(FORMAT), NULL, 0),
		SCSI_RESERVATION_CONFLICT);
	GOOD(&rig, 1, &command, 0xa3, 0x0c, 1, FORMAT, [9] = 64);
	CHECK_INT(command.data[1] & 7, 3);
	scsi_rig_close_co(&rig);
}

/* -- while it runs ------------------------------------------------------------ */

static const uint8_t immed[4] = {0, 0x02};
static const uint8_t immed_cdb[16] = {FORMAT, FMTDATA};

static void until_ready_co(struct stack_rig *stack)
{
	while (scsi_rig_do_co(&rig, 2, &command, SCSI_RIG_CDB(0), NULL, 0) !=
		SCSI_GOOD) {
		CHECK_INT(scsi_rig_sense(&command), 0x020404);
		loop_sleep_co(block_core_lane(stack->core, 0)->loop, 1000000);
	}
}

static void immed_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {.document = FAULTY};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	write_co();
	scsi_rig_fault_co(&rig, "add", "{op: discard, hold: true}");
	CHECK_INT(list_co(immed_cdb, immed, 4), SCSI_GOOD);
	for (unsigned host = 0; host < 3; host++) {
		FAILS(&rig, host, &command, 0x020404, 0x00);
		CHECK_INT(command.task.sense[15], 0x80); /* progress */
		FAILS(&rig, host, &command, 0x020404, 0x28, [8] = 1);
		FAILS(&rig, host, &command, 0x020404, 0x1a, 8, 8, 0, 255);
		FAILS(&rig, host, &command, 0x020404, FORMAT);
		GOOD(&rig, host, &command, 0x12, 0, 0, 0, 96);
		GOOD(&rig, host, &command, 0xa0, [9] = 64);
		GOOD(&rig, host, &command, 0x03, 0, 0, 0, 32);
		CHECK_INT(command.data[2], 2);
		CHECK_INT(get_be16(command.data + 12), 0x0404);
		CHECK_INT(command.data[15], 0x80);
		GOOD(&rig, host, &command, 0x03, 1, 0, 0, 32);
		CHECK_INT(get_be16(command.data + 8), 0x0206);
		CHECK_INT(command.data[12], 0x80);
	}
	scsi_rig_fault_co(&rig, "clear", NULL);
	scsi_rig_fault_co(&rig, "release", NULL);
	until_ready_co(stack);
	CHECK_INT(byte_co(), 0);
	scsi_rig_close_co(&rig);
}

/* Zeroes in small pieces, discards in large ones; by the command and behind its
 * back. */
static void pieces_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {.thick = argument != NULL,
		.document = "{listeners: [{type: fault, name: fault, rules: "
			    "[{op: change, error: none}]}], protocol: {type: "
			    "\"null\", size: 66M}}"};
	unsigned pieces = setup.thick ? 17 : 2;

	scsi_rig_open_co(&rig, stack, &setup);
	GOOD(&rig, 0, &command, FORMAT);
	CHECK_INT(stack_rig_figure(rig.source, "matches"), pieces);
	CHECK_INT(list_co(immed_cdb, immed, 4), SCSI_GOOD);
	until_ready_co(stack);
	CHECK_INT(stack_rig_figure(rig.source, "matches"), 2 * pieces);
	scsi_rig_close_co(&rig);
}

/* -- when it does not come to its end ---------------------------------------- */

static void check_corrupt_co(void)
{
	GOOD(&rig, 0, &command, 0x00);
	FAILS(&rig, 0, &command, 0x033100, 0x28, [8] = 1);
	FAILS(&rig, 0, &command, 0x033100, 0x2a, 0);
	GOOD(&rig, 0, &command, 0x25);
	GOOD(&rig, 0, &command, FORMAT);
	CHECK_INT(byte_co(), 0);
}

static void failed_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {.document = FAULTY};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	scsi_rig_fault_co(
		&rig, "add", "{op: discard, error: ENOMEM, count: 1}");
	CHECK_INT(scsi_rig_do_co(
			  &rig, 0, &command, SCSI_RIG_CDB(FORMAT), NULL, 0),
		SCSI_BUSY);
	write_co(); /* nothing had been touched */
	scsi_rig_fault_co(&rig, "add", "{op: discard, error: EIO, count: 1}");
	FAILS(&rig, 0, &command, 0x030c00, FORMAT);
	check_corrupt_co();
	scsi_rig_fault_co(&rig, "add", "{op: discard, error: EIO, count: 1}");
	CHECK_INT(list_co(immed_cdb, immed, 4), SCSI_GOOD);
	until_ready_co(stack);
	check_corrupt_co();
	scsi_rig_fault_co(&rig, "add", "{op: discard, error: EIO, count: 1}");
	FAILS(&rig, 0, &command, 0x030c00, FORMAT);
	volume_repaired(rig.volume);
	write_co();
	scsi_rig_close_co(&rig);
}

static void aborted_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {.document = FAULTY};
	struct scsi_rig_command held;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	scsi_rig_fault_co(&rig, "add", "{op: discard, hold: true, count: 1}");
	scsi_rig_send(&rig, 0, &held, SCSI_RIG_CDB(FORMAT), NULL, 0);
	scsi_rig_settle_co(&rig);
	FAILS(&rig, 1, &command, 0x020404, 0x00);
	CHECK_INT(scsi_rig_manage_co(&rig, 0, SCSI_ABORT_TASK, &held.task),
		SCSI_FUNCTION_COMPLETE);
	CHECK_INT(scsi_rig_wait_co(&held), SCSI_ABORTED);
	check_corrupt_co();
	/* A reset ends one that its host does not wait for. */
	scsi_rig_fault_co(&rig, "add", "{op: discard, hold: true, count: 1}");
	CHECK_INT(list_co(immed_cdb, immed, 4), SCSI_GOOD);
	CHECK_INT(scsi_rig_manage_co(&rig, 0, SCSI_LUN_RESET, NULL),
		SCSI_FUNCTION_COMPLETE);
	FAILS(&rig, 0, &command, 0x062903, 0x00);
	FAILS(&rig, 1, &command, 0x062903, 0x00);
	check_corrupt_co();
	/* So does an operator who takes the volume away. */
	scsi_rig_fault_co(&rig, "add", "{op: discard, hold: true, count: 1}");
	CHECK_INT(list_co(immed_cdb, immed, 4), SCSI_GOOD);
	volume_offline_co(rig.volume, "a test");
	FAILS(&rig, 0, &command, 0x020403, 0x00);
	scsi_rig_close_co(&rig);
}

#define ROW(body) \
	STACK_RIG_CASE(body, sim, .world = "simulated", .lanes = 3), \
		STACK_RIG_CASE(body, threads, .world = "threads", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(simple_co),
		STACK_RIG_CASE_WITH(simple_co, "thick", "thick",
			.world = "simulated", .lanes = 3),
		ROW(pieces_co),
		STACK_RIG_CASE_WITH(pieces_co, "thick", "thick",
			.world = "simulated", .lanes = 3),
		ROW(list_rows_co),
		ROW(refused_co),
		ROW(immed_co),
		ROW(failed_co),
		ROW(aborted_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
