/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thousand changes of a stack under I/O, in the simulator: nobody who submits
 * notices, whatever the order of events. A seed replays its run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/stack_changes.h"

#include <stdio.h>

#define SEEDS 4u
#define CHANGES 1000u /* of each seed */

static void test_seed(void **state)
{
	struct stack_changes changes = {
		.changes = CHANGES, .seed = *(const uint64_t *)*state};
	struct stack_rig_setup setup = {.world = "simulated",
		.lanes = 3,
		.seed = changes.seed,
		.direct_align_bytes = changes.seed % 2 ? 512 : 4096};

	stack_changes_run(&setup, &changes);
	printf("# %llu requests, %u changes given up at the gate\n",
		(unsigned long long)changes.requests, changes.late);
	for (unsigned kind = 0; kind <= STACK_CONSUME; kind++)
		assert_true(changes.made[kind] > 0);
	assert_true(changes.held > 0);
	assert_true(changes.waited > 0);
	assert_true(changes.requests > CHANGES);
	assert_true(changes.late < CHANGES / 4);
}

int main(void)
{
	static const uint64_t seeds[SEEDS] = {1, 2, 3, 4};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_seed, (void *)&seeds[0]),
		cmocka_unit_test_prestate(test_seed, (void *)&seeds[1]),
		cmocka_unit_test_prestate(test_seed, (void *)&seeds[2]),
		cmocka_unit_test_prestate(test_seed, (void *)&seeds[3]),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
