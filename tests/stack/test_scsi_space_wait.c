/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes that wait for space: they go on when there is some, end when their time is
 * over or somebody ends them, and stand in nobody's way meanwhile. On the
 * simulator's clock, with its disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/buf.h"
#include "blockcore/base/bytes.h"
#include "target/scsi/space_wait.h"
#include "tests/lib/scsi_rig.h"
#include "tests/lib/sim_ring.h"

#define GOOD SCSI_RIG_GOOD
#define FAILS SCSI_RIG_FAILS
#define MIB (1ull << 20)
#define NS_PER_S 1000000000ull
#define WAIT_S 10u
#define BYTES 4096u

static struct scsi_rig rig;
static struct scsi_rig_command command, held[8];

static struct loop *loop_of_rig(void)
{
	return block_core_lane(rig.stack->core, 0)->loop;
}

static uint64_t now_s(void)
{
	return loop_now_ns(loop_of_rig()) / NS_PER_S;
}

static void sleep_co(unsigned s)
{
	loop_sleep_co(loop_of_rig(), s * NS_PER_S);
}

/* Room for `bytes` more on the disk. */
static void leave(uint64_t bytes)
{
	sim_world_limit(rig.stack->world, 64 * MIB, 64 * MIB - bytes);
}

/* What is at LBA 0 has its place; beyond it nothing is left. */
static void open_full_co(struct stack_rig *stack)
{
	const struct scsi_rig_setup setup = {
		.document = "{protocol: {type: file, path: disk, size: 8M, "
			    "cache: writeback}}",
		.space_wait_s = WAIT_S};

	scsi_rig_open_co(&rig, stack, &setup);
	leave(0);
}

/* WRITE(10) of 8 blocks that say `mark`. */
static uint8_t content[256][BYTES];
static void send_write(
	unsigned host, struct scsi_rig_command *to, uint32_t lba, uint8_t mark)
{
	uint8_t cdb[16] = {0x2a, [8] = BYTES / 512};

	put_be32(cdb + 2, lba);
	memset(content[mark], mark, BYTES);
	scsi_rig_send(&rig, host, to, cdb, content[mark], BYTES);
}

static void expect_content_co(uint32_t lba, uint8_t mark)
{
	uint8_t cdb[16] = {0x28, [8] = BYTES / 512};

	put_be32(cdb + 2, lba);
	CHECK_INT(scsi_rig_do_co(&rig, 1, &command, cdb, NULL, 0), SCSI_GOOD);
	for (unsigned i = 0; i < BYTES; i++)
		CHECK_INT(command.data[i], mark);
}

static void expect_waiting_co(unsigned from, unsigned to)
{
	scsi_rig_settle_co(&rig);
	for (unsigned i = from; i < to; i++)
		CHECK(!held[i].done);
}

static void goes_on_co(struct stack_rig *stack, void *argument)
{
	uint64_t began;

	(void)argument;
	open_full_co(stack);
	began = now_s();
	for (unsigned i = 0; i < 8; i++)
		send_write(
			i % SCSI_RIG_HOSTS, &held[i], i * 64, (uint8_t)(i + 1));
	sleep_co(WAIT_S / 2);
	expect_waiting_co(0, 8);
	expect_content_co(0, 0); /* others read meanwhile */
	leave(3 * BYTES);
	sleep_co(1);
	leave(MIB);
	for (unsigned i = 0; i < 8; i++)
		CHECK_INT(scsi_rig_wait_co(&held[i]), SCSI_GOOD);
	CHECK(now_s() - began < WAIT_S - 2);
	for (unsigned i = 0; i < 8; i++)
		expect_content_co(i * 64, (uint8_t)(i + 1));
	scsi_rig_close_co(&rig);
}

static void too_long_co(struct stack_rig *stack, void *argument)
{
	uint64_t began;

	(void)argument;
	open_full_co(stack);
	began = now_s();
	send_write(0, &held[0], 0, 1);
	sleep_co(3);
	send_write(0, &held[1], 64, 2); /* has a time of its own */
	CHECK_INT(scsi_rig_wait_co(&held[0]), SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&held[0]), 0x072707);
	CHECK(now_s() - began >= WAIT_S && now_s() - began <= WAIT_S + 1);
	CHECK(!held[1].done);
	CHECK_INT(scsi_rig_wait_co(&held[1]), SCSI_CHECK_CONDITION);
	CHECK(now_s() - began >= WAIT_S + 3);
	leave(MIB);
	send_write(0, &held[0], 0, 1);
	CHECK_INT(scsi_rig_wait_co(&held[0]), SCSI_GOOD);
	scsi_rig_close_co(&rig);
}

/* One piece after the other, one time for all. */
static void pieces_co(struct stack_rig *stack, void *argument)
{
	static uint8_t block[512];
	uint64_t began;

	(void)argument;
	memset(block, 7, sizeof block);
	open_full_co(stack);
	began = now_s();
	scsi_rig_send(&rig, 0, &held[0],
		SCSI_RIG_CDB(0x93, [12] = 0x20, [13] = 0), block, 512);
	sleep_co(WAIT_S / 2);
	leave(MIB + MIB / 2); /* for some of 4 MiB */
	CHECK_INT(scsi_rig_wait_co(&held[0]), SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&held[0]), 0x072707);
	CHECK(now_s() - began >= WAIT_S && now_s() - began <= WAIT_S + 1);
	scsi_rig_close_co(&rig);
}

static void ended_co(struct stack_rig *stack, void *argument)
{
	uint64_t began_ns;

	(void)argument;
	open_full_co(stack);
	send_write(0, &held[0], 0, 1);
	send_write(0, &held[1], 64, 2);
	send_write(1, &held[2], 128, 3);
	send_write(2, &held[3], 192, 4);
	/* Between two tries. */
	loop_sleep_co(loop_of_rig(), 4 * SPACE_RETRY_NS + SPACE_RETRY_NS / 2);
	expect_waiting_co(0, 4);
	began_ns = loop_now_ns(loop_of_rig());
	CHECK_INT(scsi_rig_manage_co(&rig, 0, SCSI_ABORT_TASK, &held[0].task),
		SCSI_FUNCTION_COMPLETE);
	CHECK_INT(scsi_rig_wait_co(&held[0]), SCSI_ABORTED);
	expect_waiting_co(1, 4);
	scsi_rig_logout_co(&rig, 2); /* a host that goes */
	CHECK_INT(scsi_rig_wait_co(&held[3]), SCSI_ABORTED);
	CHECK_INT(scsi_rig_manage_co(&rig, 3, SCSI_LUN_RESET, NULL),
		SCSI_FUNCTION_COMPLETE);
	CHECK_INT(scsi_rig_wait_co(&held[1]), SCSI_ABORTED);
	CHECK_INT(scsi_rig_wait_co(&held[2]), SCSI_ABORTED);
	CHECK(loop_now_ns(loop_of_rig()) - began_ns < SPACE_RETRY_NS / 4);
	scsi_rig_login_co(&rig, 2);
	leave(MIB);
	sleep_co(2);
	FAILS(&rig, 1, &command, 0x062903, 0x00);
	expect_content_co(0, 0); /* nothing was written after that */
	scsi_rig_close_co(&rig);
}

static void offline_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	open_full_co(stack);
	send_write(0, &held[0], 0, 1);
	sleep_co(1);
	volume_offline_co(rig.volume, "the disk was pulled");
	CHECK_INT(scsi_rig_wait_co(&held[0]), SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&held[0]), 0x020403);
	scsi_rig_close_co(&rig);
}

/* Nobody waits on buffers that others need. */
static void buffers_co(struct stack_rig *stack, void *argument)
{
	struct buf_pool *pool;
	struct buf *bufs[64];
	unsigned count = 0;
	size_t bytes;
	void *base;

	(void)argument;
	open_full_co(stack);
	pool = block_core_lane(stack->core, 0)->pool;
	buf_pool_region(pool, &base, &bytes);
	send_write(0, &held[0], 0, 1);
	sleep_co(1);
	expect_waiting_co(0, 1);
	while (buf_pool_used_bytes(pool) <= bytes / 2) {
		CHECK(count < 64);
		bufs[count] = buf_get(pool, (uint32_t)(bytes / 32));
		CHECK(bufs[count++]);
	}
	CHECK_INT(scsi_rig_wait_co(&held[0]), SCSI_BUSY);
	send_write(0, &held[0], 0, 1);
	CHECK_INT(scsi_rig_wait_co(&held[0]), SCSI_BUSY);
	while (count)
		buf_put(bufs[--count]);
	send_write(0, &held[0], 0, 1);
	sleep_co(1);
	expect_waiting_co(0, 1);
	leave(MIB);
	CHECK_INT(scsi_rig_wait_co(&held[0]), SCSI_GOOD);
	scsi_rig_close_co(&rig);
}

static void no_waiting_co(struct stack_rig *stack, void *argument)
{
	static uint8_t both[1024];
	uint64_t began;

	(void)argument;
	open_full_co(stack);
	began = now_s();
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x89, [13] = 1), both, sizeof both),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x072707);
	CHECK(now_s() - began < 2);
	scsi_rig_close_co(&rig);
}

/* Later tasks of a host wait for what was ORDERED before them. */
static void order_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	open_full_co(stack);
	held[0].task.attribute = SCSI_ORDERED;
	send_write(0, &held[0], 0, 1);
	scsi_rig_send(&rig, 0, &held[1], SCSI_RIG_CDB(0x28, [8] = 8), NULL, 0);
	sleep_co(1);
	expect_waiting_co(0, 2);
	leave(MIB);
	CHECK_INT(scsi_rig_wait_co(&held[0]), SCSI_GOOD);
	CHECK_INT(scsi_rig_wait_co(&held[1]), SCSI_GOOD);
	scsi_rig_close_co(&rig);
}

#define ROW(body) STACK_RIG_CASE(body, sim, .world = "simulated", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(goes_on_co),
		ROW(too_long_co),
		ROW(pieces_co),
		ROW(ended_co),
		ROW(offline_co),
		ROW(buffers_co),
		ROW(no_waiting_co),
		ROW(order_co),
	};

	return cmocka_run_group_tests_name("space wait", tests, NULL, NULL);
}
