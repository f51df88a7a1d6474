/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data-In (RFC 7143 11.7): how reads are cut, where the status is, residuals.
 */
#include "tests/lib/target_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct wire_pdu pdu;
static uint8_t data[1u << 20], got[4u << 20];

/* Fills the first MiB of the volume. */
static void store(struct wire *wire)
{
	uint32_t tag;

	for (uint32_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 13 + i / 256);
	for (uint32_t at = 0; at < sizeof data; at += 4096) {
		tag = wire_send_write(wire, at / 512, 8, data + at, 4096);
		wire_expect_status(wire, tag, 0, &pdu);
	}
}

static void a_small_read_ends_in_its_only_pdu(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint32_t tag;

	wire_open(&wire, rig->port, "");
	store(&wire);
	tag = wire_send_read(&wire, 8, 8);
	wire_expect(&wire, WIRE_DATA_IN, &pdu);
	/* F and S: data and status together (11.7.3). */
	assert_int_equal(pdu.bhs[1], 0x81);
	assert_int_equal(wire_get32(pdu.bhs + 16), tag);
	assert_int_equal(wire_get32(pdu.bhs + 20), 0xffffffff);
	assert_int_equal(pdu.bytes, 4096);
	assert_memory_equal(pdu.data, data + 4096, 4096);
	wire_logout(&wire);
}

static void a_read_is_cut_to_what_the_host_takes(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint32_t tag;

	wire_open(&wire, rig->port, "MaxRecvDataSegmentLength=1000\n");
	store(&wire);
	tag = wire_send_read(&wire, 0, 2048);
	assert_int_equal(wire_expect_data(&wire, tag, got, &pdu), sizeof data);
	assert_memory_equal(got, data, sizeof data);
	assert_int_equal(pdu.bytes, 262144 % 1000);
	wire_logout(&wire);
}

/* F ends each sequence of MaxBurstLength bytes, and no PDU crosses its end. */
static void bursts_are_ended(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint32_t tag, at = 0;

	wire_open(&wire, rig->port,
		"MaxBurstLength=8192\nFirstBurstLength=4096\n"
		"MaxRecvDataSegmentLength=3000\n");
	store(&wire);
	tag = wire_send_read(&wire, 0, 64);
	while (at < 32768) {
		wire_expect(&wire, WIRE_DATA_IN, &pdu);
		assert_int_equal(wire_get32(pdu.bhs + 16), tag);
		assert_int_equal(wire_get32(pdu.bhs + 40), at);
		assert_true(at / 8192 == (at + pdu.bytes - 1) / 8192);
		at += pdu.bytes;
		assert_int_equal(pdu.bhs[1] & 0x80, at % 8192 ? 0 : 0x80);
		assert_int_equal(pdu.bhs[1] & 1, at == 32768);
	}
	wire_logout(&wire);
}

static void many_reads_at_once_are_all_answered(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint32_t first;

	wire_open(&wire, rig->port, "");
	store(&wire);
	first = wire.tag;
	for (uint32_t i = 0; i < 100; i++)
		wire_send_read(&wire, i, 1);
	for (uint32_t i = 0; i < 100; i++) {
		wire_expect(&wire, WIRE_DATA_IN, &pdu);
		uint32_t n = wire_get32(pdu.bhs + 16) - first;

		assert_true(n < 100);
		assert_memory_equal(pdu.data, data + n * 512, 512);
	}
	wire_logout(&wire);
}

/* -- residuals (11.4.5) ----------------------------------------------------- */

struct residual_case {
	uint32_t expected; /* EDTL */
	uint8_t flags; /* of the command */
	uint8_t answer; /* O or U */
	uint32_t residual, bytes;
};

static void reads_tell_residuals(void **state)
{
	/* READ(10) of 8 blocks, 4096 bytes. */
	static const struct residual_case cases[] = {
		{4096, WIRE_R, 0, 0, 4096},
		{8192, WIRE_R, 2, 4096, 4096},
		{1024, WIRE_R, 4, 3072, 1024},
		{1000, WIRE_R, 4, 3096, 1000},
		{0, WIRE_R, 4, 4096, 0},
		{0, 0, 4, 4096, 0},
	};
	struct target_rig *rig = *state;
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	store(&wire);
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct residual_case *c = &cases[i];
		const struct wire_command read = {.flags = c->flags,
			.expected = c->expected,
			.cdb = {0x28, [8] = 8}};

		wire_send_command(&wire, &read);
		wire_expect(
			&wire, c->bytes ? WIRE_DATA_IN : WIRE_RESPONSE, &pdu);
		assert_int_equal(pdu.bytes, c->bytes);
		assert_memory_equal(pdu.data, data, c->bytes);
		assert_int_equal(pdu.bhs[3], 0);
		assert_int_equal(pdu.bhs[1] & 6, c->answer);
		assert_int_equal(wire_get32(pdu.bhs + 44), c->residual);
	}
	wire_logout(&wire);
}

static void inquiry_shorter_than_asked_for_underflows(void **state)
{
	struct target_rig *rig = *state;
	const struct wire_command inquiry = {
		.flags = WIRE_R, .expected = 255, .cdb = {0x12, [4] = 255}};
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	wire_send_command(&wire, &inquiry);
	wire_expect(&wire, WIRE_DATA_IN, &pdu);
	assert_true(pdu.bytes >= 36 && pdu.bytes < 255);
	assert_int_equal(pdu.bhs[1] & 6, 2);
	assert_int_equal(wire_get32(pdu.bhs + 44), 255 - pdu.bytes);
	wire_logout(&wire);
}

static void an_error_comes_with_sense_and_the_whole_residual(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint32_t tag;

	wire_open(&wire, rig->port, "");
	tag = wire_send_read(&wire, 0xffffff00, 8);
	assert_int_equal(wire_expect_status(&wire, tag, 2, &pdu), 0x052100);
	assert_int_equal(pdu.bhs[1] & 6, 2);
	assert_int_equal(wire_get32(pdu.bhs + 44), 4096);
	wire_logout(&wire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_small_read_ends_in_its_only_pdu),
		cmocka_unit_test(a_read_is_cut_to_what_the_host_takes),
		cmocka_unit_test(bursts_are_ended),
		cmocka_unit_test(many_reads_at_once_are_all_answered),
		cmocka_unit_test(reads_tell_residuals),
		cmocka_unit_test(inquiry_shorter_than_asked_for_underflows),
		cmocka_unit_test(
			an_error_comes_with_sense_and_the_whole_residual),
	};

	return cmocka_run_group_tests(
		tests, target_rig_set_up, target_rig_tear_down);
}
