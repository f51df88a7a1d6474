/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flushes that no host has asked for by name: what is under way when the write cache
 * is switched off, and what a flush that fails does to its volume, whoever needed
 * it. TSAN: yes
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
/* A rule that counts flushes; while it is there none after it strikes them. */
#define COUNTS \
	"{listeners: [{type: fault, name: fault, rules: [{op: flush, " \
	"error: none}]}], protocol: {type: file, path: disk, size: 4M}}"
#define FAILED 0x044400

static struct scsi_rig rig;
static struct scsi_rig_command command;

static uint64_t flushes(void)
{
	return stack_rig_figure(rig.source, "matches");
}

static uint8_t write_cache_co(unsigned host, bool on, bool save)
{
	uint8_t list[24] = {[4] = 0x08, [5] = 0x12, [6] = on ? 4 : 0};

	return scsi_rig_do_co(&rig, host, &command,
		SCSI_RIG_CDB(0x15, save ? 0x11 : 0x10, 0, 0, 24), list, 24);
}

/* -- under way as the cache goes -------------------------------------------- */

struct change_row {
	uint8_t cdb[16];
	uint32_t out_bytes;
	uint8_t fill;
};

/* UNMAP's list is made of `change_out`. */
static const struct change_row change_rows[] = {
	{{0x0a, 0, 0, 0, 1}, 512, 'c'},
	{{0x2a, [8] = 1}, 512, 'c'},
	{{0x41, [8] = 4}, 512, 'c'},
	{{0x41, [8] = 4}, 512, 0},
	{{0x93, 8, [13] = 8}, 512, 0},
	{{0x89, [13] = 1}, 1024, 0},
	{{0x8b, [13] = 1}, 512, 'c'},
	{{0x42, [8] = 24}, 24, 0},
};

static void change_out(const struct change_row *row, uint8_t *out)
{
	memset(out, row->fill, 1024);
	if (row->cdb[0] != 0x42)
		return;
	put_be16(out, 22);
	put_be16(out + 2, 16);
	put_be32(out + 16, 8);
}

/* Sends the change and waits until it is below, with its answer held. */
static void hold_change_co(const struct change_row *row, const uint8_t *out,
	struct scsi_rig_command *held)
{
	scsi_rig_fault_co(&rig, "add",
		"{op: change, event: complete, hold: true, name: held}");
	scsi_rig_send(&rig, 0, held, row->cdb, out, row->out_bytes);
	stack_rig_until_co(rig.stack, rig.source, "held", 1);
}

static void release_change_co(void)
{
	scsi_rig_fault_co(&rig, "release", "{name: held}");
}

/* It was sent without FUA, and ends when the host is owed durable writes. */
static void cache_off_row_co(const struct change_row *row)
{
	struct scsi_rig_command held;
	uint8_t out[1024];
	uint64_t before;

	change_out(row, out);
	CHECK_INT(write_cache_co(0, true, false), SCSI_GOOD);
	/* The block is zeroes, as COMPARE AND WRITE expects. */
	GOOD(&rig, 0, &command, 0x93, 9, [13] = 8);
	hold_change_co(row, out, &held);
	CHECK_INT(write_cache_co(0, false, false), SCSI_GOOD);
	scsi_rig_settle_co(&rig);
	CHECK(!held.done);
	before = flushes();
	release_change_co();
	CHECK_INT(scsi_rig_wait_co(&held), SCSI_GOOD);
	if (flushes() != before + 1)
		check_fail(__FILE__, __LINE__,
			"opcode %02x, under way as WCE fell: %u flushes",
			row->cdb[0], (unsigned)(flushes() - before));
}

static void cache_off_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {.document = COUNTS};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	for (unsigned i = 0; i < sizeof change_rows / sizeof *change_rows; i++)
		cache_off_row_co(&change_rows[i]);
	scsi_rig_close_co(&rig);
}

/* A flush of its own that fails is the command's failure, and the volume's; who
 * is aborted in it is owed none. */
static void cache_off_fails_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {.document = COUNTS};
	struct scsi_rig_command held;
	uint8_t out[1024];

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	scsi_rig_fault_co(&rig, "clear", NULL);
	change_out(&change_rows[1], out);
	hold_change_co(&change_rows[1], out, &held);
	CHECK_INT(write_cache_co(0, false, false), SCSI_GOOD);
	scsi_rig_fault_co(&rig, "add", "{op: flush, hold: true, name: flush}");
	release_change_co();
	scsi_rig_settle_co(&rig);
	CHECK_INT(scsi_rig_manage_co(&rig, 0, SCSI_ABORT_TASK, &held.task),
		SCSI_FUNCTION_COMPLETE);
	CHECK_INT(scsi_rig_wait_co(&held), SCSI_ABORTED);
	GOOD(&rig, 0, &command, 0x00);
	scsi_rig_fault_co(&rig, "remove", "{name: flush}");
	CHECK_INT(write_cache_co(0, true, false), SCSI_GOOD);
	hold_change_co(&change_rows[1], out, &held);
	CHECK_INT(write_cache_co(0, false, false), SCSI_GOOD);
	scsi_rig_fault_co(&rig, "add", "{op: flush, error: EIO, count: 1}");
	release_change_co();
	CHECK_INT(scsi_rig_wait_co(&held), SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&held), 0x030c00);
	FAILS(&rig, 0, &command, FAILED, 0x28, [8] = 1);
	scsi_rig_close_co(&rig);
}

/* Whoever is told that there is no cache has nothing in it: also who asks for that
 * while the flush of another, or a failed one, has not made it so. */
static void cache_off_twice_co(struct stack_rig *stack, void *argument)
{
	static const uint8_t list[24] = {[4] = 0x08, [5] = 0x12};
	const struct scsi_rig_setup setup = {.document = COUNTS};
	struct scsi_rig_command first, second;
	const uint8_t cdb[16] = {0x15, 0x10, 0, 0, 24};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	scsi_rig_fault_co(&rig, "clear", NULL);
	scsi_rig_fault_co(&rig, "add", "{op: flush, hold: true, name: held}");
	scsi_rig_send(&rig, 0, &first, cdb, list, 24);
	stack_rig_until_co(stack, rig.source, "held", 1);
	scsi_rig_send(&rig, 0, &second, cdb, list, 24);
	stack_rig_until_co(stack, rig.source, "held", 2);
	CHECK(!first.done && !second.done);
	scsi_rig_fault_co(&rig, "release", NULL);
	CHECK_INT(scsi_rig_wait_co(&first), SCSI_GOOD);
	CHECK_INT(scsi_rig_wait_co(&second), SCSI_GOOD);
	CHECK_INT(write_cache_co(0, true, false), SCSI_GOOD);
	scsi_rig_fault_co(&rig, "add", "{op: flush, error: ENOMEM, count: 1}");
	scsi_rig_fault_co(&rig, "add", "{op: flush, error: none}");
	CHECK_INT(write_cache_co(0, false, false), SCSI_CHECK_CONDITION);
	CHECK_INT(write_cache_co(0, false, false), SCSI_GOOD);
	CHECK_INT(flushes(), 2); /* the first rule's matches: both asked */
	scsi_rig_close_co(&rig);
}

/* -- a flush that fails ------------------------------------------------------ */

static void until_not_formatting_co(struct stack_rig *stack)
{
	while (scsi_rig_do_co(&rig, 2, &command, SCSI_RIG_CDB(0), NULL, 0) !=
			SCSI_GOOD &&
		scsi_rig_sense(&command) == 0x020404)
		loop_sleep_co(block_core_lane(stack->core, 0)->loop, 1000000);
}

static void stop_co(void)
{
	FAILS(&rig, 0, &command, 0x030c00, 0x1b);
}

static void eject_co(void)
{
	FAILS(&rig, 0, &command, 0x030c00, 0x1b, 0, 0, 0, 2);
}

static void format_co(void)
{
	FAILS(&rig, 0, &command, 0x030c00, 0x04);
}

static void format_immed_co(void)
{
	static const uint8_t list[4] = {0, 0x02};

	CHECK_INT(scsi_rig_do_co(
			  &rig, 0, &command, SCSI_RIG_CDB(0x04, 0x10), list, 4),
		SCSI_GOOD);
	until_not_formatting_co(rig.stack);
}

static void mode_co(void)
{
	CHECK_INT(write_cache_co(0, false, false), SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), FAILED);
}

/* Off is what was saved, and what a reset goes back to. */
static void reset_co(void)
{
	CHECK_INT(scsi_rig_manage_co(&rig, 0, SCSI_LUN_RESET, NULL),
		SCSI_FUNCTION_COMPLETE);
	for (unsigned host = 0; host < SCSI_RIG_HOSTS; host++)
		FAILS(&rig, host, &command, 0x062903, 0x00);
}

static void flush_fails_co(struct stack_rig *stack, void *argument)
{
	static void (*const needs_co[])(void) = {stop_co, eject_co, format_co,
		format_immed_co, mode_co, reset_co};
	const struct scsi_rig_setup setup = {
		.document = COUNTS, .removable = true};

	(void)argument;
	for (unsigned i = 0; i < sizeof needs_co / sizeof *needs_co; i++) {
		scsi_rig_open_co(&rig, stack, &setup);
		CHECK_INT(write_cache_co(0, false, true), SCSI_GOOD);
		CHECK_INT(write_cache_co(0, true, false), SCSI_GOOD);
		for (unsigned host = 1; host < SCSI_RIG_HOSTS; host++)
			FAILS(&rig, host, &command, 0x062a01, 0x00);
		scsi_rig_fault_co(&rig, "clear", NULL);
		scsi_rig_fault_co(
			&rig, "add", "{op: flush, error: EIO, count: 1}");
		needs_co[i]();
		if (!(volume_flags(rig.volume) & VOLUME_FAILED))
			check_fail(__FILE__, __LINE__,
				"row %u: a flush failed, the volume has not",
				i);
		FAILS(&rig, 0, &command, FAILED, 0x28, [8] = 1);
		scsi_rig_close_co(&rig);
	}
}

#define ROW(body) \
	STACK_RIG_CASE(body, sim, .world = "simulated", .lanes = 3), \
		STACK_RIG_CASE(body, threads, .world = "threads", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(cache_off_co),
		ROW(cache_off_fails_co),
		ROW(cache_off_twice_co),
		ROW(flush_fails_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
