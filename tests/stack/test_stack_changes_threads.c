/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thousand changes of a stack under I/O, with lanes that are threads.
 *
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/stack_changes.h"

#include <stdio.h>

static void run(const char *world)
{
	struct stack_changes changes = {.changes = 1000, .seed = 7};
	struct stack_rig_setup setup = {.world = world, .lanes = 3};

	stack_changes_run(&setup, &changes);
	printf("# %llu requests, %u changes given up at the gate\n",
		(unsigned long long)changes.requests, changes.late);
	for (unsigned kind = 0; kind <= STACK_CONSUME; kind++)
		assert_true(changes.made[kind] > 0);
	assert_true(changes.held > 0);
	assert_true(changes.waited > 0);
	assert_true(changes.requests > 1000);
	assert_true(changes.late < 250);
}

static void test_threads(void **state)
{
	(void)state;
	run("threads");
}

static void test_uring(void **state)
{
	(void)state;
	run("io_uring");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_uring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
