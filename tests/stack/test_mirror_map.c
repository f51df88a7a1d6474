/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map of the listener mirror: what a leg lacks is known after a stop, and where the
 * map cannot know it, it lacks everything. Power cuts are in sim/test_mirror_power.c.
 *
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/mirror_pair.h"
#include "tests/lib/power_cut.h"
#include "tests/lib/sim_world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WHERE "granularity: 64K, map: marks"
#define DISK "protocol: {type: file, path: disk, size: 1M}"
#define COPY "leg: {protocol: {type: file, path: copy, size: 1M}}"
#define MIRROR(leg, where) \
	"{listeners: [{type: mirror, name: m, " leg ", " where "}], " DISK "}"

static struct mirror_pair open_co(struct stack_rig *rig, const char *document)
{
	return (struct mirror_pair){
		.rig = rig, .source = stack_rig_source_co(rig, document)};
}

/* In sync, with something written, and closed. */
static void first_co(struct stack_rig *rig)
{
	struct mirror_pair pair = open_co(rig, MIRROR(COPY, WHERE));

	CHECK_INT(pair_behind(&pair), PAIR_BYTES);
	CHECK_INT(pair_resync_co(&pair), PAIR_BYTES);
	CHECK_INT(pair_write_co(&pair, 0, 1), 0);
	block_source_put_co(pair.source);
}

static void test_stop_co(struct stack_rig *rig, void *argument)
{
	(void)argument;
	first_co(rig);
	struct mirror_pair pair = open_co(rig, MIRROR(COPY, WHERE));
	CHECK_INT(pair_behind(&pair), PAIR_GRANULE); /* was not flushed */
	CHECK_INT(pair_resync_co(&pair), PAIR_GRANULE);
	block_source_put_co(pair.source);
	pair = open_co(rig, MIRROR(COPY, WHERE));
	pair_expect_state(&pair, "in sync");
	block_source_put_co(pair.source);
}

/* A leg that fails, and a stop before it is back. */
static void test_failed_co(struct stack_rig *rig, void *argument)
{
	(void)argument;
	first_co(rig);
	struct mirror_pair pair = open_co(rig,
		MIRROR("leg: {listeners: [{type: fault, rules: [{op: write, "
		       "error: EIO, offset: 64K, length: 64K}]}], protocol: "
		       "{type: file, path: copy, size: 1M}}",
			WHERE));
	/* It is the same file, with a listener more. */
	CHECK_INT(pair_behind(&pair), PAIR_GRANULE);
	pair_resync_co(&pair);
	CHECK_INT(pair_write_co(&pair, PAIR_GRANULE, 1), 0);
	CHECK_INT(pair_write_co(&pair, 3 * PAIR_GRANULE, 1), 0);
	pair_expect_state(&pair, "degraded");
	block_source_put_co(pair.source);
	pair = open_co(rig,
		MIRROR("leg: {listeners: [{type: fault, rules: [{op: write, "
		       "error: EIO, offset: 64K, length: 64K}]}], protocol: "
		       "{type: file, path: copy, size: 1M}}",
			WHERE));
	pair_expect_state(&pair, "behind");
	CHECK_INT(pair_behind(&pair), 2 * PAIR_GRANULE);
	block_source_put_co(pair.source);
}

static void expect_all_co(struct stack_rig *rig, const char *document)
{
	struct mirror_pair pair = open_co(rig, document);

	CHECK_INT(pair_behind(&pair), PAIR_BYTES);
	block_source_put_co(pair.source);
}

static void test_unknown_co(struct stack_rig *rig, void *argument)
{
	struct err err = {0};

	(void)argument;
	first_co(rig);
	expect_all_co(rig,
		MIRROR("leg: {protocol: {type: file, path: copy2, size: 1M}}",
			WHERE));
	first_co(rig);
	expect_all_co(rig, MIRROR(COPY, "granularity: 128K, map: marks"));
	/* What was done without it. */
	first_co(rig);
	struct mirror_pair pair = open_co(rig, MIRROR(COPY, WHERE));
	pair_resync_co(&pair);
	CHECK_INT(spec_detach_co(pair.source, "m", 0, &err), 0);
	block_source_put_co(pair.source);
	expect_all_co(rig, MIRROR(COPY, WHERE));
	/* It joins. */
	first_co(rig);
	pair = open_co(rig, "{" DISK "}");
	CHECK_INT(
		spec_attach_co(pair.source,
			stack_rig_doc(rig,
				"{type: mirror, name: m, " COPY ", " WHERE "}"),
			NULL, &err),
		0);
	CHECK_INT(pair_behind(&pair), PAIR_BYTES);
	block_source_put_co(pair.source);
	expect_all_co(rig, MIRROR(COPY, WHERE));
	/* Another content, or a smaller size, and a stop. */
	first_co(rig);
	pair = open_co(rig, MIRROR(COPY, WHERE));
	struct spec_swap swap = {.document = stack_rig_doc(rig,
					 "{protocol: {type: null, size: "
					 "1M}}")};
	CHECK_INT(spec_swap_bottom_co(pair.source, &swap, &err), 0);
	block_source_put_co(pair.source);
	expect_all_co(rig, MIRROR(COPY, WHERE));
	first_co(rig);
	pair = open_co(rig, MIRROR(COPY, WHERE));
	CHECK_INT(spec_resize_co(pair.source, PAIR_BYTES / 2, &err), 0);
	CHECK_INT(spec_resize_co(pair.source, PAIR_BYTES, &err), 0);
	block_source_put_co(pair.source);
	expect_all_co(rig, MIRROR(COPY, WHERE));
}

/* Damaged here and there; byte `at` of the map is another one. */
static void spoil(struct stack_rig *rig, off_t at)
{
	char *path = NULL;
	uint8_t byte;

	CHECK(asprintf(&path, "%s/marks", rig->folder) > 0);
	int fd = open(path, O_RDWR);
	CHECK(fd >= 0);
	CHECK_INT(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	CHECK_INT(pwrite(fd, &byte, 1, at), 1);
	close(fd);
	free(path);
}

static void test_damaged_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source;
	struct err err = {0};

	(void)argument;
	first_co(rig);
	spoil(rig, 30);
	expect_all_co(rig, MIRROR(COPY, WHERE));
	first_co(rig);
	spoil(rig, 4096);
	expect_all_co(rig, MIRROR(COPY, WHERE));
	first_co(rig);
	spoil(rig, 4096 + 512 + 5); /* of granules that there are none of */
	struct mirror_pair pair = open_co(rig, MIRROR(COPY, WHERE));
	CHECK_INT(pair_behind(&pair), PAIR_GRANULE);
	/* One map is of one mirror. */
	CHECK(stack_rig_build_co(rig,
		      "{listeners: [{type: mirror, leg: {protocol: {type: mem, "
		      "size: 1M}}, map: marks}], protocol: {type: mem, size: "
		      "1M}}",
		      &source, &err) < 0);
	block_source_put_co(pair.source);
	spoil(rig, 2);
	CHECK_INT(stack_rig_build_co(rig, MIRROR(COPY, WHERE), &source, &err),
		-EINVAL);
	CHECK_FIND(err.text, "holds something else");
	CHECK_INT(stack_rig_build_co(rig,
			  MIRROR(COPY, "granularity: 64K, map: \"../marks\""),
			  &source, &err),
		-EINVAL);
}

/* -- where it cannot be written ------------------------------------------- */

#define SETTLED_NS (11ull * 1000 * 1000 * 1000)
#define ANY_WRITE (1u << RING_WRITE)

/* In sync, everything taken off. */
static struct mirror_pair settled_co(struct stack_rig *rig)
{
	struct mirror_pair pair = open_co(rig, MIRROR(COPY, WHERE));

	CHECK_INT(pair_write_co(&pair, 0, 1), 0);
	pair_resync_co(&pair);
	loop_sleep_co(block_core_lane(rig->core, 0)->loop, SETTLED_NS);
	CHECK_INT(stack_rig_figure(pair.source, "kept_bytes"), 0);
	return pair;
}

static void expect_behind_co(struct stack_rig *rig, void *argument)
{
	const uint64_t *least = argument;
	struct mirror_pair pair = open_co(rig, MIRROR(COPY, WHERE));

	CHECK(pair_behind(&pair) >= *least);
	pair_resync_co(&pair);
	block_source_put_co(pair.source);
}

/* What is there if the power fails now. */
static void expect_after_cut_co(struct stack_rig *rig, uint64_t least)
{
	struct power_cut cut;

	power_cut_take(&cut, rig, 1, 0, NULL);
	power_cut_reopen(&cut, expect_behind_co, &least);
}

/* A mark cannot: the header says so, and hosts see nothing. */
static void test_mark_fails_co(struct stack_rig *rig, void *argument)
{
	struct sim_fault fault = {.opcodes = ANY_WRITE,
		.path = "data/marks",
		.error = -ENOSPC,
		.offset_bytes = 4096,
		.length_bytes = 1 << 20};
	struct mirror_pair pair = settled_co(rig);

	(void)argument;
	sim_world_fail(rig->world, &fault);
	CHECK_INT(pair_write_co(&pair, 5 * PAIR_GRANULE, 2), 0);
	CHECK(fault.hits > 0);
	expect_after_cut_co(rig, PAIR_BYTES);
	sim_world_heal(rig->world, &fault);
	/* When it can be again, so it is. */
	loop_sleep_co(block_core_lane(rig->core, 0)->loop, SETTLED_NS);
	CHECK_INT(pair_write_co(&pair, 6 * PAIR_GRANULE, 3), 0);
	block_source_put_co(pair.source);
	pair = open_co(rig, MIRROR(COPY, WHERE));
	CHECK_INT(pair_behind(&pair), PAIR_GRANULE);
	block_source_put_co(pair.source);
}

/* Nothing can: what needs a mark fails, and has not happened on either leg. */
static void test_header_fails_co(struct stack_rig *rig, void *argument)
{
	struct sim_fault fault = {
		.opcodes = ANY_WRITE, .path = "data/marks", .error = -EIO};
	struct mirror_pair pair = settled_co(rig);
	uint8_t *zeroes = calloc(1, PAIR_BLOCK);

	(void)argument;
	sim_world_fail(rig->world, &fault);
	CHECK_INT(pair_write_co(&pair, 5 * PAIR_GRANULE, 2), -EIO);
	CHECK_INT(pair_write_co(&pair, 5 * PAIR_GRANULE, 2), -EIO);
	stack_rig_expect_co(
		rig, pair.source, 5 * PAIR_GRANULE, PAIR_BLOCK, zeroes);
	pair_expect_state(&pair, "degraded");
	pair_job_end_co(pair_job_co(&pair), JOB_FAILED, "the map");
	sim_world_heal(rig->world, &fault);
	/* It is opened again. */
	pair_resync_co(&pair);
	CHECK_INT(pair_write_co(&pair, 5 * PAIR_GRANULE, 2), 0);
	expect_after_cut_co(rig, PAIR_GRANULE);
	block_source_put_co(pair.source);
	free(zeroes);
}

/* A full disk under all three, and a start on it. */
static void test_full_co(struct stack_rig *rig, void *argument)
{
	struct sim_fault fault = {
		.opcodes = ANY_WRITE, .path = "data/marks", .error = -ENOSPC};
	struct mirror_pair pair = settled_co(rig);

	(void)argument;
	block_source_put_co(pair.source);
	pair = open_co(rig, MIRROR(COPY, WHERE));
	pair_expect_state(&pair, "in sync");
	/* It joins a source in use: the header says "all". */
	pair_detach_co(&pair);
	block_source_put_co(pair.source);
	sim_world_fail(rig->world, &fault);
	pair = open_co(rig, MIRROR(COPY, WHERE));
	CHECK_INT(pair_behind(&pair), PAIR_BYTES);
	CHECK_INT(pair_write_co(&pair, 5 * PAIR_GRANULE, 2), 0);
	pair_resync_co(&pair);
	CHECK_INT(pair_write_co(&pair, 6 * PAIR_GRANULE, 3), 0);
	expect_after_cut_co(rig, PAIR_BYTES);
	block_source_put_co(pair.source);
	sim_world_heal(rig->world, &fault);
	pair = open_co(rig, MIRROR(COPY, WHERE));
	CHECK_INT(pair_behind(&pair), PAIR_BYTES);
	CHECK_INT(pair_resync_co(&pair), PAIR_BYTES);
	block_source_put_co(pair.source);
}

#define SIMULATED(name) \
	STACK_RIG_CASE( \
		name, simulated, .world = "simulated", .lanes = 3, .seed = 1)

#define THREADS(name) \
	STACK_RIG_CASE(name, threads, .world = "threads", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		THREADS(test_stop_co),
		STACK_RIG_CASE(test_stop_co, simulated, .world = "simulated",
			.lanes = 3, .seed = 1),
		THREADS(test_failed_co),
		THREADS(test_unknown_co),
		THREADS(test_damaged_co),
		SIMULATED(test_mark_fails_co),
		SIMULATED(test_header_fails_co),
		SIMULATED(test_full_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
