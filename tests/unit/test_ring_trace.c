/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the flight recorder tells of disk I/O: a record for each turn that gave the
 * kernel, or the threads, something to do, and for each that took something back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "tests/lib/no_uring.h"
#include "tests/lib/ring_rig.h"
#include "tests/lib/traced.h"

#define MAKE (RING_OPEN_WRITABLE | RING_OPEN_CREATE)

static void one_write_is_traced(const char *world)
{
	struct trace_record last;

	no_uring_skip(world);
	struct ring_rig *rig = ring_rig_new(world);
	struct ring_file *file = ring_rig_open(rig, MAKE, 1u << 20);
	uint8_t *bytes = ring_rig_pattern(4096, 1);
	uint32_t since = trace_recorder.next;

	assert_int_equal(
		ring_rig_transfer(rig, file, RING_WRITE, bytes, 4096, 0), 4096);
	assert_int_equal(traced_since(since, TRACE_ring_submit, &last), 1);
	assert_int_equal(last.b, 1);
	assert_int_equal(traced_since(since, TRACE_ring_reap, &last), 1);
	assert_int_equal(last.b, 1);
	free(bytes);
	ring_rig_close(rig, file);
	ring_rig_free(rig);
}

static void by_io_uring(void **state)
{
	(void)state;
	one_write_is_traced("io_uring");
}

static void by_threads(void **state)
{
	(void)state;
	one_write_is_traced("threads");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_io_uring),
		cmocka_unit_test(by_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
