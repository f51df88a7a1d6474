/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to be durable before its status reaches the source as such: with FUA,
 * and everything while the write cache is off. A fault listener with a rule that
 * fits only such requests counts them. The file is large enough for the address
 * bit of 6 byte commands that is FUA in others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "tests/lib/scsi_rig.h"

#define GOOD SCSI_RIG_GOOD
#define FAILS SCSI_RIG_FAILS
#define COUNTS(op, fua) \
	"{listeners: [{type: fault, name: fault, rules: [{op: " op \
	", fua: " fua ", error: none}]}], " \
	"protocol: {type: file, path: disk, size: 512M}}"

static struct scsi_rig rig;
static struct scsi_rig_command command;

enum fua_data { PATTERN, ZEROES, EXTENT };

struct fua_row {
	const char *name;
	uint8_t cdb[16];
	uint32_t out_bytes;
	enum fua_data data;
	bool always; /* durable also while the cache is on */
};

static const struct fua_row rows[] = {
	{"WRITE(6)", {0x0a, 8, 0, 0, 1}, 512, PATTERN, false},
	{"WRITE(10)", {0x2a, [8] = 1}, 512, PATTERN, false},
	{"WRITE(10) with FUA", {0x2a, 8, [8] = 1}, 512, PATTERN, true},
	{"WRITE(12) with FUA", {0xaa, 8, [9] = 1}, 512, PATTERN, true},
	{"WRITE(16)", {0x8a, [13] = 1}, 512, PATTERN, false},
	{"WRITE(16) with FUA", {0x8a, 8, [13] = 1}, 512, PATTERN, true},
	{"WRITE AND VERIFY(10)", {0x2e, [8] = 1}, 512, PATTERN, true},
	{"WRITE AND VERIFY(16)", {0x8e, [13] = 1}, 512, PATTERN, true},
	{"WRITE SAME(10)", {0x41, [8] = 4}, 512, PATTERN, false},
	{"WRITE SAME(10) of zeroes", {0x41, [8] = 4}, 512, ZEROES, false},
	{"WRITE SAME(16), UNMAP", {0x93, 8, [13] = 8}, 512, ZEROES, false},
	{"UNMAP", {0x42, [8] = 24}, 24, EXTENT, false},
	{"COMPARE AND WRITE", {0x89, [8] = 1, [13] = 1}, 1024, ZEROES, false},
	{"COMPARE AND WRITE with FUA", {0x89, 8, [8] = 1, [13] = 1}, 1024,
		ZEROES, true},
	{"ORWRITE(16)", {0x8b, [13] = 1}, 512, PATTERN, false},
	{"ORWRITE(16) with FUA", {0x8b, 8, [13] = 1}, 512, PATTERN, true},
};

/* Matches of the only rule, so far. */
static uint64_t matches(void)
{
	return stack_rig_figure(rig.source, "matches");
}

static void check_row_co(const struct fua_row *row, bool cache)
{
	uint8_t out[1024];
	uint64_t before = matches();
	bool durable;

	memset(out, row->data == PATTERN ? 'f' : 0, sizeof out);
	if (row->data == EXTENT) {
		put_be16(out, 22);
		put_be16(out + 2, 16);
		put_be32(out + 16, 8);
	}
	CHECK_INT(scsi_rig_do_co(
			  &rig, 0, &command, row->cdb, out, row->out_bytes),
		SCSI_GOOD);
	durable = matches() > before;
	if (durable != (row->always || !cache))
		check_fail(__FILE__, __LINE__, "%s, WCE %d: %s to be durable",
			row->name, cache, durable ? "asked" : "not asked");
}

static void write_cache_co(bool on)
{
	uint8_t list[24] = {[4] = 0x08, [5] = 0x12, [6] = on ? 4 : 0};

	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x15, 0x10, 0, 0, 24), list, 24),
		SCSI_GOOD);
	GOOD(&rig, 0, &command, 0x1a, 8, 0x08, 0, 24);
	CHECK_INT(command.data[6] & 4, on ? 4 : 0);
}

static void changes_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {
		.document = COUNTS("change", "true")};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
		check_row_co(&rows[i], true);
	write_cache_co(false);
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
		check_row_co(&rows[i], false);
	write_cache_co(true);
	check_row_co(&rows[1], true);
	scsi_rig_close_co(&rig);
}

/* A read with FUA: what it shows is durable, so the cache is flushed. */
static void reads_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {
		.document = COUNTS("flush", "false")};
	uint8_t data[512];

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	memset(data, 'r', sizeof data);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command, SCSI_RIG_CDB(0x2a, [8] = 1),
			  data, 512),
		SCSI_GOOD);
	GOOD(&rig, 0, &command, 0x28, [8] = 1);
	GOOD(&rig, 0, &command, 0x08, 8, 0, 0, 1); /* an address */
	CHECK_INT(matches(), 0);
	GOOD(&rig, 0, &command, 0x28, 8, [8] = 1);
	CHECK_INT(matches(), 1);
	CHECK_INT(command.task.in_bytes, 512);
	CHECK_INT(command.data[511], 'r');
	GOOD(&rig, 0, &command, 0x88, 8, [13] = 1);
	CHECK_INT(matches(), 2);
	/* Nothing is cached: one flush when the cache goes, then none. */
	write_cache_co(false);
	CHECK_INT(matches(), 3);
	GOOD(&rig, 0, &command, 0x28, 8, [8] = 1);
	CHECK_INT(matches(), 3);
	/* A flush that fails takes the data with it. */
	write_cache_co(true);
	scsi_rig_fault_co(&rig, "clear", NULL);
	scsi_rig_fault_co(&rig, "add", "{op: flush, error: EIO, count: 1}");
	FAILS(&rig, 0, &command, 0x030c00, 0x28, 8, [8] = 1);
	CHECK_INT(command.task.in_bytes, 0);
	FAILS(&rig, 0, &command, 0x044400, 0x28, [8] = 1);
	scsi_rig_close_co(&rig);
}

#define ROW(body) STACK_RIG_CASE(body, sim, .world = "simulated", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(changes_co),
		ROW(reads_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
