/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space of thin units as hosts see it: pages about it, the attention when the
 * threshold is crossed, a write for which nothing is left. TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "tests/lib/scsi_rig.h"
#include "tests/lib/sim_ring.h"

#define GOOD SCSI_RIG_GOOD
#define FAILS SCSI_RIG_FAILS
#define MIB (1ull << 20)
#define PAGE_BYTES 24u

static struct scsi_rig rig;
static struct scsi_rig_command command;
static const uint8_t *const data = command.data;
static struct volume_space_watch watch;
static atomic_uint looks;

static void look_soon(struct loop_message *message)
{
	(void)message;
	atomic_fetch_add(&looks, 1);
}

static void open_co(struct stack_rig *stack, const struct scsi_rig_setup *setup)
{
	watch = (struct volume_space_watch){.threshold_percent = 80,
		.loop = block_core_lane(stack->core, 0)->loop,
		.look_soon.run = look_soon};
	atomic_store(&looks, 0);
	scsi_rig_open_co(&rig, stack, setup);
	rig.volume->space.watch = &watch;
}

/* A file system of 1000 MiB is looked at. */
static void look(unsigned free_mib, bool reached)
{
	const struct ring_space space = {.file_system = 9,
		.used_bytes = 3 * MIB,
		.total_bytes = 1000 * MIB,
		.free_bytes = free_mib * MIB};

	volume_space_note(&rig.volume->space, &space);
	volume_note_threshold(rig.volume, reached);
}

/* ... and all hosts are told that are to be told. */
static void look_co(unsigned free_mib, bool reached)
{
	look(free_mib, reached);
	while (rig.volume->tells)
		scsi_rig_settle_co(&rig);
}

static const struct scsi_rig_setup plain, thick = {.thick = true};

/* -- pages ------------------------------------------------------------------ */

/* Mode page 1Ch/02h behind a header of 4 bytes. */
static const uint8_t *mode_co(unsigned host, uint8_t control)
{
	GOOD(&rig, host, &command, 0x1a, 8, (uint8_t)(control | 0x1c), 2, 255);
	CHECK_INT(command.task.in_bytes, 4 + PAGE_BYTES);
	CHECK_INT(data[4] & 0x7f, 0x5c);
	CHECK_INT(data[5], 2);
	CHECK_INT(get_be16(data + 6), PAGE_BYTES - 4);
	return data + 4;
}

static void mode_page_co(struct stack_rig *stack, void *argument)
{
	const uint8_t *page;
	bool found = false;

	(void)argument;
	open_co(stack, &plain);
	page = mode_co(0, 0);
	CHECK_INT(page[4], 0); /* SITUA */
	CHECK_INT(get_be32(page + 16), 0x80010000); /* enabled, available */
	CHECK_INT(get_be32(page + 20), 0); /* nobody knows yet */
	look(900, false);
	page = mode_co(0, 0);
	CHECK_INT(get_be32(page + 20), 200); /* MiB: 20 % are left then */
	page = mode_co(0, 0x40);
	CHECK_INT(page[4], 1);
	CHECK_INT(get_be64(page + 16), 0x8000000000000000);
	page = mode_co(0, 0x80);
	CHECK_INT(get_be64(page + 16), 0x80010000000000c8);
	CHECK_INT(get_be32(page + 20), 200);
	page = mode_co(0, 0xc0);
	CHECK_INT(page[16], 0x80);
	CHECK_INT(page[0] & 0x80, 0x80); /* saveable */
	GOOD(&rig, 0, &command, 0x5a, 8, 0x3f, 0xff, [7] = 4);
	for (uint32_t at = 8; at < command.task.in_bytes;) {
		bool sub = data[at] & 0x40;

		found |= (data[at] & 0x7f) == 0x5c && data[at + 1] == 2;
		at += sub ? get_be16(data + at + 2) + 4u : data[at + 1] + 2u;
	}
	CHECK(found);
	GOOD(&rig, 0, &command, 0x1a, 8, 0x01, 0, 255);
	CHECK_INT(data[4 + 7], 0x80); /* LBPERE */
	scsi_rig_close_co(&rig);
}

static void thick_co(struct stack_rig *stack, void *argument)
{
	uint8_t list[4 + PAGE_BYTES] = {[4] = 0x5c, 2, 0, PAGE_BYTES - 4};

	(void)argument;
	open_co(stack, &thick);
	look_co(100, true);
	for (unsigned i = 0; i < SCSI_RIG_HOSTS; i++)
		GOOD(&rig, i, &command, 0x00);
	FAILS(&rig, 0, &command, 0x052400, 0x1a, 8, 0x1c, 2, 255);
	FAILS(&rig, 0, &command, 0x052400, 0x4d, 0, 0x4c, [8] = 255);
	GOOD(&rig, 0, &command, 0x1a, 8, 0x01, 0, 255);
	CHECK_INT(data[4 + 7], 0);
	GOOD(&rig, 0, &command, 0x12, 1, 0xb2, 0, 64);
	CHECK_INT(data[4], 0);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x15, 0x10, 0, 0, sizeof list), list,
			  sizeof list),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x052600);
	scsi_rig_close_co(&rig);
}

/* Page 0Ch is there once there is something in it. */
static void log_page_co(struct stack_rig *stack, void *block_bytes)
{
	const struct scsi_rig_setup setup = {
		.block_bytes = (uint32_t)(uintptr_t)block_bytes};

	open_co(stack, &setup);
	FAILS(&rig, 0, &command, 0x052400, 0x4d, 0, 0x4c, [8] = 255);
	look(170, false);
	GOOD(&rig, 0, &command, 0x4d, 0, 0x40, [8] = 255);
	CHECK_INT(get_be32(data), 3);
	CHECK_INT(get_be24(data + 4), 0x000c0d);
	GOOD(&rig, 0, &command, 0x4d, 0, 0x4c, [8] = 255);
	CHECK_INT(command.task.in_bytes, 4 + 3 * 12);
	CHECK_INT(get_be32(data), 0x8c000024); /* DS */
	CHECK_INT(get_be32(data + 4), 0x00010308); /* available */
	CHECK_INT(get_be32(data + 8), 170);
	CHECK_INT(data[12], 2); /* others take from it */
	CHECK_INT(get_be32(data + 16), 0x00020308); /* used */
	CHECK_INT(get_be32(data + 20), 3);
	CHECK_INT(data[24], 1); /* by this unit */
	CHECK_INT(get_be32(data + 28), 0x00030308); /* available, percent */
	CHECK_INT(get_be16(data + 32), 17);
	CHECK_INT(data[36], 2);
	GOOD(&rig, 0, &command, 0x12, 1, 0xb2, 0, 64);
	CHECK_INT(
		(setup.block_bytes ? setup.block_bytes : 512u) << data[4], MIB);
	CHECK_INT(data[5] & 0x80, 0x80); /* LBPU */
	CHECK_INT(data[6], 2);
	volume_space_note(&rig.volume->space, NULL);
	FAILS(&rig, 0, &command, 0x052400, 0x4d, 0, 0x4c, [8] = 255);
	scsi_rig_close_co(&rig);
}

/* -- changes ---------------------------------------------------------------- */

/* MODE SELECT of the page as it is but for these; the sense, 0: GOOD. */
static uint32_t select_co(
	unsigned host, bool save, bool situa, bool enabled, uint32_t more_count)
{
	uint8_t list[4 + PAGE_BYTES] = {0};

	memcpy(list + 4, mode_co(host, 0), PAGE_BYTES);
	list[4] &= 0x7f;
	list[4 + 4] = situa;
	list[4 + 16] = enabled ? 0x80 : 0;
	put_be32(list + 24, get_be32(list + 24) + more_count);
	if (scsi_rig_do_co(&rig, host, &command,
		    SCSI_RIG_CDB(0x15, save ? 0x11 : 0x10, 0, 0, sizeof list),
		    list, sizeof list) == SCSI_GOOD)
		return 0;
	return scsi_rig_sense(&command);
}

static void forget_mode_changes_co(unsigned but)
{
	for (unsigned i = 0; i < SCSI_RIG_HOSTS; i++)
		if (i != but)
			FAILS(&rig, i, &command, 0x062a01, 0x00);
}

static void select_page_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	open_co(stack, &plain);
	look(900, false);
	CHECK_INT(select_co(0, false, false, true, 1), 0x052600);
	CHECK_INT(get_be16(command.task.sense + 16), 4 + 23); /* that byte */
	CHECK_INT(select_co(0, true, true, true, 0), 0);
	forget_mode_changes_co(0);
	CHECK_INT(mode_co(1, 0)[4], 1);
	CHECK_INT(mode_co(1, 0xc0)[4], 1);
	CHECK_INT(mode_co(1, 0x80)[4], 0);
	CHECK_INT(select_co(1, false, false, false, 0), 0);
	forget_mode_changes_co(1);
	CHECK_INT(mode_co(1, 0)[16], 0);
	CHECK_INT(mode_co(1, 0xc0)[16], 0x80);
	scsi_rig_restart_co(&rig, &plain);
	rig.volume->space.watch = &watch;
	CHECK_INT(mode_co(1, 0)[4], 1);
	CHECK_INT(mode_co(1, 0)[16], 0x80);
	scsi_rig_close_co(&rig);
}

/* Without a threshold there is nothing to switch on. */
static void no_threshold_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	open_co(stack, &plain);
	watch.threshold_percent = 0;
	look(100, false);
	CHECK_INT(mode_co(0, 0)[16], 0);
	CHECK_INT(get_be32(data + 4 + 20), 0);
	CHECK_INT(mode_co(0, 0x40)[16], 0);
	CHECK_INT(select_co(0, false, false, true, 0), 0x052600);
	CHECK_INT(select_co(0, false, false, false, 0), 0);
	GOOD(&rig, 0, &command, 0x4d, 0, 0x4c, [8] = 255);
	scsi_rig_close_co(&rig);
}

/* -- the attention ---------------------------------------------------------- */

static unsigned told_co(void)
{
	unsigned told = 0;

	for (unsigned i = 0; i < SCSI_RIG_HOSTS; i++) {
		uint8_t status = scsi_rig_do_co(
			&rig, i, &command, SCSI_RIG_CDB(0x00), NULL, 0);

		if (status == SCSI_GOOD)
			continue;
		CHECK_INT(scsi_rig_sense(&command), 0x063807);
		told++;
		GOOD(&rig, i, &command, 0x00);
	}
	return told;
}

/* Every host once, with the place of the descriptor, in each of the ways that
 * there are to tell it. */
static void attention_co(struct stack_rig *stack, void *argument)
{
	const uint8_t *sense = command.task.sense;

	(void)argument;
	open_co(stack, &plain);
	look_co(900, false);
	CHECK_INT(told_co(), 0);
	look_co(190, true);
	GOOD(&rig, 0, &command, 0x12, 0, 0, 0, 36); /* keeps it */
	FAILS(&rig, 0, &command, 0x063807, 0x00);
	CHECK_INT(sense[0], 0xf0); /* fixed, VALID */
	CHECK_INT(get_be32(sense + 3), 16);
	GOOD(&rig, 1, &command, 0x03, 1, 0, 0, 252); /* descriptors, as data */
	CHECK_INT(get_be32(data), 0x72063807);
	CHECK_INT(get_be32(data + 8), 0x000a8000); /* INFORMATION, VALID */
	CHECK_INT(get_be64(data + 12), 16);
	CHECK_INT(told_co(), 2);
	look_co(150, true);
	CHECK_INT(told_co(), 0); /* it is known */
	look_co(300, false);
	CHECK_INT(told_co(), 0);
	look_co(199, true); /* armed again */
	CHECK_INT(told_co(), SCSI_RIG_HOSTS);
	scsi_rig_close_co(&rig);
}

static void single_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	open_co(stack, &plain);
	look(900, false);
	CHECK_INT(select_co(2, false, true, true, 0), 0);
	forget_mode_changes_co(2);
	look_co(100, true);
	CHECK_INT(told_co(), 1);
	GOOD(&rig, 3, &command, 0x03, 0, 0, 0, 252);
	CHECK_INT(data[2], 0);
	look_co(300, false);
	look_co(100, true);
	GOOD(&rig, 3, &command, 0x03, 0, 0, 0, 252);
	CHECK_INT(get_be16(data + 12), 0x3807);
	CHECK_INT(told_co(), 0);
	scsi_rig_close_co(&rig);
}

/* Switched off nobody is told; switched on they hear of what is so already. */
static void enabled_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	open_co(stack, &plain);
	look(900, false);
	CHECK_INT(select_co(0, false, false, false, 0), 0);
	forget_mode_changes_co(0);
	look_co(100, true);
	CHECK_INT(told_co(), 0);
	CHECK_INT(select_co(0, false, false, true, 0), 0);
	forget_mode_changes_co(0);
	look_co(100, true);
	CHECK_INT(told_co(), SCSI_RIG_HOSTS);
	scsi_rig_close_co(&rig);
}

/* -- nothing is left -------------------------------------------------------- */

static uint8_t write_co(uint32_t lba)
{
	static const uint8_t blocks[4096];
	uint8_t cdb[16] = {0x2a, [8] = 8};

	put_be32(cdb + 2, lba);
	return scsi_rig_do_co(&rig, 0, &command, cdb, blocks, sizeof blocks);
}

static void full_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {
		.document = "{protocol: {type: file, path: disk, size: 4M}}"};

	(void)argument;
	open_co(stack, &setup);
	sim_world_limit(stack->world, MIB, MIB - 8192);
	CHECK_INT(write_co(0), SCSI_GOOD);
	CHECK_INT(write_co(64), SCSI_GOOD);
	CHECK_INT(atomic_load(&looks), 0);
	CHECK_INT(write_co(128), SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x072707);
	CHECK_INT(write_co(192), SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x072707);
	scsi_rig_settle_co(&rig);
	CHECK_INT(atomic_load(&looks), 1); /* until somebody looks */
	GOOD(&rig, 0, &command, 0x1a, 0, 0x08, 0, 64);
	CHECK_INT(data[2] & 0x80, 0); /* WP is not set by that */
	CHECK_INT(write_co(64), SCSI_GOOD); /* has its place */
	sim_world_limit(stack->world, 2 * MIB, MIB);
	CHECK_INT(write_co(128), SCSI_GOOD);
	scsi_rig_close_co(&rig);
}

#define ROW(body) STACK_RIG_CASE(body, sim, .world = "simulated", .lanes = 3)
#define ROW_THREADS(body) \
	STACK_RIG_CASE(body, threads, .world = "threads", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(mode_page_co),
		ROW(thick_co),
		ROW(log_page_co),
		STACK_RIG_CASE_WITH(log_page_co, 4096, "of 4096",
			.world = "simulated", .lanes = 3),
		ROW(select_page_co),
		ROW(no_threshold_co),
		ROW(attention_co),
		ROW_THREADS(attention_co),
		ROW(single_co),
		ROW_THREADS(single_co),
		ROW(enabled_co),
		ROW(full_co),
	};

	return cmocka_run_group_tests_name("space", tests, NULL, NULL);
}
