/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How large a file may become: what is refused says it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/ring_rig.h"

#define MIB (1024u * 1024u)
#define MAKE (RING_OPEN_WRITABLE | RING_OPEN_CREATE)

/* What the file system cannot have is refused with what it can, to the block. */
static void test_too_large_names_the_largest(void **state)
{
	static const char says[] = "the largest file there has ";
	struct ring_rig *rig = *state;
	struct ring_file *file = NULL;
	struct err err = {0};
	uint64_t huge = INT64_MAX - 511;
	int failed =
		ring_file_open(rig->world, rig->path, MAKE, huge, &file, &err);
	if (!failed) {
		ring_rig_close(rig, file);
		skip(); /* a file system without bounds */
	}
	assert_int_equal(failed, -EFBIG);
	const char *at = strstr(err.text, says);
	assert_non_null(at);
	uint64_t most = strtoull(at + strlen(says), NULL, 10);
	assert_true(most >= MIB && most < huge);
	file = ring_rig_open(rig, MAKE, most);
	assert_int_equal(file->size_bytes, most);
	assert_int_equal(ring_file_resize(file, most + 4096, &err), -EFBIG);
	assert_int_equal(
		strtoull(strstr(err.text, says) + strlen(says), NULL, 10),
		most);
	assert_int_equal(ring_file_resize(file, UINT64_MAX, &err), -EFBIG);
	assert_non_null(strstr(err.text, says));
	ring_rig_close(rig, file);
}

static int setup(void **state)
{
	*state = ring_rig_new(NULL);
	return 0;
}

static int teardown(void **state)
{
	ring_rig_free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_too_large_names_the_largest, setup, teardown),
	};
	return cmocka_run_group_tests_name("largest", tests, NULL, NULL);
}
