/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NOP-Out and NOP-In with their bodies (RFC 7143 11.18, 11.19), both ways, beside a
 * host whose I/O goes on.
 */
#include "tests/lib/host_io.h"
#include "tests/lib/target_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define NO_TAG 0xffffffffu

static struct wire_pdu pdu;
static uint8_t data[65536];

/* Sends a ping of that opcode (immediate or not) with a body, expects the echo. */
static void expect_echo(
	struct wire *wire, uint8_t opcode, uint32_t bytes, uint32_t most)
{
	uint32_t cut = bytes < most ? bytes : most, tag, status_sn;
	uint8_t bhs[48];

	tag = wire_begin(wire, bhs, opcode);
	memset(bhs + 20, 0xff, 4);
	bhs[9] = 1; /* LUN */
	status_sn = wire->expected_status_sn;
	wire_send(wire, bhs, data, bytes);
	wire_expect(wire, WIRE_NOP_IN, &pdu);
	assert_int_equal(pdu.bhs[1], WIRE_F);
	assert_int_equal(wire_get32(pdu.bhs + 16), tag);
	assert_int_equal(wire_get32(pdu.bhs + 20), NO_TAG);
	assert_int_equal(wire_get32(pdu.bhs + 24), status_sn);
	assert_int_equal(wire->expected_status_sn, status_sn + 1);
	assert_int_equal(wire->expected_command_sn, wire->command_sn);
	assert_int_equal(pdu.bytes, cut);
	assert_memory_equal(pdu.data, data, cut);
}

/* Every length around pads and bounds, with and without digests. */
static void bodies_come_back(void **state)
{
	static const uint32_t lengths[] = {
		0, 1, 2, 3, 4, 5, 511, 512, 513, 1000, 4095, 4096, 8192, 65536};
	static const struct {
		const char *keys;
		uint32_t most;
	} rows[] = {{"", 8192}, {"MaxRecvDataSegmentLength=512\n", 512},
		{"MaxRecvDataSegmentLength=1001\n", 1001},
		{"HeaderDigest=CRC32C\nDataDigest=CRC32C\n"
		 "MaxRecvDataSegmentLength=65536\n",
			65536}};
	struct target_rig *rig = *state;

	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct wire wire = {0};

		wire_open(&wire, rig->port, rows[i].keys);
		for (unsigned j = 0; j < sizeof lengths / sizeof *lengths;
			j++) {
			expect_echo(&wire, WIRE_NOP_OUT | WIRE_IMMEDIATE,
				lengths[j], rows[i].most);
			expect_echo(
				&wire, WIRE_NOP_OUT, lengths[j], rows[i].most);
		}
		wire_logout(&wire);
	}
}

/* What runs and never ends, and a write that waits for its data, keep no ping. */
static void pings_overtake_commands(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	struct wire_data_out out = {.data = data, .bytes = 4096, .final = true};

	wire_open(&wire, rig->port, "ImmediateData=No\n");
	wire_send_read(&wire, TARGET_RIG_HELD_LBA, 1);
	out.tag = wire_send_write(&wire, 4096, 8, NULL, 0);
	wire_expect_r2t(&wire, out.tag, 0, 4096, &pdu);
	out.transfer_tag = wire_get32(pdu.bhs + 20);
	expect_echo(&wire, WIRE_NOP_OUT | WIRE_IMMEDIATE, 100, 8192);
	expect_echo(&wire, WIRE_NOP_OUT, 100, 8192);
	wire_send_data(&wire, &out);
	wire_expect_status(&wire, out.tag, 0, &pdu);
	wire_logout(&wire);
}

/* Without a tag of the task it asks for nothing, whatever else stands there: to tell a
 * StatSN, an answer to a ping that was not sent, bodies. No number is taken. */
static void without_a_tag_nothing_comes_back(void **state)
{
	static const struct {
		uint32_t transfer_tag, bytes;
	} rows[] = {{NO_TAG, 0}, {NO_TAG, 7}, {0, 0}, {0, 513}, {4711, 0},
		{0xfffffffe, 8192}};
	struct target_rig *rig = *state;
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint32_t status_sn = wire.expected_status_sn;
		uint8_t bhs[48];

		wire_begin(&wire, bhs, WIRE_NOP_OUT | WIRE_IMMEDIATE);
		wire_put32(bhs + 16, NO_TAG);
		wire_put32(bhs + 20, rows[i].transfer_tag);
		wire_send(&wire, bhs, data, rows[i].bytes);
		wire_expect_quiet(&wire);
		/* wire_expect_quiet has pinged once. */
		assert_int_equal(wire.expected_status_sn, status_sn + 1);
		assert_int_equal(wire.expected_command_sn, wire.command_sn);
	}
	wire_logout(&wire);
}

/* A host that says nothing is pinged, in the form that is owed, and lives as long as
 * it answers, with a body or without. */
static void the_targets_pings(void **state)
{
	struct target_rig_setup setup;
	struct target_rig *rig;
	struct wire wire = {0};

	(void)state;
	target_rig_defaults(&setup);
	setup.settings.ping_interval_s = 1;
	setup.settings.ping_timeout_s = 3;
	rig = target_rig_new(&setup);
	wire_open(&wire, rig->port, "");
	for (uint32_t i = 0; i < 2; i++) {
		uint8_t bhs[48];

		wire_expect(&wire, WIRE_NOP_IN, &pdu);
		assert_int_equal(pdu.bhs[1], WIRE_F);
		assert_int_equal(pdu.bytes, 0);
		assert_int_equal(wire_get32(pdu.bhs + 16), NO_TAG);
		assert_int_not_equal(wire_get32(pdu.bhs + 20), NO_TAG);
		assert_int_equal(
			wire_get32(pdu.bhs + 24), wire.expected_status_sn);
		wire_begin(&wire, bhs, WIRE_NOP_OUT | WIRE_IMMEDIATE);
		wire_put32(bhs + 16, NO_TAG);
		memcpy(bhs + 8, pdu.bhs + 8, 8);
		memcpy(bhs + 20, pdu.bhs + 20, 4);
		wire_send(&wire, bhs, data, i * 1001);
		wire_expect_quiet(&wire);
	}
	wire_logout(&wire);
	target_rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST_IO_BESIDE(bodies_come_back),
		HOST_IO_BESIDE(pings_overtake_commands),
		HOST_IO_BESIDE(without_a_tag_nothing_comes_back),
		cmocka_unit_test(the_targets_pings),
	};

	for (unsigned i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 11 + i / 256 + 1);
	return cmocka_run_group_tests(
		tests, target_rig_set_up, target_rig_tear_down);
}
