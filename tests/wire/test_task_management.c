/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Task management (RFC 7143 11.5, 11.6) in every state that a task can be in.
 */
#include "tests/lib/host_io.h"
#include "tests/lib/target_rig.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

enum {
	ABORT_TASK = 1,
	ABORT_TASK_SET,
	CLEAR_ACA,
	CLEAR_TASK_SET,
	LUN_RESET,
	WARM_RESET,
	COLD_RESET,
	REASSIGN,
	QUERY_TASK,
};
enum {
	COMPLETE = 0,
	NO_TASK = 1,
	NO_LUN = 2,
	NO_REASSIGN = 4,
	UNSUPPORTED = 5
};

static struct wire_pdu pdu;
static uint8_t data[65536];
static const struct wire_command ready = {.flags = 0};

static uint32_t send_held(struct wire *wire)
{
	return wire_send_read(wire, TARGET_RIG_HELD_LBA, 1);
}

static void expect_answer(struct wire *wire, uint32_t tag, uint8_t response)
{
	wire_expect(wire, WIRE_TASK_RESPONSE, &pdu);
	assert_int_equal(wire_get32(pdu.bhs + 16), tag);
	assert_int_equal(pdu.bhs[2], response);
}

static void manage(struct wire *wire, uint8_t function, uint8_t lun,
	uint32_t referenced, uint8_t response)
{
	expect_answer(wire,
		wire_send_task(
			wire, function, lun, referenced, wire->command_sn - 1),
		response);
}

static void expect_ready(struct wire *wire)
{
	uint32_t tag = wire_send_command(wire, &ready);

	wire_expect_status(wire, tag, 0, &pdu);
}

/* -- ABORT TASK ------------------------------------------------------------- */

static void a_running_task_is_aborted_in_silence(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint32_t tag;

	wire_open(&wire, rig->port, "");
	tag = send_held(&wire);
	manage(&wire, ABORT_TASK, 0, tag, COMPLETE);
	wire_expect_quiet(&wire);
	/* Its tag is free again. */
	wire.tag = tag;
	expect_ready(&wire);
	wire.tag = tag + 10;
	wire_logout(&wire);
}

static void a_task_that_waits_for_data_is_aborted(void **state)
{
	struct target_rig *rig = *state;
	struct wire_data_out out = {.data = data, .bytes = 4096, .final = true};
	struct wire wire = {0};

	wire_open(&wire, rig->port, "ImmediateData=No\n");
	out.tag = wire_send_write(&wire, 0, 8, NULL, 0);
	wire_expect_r2t(&wire, out.tag, 0, 4096, &pdu);
	out.transfer_tag = wire_get32(pdu.bhs + 20);
	manage(&wire, ABORT_TASK, 0, out.tag, COMPLETE);
	/* The host had already sent it. */
	wire_send_data(&wire, &out);
	wire_expect_quiet(&wire);
	expect_ready(&wire);
	wire_logout(&wire);
}

/* Half of a data segment is there when the abort comes: it cannot come, as it
 * would stand in the stream behind the other half; a reset by another session
 * can. */
static void a_task_is_aborted_while_its_segment_arrives(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0}, other = {.isid = {0x40, 0, 0, 9}};
	uint8_t bhs[48];

	wire_open(&wire, rig->port, "");
	wire_open(&other, rig->port, "");
	wire_begin(&wire, bhs, WIRE_COMMAND);
	bhs[1] = WIRE_F | WIRE_W | WIRE_SIMPLE;
	wire_put32(bhs + 20, 65536);
	bhs[32] = 0x2a;
	bhs[40] = 128;
	bhs[6] = 0xff; /* 65280 bytes, of which some come now */
	wire_send_raw(&wire, bhs, 48);
	wire_send_raw(&wire, data, 1000);
	manage(&other, LUN_RESET, 0, 0, COMPLETE);
	wire_send_raw(&wire, data, 65280 - 1000);
	wire_expect_quiet(&wire);
	wire_logout(&wire);
	wire_logout(&other);
}

static void unknown_tasks_depend_on_their_number(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint32_t tag;

	wire_open(&wire, rig->port, "");
	/* Before the window: it is over. */
	manage(&wire, ABORT_TASK, 0, 0xdeadbeef, NO_TASK);
	/* In the window: lost on the way, and taken as received. */
	wire.command_sn++;
	tag = wire_send_task(
		&wire, ABORT_TASK, 0, 0xdeadbeef, wire.command_sn - 1);
	expect_answer(&wire, tag, COMPLETE);
	assert_int_equal(wire.expected_command_sn, wire.command_sn);
	expect_ready(&wire);
	/* The one after the next is lost. */
	wire.command_sn += 2;
	tag = wire_send_task(
		&wire, ABORT_TASK, 0, 0xdeadbeef, wire.command_sn - 1);
	expect_answer(&wire, tag, COMPLETE);
	wire.command_sn -= 2;
	tag = wire_send_command(&wire, &ready);
	wire_expect_status(&wire, tag, 0, &pdu);
	wire.command_sn++;
	expect_ready(&wire);
	wire_logout(&wire);
}

/* What was not sent yet cannot have been lost: its number stays the next
 * command's. Of an immediate command it is the function's own (11.5.5). */
static void numbers_of_the_future_are_no_tasks(void **state)
{
	struct target_rig *rig = *state;
	uint32_t window = rig->settings.command_window;
	struct wire_command immediate = ready;
	struct wire wire = {0};
	uint32_t tag;

	wire_open(&wire, rig->port, "");
	immediate.immediate = true;
	tag = wire_send_command(&wire, &immediate);
	wire_expect_status(&wire, tag, 0, &pdu);
	const uint32_t numbers[] = {wire.command_sn, wire.command_sn + 1,
		wire.command_sn + window - 1, wire.command_sn + window,
		wire.command_sn + window + 1000, wire.command_sn + (1u << 31),
		wire.command_sn - (1u << 31) + 1, wire.command_sn - window};

	for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		uint32_t expected = wire.command_sn;

		expect_answer(&wire,
			wire_send_task(&wire, ABORT_TASK, 0, tag, numbers[i]),
			NO_TASK);
		assert_int_equal(wire.expected_command_sn, expected);
		expect_ready(&wire);
	}
	wire_logout(&wire);
}

/* Of all that the window has room for, the last one sent was lost. */
static void a_lost_command_may_be_far_ahead(void **state)
{
	struct target_rig *rig = *state;
	uint32_t ahead = rig->settings.command_window - 1;
	struct wire wire = {0};
	uint32_t tag;

	wire_open(&wire, rig->port, "");
	for (unsigned i = 0; i < 2; i++) { /* the second time over the end */
		wire.command_sn += ahead + 1;
		tag = wire_send_task(
			&wire, ABORT_TASK, 0, 0xdeadbeef, wire.command_sn - 1);
		expect_answer(&wire, tag, COMPLETE);
		wire.command_sn -= ahead + 1;
		for (uint32_t n = 0; n < ahead; n++)
			expect_ready(&wire);
		wire.command_sn++;
		expect_ready(&wire);
	}
	wire_logout(&wire);
}

static void a_task_is_aborted_on_its_own_lun_only(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint32_t tag;

	wire_open(&wire, rig->port, "");
	tag = send_held(&wire);
	manage(&wire, ABORT_TASK, 1, tag, NO_TASK);
	manage(&wire, ABORT_TASK, 0, tag, COMPLETE);
	wire_logout(&wire);
}

/* -- many tasks ------------------------------------------------------------- */

static void task_sets_end_on_their_lun(void **state)
{
	static const uint8_t functions[] = {
		ABORT_TASK_SET, CLEAR_TASK_SET, LUN_RESET};
	struct target_rig *rig = *state;

	for (unsigned i = 0; i < sizeof functions; i++) {
		struct wire wire = {0};

		wire_open(&wire, rig->port, "");
		for (unsigned n = 0; n < 10; n++)
			send_held(&wire);
		manage(&wire, functions[i], 1, 0, COMPLETE);
		wire_expect_quiet(&wire);
		assert_int_equal(
			wire.max_command_sn - wire.expected_command_sn + 1,
			rig->settings.command_window - 10);
		manage(&wire, functions[i], 0, 0, COMPLETE);
		assert_int_equal(
			wire.max_command_sn - wire.expected_command_sn + 1,
			rig->settings.command_window);
		wire_clear_attentions(&wire);
		wire_logout(&wire);
	}
}

/* Data of a task that the device server is done with waits for the host to read
 * it; an answer that says that the task is gone must not overtake it. */
static void data_on_its_way_ends_before_the_answer(void **state)
{
	static const uint8_t functions[] = {ABORT_TASK, ABORT_TASK_SET,
		CLEAR_TASK_SET, LUN_RESET, WARM_RESET};
	const struct wire_command read = {.flags = WIRE_R,
		.lun = 1,
		.expected = 8u << 20,
		.cdb = {0x28, [7] = 0x40}};
	struct target_rig *rig = *state;

	for (unsigned i = 0; i < sizeof functions; i++) {
		struct wire wire = {0};
		uint32_t tag;

		wire_open(&wire, rig->port, "MaxRecvDataSegmentLength=512\n");
		/* The first command of the unit is told of the new nexus. */
		wire_send_command(&wire, &read);
		wire_expect(&wire, WIRE_RESPONSE, &pdu);
		tag = wire_send_command(&wire, &read);
		wire_expect(&wire, WIRE_DATA_IN, &pdu);
		wire_send_task(
			&wire, functions[i], 1, tag, wire.command_sn - 1);
		do
			assert_true(wire_receive(&wire, &pdu));
		while (wire_opcode(&pdu) == WIRE_DATA_IN && !(pdu.bhs[1] & 1));
		assert_int_equal(wire_opcode(&pdu), WIRE_TASK_RESPONSE);
		assert_int_equal(pdu.bhs[2], COMPLETE);
		wire_expect_quiet(&wire);
		wire_logout(&wire);
	}
}

/* What the host sends behind a function is not part of what it ends: the write,
 * which waits for its data, goes on. */
static void a_command_behind_a_reset_goes_on(void **state)
{
	struct target_rig *rig = *state;
	struct wire_data_out out = {.data = data, .bytes = 4096, .final = true};
	struct wire wire = {0};
	unsigned answers = 0, asked = 0;
	int on = 1, off = 0;

	wire_open(&wire, rig->port, "ImmediateData=No\n");
	send_held(&wire);
	/* Both in one segment. */
	setsockopt(wire.fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
	wire_send_task(&wire, ABORT_TASK_SET, 0, 0, 0);
	out.tag = wire_send_write(&wire, 0, 8, NULL, 0);
	setsockopt(wire.fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
	while (!answers || !asked) {
		assert_true(wire_receive(&wire, &pdu));
		if (wire_opcode(&pdu) == WIRE_TASK_RESPONSE) {
			answers++;
			continue;
		}
		assert_int_equal(wire_opcode(&pdu), WIRE_R2T);
		out.transfer_tag = wire_get32(pdu.bhs + 20);
		asked++;
	}
	wire_send_data(&wire, &out);
	wire_expect_status(&wire, out.tag, 0, &pdu);
	wire_logout(&wire);
}

static void a_reset_is_told_to_other_sessions(void **state)
{
	struct target_rig *rig = *state;
	struct wire one = {0}, two = {.isid = {0x40, 0, 0, 2}};
	uint32_t tag;

	wire_open(&one, rig->port, "");
	wire_open(&two, rig->port, "");
	send_held(&two);
	manage(&one, LUN_RESET, 0, 0, COMPLETE);
	/* Its task has ended in silence; the next command is told why. */
	tag = wire_send_command(&two, &ready);
	assert_int_equal(wire_expect_status(&two, tag, 2, &pdu) >> 8, 0x0629);
	wire_logout(&one);
	wire_logout(&two);
}

static void a_warm_reset_ends_all(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	send_held(&wire);
	manage(&wire, WARM_RESET, 0, 0, COMPLETE);
	wire_clear_attentions(&wire);
	wire_logout(&wire);
}

/* Whose tasks end with a function, and what the others hear: ABORT TASK SET is for
 * one's own, CLEAR TASK SET for everybody's in the unit, who are told if they lost one
 * (SAM-5 7.3, 7.4). Another unit's stay in any case. */
static void whose_tasks_end(void **state)
{
	static const struct {
		uint8_t function, lun;
		bool others; /* lose their task */
		uint32_t told;
	} rows[] = {{ABORT_TASK_SET, 0, false, 0},
		{CLEAR_TASK_SET, 1, false, 0}, {LUN_RESET, 1, false, 0},
		{CLEAR_TASK_SET, 0, true, 0x062f00},
		{LUN_RESET, 0, true, 0x062903},
		{WARM_RESET, 0, true, 0x062903}};
	struct target_rig *rig = *state;

	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct wire one = {0}, two = {.isid = {0x40, 0, 0, 2}};
		uint32_t held, tag;

		wire_open(&one, rig->port, "");
		wire_open(&two, rig->port, "");
		held = send_held(&two);
		wire_expect_quiet(&two);
		manage(&one, rows[i].function, rows[i].lun, 0, COMPLETE);
		tag = wire_send_command(&two, &ready);
		if (rows[i].told)
			assert_int_equal(wire_expect_status(&two, tag, 2, &pdu),
				rows[i].told);
		else
			wire_expect_status(&two, tag, 0, &pdu);
		manage(&two, ABORT_TASK, 0, held,
			rows[i].others ? NO_TASK : COMPLETE);
		expect_ready(&two);
		wire_logout(&one);
		wire_logout(&two);
	}
}

/* Told that all its connections are dropped (event 3), then closed. */
static void expect_dropped(struct wire *wire)
{
	wire_expect(wire, WIRE_ASYNC, &pdu);
	assert_int_equal(pdu.bhs[36], 3);
	wire_expect_closed(wire);
}

static void a_cold_reset_ends_all_sessions(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0}, other = {.isid = {0x40, 0, 0, 2}};

	wire_open(&other, rig->port, "");
	wire_open(&wire, rig->port, "");
	manage(&wire, COLD_RESET, 0, 0, COMPLETE);
	expect_dropped(&wire);
	expect_dropped(&other);
	wire_close(&wire);
	wire_close(&other);
}

/* -- what is not there ------------------------------------------------------ */

static void a_missing_lun_is_told(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	manage(&wire, LUN_RESET, 77, 0, NO_LUN);
	manage(&wire, ABORT_TASK_SET, 77, 0, NO_LUN);
	wire_logout(&wire);
}

static void other_functions_are_refused(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	manage(&wire, REASSIGN, 0, 1, NO_REASSIGN);
	manage(&wire, CLEAR_ACA, 0, 0, UNSUPPORTED);
	manage(&wire, QUERY_TASK, 0, 1, UNSUPPORTED);
	manage(&wire, 0, 0, 1, UNSUPPORTED);
	manage(&wire, 0x7f, 0, 1, UNSUPPORTED);
	wire_logout(&wire);
}

static void the_connection_may_end_meanwhile(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};

	for (unsigned i = 0; i < 20; i++) {
		wire = (struct wire){0};
		wire_open(&wire, rig->port, "");
		send_held(&wire);
		wire_send_write(&wire, 0, 8, NULL, 0);
		wire_send_task(&wire, LUN_RESET, 0, 0, 0);
		wire_close(&wire);
	}
	wire = (struct wire){0};
	wire_open(&wire, rig->port, "");
	wire_logout(&wire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST_IO_BESIDE(a_running_task_is_aborted_in_silence),
		HOST_IO_BESIDE(a_task_that_waits_for_data_is_aborted),
		HOST_IO_RESET(a_task_is_aborted_while_its_segment_arrives),
		HOST_IO_BESIDE(unknown_tasks_depend_on_their_number),
		HOST_IO_BESIDE(numbers_of_the_future_are_no_tasks),
		HOST_IO_BESIDE(a_lost_command_may_be_far_ahead),
		HOST_IO_BESIDE(a_task_is_aborted_on_its_own_lun_only),
		HOST_IO_RESET(task_sets_end_on_their_lun),
		HOST_IO_RESET(data_on_its_way_ends_before_the_answer),
		HOST_IO_BESIDE(a_command_behind_a_reset_goes_on),
		HOST_IO_RESET(a_reset_is_told_to_other_sessions),
		HOST_IO_RESET(whose_tasks_end),
		HOST_IO_RESET(a_warm_reset_ends_all),
		HOST_IO_DROPPED(a_cold_reset_ends_all_sessions),
		HOST_IO_BESIDE(a_missing_lun_is_told),
		HOST_IO_BESIDE(other_functions_are_refused),
		HOST_IO_PERHAPS_RESET(the_connection_may_end_meanwhile),
	};

	return cmocka_run_group_tests(
		tests, target_rig_set_up, target_rig_tear_down);
}
