/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command numbers and the window (RFC 7143 4.2.2.1), immediate commands, tags,
 * what is rejected and how the session goes on.
 */
#include "tests/lib/host_io.h"
#include "tests/lib/target_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PROTOCOL 0x04
#define UNSUPPORTED 0x05
#define TOO_MANY_IMMEDIATE 0x06
#define IN_PROGRESS 0x07
#define FIELD 0x09

static struct wire_pdu pdu;
static const struct wire_command ready = {.flags = 0};

/* A read that does not end: its task is there until it is aborted. */
static uint32_t send_held(struct wire *wire)
{
	return wire_send_read(wire, TARGET_RIG_HELD_LBA, 1);
}

static void expect_ready(struct wire *wire)
{
	uint32_t tag = wire_send_command(wire, &ready);

	wire_expect_status(wire, tag, 0, &pdu);
}

/* -- numbers ---------------------------------------------------------------- */

static void the_window_is_as_large_as_set(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	expect_ready(&wire);
	assert_int_equal(wire.expected_command_sn, wire.command_sn);
	assert_int_equal(wire.max_command_sn - wire.expected_command_sn + 1,
		rig->settings.command_window);
	wire_logout(&wire);
}

static void numbers_wrap(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {
		.command_sn = 0xfffffffa, .expected_status_sn = 0xfffffffc};

	wire_open(&wire, rig->port, "");
	for (unsigned i = 0; i < 20; i++)
		expect_ready(&wire);
	assert_true(wire.command_sn < 100 && wire.expected_status_sn < 100);
	wire_logout(&wire);
}

static void commands_outside_the_window_are_ignored(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint32_t right;

	wire_open(&wire, rig->port, "");
	right = wire.command_sn;
	wire.command_sn = wire.max_command_sn + 1;
	wire_send_command(&wire, &ready);
	wire.command_sn = right - 1;
	wire_send_command(&wire, &ready);
	wire.command_sn = right + 0x80000000u;
	wire_send_command(&wire, &ready);
	wire.command_sn = right;
	wire_expect_quiet(&wire);
	expect_ready(&wire);
	wire_logout(&wire);
}

/* On the only connection of a session a gap is never filled (4.2.2.1). */
static void a_gap_ends_the_connection(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	wire.command_sn++;
	wire_send_command(&wire, &ready);
	wire_expect_closed(&wire);
	wire_close(&wire);
}

static void running_commands_close_the_window(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint32_t tag, window = rig->settings.command_window;

	wire_open(&wire, rig->port, "");
	for (uint32_t i = 0; i < window; i++)
		send_held(&wire);
	wire_expect_quiet(&wire);
	assert_int_equal(wire.max_command_sn + 1, wire.expected_command_sn);
	/* One more is ignored ... */
	wire_send_command(&wire, &ready);
	wire.command_sn--;
	wire_expect_quiet(&wire);
	/* ... until a reset has ended all. */
	tag = wire_send_task(&wire, 5, 0, 0, 0);
	wire_expect(&wire, WIRE_TASK_RESPONSE, &pdu);
	assert_int_equal(wire_get32(pdu.bhs + 16), tag);
	assert_int_equal(pdu.bhs[2], 0);
	assert_int_equal(
		wire.max_command_sn - wire.expected_command_sn + 1, window);
	wire_clear_attentions(&wire);
	wire_logout(&wire);
}

static void immediate_commands_take_no_number(void **state)
{
	struct target_rig *rig = *state;
	const struct wire_command now = {.immediate = true};
	struct wire wire = {0};
	uint32_t tag;

	wire_open(&wire, rig->port, "");
	expect_ready(&wire);
	tag = wire_send_command(&wire, &now);
	wire_expect_status(&wire, tag, 0, &pdu);
	assert_int_equal(wire.expected_command_sn, wire.command_sn);
	wire_logout(&wire);
}

static void a_flood_of_immediate_commands_is_bounded(void **state)
{
	struct target_rig *rig = *state;
	const struct wire_command held = {.immediate = true,
		.flags = WIRE_R,
		.expected = 512,
		.cdb = {0x28, [3] = TARGET_RIG_HELD_LBA >> 16, [8] = 1}};
	struct wire wire = {0};
	unsigned rejects = 0;

	wire_open(&wire, rig->port, "");
	for (unsigned i = 0; i < 20; i++)
		wire_send_command(&wire, &held);
	wire_send_nop(&wire, NULL, 0);
	while (wire_receive(&wire, &pdu) && wire_opcode(&pdu) == WIRE_REJECT) {
		assert_int_equal(pdu.bhs[2], TOO_MANY_IMMEDIATE);
		rejects++;
	}
	assert_int_equal(wire_opcode(&pdu), WIRE_NOP_IN);
	assert_true(rejects > 0 && rejects < 20);
	wire_logout(&wire);
}

/* -- what is rejected ------------------------------------------------------- */

static void a_tag_in_use_is_rejected(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	send_held(&wire);
	wire.tag--;
	wire_send_command(&wire, &ready);
	wire_expect_reject(&wire, IN_PROGRESS);
	expect_ready(&wire);
	wire_logout(&wire);
}

static void the_reserved_tag_is_rejected(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	wire.tag = 0xffffffff;
	wire_send_command(&wire, &ready);
	wire_expect_reject(&wire, FIELD);
	wire.tag = 1;
	expect_ready(&wire);
	wire_logout(&wire);
}

static void expect_rejected(struct wire *wire, uint8_t opcode, uint8_t reason)
{
	static uint8_t data[5000];
	uint8_t bhs[48];

	wire_begin(wire, bhs, opcode | WIRE_IMMEDIATE);
	wire_send(wire, bhs, data, sizeof data);
	wire_expect_reject(wire, reason);
	wire_expect_quiet(wire);
}

static void unknown_pdus_are_rejected_with_their_data(void **state)
{
	static const struct {
		uint8_t opcode, reason;
	} cases[] = {
		{0x07, UNSUPPORTED}, {0x11, UNSUPPORTED},
		{0x1c, UNSUPPORTED}, /* vendor's */
		{0x1e, UNSUPPORTED}, {0x20, UNSUPPORTED}, /* a target's own */
		{0x3f, UNSUPPORTED}, {WIRE_SNACK, 0x03},
		{WIRE_LOGIN, PROTOCOL}, /* after login */
	};
	struct target_rig *rig = *state;
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
		expect_rejected(&wire, cases[i].opcode, cases[i].reason);
	expect_ready(&wire);
	wire_logout(&wire);
}

/* The number of a command that is rejected was not received (7.3): the host fills the
 * gap with another of the same number, as it may do here, or loses the connection. */
static void a_rejected_command_takes_no_number(void **state)
{
	static const uint8_t opcodes[] = {
		WIRE_COMMAND, WIRE_TASK, WIRE_TEXT, WIRE_LOGOUT};
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint8_t bhs[48];

	wire_open(&wire, rig->port, "");
	for (unsigned i = 0; i < sizeof opcodes; i++) {
		uint32_t number = wire.command_sn;

		wire_begin(&wire, bhs, opcodes[i]);
		if (opcodes[i] == WIRE_LOGOUT)
			bhs[1] = WIRE_F | 3; /* no such reason */
		else if (opcodes[i] == WIRE_TEXT)
			bhs[1] = WIRE_F | 0x40; /* C: more, and no more */
		else
			wire_put32(bhs + 16, 0xffffffff);
		wire_send(&wire, bhs, NULL, 0);
		wire_expect_reject(
			&wire, opcodes[i] == WIRE_TEXT ? PROTOCOL : FIELD);
		assert_int_equal(wire.expected_command_sn, number);
		assert_int_equal(wire.command_sn, number);
		expect_ready(&wire);
	}
	wire_send_command(
		&wire, &(struct wire_command){.bytes = 1, .data = ""});
	wire_expect_reject(&wire, PROTOCOL);
	wire.command_sn++;
	wire_send_command(&wire, &ready);
	wire_expect_closed(&wire);
	wire_close(&wire);
}

static void discovery_sessions_carry_no_commands(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint8_t bhs[48];

	wire_open_discovery(&wire, rig->port);
	wire_send_command(&wire, &ready);
	wire_expect_reject(&wire, PROTOCOL);
	wire_send_task(&wire, 5, 0, 0, 0);
	wire_expect_reject(&wire, PROTOCOL);
	wire_begin(&wire, bhs, WIRE_DATA_OUT);
	wire_send(&wire, bhs, NULL, 0);
	wire_expect_reject(&wire, PROTOCOL);
	wire_expect_quiet(&wire);
	wire_logout(&wire);
}

static void bidirectional_commands_are_refused(void **state)
{
	struct target_rig *rig = *state;
	const struct wire_command both = {.flags = WIRE_R | WIRE_W,
		.expected = 512,
		.cdb = {0x28, [8] = 1}};
	struct wire wire = {0};
	uint32_t tag;

	wire_open(&wire, rig->port, "");
	tag = wire_send_command(&wire, &both);
	assert_int_equal(wire_expect_status(&wire, tag, 2, &pdu), 0x052400);
	wire_logout(&wire);
}

static void a_damaged_additional_header_is_rejected(void **state)
{
	struct target_rig *rig = *state;
	uint8_t bytes[56];
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	wire_begin(&wire, bytes, WIRE_COMMAND);
	bytes[4] = 2; /* 8 bytes of AHS, which say that they are 500 */
	memcpy(bytes + 48, "\x01\xf4\x01\0\0\0\0\0", 8);
	wire_send_raw(&wire, bytes, sizeof bytes);
	wire_expect_reject_of(&wire, FIELD, bytes, sizeof bytes);
	expect_ready(&wire);
	wire_logout(&wire);
}

/* The longest there is comes back as far as the host can take it. */
static void a_header_comes_back_within_the_hosts_limit(void **state)
{
	struct target_rig *rig = *state;
	uint8_t bytes[48 + 1020];
	struct wire small = {0}, large = {.isid = {0x40, 2}};

	wire_open(&large, rig->port, "");
	wire_open(&small, rig->port, "MaxRecvDataSegmentLength=512\n");
	for (unsigned i = 0; i < 2; i++) {
		struct wire *wire = i ? &large : &small;

		wire_begin(wire, bytes, WIRE_COMMAND);
		bytes[4] = 255;
		memset(bytes + 48, 0x5a, 1020);
		wire_send_raw(wire, bytes, sizeof bytes);
		wire_expect_reject_of(
			wire, FIELD, bytes, i ? sizeof bytes : 512);
		expect_ready(wire);
		wire_logout(wire);
	}
}

/* Additions are for commands (11.2.2.2): anything else that has some is not what
 * it says. */
static void only_commands_have_additional_headers(void **state)
{
	static const uint8_t opcodes[] = {
		WIRE_NOP_OUT, WIRE_TASK, WIRE_TEXT, WIRE_LOGOUT};
	struct target_rig *rig = *state;
	uint8_t bytes[56];
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	for (unsigned i = 0; i < 2 * sizeof opcodes; i++) {
		wire_begin(&wire, bytes,
			opcodes[i / 2] | (i % 2 ? WIRE_IMMEDIATE : 0));
		bytes[4] = 2;
		memcpy(bytes + 48, "\0\5\2\0\0\0\2\0", 8);
		wire_send_raw(&wire, bytes, sizeof bytes);
		wire_expect_reject_of(&wire, FIELD, bytes, sizeof bytes);
		expect_ready(&wire);
	}
	wire_logout(&wire);
}

static void a_data_out_with_an_addition_fails_its_command(void **state)
{
	struct target_rig *rig = *state;
	uint8_t bytes[56];
	struct wire wire = {0};
	uint32_t tag;

	wire_open(&wire, rig->port, "ImmediateData=No\n");
	tag = wire_send_write(&wire, 0, 1, NULL, 0);
	wire_expect_r2t(&wire, tag, 0, 512, &pdu);
	wire_begin(&wire, bytes, WIRE_DATA_OUT);
	wire_put32(bytes + 16, tag);
	memcpy(bytes + 20, pdu.bhs + 20, 4);
	bytes[4] = 2;
	memcpy(bytes + 48, "\0\5\2\0\0\0\2\0", 8);
	wire_send_raw(&wire, bytes, sizeof bytes);
	wire_expect_reject_of(&wire, FIELD, bytes, sizeof bytes);
	assert_int_equal(wire_expect_status(&wire, tag, 2, &pdu), 0x0b4705);
	wire_logout(&wire);
}

/* A command with an addition whose data, read straight to its place, is damaged: the
 * header comes back whole from there, too. */
static void an_addition_comes_back_after_damaged_data(void **state)
{
	struct target_rig *rig = *state;
	static uint8_t data[65536 + 4];
	uint8_t bytes[48 + 20] = {0};
	struct wire wire = {0};
	uint32_t tag;

	wire_open(&wire, rig->port, "DataDigest=CRC32C\n");
	for (uint32_t length = 4096; length <= 65536; length *= 16) {
		tag = wire_begin(&wire, bytes, WIRE_COMMAND);
		bytes[1] = WIRE_F | WIRE_W | WIRE_SIMPLE;
		bytes[4] = 5;
		wire_put32(bytes + 4, 5u << 24 | length);
		wire_put32(bytes + 20, length);
		bytes[32] = 0x2a;
		bytes[40] = (uint8_t)(length / 512);
		memcpy(bytes + 48, "\x00\x11\x01", 3);
		wire_send_raw(&wire, bytes, sizeof bytes);
		wire_send_raw(&wire, data, length + 4);
		wire_expect_reject_of(&wire, 2, bytes, sizeof bytes);
		assert_int_equal(
			wire_expect_status(&wire, tag, 2, &pdu), 0x0b4705);
	}
	wire_logout(&wire);
}

/* WRITE(10) with 32-byte CDB space around it: the AHS is taken and ignored. */
static void an_extended_cdb_is_taken(void **state)
{
	struct target_rig *rig = *state;
	uint8_t bytes[48 + 20];
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	wire_begin(&wire, bytes, WIRE_COMMAND);
	bytes[4] = 5;
	memset(bytes + 48, 0, 20);
	memcpy(bytes + 48, "\x00\x11\x01", 3);
	wire_send_raw(&wire, bytes, sizeof bytes);
	wire_expect_status(&wire, wire.tag - 1, 0, &pdu);
	wire_logout(&wire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST_IO_BESIDE(the_window_is_as_large_as_set),
		HOST_IO_BESIDE(numbers_wrap),
		HOST_IO_BESIDE(commands_outside_the_window_are_ignored),
		HOST_IO_BESIDE(a_gap_ends_the_connection),
		/* Its reset is told to others. */
		cmocka_unit_test(running_commands_close_the_window),
		HOST_IO_BESIDE(immediate_commands_take_no_number),
		HOST_IO_BESIDE(a_flood_of_immediate_commands_is_bounded),
		HOST_IO_BESIDE(a_tag_in_use_is_rejected),
		HOST_IO_BESIDE(the_reserved_tag_is_rejected),
		HOST_IO_BESIDE(unknown_pdus_are_rejected_with_their_data),
		HOST_IO_BESIDE(a_rejected_command_takes_no_number),
		HOST_IO_BESIDE(discovery_sessions_carry_no_commands),
		HOST_IO_BESIDE(bidirectional_commands_are_refused),
		HOST_IO_BESIDE(a_damaged_additional_header_is_rejected),
		HOST_IO_BESIDE(a_header_comes_back_within_the_hosts_limit),
		HOST_IO_BESIDE(only_commands_have_additional_headers),
		HOST_IO_BESIDE(a_data_out_with_an_addition_fails_its_command),
		HOST_IO_BESIDE(an_addition_comes_back_after_damaged_data),
		HOST_IO_BESIDE(an_extended_cdb_is_taken),
	};

	return cmocka_run_group_tests(
		tests, target_rig_set_up, target_rig_tear_down);
}
