/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How writes are asked for (RFC 7143 11.8, 13.13, 13.14): every field of every R2T, at
 * the bounds of the lengths that were agreed on, whatever part of the data comes unasked.
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
#define MOST_BYTES (64u * 1024u)

static struct wire_pdu pdu;
static uint8_t data[MOST_BYTES], got[MOST_BYTES];

static const struct agreed {
	uint32_t burst, first;
	bool initial_r2t, immediate;
	unsigned outstanding;
} agreed[] = {
	{512, 512, true, false, 1},
	{512, 512, false, true, 1},
	{1000, 999, false, true, 1}, /* no multiple of a block */
	{1024, 512, true, true, 1},
	{1536, 1024, false, false, 1},
	{4096, 4096, true, false, 4},
	{4096, 512, false, true, 16},
	{65535, 65535, false, true, 1},
	{65536, 4096, true, true, 1},
	{16777215, 65536, false, true, 1},
	{16777215, 512, true, false, 1},
};

/* How a write is sent: so much with the command, so much after it. */
struct way {
	uint32_t with, unsolicited;
};

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t send_start(
	struct wire *wire, uint8_t lun, uint32_t bytes, const struct way *way)
{
	struct wire_command write = {.flags = WIRE_W,
		.more = way->unsolicited,
		.lun = lun,
		.expected = bytes,
		.cdb = {0x2a, [8] = (uint8_t)(bytes / 512)},
		.data = way->with ? data : NULL,
		.bytes = way->with};
	struct wire_data_out out = {.transfer_tag = NO_TAG,
		.final = true,
		.data = data + way->with,
		.offset = way->with,
		.bytes = way->unsolicited};

	out.tag = wire_send_command(wire, &write);
	if (way->unsolicited)
		wire_send_data(wire, &out);
	return out.tag;
}

/* The nth R2T of the task, which asks for what begins at `at`. */
static void expect_r2t(struct wire *wire, const struct wire_data_out *out,
	uint32_t n, uint32_t at, uint32_t bytes)
{
	uint32_t status_sn = wire->expected_status_sn;

	wire_expect(wire, WIRE_R2T, &pdu);
	assert_int_equal(pdu.bytes, 0);
	assert_int_equal(pdu.bhs[1], WIRE_F);
	assert_int_equal(pdu.bhs[8] << 8 | pdu.bhs[9], out->lun);
	assert_int_equal(wire_get32(pdu.bhs + 10), 0);
	assert_int_equal(wire_get32(pdu.bhs + 16), out->tag);
	assert_int_not_equal(wire_get32(pdu.bhs + 20), NO_TAG);
	/* Told, and not taken. */
	assert_int_equal(wire_get32(pdu.bhs + 24), status_sn);
	assert_int_equal(wire->expected_status_sn, status_sn);
	assert_int_equal(wire_get32(pdu.bhs + 36), n);
	assert_int_equal(wire_get32(pdu.bhs + 40), at);
	assert_int_equal(wire_get32(pdu.bhs + 44), bytes);
}

/* Answers what is asked for, one R2T after the other; returns how many there were. */
static uint32_t answer_all(struct wire *wire, const struct agreed *a,
	struct wire_data_out *out, uint32_t at, uint32_t end)
{
	uint32_t asked = at, expected = 0, answered = 0, tag[16];

	while (at < end) {
		while (asked < end && expected - answered < a->outstanding) {
			uint32_t bytes = smaller(a->burst, end - asked);

			expect_r2t(wire, out, expected, asked, bytes);
			tag[expected++ % 16] = wire_get32(pdu.bhs + 20);
			asked += bytes;
		}
		for (uint32_t n = answered; n + 1 < expected; n++)
			assert_int_not_equal(tag[n % 16], tag[(n + 1) % 16]);
		out->transfer_tag = tag[answered++ % 16];
		out->offset = at;
		out->bytes = smaller(a->burst, end - at);
		out->data = data + at;
		out->final = true;
		wire_send_data(wire, out);
		at += out->bytes;
	}
	return answered;
}

static void check_write(struct wire *wire, const struct agreed *a, uint8_t lun,
	uint32_t bytes, const struct way *way)
{
	struct wire_data_out out = {.lun = lun};
	uint32_t come = way->with + way->unsolicited, r2ts;

	for (uint32_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(data[i] + 3 + i % 5);
	out.tag = send_start(wire, lun, bytes, way);
	r2ts = answer_all(wire, a, &out, come, bytes);
	assert_int_equal(wire_expect_status(wire, out.tag, 0, &pdu), 0);
	assert_int_equal(pdu.bhs[1], WIRE_F);
	assert_int_equal(wire_get32(pdu.bhs + 36), r2ts); /* ExpDataSN */
	if (lun)
		return; /* it keeps nothing */
	out.tag = wire_send_read(wire, 0, (uint16_t)(bytes / 512));
	assert_int_equal(wire_expect_data(wire, out.tag, got, &pdu), bytes);
	assert_memory_equal(got, data, bytes);
}

/* All that may come unasked does; and as little as may. */
static void check_length(
	struct wire *wire, const struct agreed *a, uint8_t lun, uint32_t bytes)
{
	uint32_t first = smaller(a->first, bytes);
	uint32_t with = a->immediate ? first : 0;
	const struct way ways[] = {
		{0, 0},
		{with, 0},
		{with / 2, 0},
		{0, first},
		{with / 2, first - with / 2},
	};

	for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++)
		if (!ways[i].unsolicited || !a->initial_r2t)
			check_write(wire, a, lun, bytes, &ways[i]);
}

/* LUN 1 has been reset, too. */
static void hear_attention(struct wire *wire)
{
	const struct wire_command ready = {.lun = 1};
	uint32_t tag = wire_send_command(wire, &ready);

	assert_int_equal(wire_expect_status(wire, tag, 2, &pdu), 0x062900);
}

static void test_every_r2t(void **state)
{
	static const uint32_t lengths[] = {
		512, 1024, 1536, 4096, 4608, 65024, 65536};
	struct target_rig *rig = *state;
	char keys[256];

	for (unsigned i = 0; i < sizeof agreed / sizeof *agreed; i++) {
		const struct agreed *a = &agreed[i];
		struct wire wire = {0};

		snprintf(keys, sizeof keys,
			"InitialR2T=%s\nImmediateData=%s\nMaxBurstLength=%u\n"
			"FirstBurstLength=%u\nMaxOutstandingR2T=%u\n",
			a->initial_r2t ? "Yes" : "No",
			a->immediate ? "Yes" : "No", a->burst, a->first,
			a->outstanding);
		wire_open(&wire, rig->port, keys);
		hear_attention(&wire);
		for (unsigned j = 0; j < sizeof lengths / sizeof *lengths; j++)
			for (uint8_t lun = 0; lun < 2; lun++)
				check_length(&wire, a, lun, lengths[j]);
		wire_expect_quiet(&wire);
		wire_logout(&wire);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST_IO_BESIDE(test_every_r2t),
	};

	return cmocka_run_group_tests(
		tests, target_rig_set_up, target_rig_tear_down);
}
