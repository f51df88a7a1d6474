/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hosts are told of the source's errors: each errno for each kind of command, by
 * status and sense; then what a disk does on bad days (full, broken in a place, cut
 * short, not flushed), on files. What failed has never been acknowledged; what is next
 * to it can still be had.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "tests/lib/scsi_rig.h"
#include "tests/lib/stack_sim.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GOOD SCSI_RIG_GOOD
#define FAILS SCSI_RIG_FAILS

static struct scsi_rig rig;
static struct scsi_rig_command command;
static uint8_t out[1024];

/* Status, or key, ASC and ASCQ of CHECK CONDITION. */
static uint32_t ask_co(const uint8_t *cdb, uint32_t out_bytes)
{
	uint8_t status = scsi_rig_do_co(&rig, 0, &command, cdb, out, out_bytes);

	return status == SCSI_CHECK_CONDITION ? scsi_rig_sense(&command)
					      : status;
}

/* -- each errno for each kind -------------------------------------------------- */

/* Commands that read, with what they do below; and those that change. */
static const struct kind {
	const char *name, *op;
	uint8_t cdb[16];
	uint32_t out_bytes;
	bool reads;
} kinds[] = {
	{"READ", "read", {0x28, [8] = 1}, 0, true},
	{"VERIFY", "read", {0x2f, [8] = 1}, 0, true},
	{"VERIFY with data", "read", {0x2f, 2, [8] = 1}, 512, true},
	{"GET LBA STATUS", "extents", {0x9e, 0x12, [13] = 64}, 0, true},
	{"ORWRITE, its read", "read", {0x8b, [13] = 1}, 512, true},
	{"ORWRITE, its write", "write", {0x8b, [13] = 1}, 512, false},
	{"WRITE", "write", {0x2a, [8] = 1}, 512, false},
	{"WRITE AND VERIFY", "write", {0x2e, [8] = 1}, 512, false},
	{"WRITE AND VERIFY, its read", "read", {0x2e, [8] = 1}, 512, true},
	{"WRITE SAME", "write", {0x41, [8] = 2}, 512, false},
	{"WRITE SAME of zeroes", "write_zeroes", {0x93, 1, [13] = 2}, 0, false},
	{"UNMAP", "discard", {0x42, [8] = 24}, 24, false},
	{"COMPARE AND WRITE", "compare_and_write", {0x89, [13] = 1}, 1024,
		false},
};

static const struct told {
	const char *error;
	uint32_t reading, writing;
} told[] = {
	{"EIO", 0x031100, 0x030c00},
	{"ENOSPC", 0x072707, 0x072707},
	{"EROFS", 0x072700, 0x072700},
	{"ENODEV", 0x020403, 0x020403},
	{"ETIMEDOUT", 0x044400, 0x044400},
	{"ENOMEM", SCSI_BUSY, SCSI_BUSY},
	{"EAGAIN", SCSI_BUSY, SCSI_BUSY},
	{"EBUSY", SCSI_BUSY, SCSI_BUSY},
};

/* What is sent is "abc..." where there are zeroes; an UNMAP is of one block. */
static void fill(const struct kind *kind)
{
	memset(out, 0, sizeof out);
	if (kind->cdb[0] == 0x42) {
		put_be16(out, 22);
		put_be16(out + 2, 16);
		put_be32(out + 16, 1);
	} else if (kind->cdb[0] != 0x89 && kind->cdb[0] != 0x2f) {
		memset(out, 'w', 512);
	}
}

static void errors_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {
		.document = "{listeners: [{type: fault, name: fault}], "
			    "protocol: {type: mem, size: 4M}}"};
	char rule[96];

	(void)argument;
	for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		const struct kind *kind = &kinds[i];

		scsi_rig_open_co(&rig, stack, &setup);
		for (unsigned j = 0; j < sizeof told / sizeof *told; j++) {
			uint32_t owed =
				kind->reads ? told[j].reading : told[j].writing;
			uint32_t got;

			snprintf(rule, sizeof rule,
				"{op: %s, error: %s, count: 1}", kind->op,
				told[j].error);
			scsi_rig_fault_co(&rig, "add", rule);
			fill(kind);
			got = ask_co(kind->cdb, kind->out_bytes);
			if (got != owed)
				check_fail(__FILE__, __LINE__,
					"%s, %s: %06x, not %06x", kind->name,
					told[j].error, got, owed);
			CHECK_INT(command.task.in_bytes, 0);
		}
		/* None of it stays, and the place was not changed before. */
		fill(kind);
		CHECK_INT(ask_co(kind->cdb, kind->out_bytes), SCSI_GOOD);
		scsi_rig_close_co(&rig);
	}
}

/* ORWRITE tries again when somebody else was quicker, and not for ever. */
static void or_again_co(struct stack_rig *stack, void *argument)
{
	static const uint8_t cdb[16] = {0x8b, [13] = 1};
	static const struct {
		unsigned lost;
		uint8_t status;
	} rows[] = {{1, SCSI_GOOD}, {31, SCSI_GOOD}, {32, SCSI_BUSY}};
	const struct scsi_rig_setup setup = {
		.document = "{listeners: [{type: fault, name: fault}], "
			    "protocol: {type: mem, size: 4M}}"};
	char rule[96];

	(void)argument;
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		scsi_rig_open_co(&rig, stack, &setup);
		snprintf(rule, sizeof rule,
			"{op: compare_and_write, error: EILSEQ, count: %u}",
			rows[i].lost);
		scsi_rig_fault_co(&rig, "add", rule);
		memset(out, 'o', 512);
		CHECK_INT(ask_co(cdb, 512), rows[i].status);
		CHECK_INT(stack_rig_figure(rig.source, "hits"), rows[i].lost);
		GOOD(&rig, 0, &command, 0x28, [8] = 1);
		CHECK_INT(command.data[0], rows[i].status ? 0 : 'o');
		scsi_rig_close_co(&rig);
	}
}

/* -- bad days of disks ---------------------------------------------------------- */

#define DISK "{protocol: {type: file, path: disk, size: 8M}}"

/* WRITE(10) and READ(10) of 8 blocks. */
static uint32_t write_co(uint32_t lba, uint8_t byte)
{
	static uint8_t data[8 * 512];
	uint8_t cdb[16] = {0x2a, [8] = 8};
	uint8_t status;

	memset(data, byte, sizeof data);
	put_be32(cdb + 2, lba);
	status = scsi_rig_do_co(&rig, 0, &command, cdb, data, sizeof data);
	return status == SCSI_CHECK_CONDITION ? scsi_rig_sense(&command)
					      : status;
}

static void expect_co(uint32_t lba, uint8_t byte)
{
	uint8_t cdb[16] = {0x28, [8] = 8};

	put_be32(cdb + 2, lba);
	CHECK_INT(ask_co(cdb, 0), SCSI_GOOD);
	CHECK_INT(command.task.in_bytes, 8 * 512);
	for (unsigned i = 0; i < 8 * 512; i++)
		CHECK_INT(command.data[i], byte);
}

/* What has its place can be written, what would need another cannot; with room it
 * can. */
static void full_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {.document = DISK};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	CHECK_INT(write_co(0, 'a'), SCSI_GOOD);
	sim_world_limit(stack->world, 4096, 0);
	CHECK_INT(write_co(64, 'b'), 0x072707);
	expect_co(64, 0);
	CHECK_INT(write_co(0, 'c'), SCSI_GOOD);
	expect_co(0, 'c');
	GOOD(&rig, 0, &command, 0x35);
	sim_world_limit(stack->world, 0, 0);
	CHECK_INT(write_co(64, 'd'), SCSI_GOOD);
	expect_co(64, 'd');
	scsi_rig_close_co(&rig);
}

/* A place that cannot be read or written; its neighbours can. */
static void bad_place_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {.document = DISK};
	struct sim_fault fault = {.opcodes = 1u << RING_READ | 1u << RING_WRITE,
		.error = -EIO,
		.offset_bytes = 64 * 512,
		.length_bytes = 512};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	CHECK_INT(write_co(56, 'a'), SCSI_GOOD);
	CHECK_INT(write_co(72, 'b'), SCSI_GOOD);
	sim_world_fail(stack->world, &fault);
	CHECK_INT(write_co(64, 'c'), 0x030c00);
	FAILS(&rig, 0, &command, 0x031100, 0x28, [5] = 60, [8] = 8);
	CHECK_INT(command.task.in_bytes, 0);
	expect_co(56, 'a');
	expect_co(72, 'b');
	GOOD(&rig, 0, &command, 0x00);
	sim_world_heal(stack->world, &fault);
	CHECK_INT(write_co(64, 'd'), SCSI_GOOD);
	expect_co(64, 'd');
	scsi_rig_close_co(&rig);
}

/* A flush that fails: from then on nothing is promised, not even that nothing was
 * lost. A write with FUA is a flush of its own. */
static void not_flushed_co(struct stack_rig *stack, void *argument)
{
	static const uint8_t flush[16] = {0x35}, fua[16] = {0x2a, 8, [8] = 1};
	struct sim_fault fault = {.error = -EIO};

	for (unsigned i = 0; i < 2; i++) {
		const struct scsi_rig_setup setup = {.document = DISK};

		(void)argument;
		scsi_rig_open_co(&rig, stack, &setup);
		CHECK_INT(write_co(0, 'a'), SCSI_GOOD);
		fault.opcodes = 1u << (i ? RING_WRITE : RING_DATASYNC);
		sim_world_fail(stack->world, &fault);
		CHECK_INT(ask_co(i ? fua : flush, i ? 512 : 0), 0x030c00);
		sim_world_heal(stack->world, &fault);
		CHECK_INT(write_co(8, 'b'), i ? 0x030c00 : 0x044400);
		CHECK_INT(ask_co(flush, 0), i ? 0x030c00 : 0x044400);
		scsi_rig_close_co(&rig);
	}
}

/* Somebody cuts the file: what is gone is an error, nothing is made up. */
static void cut_short_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {.document = DISK};
	char path[256];

	(void)argument;
	snprintf(path, sizeof path, "%s/disk", stack->folder);
	scsi_rig_open_co(&rig, stack, &setup);
	CHECK_INT(write_co(0, 'a'), SCSI_GOOD);
	CHECK_INT(write_co(4096, 'b'), SCSI_GOOD);
	CHECK_INT(truncate(path, 1 << 20), 0);
	FAILS(&rig, 0, &command, 0x031100, 0x28, [4] = 0x10, [8] = 8);
	CHECK_INT(command.task.in_bytes, 0);
	/* Over the edge, too. */
	FAILS(&rig, 0, &command, 0x031100, 0x28, [4] = 0x07, 0xfc, [8] = 8);
	FAILS(&rig, 0, &command, 0x031100, 0x2f, [4] = 0x10, [8] = 8);
	expect_co(0, 'a');
	CHECK_INT(write_co(4096, 'c'), SCSI_GOOD);
	expect_co(4096, 'c');
	GOOD(&rig, 0, &command, 0x00);
	scsi_rig_close_co(&rig);
}

#define SIM(body) STACK_RIG_CASE(body, sim, .world = "simulated", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SIM(errors_co),
		SIM(or_again_co),
		SIM(full_co),
		SIM(bad_place_co),
		SIM(not_flushed_co),
		STACK_RIG_CASE(cut_short_co, io_uring, .world = "io_uring",
			.lanes = 3),
		STACK_RIG_CASE(
			cut_short_co, threads, .world = "threads", .lanes = 3),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
