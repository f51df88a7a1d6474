/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random snapshots, groups, reverts, jobs, mirrors and backups of two volumes under
 * I/O, in the simulator. A seed replays its run.
 *
 * IMAGE_SEEDS: runs (default 3), each of IMAGE_CHANGES changes (default 150).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/image_changes.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t number(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : fallback;
}

static void test_seeds(void **state)
{
	uint64_t seeds = number("IMAGE_SEEDS", 3);
	struct image_changes total = {0};

	(void)state;
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		struct image_changes changes = {.seed = seed,
			.changes = (unsigned)number("IMAGE_CHANGES", 150)};
		struct stack_rig_setup setup = {.world = "simulated",
			.lanes = 3,
			.seed = seed,
			.direct_align_bytes = seed % 2 ? 512 : 4096};

		printf("# seed %llu\n", (unsigned long long)seed);
		image_changes_run(&setup, &changes);
		for (unsigned i = 0; i < IMAGE_KINDS; i++)
			total.made[i] += changes.made[i];
		total.below += changes.below;
		total.beside += changes.beside;
		total.late += changes.late;
		total.requests += changes.requests;
	}
	for (unsigned i = 0; i < IMAGE_KINDS; i++) {
		printf("# %s: %u\n", image_change_names[i], total.made[i]);
		assert_true(total.made[i] > 0);
	}
	printf("# %llu requests, %u changes beside jobs, %u gates late\n",
		(unsigned long long)total.requests, total.beside, total.late);
	assert_true(total.below > 0);
	assert_true(total.beside > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_seeds)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
