/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: one bound for the tables of all images in memory: it is kept, whoever has
 * most gives, small images keep what they have, no smaller bound of its own ends an
 * image before, and nothing stays when they are closed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/memory.h"
#include "tests/lib/stack_rig.h"

#include <stdlib.h>
#include <string.h>

#define LIMIT (1u << 20)
#define SLICE_GUEST (32ull << 20) /* of the image: 4 KiB of tables */
#define IMAGES 3u
/* Slices of 4 KiB and what is around them. */
#define LARGE_BYTES (6ull << 30) /* 192 slices */
#define SMALL_BYTES (1ull << 30) /* 32 */

static struct block_source *image_co(
	struct stack_rig *rig, unsigned number, uint64_t bytes)
{
	char text[300];

	snprintf(text, sizeof text,
		"format: {type: qcow2, size: %llu, preallocation: metadata, "
		"subclusters: \"off\", cluster_size: 64K, file: {protocol: "
		"{type: file, path: disk-%u, size: 4K}}}",
		(unsigned long long)bytes, number);
	return stack_rig_source_co(rig, text);
}

/* One place of each slice. */
static void read_all_co(
	struct stack_rig *rig, struct block_source *source, uint64_t bytes)
{
	uint8_t *data = aligned_alloc(4096, 4096);

	CHECK(data != NULL);
	for (uint64_t at = 0; at < bytes; at += SLICE_GUEST)
		CHECK_INT(
			block_transfer_co(source, block_core_lane(rig->core, 0),
				BLOCK_READ, 0, at, 4096, data),
			0);
	free(data);
}

/* How many slices must be read again. */
static uint64_t loads_co(
	struct stack_rig *rig, struct block_source *source, uint64_t bytes)
{
	uint64_t before = stack_rig_figure(source, "loads");

	read_all_co(rig, source, bytes);
	return stack_rig_figure(source, "loads") - before;
}

/* What is asked for goes soon: as other requests do. */
static void expect_bound_co(struct stack_rig *rig, struct block_source *source)
{
	const struct block_memory *memory = block_memory_of(rig->core);

	for (unsigned i = 0; i < 100 && memory->used_bytes > LIMIT; i++)
		read_all_co(rig, source, SLICE_GUEST);
	CHECK(memory->used_bytes <= LIMIT);
	CHECK_INT(stack_rig_figure(source, "memory_all_bytes"),
		memory->used_bytes);
	CHECK_INT(stack_rig_figure(source, "memory_limit_bytes"), LIMIT);
}

static void test_bound_co(struct stack_rig *rig, void *argument)
{
	const struct block_memory *memory = block_memory_of(rig->core);
	uint64_t bytes[IMAGES] = {LARGE_BYTES, LARGE_BYTES, SMALL_BYTES};
	struct block_source *source[IMAGES];

	(void)argument;
	block_memory_limit(rig->core, LIMIT);
	for (unsigned i = 0; i < IMAGES; i++) {
		source[i] = image_co(rig, i, bytes[i]);
		expect_bound_co(rig, source[i]);
	}
	read_all_co(rig, source[2], SMALL_BYTES);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 2; i++) {
			/* Each alone would fit. */
			CHECK(loads_co(rig, source[i], LARGE_BYTES) > 0);
			expect_bound_co(rig, source[i]);
			CHECK(stack_rig_figure(source[i], "memory_bytes") >
				LIMIT / 3);
		}
		CHECK_INT(loads_co(rig, source[2], SMALL_BYTES), 0);
	}
	for (unsigned i = 0; i < IMAGES; i++)
		block_source_put_co(source[i]);
	CHECK_INT(memory->used_bytes, 0);
}

#define RACERS 8u
#define RACE_ROUNDS 2u
#define SAMPLE_NS 100000ull

/* Reads and writes all of an image of its own, on its lane. */
struct racer {
	struct stack_rig_task task;
	struct block_source *source;
};

static void race_co(struct stack_rig_task *task)
{
	struct racer *racer = container_of(task, struct racer, task);
	uint8_t *data = aligned_alloc(4096, 4096);

	CHECK(data != NULL);
	memset(data, 1, 4096);
	for (uint64_t at = 0; at < RACE_ROUNDS * LARGE_BYTES; at += SLICE_GUEST)
		CHECK_INT(
			block_transfer_co(racer->source, task->lane,
				at / SLICE_GUEST % 8 ? BLOCK_READ : BLOCK_WRITE,
				0, at % LARGE_BYTES, 4096, data),
			0);
	free(data);
}

/* All at once, each alone large enough to fill it: what is over the bound is what they
 * have under way, never a share of an image. */
static void test_race_co(struct stack_rig *rig, void *argument)
{
	const struct block_memory *memory = block_memory_of(rig->core);
	struct loop *home = block_core_lane(rig->core, 0)->loop;
	struct racer racer[RACERS];
	uint64_t most = 0;

	(void)argument;
	block_memory_limit(rig->core, LIMIT);
	for (unsigned i = 0; i < RACERS; i++) {
		racer[i] = (struct racer){.task.run_co = race_co,
			.source = image_co(rig, i, LARGE_BYTES)};
	}
	for (unsigned i = 0; i < RACERS; i++)
		stack_rig_start(rig, i % rig->lanes, &racer[i].task);
	for (unsigned left = RACERS; left;) {
		most = memory->used_bytes > most ? memory->used_bytes : most;
		loop_sleep_co(home, SAMPLE_NS);
		left = 0;
		for (unsigned i = 0; i < RACERS; i++)
			left += !racer[i].task.done;
	}
	printf("figure qcow2-tables-race-most-bytes value=%llu\n",
		(unsigned long long)most);
	fflush(stdout);
	CHECK(most > LIMIT / 2 && most <= LIMIT + LIMIT / 4);
	for (unsigned i = 0; i < RACERS; i++) {
		stack_rig_join_co(&racer[i].task);
		expect_bound_co(rig, racer[i].source);
	}
	for (unsigned i = 0; i < RACERS; i++)
		block_source_put_co(racer[i].source);
	CHECK_INT(memory->used_bytes, 0);
}

#define OWN_BYTES (33ull << 30) /* 66 MiB of tables */
#define OWN_SLICE_GUEST (2u << 20)

/* What one image may keep is what all may: no bound of its own ends it before. */
static void test_no_own_bound_co(struct stack_rig *rig, void *argument)
{
	const struct block_memory *memory = block_memory_of(rig->core);
	struct block_source *source;
	char text[300];

	(void)argument;
	block_memory_limit(rig->core, 256u << 20);
	snprintf(text, sizeof text,
		"format: {type: qcow2, size: %llu, preallocation: metadata, "
		"subclusters: \"off\", cluster_size: 4K, file: {protocol: "
		"{type: file, path: disk, size: 4K}}}",
		OWN_BYTES);
	source = stack_rig_source_co(rig, text);
	uint8_t *data = aligned_alloc(4096, 4096);
	CHECK(data != NULL);
	for (uint64_t at = 0; at < OWN_BYTES; at += OWN_SLICE_GUEST)
		CHECK_INT(
			block_transfer_co(source, block_core_lane(rig->core, 0),
				BLOCK_READ, 0, at, 4096, data),
			0);
	CHECK(stack_rig_figure(source, "cached_bytes") > 64u << 20);
	free(data);
	block_source_put_co(source);
	CHECK_INT(memory->used_bytes, 0);
}

/* Bytes that an image takes whose tables are all in use. */
static void test_figure_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = image_co(rig, 0, 64ull << 30);

	(void)argument;
	read_all_co(rig, source, 64ull << 30);
	CHECK_INT(loads_co(rig, source, 64ull << 30), 0);
	uint64_t bytes = stack_rig_figure(source, "memory_bytes");
	printf("figure qcow2-tables-64gib-bytes value=%llu\n",
		(unsigned long long)bytes);
	CHECK(bytes > 8u << 20 && bytes < 12u << 20);
	block_source_put_co(source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STACK_RIG_CASE(test_bound_co, simulated, .world = "simulated",
			.lanes = 2),
		STACK_RIG_CASE(
			test_bound_co, threads, .world = "threads", .lanes = 2),
		STACK_RIG_CASE(test_race_co, simulated, .world = "simulated",
			.lanes = 4),
		STACK_RIG_CASE(
			test_race_co, threads, .world = "threads", .lanes = 4),
		STACK_RIG_CASE(test_no_own_bound_co, simulated,
			.world = "simulated", .lanes = 1),
		STACK_RIG_CASE(test_figure_co, simulated, .world = "simulated",
			.lanes = 1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
