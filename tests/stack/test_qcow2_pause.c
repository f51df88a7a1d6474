/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long hosts wait while snapshots are made: as long for a large image, all of
 * whose tables are there, as for a small one. On a virtual clock, so that only what
 * the disk is asked for counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/stack_rig.h"

#include <stdlib.h>
#include <string.h>

#define ROUNDS 8u
#define WRITES 40u
#define BLOCK 4096u
#define MOST_SYNCS 100u /* to make the image */
#define LIMIT_US 20000u
#define DEADLINE_NS 10000000000ull

/* The longest wait beyond the slowest request, in microseconds. */
static uint64_t longest_co(struct stack_rig *rig, const char *size)
{
	char text[400];
	uint8_t *data = stack_rig_pattern(BLOCK, 5);
	struct block_source *source;
	uint64_t most = 0;

	snprintf(text, sizeof text,
		"{format: {type: qcow2, size: %s, preallocation: metadata, "
		"subclusters: \"off\", cluster_size: 64K, file: {protocol: "
		"{type: file, path: disk-%s, size: 4K, locking: false}}}}",
		size, size);
	source = stack_rig_source_co(rig, text);
	/* For the tables, not for each piece that the file has grown by. */
	CHECK(stack_rig_figure(source, "syncs") <= MOST_SYNCS);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct err err = {0};
		char name[16];

		for (unsigned w = 0; w < WRITES; w++)
			CHECK_INT(block_transfer_co(source,
					  block_core_lane(rig->core, 0),
					  BLOCK_WRITE, 0, (uint64_t)w << 24,
					  BLOCK, data),
				0);
		snprintf(name, sizeof name, "s%u", i);
		if (spec_snapshot_create_co(source, name, DEADLINE_NS, &err))
			check_fail(__FILE__, __LINE__, "%s", err.text);
		CHECK_INT(stack_rig_figure(source, "closed"), i + 1);
		uint64_t behind = stack_rig_figure(source, "behind_us");
		most = behind > most ? behind : most;
	}
	block_source_put_co(source);
	free(data);
	return most;
}

static void test_pause_co(struct stack_rig *rig, void *argument)
{
	uint64_t small = longest_co(rig, "1G");
	uint64_t large = longest_co(rig, "32G");

	(void)argument;
	printf("figure qcow2-pause-small-us value=%llu\n",
		(unsigned long long)small);
	printf("figure qcow2-pause-large-us value=%llu goal=<=%u %s\n",
		(unsigned long long)large, LIMIT_US,
		large <= LIMIT_US ? "met" : "short");
	CHECK(small > 0);
	CHECK(large <= LIMIT_US && large <= 2 * small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STACK_RIG_CASE(test_pause_co, simulated, .world = "simulated",
			.lanes = 2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
