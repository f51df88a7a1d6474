/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random snapshots, groups, reverts, jobs, mirrors and backups of two volumes under
 * I/O, with lanes that are threads.
 *
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/image_changes.h"

#include <stdio.h>

/* Several short runs: each has a time in which it must end, on any machine. */
#define CHANGES 50u
#define SEEDS 4u

static unsigned made[IMAGE_KINDS];

static void run(const char *world, uint64_t seed)
{
	struct image_changes changes = {.changes = CHANGES, .seed = seed};
	struct stack_rig_setup setup = {.world = world, .lanes = 3};

	image_changes_run(&setup, &changes);
	for (unsigned i = 0; i < IMAGE_KINDS; i++)
		made[i] += changes.made[i];
	printf("# %llu requests, %u changes beside jobs, %u gates late\n",
		(unsigned long long)changes.requests, changes.beside,
		changes.late);
	assert_true(changes.requests > CHANGES);
}

static void test_threads(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		run("threads", seed);
}

static void test_uring(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		run("io_uring", SEEDS + seed);
}

static void test_all_were_made(void **state)
{
	(void)state;
	for (unsigned i = 0; i < IMAGE_KINDS; i++) {
		printf("# %s: %u\n", image_change_names[i], made[i]);
		assert_true(made[i] > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_uring),
		cmocka_unit_test(test_all_were_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
