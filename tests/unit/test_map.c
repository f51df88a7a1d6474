/* SPDX-License-Identifier: Apache-2.0 */
/* The hash table, held against a plain array over a long random walk. */
#include "blockcore/base/map.h"
#include "blockcore/base/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

static void test_puts_finds_removes(void **state)
{
	struct map map = {0};
	int one, two;
	(void)state;
	assert_null(map_find_text(&map, "a"));
	assert_null(map_remove_text(&map, "a"));
	assert_int_equal(map_put_text(&map, "a", &one), 0);
	assert_int_equal(map_put_text(&map, "a", &two), -EEXIST);
	assert_int_equal(map_put_text(&map, "", &two), 0);
	assert_ptr_equal(map_find_text(&map, "a"), &one);
	assert_ptr_equal(map_find_text(&map, ""), &two);
	assert_null(map_find(&map, "ab", 2));
	assert_ptr_equal(map_find(&map, "ab", 1), &one);
	assert_ptr_equal(map_remove_text(&map, "a"), &one);
	assert_null(map_find_text(&map, "a"));
	assert_int_equal(map.count, 1);
	map_free(&map);
	assert_int_equal(map.count, 0);
	assert_null(map_find_text(&map, ""));
}

#define KEYS 700u

static void test_agrees_with_an_array(void **state)
{
	static char key[KEYS][16];
	static bool there[KEYS];
	struct map map = {0};
	uint64_t prng = 5;
	(void)state;
	for (unsigned i = 0; i < KEYS; i++)
		snprintf(key[i], sizeof key[i], "db%u", i);
	for (unsigned step = 0; step < 40000; step++) {
		unsigned i = (unsigned)prng_below(&prng, KEYS);
		void *before = there[i] ? key[i] : NULL;
		assert_ptr_equal(map_find_text(&map, key[i]), before);
		if (prng_next(&prng) % 2) {
			assert_int_equal(map_put_text(&map, key[i], key[i]),
				before ? -EEXIST : 0);
			there[i] = true;
		} else {
			assert_ptr_equal(map_remove_text(&map, key[i]), before);
			there[i] = false;
		}
	}
	size_t count = 0;
	for (unsigned i = 0; i < KEYS; i++) {
		count += there[i];
		assert_ptr_equal(
			map_find_text(&map, key[i]), there[i] ? key[i] : NULL);
	}
	assert_int_equal(map.count, count);
	map_free(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_puts_finds_removes),
		cmocka_unit_test(test_agrees_with_an_array),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
