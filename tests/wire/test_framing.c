/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PDUs cut anywhere, lengths beyond what was agreed, digests right and wrong,
 * PDUs before and instead of a login.
 */
#include "tests/lib/host_io.h"
#include "tests/lib/target_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct wire_pdu pdu;
static uint8_t data[1u << 20], got[1u << 20];
static const struct wire_command ready = {.flags = 0};

#define DIGESTS "HeaderDigest=CRC32C\nDataDigest=CRC32C\n"

static void expect_ready(struct wire *wire)
{
	uint32_t tag = wire_send_command(wire, &ready);

	wire_expect_status(wire, tag, 0, &pdu);
}

static void fill(unsigned seed)
{
	for (uint32_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 13 + i / 256 + seed);
}

/* -- cut anywhere ----------------------------------------------------------- */

/* A write and a ping, byte by byte. */
static void pdus_may_come_a_byte_at_a_time(void **state)
{
	struct target_rig *rig = *state;
	uint8_t write[48 + 1024 + 48];
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	fill(1);
	wire_begin(&wire, write, WIRE_COMMAND);
	write[1] = WIRE_F | WIRE_W | WIRE_SIMPLE;
	write[6] = 4;
	wire_put32(write + 20, 1024);
	write[32] = 0x2a;
	write[40] = 2;
	memcpy(write + 48, data, 1024);
	wire_begin(&wire, write + 48 + 1024, WIRE_NOP_OUT | WIRE_IMMEDIATE);
	for (unsigned i = 0; i < sizeof write; i++)
		wire_send_raw(&wire, write + i, 1);
	/* In either order. */
	for (unsigned i = 0; i < 2; i++) {
		assert_true(wire_receive(&wire, &pdu));
		assert_int_equal(pdu.bhs[3], 0);
	}
	wire_expect_data(&wire, wire_send_read(&wire, 0, 2), got, &pdu);
	assert_memory_equal(got, data, 1024);
	wire_logout(&wire);
}

/* 60 writes of 4 KiB as one stream of bytes, sent in pieces that fall on no
 * border. */
static void many_pdus_in_odd_pieces(void **state)
{
	enum { WRITES = 60, EACH = 48 + 4096 };
	struct target_rig *rig = *state;
	static uint8_t stream[WRITES * EACH];
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	fill(2);
	for (unsigned i = 0; i < WRITES; i++) {
		uint8_t *bhs = stream + i * EACH;

		wire_begin(&wire, bhs, WIRE_COMMAND);
		bhs[1] = WIRE_F | WIRE_W | WIRE_SIMPLE;
		bhs[6] = 16;
		wire_put32(bhs + 20, 4096);
		bhs[32] = 0x2a;
		wire_put32(bhs + 34, i * 8);
		bhs[40] = 8;
		memcpy(bhs + 48, data + i * 4096, 4096);
	}
	for (unsigned at = 0, piece = 1; at < sizeof stream; at += piece) {
		piece = piece * 7 % 9973 + 1;
		if (piece > sizeof stream - at)
			piece = (unsigned)sizeof stream - at;
		wire_send_raw(&wire, stream + at, piece);
	}
	for (unsigned i = 0; i < WRITES; i++)
		wire_expect(&wire, WIRE_RESPONSE, &pdu);
	wire_expect_data(
		&wire, wire_send_read(&wire, 0, WRITES * 8), got, &pdu);
	assert_memory_equal(got, data, WRITES * 4096);
	wire_logout(&wire);
}

static void a_segment_beyond_the_agreed_length_ends_the_connection(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint8_t bhs[48];

	wire_open(&wire, rig->port, "");
	wire_begin(&wire, bhs, WIRE_NOP_OUT | WIRE_IMMEDIATE);
	bhs[5] = 0xff;
	wire_send_raw(&wire, bhs, sizeof bhs);
	wire_expect_closed(&wire);
	wire_close(&wire);
}

static void the_agreed_length_itself_is_taken(void **state)
{
	struct target_rig *rig = *state;
	uint32_t bytes = rig->settings.max_receive_bytes;
	struct wire wire = {0};

	wire_open(&wire, rig->port, "MaxRecvDataSegmentLength=1048576\n");
	fill(3);
	wire_send_nop(&wire, data, bytes);
	wire_expect(&wire, WIRE_NOP_IN, &pdu);
	assert_int_equal(pdu.bytes, bytes);
	assert_memory_equal(pdu.data, data, bytes);
	wire_logout(&wire);
}

/* -- digests ---------------------------------------------------------------- */

static void digests_are_right_both_ways(void **state)
{
	static const uint32_t sizes[] = {512, 4096, 262144, 524288};
	struct target_rig *rig = *state;
	struct wire wire = {0};

	wire_open(
		&wire, rig->port, DIGESTS "MaxRecvDataSegmentLength=100001\n");
	assert_true(wire.header_digest && wire.data_digest);
	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		uint16_t blocks = (uint16_t)(sizes[i] / 512);
		uint32_t first = sizes[i] < 65536 ? sizes[i] : 65536, tag;

		fill(i);
		tag = wire_send_write(&wire, 0, blocks, data, first);
		while (first < sizes[i]) {
			wire_expect(&wire, WIRE_R2T, &pdu);
			struct wire_data_out out = {.tag = tag,
				.transfer_tag = wire_get32(pdu.bhs + 20),
				.offset = wire_get32(pdu.bhs + 40),
				.bytes = wire_get32(pdu.bhs + 44),
				.final = true};
			out.data = data + out.offset;
			wire_send_data(&wire, &out);
			first += out.bytes;
		}
		wire_expect_status(&wire, tag, 0, &pdu);
		tag = wire_send_read(&wire, 0, blocks);
		assert_int_equal(
			wire_expect_data(&wire, tag, got, &pdu), sizes[i]);
		assert_memory_equal(got, data, sizes[i]);
	}
	/* Lengths that need a pad. */
	wire_send_nop(&wire, "12345", 5);
	wire_expect(&wire, WIRE_NOP_IN, &pdu);
	assert_int_equal(pdu.bytes, 5);
	wire_logout(&wire);
}

/* An addition to a header makes its digest longer, too. */
static void a_wrong_header_digest_ends_the_connection(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint8_t bhs[52];

	wire_open(&wire, rig->port, "HeaderDigest=CRC32C\n");
	wire_begin(&wire, bhs, WIRE_NOP_OUT | WIRE_IMMEDIATE);
	memset(bhs + 48, 0x5a, 4);
	wire_send_raw(&wire, bhs, sizeof bhs);
	wire_expect_closed(&wire);
	wire_close(&wire);
}

/* Sends a PDU whose data digest is wrong. */
static void send_damaged(struct wire *wire, uint8_t *bhs, uint32_t bytes)
{
	static const uint8_t wrong[4] = {1, 2, 3, 4};

	bhs[5] = (uint8_t)(bytes >> 16);
	bhs[6] = (uint8_t)(bytes >> 8);
	bhs[7] = (uint8_t)bytes;
	wire_send_raw(wire, bhs, 48);
	wire_send_raw(wire, data, bytes);
	wire_send_raw(wire, wrong, 4);
}

static void damaged_immediate_data_fails_the_command(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint8_t bhs[48];
	uint32_t tag;

	wire_open(&wire, rig->port, "DataDigest=CRC32C\n");
	for (uint32_t bytes = 4096; bytes <= 65536; bytes *= 16) {
		tag = wire_begin(&wire, bhs, WIRE_COMMAND);
		bhs[1] = WIRE_F | WIRE_W | WIRE_SIMPLE;
		wire_put32(bhs + 20, bytes);
		bhs[32] = 0x2a;
		bhs[40] = (uint8_t)(bytes / 512);
		send_damaged(&wire, bhs, bytes);
		wire_expect_reject(&wire, 2);
		assert_int_equal(
			wire_expect_status(&wire, tag, 2, &pdu), 0x0b4705);
		expect_ready(&wire);
	}
	wire_logout(&wire);
}

static void a_damaged_data_out_fails_the_command(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint8_t bhs[48];
	uint32_t tag;

	wire_open(&wire, rig->port, "DataDigest=CRC32C\nImmediateData=No\n");
	tag = wire_send_write(&wire, 0, 8, NULL, 0);
	wire_expect_r2t(&wire, tag, 0, 4096, &pdu);
	wire_begin(&wire, bhs, WIRE_DATA_OUT);
	wire_put32(bhs + 16, tag);
	memcpy(bhs + 20, pdu.bhs + 20, 4);
	send_damaged(&wire, bhs, 4096);
	wire_expect_reject(&wire, 2);
	assert_int_equal(wire_expect_status(&wire, tag, 2, &pdu), 0x0b4705);
	expect_ready(&wire);
	wire_logout(&wire);
}

static void a_damaged_ping_is_rejected(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint8_t bhs[48];

	wire_open(&wire, rig->port, "DataDigest=CRC32C\n");
	wire_begin(&wire, bhs, WIRE_NOP_OUT | WIRE_IMMEDIATE);
	send_damaged(&wire, bhs, 8);
	wire_expect_reject(&wire, 2);
	wire_expect_quiet(&wire);
	wire_logout(&wire);
}

/* Nothing of it counts, and the same text is taken when it comes whole. */
static void a_damaged_text_is_rejected(void **state)
{
	static const char text[] = "X-one=1";
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint8_t bhs[48];

	wire_open(&wire, rig->port, "DataDigest=CRC32C\n");
	memcpy(data, text, sizeof text);
	for (unsigned i = 0; i < 2; i++) {
		wire_begin(&wire, bhs, WIRE_TEXT | (i ? WIRE_IMMEDIATE : 0));
		wire_put32(bhs + 20, 0xffffffff);
		send_damaged(&wire, bhs, sizeof text);
		wire_expect_reject(&wire, 2);
		wire_begin(&wire, bhs, WIRE_TEXT | (i ? WIRE_IMMEDIATE : 0));
		wire_put32(bhs + 20, 0xffffffff);
		wire_send(&wire, bhs, text, sizeof text);
		wire_expect(&wire, WIRE_TEXT_RESPONSE, &pdu);
		assert_string_equal((char *)pdu.data, "X-one=NotUnderstood");
	}
	expect_ready(&wire);
	wire_logout(&wire);
}

/* -- before login ----------------------------------------------------------- */

static void only_a_login_opens_a_connection(void **state)
{
	struct target_rig *rig = *state;

	for (unsigned opcode = 0; opcode < 0x40; opcode++) {
		struct wire wire = {0};
		uint8_t bhs[48];

		if (opcode == WIRE_LOGIN)
			continue;
		wire_connect(&wire, rig->port);
		wire_begin(&wire, bhs, (uint8_t)opcode);
		wire_send(&wire, bhs, NULL, 0);
		wire_expect_closed(&wire);
		wire_close(&wire);
	}
}

static void rubbish_ends_the_connection(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};

	wire_connect(&wire, rig->port);
	wire_send_raw(&wire,
		"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: x\r\n\r\n",
		50);
	wire_expect_closed(&wire);
	wire_close(&wire);
}

static void a_login_longer_than_allowed_ends_the_connection(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint8_t bhs[48];

	wire_connect(&wire, rig->port);
	wire_begin(&wire, bhs, WIRE_LOGIN | WIRE_IMMEDIATE);
	wire_send(&wire, bhs, data, 8193);
	wire_expect_closed(&wire);
	wire_close(&wire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST_IO_BESIDE(pdus_may_come_a_byte_at_a_time),
		HOST_IO_BESIDE(many_pdus_in_odd_pieces),
		HOST_IO_BESIDE(
			a_segment_beyond_the_agreed_length_ends_the_connection),
		HOST_IO_BESIDE(the_agreed_length_itself_is_taken),
		HOST_IO_BESIDE(digests_are_right_both_ways),
		HOST_IO_BESIDE(a_wrong_header_digest_ends_the_connection),
		HOST_IO_BESIDE(damaged_immediate_data_fails_the_command),
		HOST_IO_BESIDE(a_damaged_data_out_fails_the_command),
		HOST_IO_BESIDE(a_damaged_ping_is_rejected),
		HOST_IO_BESIDE(a_damaged_text_is_rejected),
		HOST_IO_BESIDE(only_a_login_opens_a_connection),
		HOST_IO_BESIDE(rubbish_ends_the_connection),
		HOST_IO_BESIDE(a_login_longer_than_allowed_ends_the_connection),
	};

	return cmocka_run_group_tests(
		tests, target_rig_set_up, target_rig_tear_down);
}
