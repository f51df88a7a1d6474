/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slabs: limits, reuse, alignment, objects that do not overlap, and poisoning.
 */
#include "blockcore/base/asan.h"
#include "blockcore/base/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_nothing_is_taken_before_the_first_get(void **state)
{
	struct slab slab;

	(void)state;
	slab_init(&slab, 100, 0);
	assert_null(slab.chunks);
	assert_int_equal(slab.object_bytes, 128);
	slab_fini(&slab);
}

static void test_limit_is_kept(void **state)
{
	struct slab slab;
	void *object[5];

	(void)state;
	slab_init(&slab, 64, 5);
	for (int i = 0; i < 5; i++) {
		object[i] = slab_get(&slab);
		assert_non_null(object[i]);
	}
	assert_null(slab_get(&slab));
	assert_int_equal(slab.out, 5);
	slab_put(&slab, object[2]);
	assert_ptr_equal(slab_get(&slab), object[2]);
	assert_null(slab_get(&slab));
	for (int i = 0; i < 5; i++)
		slab_put(&slab, object[i]);
	assert_int_equal(slab.out, 0);
	slab_fini(&slab);
}

#define MANY 3000

/* Fills every object with a pattern of its own, in sizes around the chunk's. */
static void check_objects(size_t bytes)
{
	static uint8_t *objects[MANY];
	unsigned count = bytes > 4096 ? 20 : MANY;
	struct slab slab;

	slab_init(&slab, bytes, 0);
	for (unsigned i = 0; i < count; i++) {
		objects[i] = slab_get(&slab);
		assert_non_null(objects[i]);
		assert_int_equal((uintptr_t)objects[i] % 64, 0);
		memset(objects[i], (int)(i % 251), bytes);
	}
	for (unsigned i = 0; i < count; i++) {
		for (size_t n = 0; n < bytes; n += 61)
			assert_int_equal(objects[i][n], i % 251);
		assert_int_equal(objects[i][bytes - 1], i % 251);
	}
	for (unsigned i = 0; i < count; i++)
		slab_put(&slab, objects[i]);
	slab_fini(&slab);
}

static void test_objects_do_not_overlap(void **state)
{
	static const size_t sizes[] = {1, 64, 65, 1000, 65536, 65537, 200000};

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		check_objects(sizes[i]);
}

/* Memory is taken once: the second round gets what the first gave back. */
static void test_warm_slab_takes_no_more_memory(void **state)
{
	static void *objects[MANY];
	struct slab_chunk *chunks = NULL;
	struct slab slab;

	(void)state;
	slab_init(&slab, 192, 0);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < MANY; i++)
			objects[i] = slab_get(&slab);
		if (round == 0)
			chunks = slab.chunks;
		assert_ptr_equal(slab.chunks, chunks);
		for (unsigned i = 0; i < MANY; i++)
			slab_put(&slab, objects[(i * 7) % MANY]);
	}
	slab_fini(&slab);
}

static void test_free_objects_are_poisoned(void **state)
{
#ifdef CAIRN_ASAN
	struct slab slab;
	uint8_t *object;

	(void)state;
	slab_init(&slab, 128, 0);
	object = slab_get(&slab);
	assert_null(__asan_region_is_poisoned(object, 128));
	slab_put(&slab, object);
	assert_true(__asan_address_is_poisoned(object));
	assert_true(__asan_address_is_poisoned(object + 127));
	slab_fini(&slab);
#else
	(void)state;
	skip();
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_taken_before_the_first_get),
		cmocka_unit_test(test_limit_is_kept),
		cmocka_unit_test(test_objects_do_not_overlap),
		cmocka_unit_test(test_warm_slab_takes_no_more_memory),
		cmocka_unit_test(test_free_objects_are_poisoned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
