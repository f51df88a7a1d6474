/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC32C: the vectors of RFC 3720 B.4, a bit-by-bit twin, and going on in
 * pieces.
 */
#include "blockcore/base/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The definition: reflected polynomial 1EDC6F41, start and end inverted. */
static uint32_t slow_crc(const uint8_t *data, size_t bytes)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < bytes; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

/* As numbers; RFC 3720 B.4 prints the bytes of the wire, lowest first. */
static void test_vectors_of_the_standard(void **state)
{
	static const uint8_t read_10[48] = {0x01,
		0xc0, [16] = 0x14, [22] = 0x04, [27] = 0x14, [31] = 0x18,
		[32] = 0x28, [40] = 0x02};
	uint8_t bytes[32];

	(void)state;
	memset(bytes, 0, sizeof bytes);
	assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aau);
	memset(bytes, 0xff, sizeof bytes);
	assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43u);
	for (unsigned i = 0; i < 32; i++)
		bytes[i] = (uint8_t)i;
	assert_int_equal(crc32c(0, bytes, 32), 0x46dd794eu);
	for (unsigned i = 0; i < 32; i++)
		bytes[i] = (uint8_t)(31 - i);
	assert_int_equal(crc32c(0, bytes, 32), 0x113fdb5cu);
	assert_int_equal(crc32c(0, read_10, 48), 0xd9963a56u);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283u);
}

static void test_nothing_changes_nothing(void **state)
{
	(void)state;
	assert_int_equal(crc32c(0, NULL, 0), 0);
	assert_int_equal(crc32c(0x12345678, NULL, 0), 0x12345678);
}

#define BYTES 5000

static void test_every_length_and_offset(void **state)
{
	static uint8_t data[BYTES];

	(void)state;
	for (size_t i = 0; i < BYTES; i++)
		data[i] = (uint8_t)(i * 131 + (i >> 8));
	for (size_t bytes = 0; bytes < 300; bytes++)
		for (size_t at = 0; at < 9; at++)
			assert_int_equal(crc32c(0, data + at, bytes),
				slow_crc(data + at, bytes));
	assert_int_equal(crc32c(0, data, BYTES), slow_crc(data, BYTES));
}

static void test_pieces_add_up(void **state)
{
	static uint8_t data[BYTES];
	uint32_t whole;

	(void)state;
	for (size_t i = 0; i < BYTES; i++)
		data[i] = (uint8_t)(i ^ i >> 5);
	whole = crc32c(0, data, BYTES);
	for (size_t cut = 0; cut <= BYTES; cut += 37) {
		uint32_t crc = crc32c(0, data, cut);
		assert_int_equal(crc32c(crc, data + cut, BYTES - cut), whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors_of_the_standard),
		cmocka_unit_test(test_nothing_changes_nothing),
		cmocka_unit_test(test_every_length_and_offset),
		cmocka_unit_test(test_pieces_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
