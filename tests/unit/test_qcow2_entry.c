/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an extended L2 entry says of each place in its cluster, against the same
 * asked unit by unit: how far it is so, for bitmaps of all kinds of runs.
 */
#include "blockcore/format/qcow2/entry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/prng.h"

#define CLUSTER_BITS 16u
#define UNIT_BYTES (1u << (CLUSTER_BITS - 5))
#define HOST 0x50000ull
#define ENTRIES 20000u

static enum qcow2_state unit_state(uint64_t bitmap, unsigned unit)
{
	unsigned allocated = bitmap >> unit & 1;
	unsigned zero = bitmap >> (unit + QCOW2_SUBCLUSTERS) & 1;
	static const enum qcow2_state states[] = {
		QCOW2_HOLE, QCOW2_DATA, QCOW2_ZEROES, QCOW2_BAD};

	return states[allocated + 2 * zero];
}

static void holds(const uint64_t word[2], uint64_t offset)
{
	struct qcow2_geometry g;
	struct qcow2_piece piece = {.bytes = 0};
	unsigned unit = (unsigned)(offset / UNIT_BYTES), end = unit;

	qcow2_geometry_set(&g, 3, CLUSTER_BITS, true);
	qcow2_entry_look(&g, word, offset, &piece);
	while (end < QCOW2_SUBCLUSTERS &&
		unit_state(word[1], end) == unit_state(word[1], unit))
		end++;
	assert_int_equal(piece.state, unit_state(word[1], unit));
	assert_int_equal(piece.bytes, (uint64_t)end * UNIT_BYTES - offset);
	if (piece.state == QCOW2_DATA)
		assert_int_equal(piece.host, HOST + offset);
	assert_true(piece.ours);
}

static void a_run_ends_where_the_bits_change(void **state)
{
	static const uint64_t whole[] = {0, UINT32_MAX,
		(uint64_t)UINT32_MAX << 32, UINT64_MAX, 1, 1ull << 31,
		1ull << 32, 1ull << 63};
	uint64_t random = 7;

	(void)state;
	for (unsigned i = 0; i < ENTRIES; i++) {
		uint64_t bits = prng_next(&random), other = prng_next(&random);
		uint64_t word[2] = {HOST | QCOW2_COPIED, bits};

		if (i < sizeof whole / sizeof *whole)
			word[1] = whole[i];
		else if (i % 3) /* longer runs */
			word[1] = i % 3 == 1 ? bits & other : bits | other;
		for (unsigned unit = 0; unit < QCOW2_SUBCLUSTERS; unit++)
			holds(word,
				unit * UNIT_BYTES +
					512 * prng_below(&random, 4));
	}
}

static void data_without_a_cluster_is_wrong(void **state)
{
	const uint64_t word[2] = {0, 2}, misplaced[2] = {HOST + 512, 2};
	struct qcow2_geometry g;
	struct qcow2_piece piece;

	(void)state;
	qcow2_geometry_set(&g, 3, CLUSTER_BITS, true);
	qcow2_entry_look(&g, word, UNIT_BYTES, &piece);
	assert_int_equal(piece.state, QCOW2_BAD);
	qcow2_entry_look(&g, word, 0, &piece);
	assert_int_equal(piece.state, QCOW2_HOLE);
	qcow2_entry_look(&g, misplaced, 0, &piece);
	assert_int_equal(piece.state, QCOW2_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_ends_where_the_bits_change),
		cmocka_unit_test(data_without_a_cluster_is_wrong),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
