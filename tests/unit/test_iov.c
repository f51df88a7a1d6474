/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scatter lists against their flat twin: every cut of a list with empty slices,
 * every skip, every length.
 */
#include "blockcore/base/iov.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BYTES 23

/* 23 bytes in seven slices, three of them empty. */
struct list {
	uint8_t bytes[BYTES];
	struct iovec iov[7];
};

static void list_fill(struct list *list)
{
	static const size_t lengths[7] = {0, 5, 1, 0, 9, 8, 0};
	uint8_t *at = list->bytes;

	for (unsigned i = 0; i < BYTES; i++)
		list->bytes[i] = (uint8_t)(i + 1);
	for (unsigned i = 0; i < 7; i++) {
		list->iov[i] = (struct iovec){at, lengths[i]};
		at += lengths[i];
	}
}

static void test_bytes(void **state)
{
	struct list list;

	(void)state;
	list_fill(&list);
	assert_int_equal(iov_bytes(list.iov, 7), BYTES);
	assert_int_equal(iov_bytes(list.iov, 0), 0);
}

static void test_to_flat(void **state)
{
	struct list list;

	(void)state;
	list_fill(&list);
	for (size_t skip = 0; skip <= BYTES; skip++) {
		for (size_t bytes = 0; bytes <= BYTES + 2; bytes++) {
			uint8_t flat[BYTES + 3] = {0};
			size_t there = BYTES - skip;
			size_t expected = bytes < there ? bytes : there;
			assert_int_equal(
				iov_to_flat(list.iov, 7, skip, flat, bytes),
				expected);
			assert_memory_equal(flat, list.bytes + skip, expected);
			assert_int_equal(flat[expected], 0);
		}
	}
}

static void test_from_flat(void **state)
{
	uint8_t flat[BYTES + 2];
	struct list list;

	(void)state;
	memset(flat, 0xee, sizeof flat);
	for (size_t skip = 0; skip <= BYTES; skip++) {
		for (size_t bytes = 0; bytes <= BYTES + 2; bytes++) {
			size_t there = BYTES - skip;
			size_t expected = bytes < there ? bytes : there;
			list_fill(&list);
			assert_int_equal(
				iov_from_flat(list.iov, 7, skip, flat, bytes),
				expected);
			for (size_t i = 0; i < BYTES; i++)
				assert_int_equal(list.bytes[i],
					i >= skip && i < skip + expected
						? 0xee
						: i + 1);
		}
	}
}

static void test_zero(void **state)
{
	struct list list;

	(void)state;
	for (size_t skip = 0; skip <= BYTES; skip++) {
		for (size_t bytes = 0; skip + bytes <= BYTES; bytes++) {
			list_fill(&list);
			iov_zero(list.iov, 7, skip, bytes);
			for (size_t i = 0; i < BYTES; i++)
				assert_int_equal(list.bytes[i],
					i >= skip && i < skip + bytes ? 0
								      : i + 1);
		}
	}
}

static void test_slice(void **state)
{
	struct iovec out[7];
	struct list list;

	(void)state;
	list_fill(&list);
	for (size_t skip = 0; skip <= BYTES; skip++) {
		for (size_t bytes = 1; skip + bytes <= BYTES; bytes++) {
			uint8_t flat[BYTES];
			unsigned n =
				iov_slice(out, 7, list.iov, 7, skip, bytes);
			assert_in_range(n, 1, 4);
			assert_int_equal(iov_bytes(out, n), bytes);
			iov_to_flat(out, n, 0, flat, bytes);
			assert_memory_equal(flat, list.bytes + skip, bytes);
			assert_int_equal(
				iov_slice(out, n - 1, list.iov, 7, skip, bytes),
				0);
		}
	}
}

static void test_aligned(void **state)
{
	static _Alignas(4096) uint8_t page[8192];
	struct iovec iov[2] = {{page, 4096}, {page + 4096, 4096}};

	(void)state;
	assert_true(iov_aligned(iov, 2, 4096));
	iov[1].iov_len = 512;
	assert_false(iov_aligned(iov, 2, 4096));
	assert_true(iov_aligned(iov, 2, 512));
	iov[0].iov_base = page + 8;
	assert_false(iov_aligned(iov, 2, 512));
	assert_true(iov_aligned(iov, 2, 1));
	assert_true(iov_aligned(iov, 0, 4096));
}

static void test_compare(void **state)
{
	struct list list;

	(void)state;
	for (size_t skip = 0; skip < BYTES; skip++) {
		size_t bytes = BYTES - skip;
		uint8_t flat[BYTES];
		list_fill(&list);
		memcpy(flat, list.bytes + skip, bytes);
		assert_int_equal(
			iov_compare(list.iov, 7, skip, flat, bytes), bytes);
		for (size_t at = 0; at < bytes; at++) {
			flat[at] ^= 0x80;
			assert_int_equal(
				iov_compare(list.iov, 7, skip, flat, bytes),
				at);
			flat[at] ^= 0x80;
		}
	}
}

/* Every single byte, at every alignment, must be seen. */
static void test_zero_detection(void **state)
{
	static uint8_t data[600];

	(void)state;
	assert_true(bytes_are_zero(NULL, 0));
	for (size_t at = 0; at < 33; at++) {
		for (size_t bytes = 1; bytes < 300; bytes += 13) {
			assert_true(bytes_are_zero(data + at, bytes));
			for (size_t i = 0; i < bytes; i++) {
				data[at + i] = 1;
				assert_false(bytes_are_zero(data + at, bytes));
				data[at + i] = 0;
			}
			data[at + bytes] = 1;
			assert_true(bytes_are_zero(data + at, bytes));
			data[at + bytes] = 0;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_to_flat),
		cmocka_unit_test(test_from_flat),
		cmocka_unit_test(test_zero),
		cmocka_unit_test(test_slice),
		cmocka_unit_test(test_aligned),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_zero_detection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
