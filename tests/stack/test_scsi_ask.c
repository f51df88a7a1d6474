/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hosts ask of the device server beside reading and writing: sense, modes,
 * logs, diagnostics, lists; the old reservations; what happens without memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "tests/lib/scsi_rig.h"

#define BLOCKS (4u << 20 >> 9)
#define GOOD SCSI_RIG_GOOD
#define FAILS SCSI_RIG_FAILS

static const struct scsi_rig_setup plain;
static struct scsi_rig rig;
static struct scsi_rig_command command;
static const uint8_t *const data = command.data;

static uint8_t out_co(
	unsigned host, const uint8_t *cdb, const void *list, uint32_t bytes)
{
	return scsi_rig_do_co(&rig, host, &command, cdb, list, bytes);
}

/* -- sense and modes --------------------------------------------------------- */

/* SWP by MODE SELECT(6) of host 0, so that the others have an attention. */
static void protect_co(bool on)
{
	uint8_t list[16] = {
		[4] = 0x0a, 0x0a, 0x02, 0x10, on ? 8 : 0, [12] = 0xff, 0xff};

	CHECK_INT(out_co(0, SCSI_RIG_CDB(0x15, 0x10, 0, 0, 16), list, 16),
		SCSI_GOOD);
}

static void request_sense_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	scsi_rig_open_co(&rig, stack, &plain);
	GOOD(&rig, 1, &command, 0x03, 0, 0, 0, 252);
	CHECK_INT(command.task.in_bytes, 18);
	CHECK_INT(data[0], 0x70);
	CHECK_INT(data[2], 0);
	GOOD(&rig, 1, &command, 0x03, 1, 0, 0, 252);
	CHECK_INT(command.task.in_bytes, 8);
	CHECK_INT(get_be32(data), 0x72000000);
	/* An attention is told as data, once, in the format asked for. */
	protect_co(true);
	GOOD(&rig, 1, &command, 0x03, 0, 0, 0, 252);
	CHECK_INT(data[0], 0x70);
	CHECK_INT(data[2], 6);
	CHECK_INT(get_be16(data + 12), 0x2a01);
	GOOD(&rig, 1, &command, 0x00);
	GOOD(&rig, 2, &command, 0x03, 1, 0, 0, 252);
	CHECK_INT(get_be32(data), 0x72062a01);
	GOOD(&rig, 2, &command, 0x03, 1, 0, 0, 252);
	CHECK_INT(get_be32(data), 0x72000000);
	scsi_rig_close_co(&rig);
}

static void modes_10_co(struct stack_rig *stack, void *argument)
{
	uint8_t list[8 + 16 + 12] = {[4] = 1, [7] = 16};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &plain);
	/* All pages behind a long block descriptor. */
	GOOD(&rig, 0, &command, 0x5a, 0x10, 0x3f, [7] = 4);
	CHECK_INT(get_be16(data) + 2u, command.task.in_bytes);
	CHECK_INT(data[3], 0x10); /* DPOFUA */
	CHECK_INT(data[4], 1);
	CHECK_INT(get_be16(data + 6), 16);
	CHECK_INT(get_be64(data + 8), BLOCKS);
	CHECK_INT(get_be32(data + 20), 512);
	/* A short one, or none. */
	GOOD(&rig, 0, &command, 0x5a, 0, 0x0a, [7] = 4);
	CHECK_INT(get_be16(data + 6), 8);
	CHECK_INT(get_be32(data + 8), BLOCKS);
	CHECK_INT(get_be32(data + 12), 512);
	GOOD(&rig, 0, &command, 0x5a, 8, 0x0a, [7] = 4);
	CHECK_INT(command.task.in_bytes, 8 + 12);
	/* D_SENSE goes on with the long descriptor as it was shown. */
	put_be64(list + 8, BLOCKS);
	put_be32(list + 20, 512);
	memcpy(list + 24, data + 8, 12);
	list[24] &= 0x3f;
	list[26] |= 4;
	CHECK_INT(out_co(0, SCSI_RIG_CDB(0x55, 0x10, [8] = 36), list, 36),
		SCSI_GOOD);
	GOOD(&rig, 0, &command, 0x5a, 8, 0x0a, [7] = 4);
	CHECK_INT(data[10] & 4, 4);
	put_be32(list + 20, 4096);
	CHECK_INT(out_co(0, SCSI_RIG_CDB(0x55, 0x10, [8] = 36), list, 36),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x052600);
	CHECK_INT(command.task.sense[0], 0x72);
	scsi_rig_close_co(&rig);
}

/* Page `code` alone; its bytes start at data + 4. */
static void page_co(uint8_t code, uint8_t bytes)
{
	GOOD(&rig, 0, &command, 0x1a, 8, code, 0, 255);
	CHECK_INT(command.task.in_bytes, 4u + bytes);
	CHECK_INT(data[4] & 0x3f, code & 0x3f);
	CHECK_INT(data[5], bytes - 2);
}

static void mode_pages_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup unsaved = {.without_store = true};
	uint8_t list[4 + 24] = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &unsaved);
	page_co(0x03, 24);
	CHECK_INT(get_be16(data + 14), 63); /* sectors of a track */
	CHECK_INT(get_be16(data + 16), 512);
	page_co(0x04, 24);
	CHECK_INT(get_be24(data + 6), BLOCKS / (255 * 63));
	CHECK_INT(data[9], 255);
	/* What cannot be changed may be sent as it is, and not otherwise. */
	memcpy(list + 4, data + 4, 24);
	CHECK_INT(out_co(0, SCSI_RIG_CDB(0x15, 0x10, 0, 0, 28), list, 28),
		SCSI_GOOD);
	list[4 + 5] = 16;
	CHECK_INT(out_co(0, SCSI_RIG_CDB(0x15, 0x10, 0, 0, 28), list, 28),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x052600);
	page_co(0x1c, 12);
	CHECK_INT(data[6], 8); /* DEXCPT */
	page_co(0x40 | 0x04, 24); /* nothing of it is changeable */
	for (unsigned i = 2; i < 24; i++)
		CHECK_INT(data[4 + i], 0);
	page_co(0x40 | 0x0a, 12); /* D_SENSE, SWP, TAS are */
	CHECK_INT(get_be32(data + 6), 0x04000840);
	FAILS(&rig, 0, &command, 0x053900, 0x1a, 8, 0xc8, 0, 255);
	FAILS(&rig, 0, &command, 0x052400, 0x1a, 8, 0x30, 0, 255);
	FAILS(&rig, 0, &command, 0x052400, 0x1a, 8, 0x3f, 1, 255);
	scsi_rig_close_co(&rig);
}

/* -- the old reservations, the cache ----------------------------------------- */

static void reserve_10_co(struct stack_rig *stack, void *argument)
{
	const uint8_t *read = SCSI_RIG_CDB(0x28, [8] = 1);

	(void)argument;
	scsi_rig_open_co(&rig, stack, &plain);
	GOOD(&rig, 0, &command, 0x56);
	CHECK_INT(out_co(1, read, NULL, 0), SCSI_RESERVATION_CONFLICT);
	CHECK_INT(out_co(1, SCSI_RIG_CDB(0x56), NULL, 0),
		SCSI_RESERVATION_CONFLICT);
	GOOD(&rig, 1, &command, 0x57); /* not its own: nothing happens */
	CHECK_INT(out_co(1, read, NULL, 0), SCSI_RESERVATION_CONFLICT);
	CHECK_INT(out_co(0, read, NULL, 0), SCSI_GOOD);
	GOOD(&rig, 0, &command, 0x57);
	CHECK_INT(out_co(1, read, NULL, 0), SCSI_GOOD);
	scsi_rig_close_co(&rig);
}

static void synchronize_16_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {
		.document = "{listeners: [{type: fault, name: fault, "
			    "rules: [{op: flush, error: none}]}], "
			    "protocol: {type: mem, size: 4M}}"};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	GOOD(&rig, 0, &command, 0x91, [13] = 8);
	CHECK_INT(stack_rig_figure(rig.source, "matches"), 1);
	GOOD(&rig, 0, &command, 0x91, 2, [8] = 0x1f); /* IMMED; to the end */
	CHECK_INT(stack_rig_figure(rig.source, "matches"), 2);
	FAILS(&rig, 0, &command, 0x052100, 0x91, [8] = 0x20, [13] = 1);
	CHECK_INT(stack_rig_figure(rig.source, "matches"), 2);
	scsi_rig_close_co(&rig);
}

/* -- logs, diagnostics, functions, time -------------------------------------- */

static void logs_co(struct stack_rig *stack, void *thick)
{
	const struct scsi_rig_setup setup = {.thick = thick};

	scsi_rig_open_co(&rig, stack, &setup);
	GOOD(&rig, 0, &command, 0x4d, 0, 0x40, [8] = 255);
	CHECK_INT(get_be32(data), 2);
	CHECK_INT(data[4], 0x00);
	CHECK_INT(data[5], 0x0d);
	GOOD(&rig, 0, &command, 0x4d, 0, 0x4d, [8] = 255);
	CHECK_INT(command.task.in_bytes, 16);
	CHECK_INT(get_be16(data + 4), 0); /* temperature: not known */
	CHECK_INT(data[9], 0xff);
	CHECK_INT(get_be16(data + 10), 1); /* reference temperature */
	CHECK_INT(data[15], 0xff);
	/* No provisioning page: it would have no parameter. */
	FAILS(&rig, 0, &command, 0x052400, 0x4d, 0, 0x4c, [8] = 255);
	FAILS(&rig, 0, &command, 0x052400, 0x4d, 1, 0x40, [8] = 255);
	FAILS(&rig, 0, &command, 0x052400, 0x4d, 0, 0x40, 1, [8] = 255);
	FAILS(&rig, 0, &command, 0x052400, 0x4d, 0, 0x6f, [8] = 255);
	/* From a parameter on. */
	GOOD(&rig, 0, &command, 0x4d, 0, 0x4d, [6] = 1, [8] = 255);
	CHECK_INT(command.task.in_bytes, 10);
	CHECK_INT(get_be16(data + 2), 6);
	CHECK_INT(get_be16(data + 4), 1);
	FAILS(&rig, 0, &command, 0x052400, 0x4d, 0, 0x4d, [6] = 2, [8] = 255);
	CHECK_INT(get_be16(command.task.sense + 16), 5);
	FAILS(&rig, 0, &command, 0x052400, 0x4d, 0, 0x40, [6] = 1, [8] = 255);
	scsi_rig_close_co(&rig);
}

/* What the standards reserve, or have taken back, and no host should get silently
 * wrong. */
static void reserved_fields_co(struct stack_rig *stack, void *argument)
{
	static const struct {
		uint8_t cdb[16];
		uint8_t byte, out;
	} refused[] = {
		{{0x41, 0x04, [8] = 1}, 1, 1}, /* PBDATA */
		{{0x41, 0x02, [8] = 1}, 1, 1}, /* LBDATA */
		{{0x93, 0x04, [13] = 1}, 1, 1},
		{{0x93, 0x02, [13] = 1}, 1, 1},
	};
	static const uint8_t zeroes[512];
	const struct scsi_rig_setup setup = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	for (unsigned i = 0; i < sizeof refused / sizeof *refused; i++) {
		CHECK_INT(scsi_rig_do_co(&rig, 0, &command, refused[i].cdb,
				  zeroes, refused[i].out * 512u),
			SCSI_CHECK_CONDITION);
		CHECK_INT(scsi_rig_sense(&command), 0x052400);
		CHECK_INT(get_be16(command.task.sense + 16), refused[i].byte);
	}
	/* Power conditions change nothing, whatever they are. */
	for (unsigned i = 1; i < 16; i++)
		GOOD(&rig, 0, &command, 0x1b, 0, 0, 0, (uint8_t)(i << 4));
	scsi_rig_close_co(&rig);
}

static void diagnostics_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	scsi_rig_open_co(&rig, stack, &plain);
	GOOD(&rig, 0, &command, 0x1d, 4); /* the default self-test */
	FAILS(&rig, 0, &command, 0x052400, 0x1d, 0x20); /* in the background */
	FAILS(&rig, 0, &command, 0x052400, 0x1d, 0);
	CHECK_INT(out_co(0, SCSI_RIG_CDB(0x1d, 4, 0, 0, 4), "\0\0\0", 4),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x052400);
	GOOD(&rig, 0, &command, 0x1c, 1, 0, 0, 255);
	CHECK_INT(command.task.in_bytes, 5);
	CHECK_INT(get_be32(data), 1);
	CHECK_INT(data[4], 0);
	FAILS(&rig, 0, &command, 0x052400, 0x1c, 1, 0x40, 0, 255);
	FAILS(&rig, 0, &command, 0x052400, 0x1c, 0, 0, 0, 255);
	scsi_rig_close_co(&rig);
}

static void functions_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	scsi_rig_open_co(&rig, stack, &plain);
	GOOD(&rig, 0, &command, 0xa3, 0x0d, [8] = 1);
	CHECK_INT(command.task.in_bytes, 4);
	CHECK_INT(get_be32(data), 0xda000000);
	GOOD(&rig, 0, &command, 0xa3, 0x0d, 0x80, [8] = 1);
	CHECK_INT(command.task.in_bytes, 16);
	CHECK_INT(get_be32(data), 0xda00000c);
	scsi_rig_close_co(&rig);
}

static void timestamp_co(struct stack_rig *stack, void *argument)
{
	uint64_t before = (uint64_t)time(NULL) * 1000, told;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &plain);
	GOOD(&rig, 0, &command, 0xa3, 0x0f, [9] = 12);
	CHECK_INT(command.task.in_bytes, 12);
	CHECK_INT(get_be16(data), 10);
	CHECK_INT(data[2], 3); /* not set by a host */
	told = (uint64_t)get_be16(data + 4) << 32 | get_be32(data + 6);
	CHECK(told >= before && told < ((uint64_t)time(NULL) + 1) * 1000);
	/* And it is among the commands that are told. */
	GOOD(&rig, 0, &command, 0xa3, 0x0c, 3, 0xa3, 0, 0x0f, [8] = 1);
	CHECK_INT(data[1], 3);
	CHECK_INT(data[5], 0x0f);
	scsi_rig_close_co(&rig);
}

/* What target/scsi/README.md says is deliberately not there. */
static void refused_co(struct stack_rig *stack, void *argument)
{
	static const uint8_t opcodes[] = {
		0x37, 0x3b, 0x3f, 0x48, 0x4c, 0x83, 0x84, 0x9c, 0xa4, 0xb7};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &plain);
	for (unsigned i = 0; i < sizeof opcodes; i++)
		FAILS(&rig, 0, &command, 0x052000, opcodes[i]);
	FAILS(&rig, 0, &command, 0x052400, 0xa3, 0x05, [9] = 4);
	CHECK_INT(command.task.sense[15], 0xcc); /* byte 1, bit 4 */
	CHECK_INT(get_be16(command.task.sense + 16), 1);
	/* SET TARGET PORT GROUPS is told as not there, as TPGS says. */
	GOOD(&rig, 0, &command, 0xa3, 0x0c, 2, 0xa4, 0, 0x0a, [9] = 64);
	CHECK_INT(data[1] & 7, 1);
	GOOD(&rig, 0, &command, 0x12, 0, 0, 0, 96);
	CHECK_INT(data[5] & 8, 0); /* 3PC */
	scsi_rig_close_co(&rig);
}

/* -- units -------------------------------------------------------------------- */

static void check_luns_co(uint8_t select, unsigned units, bool well_known)
{
	uint32_t bytes = 8 * (units + well_known);

	GOOD(&rig, 0, &command, 0xa0, 0, select, [8] = 1);
	CHECK_INT(get_be32(data), bytes);
	CHECK_INT(command.task.in_bytes, 8 + bytes);
	for (unsigned i = 0; i < units; i++)
		CHECK_INT(get_be64(data + 8 + 8 * i), (uint64_t)i << 48);
	if (well_known)
		CHECK_INT(get_be64(data + bytes), 0xc101ull << 48);
}

static void luns_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	scsi_rig_open_co(&rig, stack, &plain);
	check_luns_co(0, 1, false);
	check_luns_co(1, 0, true);
	check_luns_co(2, 1, true);
	FAILS(&rig, 0, &command, 0x052400, 0xa0, 0, 3, [8] = 1);
	scsi_rig_refresh_co(&rig, 0, true, true);
	/* To have seen the new list is to have been told of it. */
	check_luns_co(2, 2, true);
	GOOD(&rig, 0, &command, 0x00);
	scsi_rig_close_co(&rig);
}

/* The LUN of the unit that a task with that first level reaches, or -1. */
static int reached(uint16_t first)
{
	struct scsi_task *task = &command.task;
	int lun;

	memset(task, 0, sizeof *task);
	task->nexus = &rig.nexus[0]; /* its lane is the test's */
	task->cdb_bytes = 16;
	put_be16(task->lun, first);
	if (!scsi_task_begin(task)) {
		CHECK_INT(scsi_rig_sense(&command), 0x052500);
		return -1;
	}
	lun = (int)task->logical_unit->lun;
	scsi_task_drop(task);
	return lun;
}

static void flat_space_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	scsi_rig_open_co(&rig, stack, &plain);
	CHECK_INT(reached(0x4000), 0); /* either form for small ones */
	scsi_rig_logout_co(&rig, 0);
	rig.table->target[0]->export[0].lun = 300;
	scsi_rig_login_co(&rig, 0);
	GOOD(&rig, 0, &command, 0xa0, [8] = 1);
	CHECK_INT(get_be32(data), 8);
	CHECK_INT(get_be16(data + 8), 0x4000 | 300);
	CHECK_INT(reached(0x4000 | 300), 300);
	CHECK_INT(reached(300), 300); /* as QEMU and LIO write it */
	CHECK_INT(reached(0x4000 | 301), -1);
	CHECK_INT(reached(301), -1);
	CHECK_INT(reached(44), -1);
	CHECK_INT(reached(0), -1);
	CHECK_INT(reached(0x8000 | 300), -1); /* other forms */
	CHECK_INT(reached(0xc000 | 300), -1);
	GOOD(&rig, 0, &command, 0x12, 0, 0, 0, 96);
	CHECK_INT(data[0], 0x7f);
	GOOD(&rig, 0, &command, 0x03, 0, 0, 0, 252); /* LUN 0 is not there */
	CHECK_INT(data[2], 5);
	CHECK_INT(get_be16(data + 12), 0x2500);
	/* It is not taken for the one that ends with the same byte. */
	scsi_rig_logout_co(&rig, 0);
	rig.table->target[0]->export[0].lun = 44;
	scsi_rig_login_co(&rig, 0);
	CHECK_INT(reached(44), 44);
	CHECK_INT(reached(300), -1);
	scsi_rig_close_co(&rig);
}

/* -- no memory ------------------------------------------------------------------ */

/* Who finds no buffer of its own says BUSY, at once, and works again later. */
static void busy_co(struct stack_rig *stack, void *argument)
{
	static const uint8_t commands[][16] = {
		{0x2f, [8] = 8}, /* VERIFY(10) */
		{0x16}, /* RESERVE(6) */
		{0x17},
	};
	const unsigned count = sizeof commands / sizeof *commands;
	struct buf_pool *pool = block_core_lane(stack->core, 0)->pool;
	static struct buf *taken[4096];
	unsigned most = 0;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &plain);
	for (uint32_t bytes = BUF_MAX_BYTES; bytes >= BUF_MIN_BYTES; bytes /= 2)
		while (most < 4096 && (taken[most] = buf_get(pool, bytes)))
			most++;
	for (unsigned i = 0; i < count; i++)
		CHECK_INT(out_co(0, commands[i], NULL, 0), SCSI_BUSY);
	GOOD(&rig, 0, &command, 0x00);
	while (most)
		buf_put(taken[--most]);
	for (unsigned i = 0; i < count; i++)
		CHECK_INT(out_co(0, commands[i], NULL, 0), SCSI_GOOD);
	scsi_rig_close_co(&rig);
}

#define SIM .world = "simulated", .lanes = 3
#define ROW(body) STACK_RIG_CASE(body, sim, SIM)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(request_sense_co),
		ROW(modes_10_co),
		ROW(mode_pages_co),
		ROW(reserve_10_co),
		ROW(synchronize_16_co),
		STACK_RIG_CASE_WITH(logs_co, NULL, "thin", SIM),
		STACK_RIG_CASE_WITH(logs_co, &plain, "thick", SIM),
		ROW(reserved_fields_co),
		ROW(diagnostics_co),
		ROW(functions_co),
		ROW(timestamp_co),
		ROW(refused_co),
		ROW(luns_co),
		ROW(flat_space_co),
		ROW(busy_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
