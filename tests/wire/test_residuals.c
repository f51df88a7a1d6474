/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expected lengths that fit what a command moves, and all that do not: U, O and the
 * counts of RFC 7143 11.4.5, row by row; and every field of Data-In at the bounds of
 * the lengths that were agreed on (11.7).
 */
#include "tests/lib/host_io.h"
#include "tests/lib/target_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NO_TAG 0xffffffffu
#define DATA_LBA 0x1000u
#define R WIRE_R
#define W WIRE_W
#define O 0x04
#define U 0x02
#define OUTSIDE 0x052100
#define FIELD_IN_CDB 0x052400

static struct wire_pdu pdu;
static uint8_t data[65536], got[65536];

/* -- residuals --------------------------------------------------------------- */

static const struct row {
	const char *what;
	uint8_t cdb[16];
	uint8_t flags;
	uint32_t
		expected; /* EDTL; all of it is sent as immediate data with W */
	uint32_t in; /* bytes that come back; 0: a SCSI Response */
	uint8_t answer; /* U, O or nothing */
	uint32_t residual;
	uint32_t sense; /* 0: GOOD */
} rows[] = {
	{"read", {0x28, [8] = 8}, R, 4096, 4096, 0, 0, 0},
	{"more expected", {0x28, [8] = 8}, R, 8192, 4096, U, 4096, 0},
	{"one more expected", {0x28, [8] = 8}, R, 4097, 4096, U, 1, 0},
	{"less expected", {0x28, [8] = 8}, R, 1024, 1024, O, 3072, 0},
	{"one less expected", {0x28, [8] = 8}, R, 4095, 4095, O, 1, 0},
	{"one byte expected", {0x28, [8] = 8}, R, 1, 1, O, 4095, 0},
	{"R, nothing expected", {0x28, [8] = 8}, R, 0, 0, O, 4096, 0},
	{"read without R", {0x28, [8] = 8}, 0, 0, 0, O, 4096, 0},
	/* Without R or W there is no expected length, whatever stands there. */
	{"a length without R", {0x28, [8] = 8}, 0, 4096, 0, O, 4096, 0},
	{"read with W", {0x28, [8] = 8}, W, 4096, 0, U, 4096, 0},
	{"W, nothing expected", {0x28, [8] = 8}, W, 0, 0, O, 4096, 0},
	{"read of nothing", {0x28}, R, 512, 0, U, 512, 0},
	{"read of nothing, none expected", {0x28}, 0, 0, 0, 0, 0, 0},
	{"read outside", {0x28, [3] = 2, [8] = 8}, R, 4096, 0, U, 4096,
		OUTSIDE},
	{"read outside, more expected", {0x28, [3] = 2, [8] = 8}, R, 8192, 0, U,
		8192, OUTSIDE},
	{"read outside, none expected", {0x28, [3] = 2, [8] = 8}, 0, 0, 0, 0, 0,
		OUTSIDE},
	{"short answer", {0x25}, R, 255, 8, U, 247, 0},
	{"long answer", {0x25}, R, 6, 6, O, 2, 0},
	{"allocation length", {0x12, [4] = 36}, R, 36, 36, 0, 0, 0},
	{"allocation length is less", {0x12, [4] = 20}, R, 36, 20, U, 16, 0},
	{"allocation length is more", {0x12, [4] = 36}, R, 20, 20, O, 16, 0},
	{"an answer that is refused", {0x12, 0, 1, 0, 36}, R, 36, 0, U, 36,
		FIELD_IN_CDB},
	{"no such command", {0x02}, R, 36, 0, U, 36, 0x052000},
	{"no such command, data", {0x02}, W, 36, 0, U, 36, 0x052000},
	{"no data", {0x00}, 0, 0, 0, 0, 0, 0},
	{"no data, R", {0x00}, R, 777, 0, U, 777, 0},
	{"no data, W", {0x00}, W, 777, 0, U, 777, 0},
	{"write", {0x2a, [8] = 8}, W, 4096, 0, 0, 0, 0},
	{"write, more expected", {0x2a, [8] = 8}, W, 8192, 0, U, 4096, 0},
	{"write, less expected", {0x2a, [8] = 8}, W, 1024, 0, O, 3072, 0},
	{"write, nothing expected", {0x2a, [8] = 8}, W, 0, 0, O, 4096, 0},
	{"write without W", {0x2a, [8] = 8}, 0, 0, 0, O, 4096, 0},
	{"write with R", {0x2a, [8] = 8}, R, 4096, 0, U, 4096, 0},
	{"write of nothing", {0x2a}, W, 512, 0, U, 512, 0},
	{"write outside", {0x2a, [3] = 2, [8] = 8}, W, 4096, 0, U, 4096,
		OUTSIDE},
	{"write outside, none expected", {0x2a, [3] = 2, [8] = 8}, 0, 0, 0, 0,
		0, OUTSIDE},
	/* The list came and is wrong: an error, and nothing is left over. */
	{"a list that is refused", {0x15, 0x10, [4] = 24}, W, 24, 0, 0, 0,
		0x052600},
};

static void check_answer(const struct row *row)
{
	uint8_t opcode = row->in ? WIRE_DATA_IN : WIRE_RESPONSE;
	uint8_t flags = WIRE_F | row->answer | (row->in ? 1 : 0);
	uint8_t status = row->sense ? 2 : 0;

	if (wire_opcode(&pdu) != opcode || pdu.bhs[1] != flags ||
		pdu.bhs[3] != status ||
		wire_get32(pdu.bhs + 44) != row->residual ||
		(row->in && pdu.bytes != row->in))
		fail_msg("%s: opcode %02x, flags %02x, status %02x, %u bytes, "
			 "residual %u",
			row->what, wire_opcode(&pdu), pdu.bhs[1], pdu.bhs[3],
			pdu.bytes, wire_get32(pdu.bhs + 44));
	if (row->sense)
		assert_int_equal((uint32_t)(pdu.data[4] & 15) << 16 |
				(uint32_t)pdu.data[14] << 8 | pdu.data[15],
			row->sense);
	if (row->in)
		return;
	assert_int_equal(pdu.bhs[2], 0); /* completed at the target */
	assert_int_equal(wire_get32(pdu.bhs + 36), 0); /* ExpDataSN: no R2T */
	assert_int_equal(wire_get32(pdu.bhs + 40), 0); /* no read residual */
}

static void test_every_residual(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *row = &rows[i];
		bool sends = row->flags == W;
		struct wire_command command = {.flags = row->flags,
			.expected = row->expected,
			.data = sends ? data : NULL,
			.bytes = sends ? row->expected : 0};
		uint32_t tag, status_sn = wire.expected_status_sn;

		memcpy(command.cdb, row->cdb, sizeof command.cdb);
		tag = wire_send_command(&wire, &command);
		assert_true(wire_receive(&wire, &pdu));
		assert_int_equal(wire_get32(pdu.bhs + 16), tag);
		assert_int_equal(wire_get32(pdu.bhs + 24), status_sn);
		check_answer(row);
		host_io_goes_on();
	}
	wire_expect_quiet(&wire);
	wire_logout(&wire);
}

/* -- both ways ---------------------------------------------------------------- */

/* R and W: refused, and nothing of either length was moved (11.4.5.2). */
static const struct both {
	uint8_t opcode;
	uint32_t write, read;
	bool has_read; /* its length comes with the command (11.2.2.4) */
	uint8_t answer;
} both[] = {
	{0x28, 4096, 512, true, 0x0a}, {0x2a, 4096, 512, true, 0x0a},
	{0x28, 4096, 0, true, 0x02}, {0x28, 0, 512, true, 0x08},
	{0x2a, 0, 0, true, 0}, {0x28, 512, 0, false, 0x02},
	{0x2a, 0, 0, false, 0},
	{0x02, 512, 4096, true, 0x0a}, /* no such command anyway */
};

static void test_both_ways(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	for (unsigned i = 0; i < sizeof both / sizeof *both; i++) {
		const struct both *b = &both[i];
		uint8_t header[48 + 8] = {0};
		uint32_t tag = wire_begin(&wire, header, WIRE_COMMAND);

		header[1] = WIRE_F | R | W | WIRE_SIMPLE;
		header[4] = b->has_read ? 2 : 0;
		wire_put32(header + 20, b->write);
		header[32] = b->opcode;
		header[32 + 8] = 1;
		memcpy(header + 48, "\x00\x05\x02", 3);
		wire_put32(header + 52, b->read);
		wire_send_raw(&wire, header, b->has_read ? 56 : 48);
		wire_expect_status(&wire, tag, 2, &pdu);
		if (pdu.bhs[1] != (WIRE_F | b->answer))
			fail_msg("row %u: flags %02x", i, pdu.bhs[1]);
		assert_int_equal(wire_get32(pdu.bhs + 40), b->read);
		assert_int_equal(wire_get32(pdu.bhs + 44), b->write);
		host_io_goes_on();
	}
	wire_expect_quiet(&wire);
	wire_logout(&wire);
}

/* -- Data-In ------------------------------------------------------------------ */

static const struct cut {
	uint32_t segment, burst;
} cuts[] = {
	{512, 512},
	{512, 1024},
	{512, 1000},
	{1000, 512},
	{1000, 1536},
	{4096, 4096},
	{4095, 4097},
	{8192, 16384},
	{65536, 512},
	{16777215, 65535},
	{16777215, 16777215},
};

/* The PDU at `at` of a read of `end` bytes: F ends a burst or all, S all. */
static void check_piece(
	const struct cut *cut, uint32_t sn, uint32_t at, uint32_t end)
{
	uint32_t stop = at + pdu.bytes;
	bool last = stop == end, burst = stop % cut->burst == 0;

	assert_in_range(pdu.bytes, 1, cut->segment);
	assert_true(at / cut->burst == (stop - 1) / cut->burst);
	/* As large as it may be: nothing is cut without need. */
	assert_true(last || burst || pdu.bytes == cut->segment);
	assert_int_equal(
		pdu.bhs[1], (last || burst ? WIRE_F : 0) | (last ? 1 : 0));
	assert_int_equal(pdu.bhs[2], 0);
	assert_int_equal(pdu.bhs[3], 0);
	assert_int_equal(wire_get32(pdu.bhs + 8), 0); /* LUN: no A bit */
	assert_int_equal(wire_get32(pdu.bhs + 20), NO_TAG);
	assert_int_equal(wire_get32(pdu.bhs + 36), sn);
	assert_int_equal(wire_get32(pdu.bhs + 40), at);
	assert_int_equal(wire_get32(pdu.bhs + 44), 0);
}

static void check_read(
	struct wire *wire, const struct cut *cut, uint32_t expected)
{
	const struct wire_command read = {.flags = R,
		.expected = expected,
		.cdb = {0x28, [4] = DATA_LBA >> 8, [8] = 128}};
	uint32_t at = 0, status_sn = wire->expected_status_sn;
	uint32_t tag = wire_send_command(wire, &read);

	for (uint32_t sn = 0; at < expected; sn++) {
		assert_true(wire_receive(wire, &pdu));
		assert_int_equal(wire_opcode(&pdu), WIRE_DATA_IN);
		assert_int_equal(wire_get32(pdu.bhs + 16), tag);
		if (at + pdu.bytes == expected) { /* the rest is a residual */
			assert_int_equal(
				pdu.bhs[1] & O, expected < 65536 ? O : 0);
			assert_int_equal(
				wire_get32(pdu.bhs + 44), 65536 - expected);
			pdu.bhs[1] &= (uint8_t)~O;
			wire_put32(pdu.bhs + 44, 0);
			assert_int_equal(wire_get32(pdu.bhs + 24), status_sn);
		}
		check_piece(cut, sn, at, expected);
		memcpy(got + at, pdu.data, pdu.bytes);
		at += pdu.bytes;
	}
	assert_int_equal(at, expected);
	assert_memory_equal(got, data, expected);
}

static void test_data_in_at_its_bounds(void **state)
{
	struct target_rig *rig = *state;
	char keys[128];

	for (unsigned i = 0; i < sizeof cuts / sizeof *cuts; i++) {
		const struct cut *cut = &cuts[i];
		const uint32_t lengths[] = {1, 511, 512, 513, cut->segment - 1,
			cut->segment, cut->segment + 1, cut->burst - 1,
			cut->burst, cut->burst + 1, 2 * cut->burst, 65535,
			65536};
		struct wire wire = {0};

		snprintf(keys, sizeof keys,
			"MaxRecvDataSegmentLength=%u\nMaxBurstLength=%u\n"
			"FirstBurstLength=512\n",
			cut->segment, cut->burst);
		wire_open(&wire, rig->port, keys);
		for (unsigned j = 0; j < sizeof lengths / sizeof *lengths; j++)
			if (lengths[j] <= sizeof data)
				check_read(&wire, cut, lengths[j]);
		host_io_goes_on();
		wire_expect_quiet(&wire);
		wire_logout(&wire);
	}
}

/* What the reads are compared with: behind what the host beside writes. */
static int set_up(void **state)
{
	struct target_rig *rig;
	struct wire wire = {0};
	uint32_t tag;

	for (uint32_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 13 + i / 256);
	host_io_rig_set_up(state);
	rig = *state;
	wire_open(&wire, rig->port, "");
	tag = wire_send_write(
		&wire, DATA_LBA, sizeof data / 512, data, sizeof data);
	wire_expect_status(&wire, tag, 0, &pdu);
	wire_logout(&wire);
	return 0;
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, set_up, host_io_rig_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_every_residual),
		TEST(test_both_ways),
		TEST(test_data_in_at_its_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
