/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data from the host (RFC 7143 11.7, 11.8): immediate, unsolicited, solicited by
 * several R2Ts. Sequences that are broken: test_data_broken.c.
 */
#include "tests/lib/host_io.h"
#include "tests/lib/target_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NO_TAG 0xffffffffu
#define PROTOCOL 0x04
#define FIELD 0x09

static struct wire_pdu pdu;
static uint8_t data[4u << 20], got[4u << 20];

static void fill(unsigned seed)
{
	for (uint32_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 13 + i / 256 + seed);
}

static void expect_stored(struct wire *wire, uint32_t lba,
	const uint8_t *expected, uint32_t bytes)
{
	uint32_t tag = wire_send_read(wire, lba, (uint16_t)(bytes / 512));

	assert_int_equal(wire_expect_data(wire, tag, got, &pdu), bytes);
	assert_memory_equal(got, expected, bytes);
}

/* Answers the R2T in `pdu` with PDUs of `piece` bytes. */
static void answer_r2t(struct wire *wire, uint32_t tag, uint32_t piece)
{
	uint32_t transfer_tag = wire_get32(pdu.bhs + 20);
	uint32_t at = wire_get32(pdu.bhs + 40);
	uint32_t end = at + wire_get32(pdu.bhs + 44);

	for (uint32_t sn = 0; at < end; sn++) {
		uint32_t bytes = end - at < piece ? end - at : piece;
		const struct wire_data_out out = {.tag = tag,
			.transfer_tag = transfer_tag,
			.data_sn = sn,
			.offset = at,
			.final = at + bytes == end,
			.data = data + at,
			.bytes = bytes};

		wire_send_data(wire, &out);
		at += bytes;
	}
}

/* -- the three ways --------------------------------------------------------- */

static void immediate_data_is_stored(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint32_t tag;

	wire_open(&wire, rig->port, "");
	fill(1);
	tag = wire_send_write(&wire, 8, 8, data, 4096);
	wire_expect_status(&wire, tag, 0, &pdu);
	expect_stored(&wire, 8, data, 4096);
	wire_logout(&wire);
}

static void a_write_without_data_is_asked_for(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint32_t tag;

	wire_open(&wire, rig->port, "InitialR2T=Yes\nImmediateData=No\n");
	fill(2);
	tag = wire_send_write(&wire, 8, 8, NULL, 0);
	wire_expect_r2t(&wire, tag, 0, 4096, &pdu);
	assert_int_equal(wire_get32(pdu.bhs + 36), 0); /* R2TSN */
	answer_r2t(&wire, tag, 1000);
	wire_expect_status(&wire, tag, 0, &pdu);
	expect_stored(&wire, 8, data, 4096);
	wire_logout(&wire);
}

static void unsolicited_data_follows_the_command(void **state)
{
	struct target_rig *rig = *state;
	const struct wire_command write = {.flags = WIRE_W,
		.more = true,
		.expected = 32768,
		.cdb = {0x2a, [5] = 16, [8] = 64},
		.data = data,
		.bytes = 1024};
	struct wire_data_out out = {.transfer_tag = NO_TAG};
	struct wire wire = {0};

	wire_open(&wire, rig->port, "InitialR2T=No\nFirstBurstLength=16384\n");
	fill(3);
	out.tag = wire_send_command(&wire, &write);
	for (uint32_t at = 1024; at < 16384; at += out.bytes) {
		out.offset = at;
		out.bytes = at + 4096 < 16384 ? 4096 : 16384 - at;
		out.final = at + out.bytes == 16384;
		out.data = data + at;
		wire_send_data(&wire, &out);
		out.data_sn++;
	}
	/* The rest is asked for. */
	wire_expect_r2t(&wire, out.tag, 16384, 16384, &pdu);
	answer_r2t(&wire, out.tag, 16384);
	wire_expect_status(&wire, out.tag, 0, &pdu);
	expect_stored(&wire, 16, data, 32768);
	wire_logout(&wire);
}

/* Bursts of MaxBurstLength, MaxOutstandingR2T of them at a time. */
static void a_large_write_takes_several_r2ts(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint32_t tag, asked = 0;

	wire_open(&wire, rig->port,
		"InitialR2T=Yes\nImmediateData=No\nMaxBurstLength=65536\n"
		"MaxOutstandingR2T=2\n");
	fill(4);
	tag = wire_send_write(&wire, 0, 2000, NULL, 0); /* 1024000 bytes */
	wire_expect_r2t(&wire, tag, 0, 65536, &pdu);
	struct wire_pdu *second = malloc(sizeof *second);

	wire_expect_r2t(&wire, tag, 65536, 65536, second);
	wire_expect_quiet(&wire); /* no third yet */
	asked = 2 * 65536;
	while (asked < 1024000) {
		uint32_t bytes =
			1024000 - asked < 65536 ? 1024000 - asked : 65536;

		answer_r2t(&wire, tag, 10000);
		pdu = *second;
		wire_expect_r2t(&wire, tag, asked, bytes, second);
		asked += bytes;
	}
	answer_r2t(&wire, tag, 65536);
	pdu = *second;
	answer_r2t(&wire, tag, 65536);
	wire_expect_status(&wire, tag, 0, &pdu);
	assert_int_equal(wire_get32(pdu.bhs + 36), 16); /* R2Ts sent */
	expect_stored(&wire, 0, data, 1024000);
	free(second);
	wire_logout(&wire);
}

static void several_writes_are_received_beside_each_other(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	struct wire_pdu *r2t = calloc(4, sizeof *r2t);
	uint32_t tag[4];

	wire_open(&wire, rig->port, "InitialR2T=Yes\nImmediateData=No\n");
	fill(5);
	for (uint32_t i = 0; i < 4; i++) {
		tag[i] = wire_send_write(&wire, 100 + i * 8, 8, NULL, 0);
		wire_expect_r2t(&wire, tag[i], 0, 4096, &r2t[i]);
	}
	for (unsigned i = 4; i-- > 0;) {
		pdu = r2t[i];
		answer_r2t(&wire, tag[i], 4096);
		wire_expect_status(&wire, tag[i], 0, &pdu);
	}
	for (uint32_t i = 0; i < 4; i++)
		expect_stored(&wire, 100 + i * 8, data, 4096);
	free(r2t);
	wire_logout(&wire);
}

/* 2 MiB at once, in segments as large as the target offers. */
static void large_segments_go_straight_to_their_place(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint32_t tag;

	wire_open(&wire, rig->port, "FirstBurstLength=262144\n");
	fill(6);
	tag = wire_send_write(&wire, 0, 4096, data, 262144);
	for (uint32_t at = 262144; at < 2u << 20;) {
		wire_expect(&wire, WIRE_R2T, &pdu);
		at += wire_get32(pdu.bhs + 44);
		answer_r2t(&wire, tag, 262144);
	}
	wire_expect_status(&wire, tag, 0, &pdu);
	expect_stored(&wire, 0, data, 2u << 20);
	wire_logout(&wire);
}

/* -- lengths that differ ---------------------------------------------------- */

static void only_what_the_cdb_says_is_stored(void **state)
{
	struct target_rig *rig = *state;
	/* 8 blocks by the CDB, 16 by the expected length. */
	const struct wire_command write = {.flags = WIRE_W,
		.expected = 8192,
		.cdb = {0x2a, [4] = 80, [8] = 8},
		.data = data,
		.bytes = 8192};
	static const uint8_t zeroes[4096];
	struct wire wire = {0};
	uint32_t tag;

	wire_open(&wire, rig->port, "");
	fill(7);
	tag = wire_send_command(&wire, &write);
	wire_expect_status(&wire, tag, 0, &pdu);
	assert_int_equal(pdu.bhs[1] & 6, 2);
	assert_int_equal(wire_get32(pdu.bhs + 44), 4096);
	expect_stored(&wire, 20480, data, 4096);
	expect_stored(&wire, 20488, zeroes, 4096);
	wire_logout(&wire);
}

static void a_short_expected_length_overflows(void **state)
{
	struct target_rig *rig = *state;
	const struct wire_command write = {.flags = WIRE_W,
		.expected = 1024,
		.cdb = {0x2a, [4] = 1, [8] = 8},
		.data = data,
		.bytes = 1024};
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	fill(8);
	wire_send_command(&wire, &write);
	wire_expect(&wire, WIRE_RESPONSE, &pdu);
	assert_int_equal(pdu.bhs[1] & 6, 4);
	assert_int_equal(wire_get32(pdu.bhs + 44), 3072);
	wire_expect_quiet(&wire);
	wire_logout(&wire);
}

/* Data for a command that moves none is taken off the wire and forgotten. */
static void data_that_nobody_wants_is_thrown_away(void **state)
{
	struct target_rig *rig = *state;
	const struct wire_command ready = {
		.flags = WIRE_W, .expected = 777, .data = data, .bytes = 777};
	struct wire wire = {0};
	uint32_t tag;

	wire_open(&wire, rig->port, "");
	tag = wire_send_command(&wire, &ready);
	wire_expect_status(&wire, tag, 0, &pdu);
	assert_int_equal(pdu.bhs[1] & 6, 2);
	assert_int_equal(wire_get32(pdu.bhs + 44), 777);
	wire_logout(&wire);
}

/* -- against the agreement ---------------------------------------------------- */

struct refused {
	const char *what, *keys;
	struct wire_command command;
};

static const struct refused refused[] = {
	{"immediate data, agreed on none", "ImmediateData=No\n",
		{.flags = WIRE_W, .expected = 4096, .bytes = 4096}},
	{"immediate data beyond the first burst", "FirstBurstLength=1024\n",
		{.flags = WIRE_W, .expected = 4096, .bytes = 4096}},
	{"immediate data beyond the expected length", "",
		{.flags = WIRE_W, .expected = 2048, .bytes = 4096}},
	{"data with a read", "",
		{.flags = WIRE_R, .expected = 4096, .bytes = 4096}},
	{"unsolicited data, agreed on none", "InitialR2T=Yes\n",
		{.flags = WIRE_W, .expected = 4096, .more = true}},
	{"a read that is not final", "",
		{.flags = WIRE_R, .expected = 4096, .more = true}},
};

static void data_against_the_agreement_is_rejected(void **state)
{
	struct target_rig *rig = *state;

	for (unsigned i = 0; i < sizeof refused / sizeof *refused; i++) {
		struct wire_command command = refused[i].command;
		struct wire wire = {0};

		wire_open(&wire, rig->port, refused[i].keys);
		command.cdb[0] = 0x2a;
		command.cdb[8] = 8;
		command.data = data;
		wire_send_command(&wire, &command);
		wire_expect_reject(&wire, PROTOCOL);
		wire_expect_quiet(&wire);
		wire_logout(&wire);
	}
}

static void data_for_no_task_is_thrown_away(void **state)
{
	struct target_rig *rig = *state;
	const struct wire_data_out out = {.tag = 0x12345678,
		.transfer_tag = 0,
		.final = true,
		.data = data,
		.bytes = 100000};
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	wire_send_data(&wire, &out);
	wire_expect_quiet(&wire);
	wire_logout(&wire);
}

/* -- what cannot be done ----------------------------------------------------- */

struct refused_row {
	uint8_t cdb[16];
	uint32_t expected, sense;
};

#define OUTSIDE 0x052100
#define INFORMATION_UNIT 0x050e03
#define FIELD_IN_CDB 0x052400
static const struct refused_row refused_rows[] = {
	/* LUN 0 has 131072 blocks. */
	{{0x2a, [3] = 2, [8] = 8}, 4096, OUTSIDE},
	{{0x2a, [3] = 1, [4] = 0xff, [5] = 0xff, [8] = 2}, 1024, OUTSIDE},
	{{0xaa, [3] = 2, [9] = 8}, 4096, OUTSIDE},
	{{0x8a, [2] = 0xff, [13] = 8}, 4096, OUTSIDE},
	{{0x8a, [2] = 0xff, 255, 255, 255, 255, 255, 255, 255, [13] = 1}, 512,
		OUTSIDE},
	{{0x2e, 2, [3] = 2, [8] = 8}, 4096, OUTSIDE},
	{{0x2e, 4, [8] = 8}, 4096, FIELD_IN_CDB},
	{{0xae, 2, [3] = 2, [9] = 8}, 4096, OUTSIDE},
	{{0x8e, 2, [2] = 1, [13] = 8}, 4096, OUTSIDE},
	{{0x2f, 2, [3] = 2, [8] = 8}, 4096, OUTSIDE},
	{{0xaf, 2, [3] = 2, [9] = 8}, 4096, OUTSIDE},
	{{0x8f, 6, [2] = 1, [13] = 8}, 512, OUTSIDE},
	{{0x8b, [2] = 1, [13] = 8}, 4096, OUTSIDE},
	{{0x89, [2] = 1, [13] = 1}, 1024, OUTSIDE},
	{{0x89, [13] = 1}, 512, INFORMATION_UNIT},
	{{0x41, [3] = 2, [8] = 8}, 512, OUTSIDE},
	{{0x41, 0x10, [8] = 8}, 512, FIELD_IN_CDB}, /* ANCHOR */
	{{0x41}, 512, FIELD_IN_CDB}, /* all blocks: too many */
	{{0x93, [2] = 1, [13] = 8}, 512, OUTSIDE},
	{{0x93, [11] = 1, [12] = 0xff}, 512, FIELD_IN_CDB},
	{{0x42, 1, [8] = 24}, 24, FIELD_IN_CDB}, /* ANCHOR */
	{{0x42, [8] = 7}, 7, 0x051a00},
	{{0x15, 0, [4] = 24}, 24, FIELD_IN_CDB}, /* PF 0 */
	{{0x04, 0x50}, 8, FIELD_IN_CDB}, /* protection */
};

static void send_refused(
	struct wire *wire, const struct refused_row *row, unsigned way)
{
	struct wire_command write = {
		.flags = WIRE_W, .more = way == 2, .expected = row->expected};
	struct wire_data_out out = {.transfer_tag = NO_TAG,
		.final = true,
		.data = data,
		.bytes = row->expected};
	uint32_t sense;

	memcpy(write.cdb, row->cdb, sizeof write.cdb);
	if (way == 1) {
		write.data = data;
		write.bytes = row->expected;
	}
	out.tag = wire_send_command(wire, &write);
	if (way == 2)
		wire_send_data(wire, &out);
	sense = wire_expect_status(wire, out.tag, 2, &pdu);
	if (sense != row->sense)
		fail_msg("opcode %02x: sense %06x, not %06x", row->cdb[0],
			sense, row->sense);
	/* All of what was expected is left over. */
	assert_int_equal(pdu.bhs[1] & 6, 2);
	assert_int_equal(wire_get32(pdu.bhs + 44), row->expected);
}

/* No R2T for it; what comes unasked is thrown away. */
static void what_cannot_be_done_asks_for_no_data(void **state)
{
	static const char *const keys[] = {"InitialR2T=Yes\nImmediateData=No\n",
		"InitialR2T=Yes\nImmediateData=Yes\n",
		"InitialR2T=No\nImmediateData=No\n"};
	struct target_rig *rig = *state;

	for (unsigned way = 0; way < 3; way++) {
		struct wire wire = {0};

		wire_open(&wire, rig->port, keys[way]);
		fill(way);
		for (unsigned i = 0;
			i < sizeof refused_rows / sizeof *refused_rows; i++)
			send_refused(&wire, &refused_rows[i], way);
		wire_expect_quiet(&wire);
		wire_logout(&wire);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST_IO_BESIDE(immediate_data_is_stored),
		HOST_IO_BESIDE(a_write_without_data_is_asked_for),
		HOST_IO_BESIDE(unsolicited_data_follows_the_command),
		HOST_IO_BESIDE(a_large_write_takes_several_r2ts),
		HOST_IO_BESIDE(several_writes_are_received_beside_each_other),
		HOST_IO_BESIDE(large_segments_go_straight_to_their_place),
		HOST_IO_BESIDE(only_what_the_cdb_says_is_stored),
		HOST_IO_BESIDE(a_short_expected_length_overflows),
		HOST_IO_BESIDE(data_that_nobody_wants_is_thrown_away),
		HOST_IO_BESIDE(data_against_the_agreement_is_rejected),
		HOST_IO_BESIDE(data_for_no_task_is_thrown_away),
		HOST_IO_BESIDE(what_cannot_be_done_asks_for_no_data),
	};

	return cmocka_run_group_tests(
		tests, target_rig_set_up, target_rig_tear_down);
}
