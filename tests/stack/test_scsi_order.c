/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order of tasks in a unit, and their early ends: task attributes, ABORT TASK,
 * task sets, resets, a session that closes, units that come and go. TSAN: yes
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

static const struct scsi_rig_setup held_setup = {
	.document =
		"{listeners: [{type: fault, name: fault, rules: [{op: read, "
		"offset: 0, length: 512, hold: true, name: stuck}]}], "
		"protocol: {type: mem, size: 4M}}"};

static struct scsi_rig rig;
static struct scsi_rig_command command, held[4];

static void send_read(unsigned host, struct scsi_rig_command *read, uint8_t lba,
	enum scsi_attribute attribute)
{
	read->task.attribute = (uint8_t)attribute;
	scsi_rig_send(&rig, host, read,
		SCSI_RIG_CDB(0x28, 0, 0, 0, 0, lba, 0, 0, 1), NULL, 0);
}

/* Block 0 is held; so is what is ordered behind it. */
static void attributes_co(struct stack_rig *stack, void *argument)
{
	static struct scsi_rig_command head;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &held_setup);
	send_read(1, &held[0], 0, SCSI_SIMPLE);
	send_read(1, &held[1], 1, SCSI_SIMPLE);
	send_read(1, &held[2], 2, SCSI_ORDERED);
	send_read(1, &held[3], 3, SCSI_SIMPLE);
	send_read(1, &head, 4, SCSI_HEAD);
	CHECK_INT(scsi_rig_wait_co(&held[1]), SCSI_GOOD);
	CHECK_INT(scsi_rig_wait_co(&head), SCSI_GOOD);
	/* Another host's tasks are in no order with these. */
	GOOD(&rig, 2, &command, 0x28, 0, 0, 0, 0, 5, 0, 0, 1);
	scsi_rig_settle_co(&rig);
	CHECK(!held[0].done && !held[2].done && !held[3].done);
	scsi_rig_fault_co(&rig, "release", NULL);
	CHECK_INT(scsi_rig_wait_co(&held[0]), SCSI_GOOD);
	CHECK_INT(scsi_rig_wait_co(&held[2]), SCSI_GOOD);
	CHECK_INT(scsi_rig_wait_co(&held[3]), SCSI_GOOD);
	scsi_rig_close_co(&rig);
}

static void abort_task_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	scsi_rig_open_co(&rig, stack, &held_setup);
	send_read(1, &held[0], 0, SCSI_SIMPLE);
	send_read(1, &held[1], 2, SCSI_ORDERED);
	scsi_rig_settle_co(&rig);
	CHECK_INT(scsi_rig_manage_co(&rig, 1, SCSI_ABORT_TASK, &held[1].task),
		SCSI_FUNCTION_COMPLETE);
	CHECK_INT(scsi_rig_wait_co(&held[1]), SCSI_ABORTED);
	CHECK(!held[0].done);
	CHECK_INT(scsi_rig_manage_co(&rig, 1, SCSI_ABORT_TASK, &held[0].task),
		SCSI_FUNCTION_COMPLETE);
	CHECK_INT(scsi_rig_wait_co(&held[0]), SCSI_ABORTED);
	CHECK_INT(scsi_rig_manage_co(&rig, 1, SCSI_ABORT_TASK, NULL),
		SCSI_NO_TASK);
	CHECK_INT(scsi_rig_manage_co(&rig, 1, SCSI_CLEAR_ACA, NULL),
		SCSI_NOT_SUPPORTED);
	GOOD(&rig, 1, &command, 0x00);
	scsi_rig_close_co(&rig);
}

static void task_sets_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	scsi_rig_open_co(&rig, stack, &held_setup);
	send_read(1, &held[0], 0, SCSI_SIMPLE);
	send_read(2, &held[1], 0, SCSI_SIMPLE);
	scsi_rig_settle_co(&rig);
	CHECK_INT(scsi_rig_manage_co(&rig, 1, SCSI_ABORT_TASK_SET, NULL),
		SCSI_FUNCTION_COMPLETE);
	CHECK_INT(scsi_rig_wait_co(&held[0]), SCSI_ABORTED);
	CHECK(!held[1].done);
	CHECK_INT(scsi_rig_manage_co(&rig, 1, SCSI_CLEAR_TASK_SET, NULL),
		SCSI_FUNCTION_COMPLETE);
	CHECK_INT(scsi_rig_wait_co(&held[1]), SCSI_ABORTED);
	GOOD(&rig, 1, &command, 0x00);
	FAILS(&rig, 2, &command, 0x062f00, 0x00);
	GOOD(&rig, 0, &command, 0x00); /* it had no task */
	scsi_rig_close_co(&rig);
}

/* Everybody is told of the change of modes. */
static void open_with_tas_co(struct stack_rig *stack)
{
	static const uint8_t tas[16] = {
		0, 0, 0, 0, 0x0a, 0x0a, 0x02, 0x10, 0, 0x40, 0, 0, 0xff, 0xff};

	scsi_rig_open_co(&rig, stack, &held_setup);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x15, 0x10, 0, 0, 16), tas, 16),
		SCSI_GOOD);
	for (unsigned i = 1; i < 4; i++)
		FAILS(&rig, i, &command, 0x062a01, 0x00);
}

/* What a host ends of its own ends in silence, with TAS, too. */
static void own_tasks_co(struct stack_rig *stack, void *argument)
{
	static const uint8_t functions[] = {SCSI_ABORT_TASK,
		SCSI_ABORT_TASK_SET, SCSI_CLEAR_TASK_SET, SCSI_LUN_RESET};

	(void)argument;
	open_with_tas_co(stack);
	for (unsigned i = 0; i < sizeof functions; i++) {
		bool others = i >= 2;

		send_read(1, &held[0], 0, SCSI_SIMPLE);
		send_read(2, &held[1], 0, SCSI_SIMPLE);
		scsi_rig_settle_co(&rig);
		CHECK_INT(scsi_rig_manage_co(&rig, 1, functions[i],
				  i ? NULL : &held[0].task),
			SCSI_FUNCTION_COMPLETE);
		CHECK_INT(scsi_rig_wait_co(&held[0]), SCSI_ABORTED);
		CHECK_INT(held[1].done, others);
		if (!others)
			scsi_rig_manage_co(
				&rig, 2, SCSI_ABORT_TASK, &held[1].task);
		CHECK_INT(scsi_rig_wait_co(&held[1]),
			others ? SCSI_TASK_ABORTED : SCSI_ABORTED);
		scsi_rig_do_co(&rig, 2, &command, SCSI_RIG_CDB(0x00), NULL, 0);
	}
	scsi_rig_close_co(&rig);
}

/* With TAS the others hear of it in the task itself. */
static void reset_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	open_with_tas_co(stack);
	send_read(0, &held[0], 0, SCSI_SIMPLE);
	send_read(1, &held[1], 0, SCSI_SIMPLE);
	send_read(1, &held[2], 7, SCSI_ORDERED);
	scsi_rig_settle_co(&rig);
	CHECK_INT(scsi_rig_manage_co(&rig, 0, SCSI_TARGET_WARM_RESET, NULL),
		SCSI_FUNCTION_COMPLETE);
	CHECK_INT(scsi_rig_wait_co(&held[0]), SCSI_ABORTED);
	CHECK_INT(scsi_rig_wait_co(&held[1]), SCSI_TASK_ABORTED);
	CHECK_INT(scsi_rig_wait_co(&held[2]), SCSI_TASK_ABORTED);
	for (unsigned i = 0; i < SCSI_RIG_HOSTS; i++)
		FAILS(&rig, i, &command, 0x062903, 0x00);
	scsi_rig_close_co(&rig);
}

static void close_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	scsi_rig_open_co(&rig, stack, &held_setup);
	send_read(1, &held[0], 0, SCSI_SIMPLE);
	send_read(1, &held[1], 1, SCSI_ORDERED);
	scsi_rig_settle_co(&rig);
	scsi_rig_logout_co(&rig, 1);
	CHECK_INT(scsi_rig_wait_co(&held[0]), SCSI_ABORTED);
	CHECK_INT(scsi_rig_wait_co(&held[1]), SCSI_ABORTED);
	scsi_rig_login_co(&rig, 1);
	FAILS(&rig, 1, &command, 0x062900, 0x00);
	scsi_rig_close_co(&rig);
}

/* A unit that goes takes its tasks along; the one that stays hears of it. */
static void refresh_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	scsi_rig_open_co(&rig, stack, &held_setup);
	scsi_rig_refresh_co(&rig, 1, true, true);
	FAILS(&rig, 1, &command, 0x063f0e, 0x00);
	/* Another table, the same for this host. */
	scsi_rig_refresh_co(&rig, 1, true, true);
	GOOD(&rig, 1, &command, 0x00);
	scsi_rig_refresh_co(&rig, 1, false, true);
	FAILS(&rig, 1, &command, 0x052500, 0x00);
	GOOD(&rig, 1, &command, 0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	CHECK_INT(get_be32(command.data), 8);
	CHECK_INT(command.data[9], 1);
	scsi_rig_refresh_co(&rig, 1, true, true);
	FAILS(&rig, 1, &command, 0x062900, 0x00);
	send_read(1, &held[0], 0, SCSI_SIMPLE);
	GOOD(&rig, 1, &command, 0x16); /* RESERVE(6), which goes with it */
	scsi_rig_refresh_co(&rig, 1, false, true);
	CHECK_INT(scsi_rig_wait_co(&held[0]), SCSI_ABORTED);
	GOOD(&rig, 2, &command, 0x28, 0, 0, 0, 0, 5, 0, 0, 1);
	scsi_rig_close_co(&rig);
}

/* Of a write to nowhere: what stands in the way of any comes first. */
static void nowhere_co(struct stack_rig *stack, void *argument)
{
	static const uint8_t nowhere[16] = {0x2a, [2] = 0xff, [8] = 1};
	const struct scsi_rig_setup setup = {0};
	uint8_t data[512] = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command, nowhere, data, 512),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x052100);
	GOOD(&rig, 1, &command, 0x16);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command, nowhere, data, 512),
		SCSI_RESERVATION_CONFLICT);
	CHECK_INT(command.task.sense_bytes, 0);
	scsi_rig_protect_co(&rig, 1);
	CHECK_INT(scsi_rig_do_co(&rig, 1, &command, nowhere, data, 512),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x062a01);
	CHECK_INT(scsi_rig_do_co(&rig, 1, &command, nowhere, data, 512),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x072700);
	volume_offline_co(rig.volume, "a test");
	CHECK_INT(scsi_rig_do_co(&rig, 1, &command, nowhere, data, 512),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x020403);
	scsi_rig_close_co(&rig);
}

#define ROW(body) \
	STACK_RIG_CASE(body, sim, .world = "simulated", .lanes = 3), \
		STACK_RIG_CASE(body, threads, .world = "threads", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(attributes_co),
		ROW(abort_task_co),
		ROW(task_sets_co),
		ROW(own_tasks_co),
		ROW(reset_co),
		ROW(close_co),
		ROW(refresh_co),
		ROW(nowhere_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
