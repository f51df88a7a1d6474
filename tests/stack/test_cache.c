/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener cache: what is read again comes from memory, what was changed never
 * does, whatever overlaps; and a scan throws out nothing of what is read often.
 *
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/list.h"
#include "blockcore/base/prng.h"
#include "blockcore/job.h"
#include "tests/lib/model_load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 4096u
#define MEM "protocol: {type: mem, size: 8M, max_size: 16M}"
#define DISK "protocol: {type: file, path: disk, size: 8M, locking: false}"
#define FAULT "{type: fault, name: f, seed: 7}"

static int transfer_co(struct stack_rig *rig, struct block_source *source,
	enum block_opcode op, uint64_t offset, uint64_t length, void *data)
{
	return block_transfer_co(source, block_core_lane(rig->core, 0), op, 0,
		offset, length, data);
}

static struct block_source *source_co(
	struct stack_rig *rig, const char *options, const char *bottom)
{
	char document[512];

	snprintf(document, sizeof document,
		"{listeners: [{type: cache, name: c%s}, " FAULT "], %s}",
		options, bottom);
	return stack_rig_source_co(rig, document);
}

static uint64_t hits(struct block_source *source)
{
	return stack_rig_figure(source, "hits");
}

static void fill_co(
	struct stack_rig *rig, struct block_source *source, unsigned seed)
{
	uint8_t *data = stack_rig_pattern(1 << 20, seed);

	CHECK_INT(transfer_co(rig, source, BLOCK_WRITE, 0, 1 << 20, data), 0);
	free(data);
}

/* What is there is that of the pattern, from memory or (`hit` false) from below. */
static void expect_co(struct stack_rig *rig, struct block_source *source,
	uint64_t offset, uint64_t length, unsigned seed, bool hit)
{
	uint8_t *data = stack_rig_pattern(1 << 20, seed);
	uint64_t before = hits(source);

	stack_rig_expect_co(rig, source, offset, length, data + offset);
	CHECK_INT(hits(source), before + hit);
	free(data);
}

/* -- effect --------------------------------------------------------------- */

static void test_effect_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = source_co(rig, "", MEM);

	(void)argument;
	fill_co(rig, source, 1);
	expect_co(rig, source, 0, 4 * BLOCK, 1, false);
	expect_co(rig, source, 0, 4 * BLOCK, 1, true);
	expect_co(rig, source, BLOCK, BLOCK, 1, true);
	expect_co(rig, source, BLOCK + 512, 1024, 1, true); /* a part */
	expect_co(rig, source, 3 * BLOCK + 512, BLOCK, 1, false);
	expect_co(rig, source, 3 * BLOCK + 512, BLOCK, 1, false); /* no whole */
	expect_co(rig, source, 0, 512 << 10, 1, false); /* too large */
	expect_co(rig, source, 256 << 10, BLOCK, 1, false);
	/* Nothing is asked below: it could not answer. */
	free(stack_rig_command_co(
		rig, source, "f", "add", "{op: read, error: EIO}"));
	expect_co(rig, source, 0, 4 * BLOCK, 1, true);
	CHECK_INT(stack_rig_figure(source, "hit_bytes"), 9 * BLOCK + 1024);
	block_source_put_co(source);
}

static void test_errors_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = source_co(rig, "", MEM);
	uint8_t *data = stack_rig_pattern(BLOCK, 3);

	(void)argument;
	fill_co(rig, source, 1);
	free(stack_rig_command_co(
		rig, source, "f", "add", "{op: read, error: EIO, count: 1}"));
	CHECK_INT(transfer_co(rig, source, BLOCK_READ, 0, BLOCK, data), -EIO);
	expect_co(rig, source, 0, BLOCK, 1, false); /* it was not kept */
	expect_co(rig, source, 0, BLOCK, 1, true);
	free(stack_rig_command_co(
		rig, source, "f", "add", "{op: write, error: EIO, count: 1}"));
	CHECK_INT(transfer_co(rig, source, BLOCK_WRITE, 0, BLOCK, data), -EIO);
	expect_co(
		rig, source, 0, BLOCK, 1, false); /* who knows what is there */
	free(data);
	block_source_put_co(source);
}

static void test_changes_co(struct stack_rig *rig, void *argument)
{
	static const enum block_opcode ops[] = {
		BLOCK_WRITE_ZEROES, BLOCK_DISCARD};
	struct block_source *source = source_co(rig, "", MEM);
	uint8_t *data = stack_rig_pattern(2 * BLOCK, 1);

	(void)argument;
	for (unsigned i = 0; i < 2; i++) {
		fill_co(rig, source, 1);
		expect_co(rig, source, 0, 4 * BLOCK, 1, false);
		CHECK_INT(transfer_co(
				  rig, source, ops[i], BLOCK + 512, 512, NULL),
			0);
		stack_rig_expect_co(rig, source, BLOCK + 512, 512, NULL);
		expect_co(rig, source, 0, BLOCK, 1, true);
		expect_co(rig, source, 2 * BLOCK, 2 * BLOCK, 1, true);
		/* All of it: more than there are entries for. */
		CHECK_INT(
			transfer_co(rig, source, ops[i], 0, 8 << 20, NULL), 0);
		stack_rig_expect_co(rig, source, 0, 4 * BLOCK, NULL);
	}
	fill_co(rig, source, 1);
	expect_co(rig, source, 0, BLOCK, 1, false);
	CHECK_INT(transfer_co(
			  rig, source, BLOCK_COMPARE_AND_WRITE, 0, BLOCK, data),
		0);
	stack_rig_expect_co(rig, source, 0, BLOCK, data + BLOCK);
	free(data);
	block_source_put_co(source);
}

/* -- what overlaps -------------------------------------------------------- */

/* A read that had its data before a write began does not leave them behind. */
static void test_late_read_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = source_co(rig, "", MEM);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint8_t *back = stack_rig_pattern(BLOCK, 9);
	struct stack_rig_request read;

	(void)argument;
	fill_co(rig, source, 1);
	free(stack_rig_command_co(rig, source, "f", "hold",
		"{op: read, count: 1, event: complete}"));
	stack_rig_submit(source, lane, &read, BLOCK_READ, 0, 0, BLOCK, back);
	stack_rig_until_co(rig, source, "held", 1);
	fill_co(rig, source, 2);
	free(stack_rig_command_co(rig, source, "f", "clear", NULL));
	CHECK_INT(stack_rig_wait_co(&read), 0);
	expect_co(rig, source, 0, BLOCK, 2, false);
	expect_co(rig, source, 0, BLOCK, 2, true);
	free(back);
	block_source_put_co(source);
}

/* Nor does one that was read while the write was under way. */
static void test_read_within_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = source_co(rig, "", MEM);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint8_t *data = stack_rig_pattern(1 << 20, 2);
	struct stack_rig_request write;

	(void)argument;
	fill_co(rig, source, 1);
	free(stack_rig_command_co(rig, source, "f", "hold",
		"{op: write, count: 1, event: submit}"));
	stack_rig_submit(source, lane, &write, BLOCK_WRITE, 0, 0, BLOCK, data);
	stack_rig_until_co(rig, source, "held", 1);
	expect_co(rig, source, 0, BLOCK, 1, false);
	expect_co(rig, source, 0, BLOCK, 1, false);
	free(stack_rig_command_co(rig, source, "f", "clear", NULL));
	CHECK_INT(stack_rig_wait_co(&write), 0);
	expect_co(rig, source, 0, BLOCK, 2, false);
	free(data);
	block_source_put_co(source);
}

/* Workers on all lanes, each with sectors and a model of its own, in a cache that is
 * too small for them, with blocks that they share. */
static void test_random_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = source_co(rig, argument, DISK);
	static const uint32_t sectors = 2039;
	struct model_load load[6];

	free(stack_rig_command_co(rig, source, "f", "add",
		"{op: any, delay_us: 200, probability_ppm: 300000}"));
	for (unsigned i = 0; i < 6; i++) {
		load[i] = (struct model_load){
			.task = {.run_co = model_load_run_co},
			.source = source,
			.model = sector_model_new(sectors),
			.random = i + 1,
			.weight = {[LOAD_READ] = 12,
				[LOAD_WRITE] = 6,
				[LOAD_ZERO] = 1,
				[LOAD_UNMAP] = 1,
				[LOAD_DISCARD] = 1,
				[LOAD_COMPARE] = 1,
				[LOAD_FLUSH] = 1},
			.first_sector = i * sectors,
			.sectors = &sectors,
			.unit_sectors = 1,
			.most_units = 64,
			.hot_units = i % 2 ? 90 : 0,
			.requests = 700};
		stack_rig_start(rig, i % rig->lanes, &load[i].task);
	}
	for (unsigned i = 0; i < 6; i++)
		stack_rig_join_co(&load[i].task);
	for (unsigned i = 0; i < 6; i++) {
		model_load_verify_co(rig, &load[i]);
		sector_model_free(load[i].model);
	}
	CHECK(hits(source) > 100);
	CHECK(stack_rig_figure(source, "evicted") > 0);
	block_source_put_co(source);
}

/* All write and read the same few sectors. One thread: one model. */
static void test_overlap_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = source_co(rig, ", block: 1K", DISK);
	static const uint32_t sectors = 24;
	struct sector_model *model = sector_model_new(sectors);
	struct model_load load[8];

	(void)argument;
	free(stack_rig_command_co(rig, source, "f", "add",
		"{op: any, delay_us: 200, probability_ppm: 500000}"));
	free(stack_rig_command_co(rig, source, "f", "add",
		"{op: any, event: complete, delay_us: 200, probability_ppm: "
		"500000}"));
	for (unsigned i = 0; i < 8; i++) {
		load[i] = (struct model_load){
			.task = {.run_co = model_load_run_co},
			.source = source,
			.model = model,
			.random = i + 1,
			.weight = {[LOAD_READ] = 10,
				[LOAD_WRITE] = 3,
				[LOAD_ZERO] = 1,
				[LOAD_DISCARD] = 1},
			.sectors = &sectors,
			.unit_sectors = 1,
			.most_units = 6,
			.requests = 1500};
		stack_rig_start(rig, i % rig->lanes, &load[i].task);
	}
	for (unsigned i = 0; i < 8; i++)
		stack_rig_join_co(&load[i].task);
	CHECK(hits(source) > 100);
	sector_model_free(model);
	block_source_put_co(source);
}

/* -- what stays ----------------------------------------------------------- */

static void read_all_co(struct stack_rig *rig, struct block_source *source,
	uint64_t from, uint64_t to)
{
	uint8_t *data = aligned_alloc(BLOCK, BLOCK);

	for (uint64_t at = from; at < to; at += BLOCK)
		CHECK_INT(transfer_co(rig, source, BLOCK_READ, at, BLOCK, data),
			0);
	free(data);
}

/* Half of what fits, read twice; then everything, once. */
static void test_scan_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = source_co(rig, ", size: 1M", MEM);
	uint64_t before;

	(void)argument;
	for (unsigned i = 0; i < 3; i++)
		read_all_co(rig, source, 0, 512 << 10);
	before = hits(source);
	CHECK_INT(before, 256);
	read_all_co(rig, source, 1 << 20, 8 << 20);
	CHECK_INT(hits(source), before);
	read_all_co(rig, source, 0, 512 << 10);
	CHECK(hits(source) - before >= 120); /* of 128 */
	CHECK_INT(stack_rig_figure(source, "blocks"), 256);
	CHECK_INT(stack_rig_figure(source, "blocks_used"), 256);
	block_source_put_co(source);
}

/* -- life ----------------------------------------------------------------- */

/* A job wants to know what is below. */
static void test_scrub_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = source_co(rig, "", MEM);
	struct job_progress progress;
	struct err err = {0};
	struct job *job;

	(void)argument;
	read_all_co(rig, source, 0, 1 << 20);
	free(stack_rig_command_co(rig, source, "f", "add",
		"{op: read, offset: 64K, length: 4K, error: EIO}"));
	read_all_co(rig, source, 0, 1 << 20);
	CHECK_INT(job_start_co(rig->core, source, "scrub", NULL, 0, &job, &err),
		0);
	job_wait_co(job);
	job_get_progress(job, &progress);
	CHECK_INT(progress.result, -EIO);
	job_free(job);
	block_source_put_co(source);
}

static void test_swap_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = source_co(rig, "", MEM);
	struct spec_swap swap = {.document = stack_rig_doc(rig, "{" MEM "}"),
		.same_content = true,
		.deadline_ns = SPEC_GATE_DEADLINE_NS};
	struct err err = {0};

	(void)argument;
	fill_co(rig, source, 1);
	expect_co(rig, source, 0, BLOCK, 1, false);
	CHECK_INT(spec_swap_bottom_co(source, &swap, &err), 0);
	expect_co(rig, source, 0, BLOCK, 1, true); /* it was told so */
	swap.same_content = false;
	CHECK_INT(spec_swap_bottom_co(source, &swap, &err), 0);
	stack_rig_expect_co(rig, source, 0, BLOCK, NULL);
	block_source_put_co(source);
}

static void test_resize_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = source_co(rig, "", DISK);
	struct err err = {0};

	(void)argument;
	fill_co(rig, source, 1);
	expect_co(rig, source, 512 << 10, BLOCK, 1, false);
	expect_co(rig, source, 0, BLOCK, 1, false);
	CHECK_INT(spec_resize_co(source, 256 << 10, &err), 0);
	CHECK_INT(spec_resize_co(source, 1 << 20, &err), 0);
	stack_rig_expect_co(rig, source, 512 << 10, BLOCK, NULL);
	expect_co(rig, source, 0, BLOCK, 1, true);
	block_source_put_co(source);
}

static void test_refusals_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = source_co(rig, "", MEM), *bad;
	struct err err = {0};

	(void)argument;
	CHECK_INT(stack_rig_build_co(rig,
			  "{listeners: [{type: cache, block: 5000}], " MEM "}",
			  &bad, &err),
		-EINVAL);
	CHECK_FIND(err.text, "power of two");
	CHECK_INT(stack_rig_build_co(rig,
			  "{listeners: [{type: cache, size: 512K}], " MEM "}",
			  &bad, &err),
		-EINVAL);
	CHECK_INT(stack_rig_build_co(rig,
			  "{listeners: [{type: cache}, {type: readonly}], "
			  "source: source-1}",
			  &bad, &err),
		-EINVAL);
	CHECK_INT(stack_rig_build_co(rig,
			  "{listeners: [{type: cache}], source: source-1}",
			  &bad, &err),
		-EINVAL);
	CHECK_FIND(err.text, "must see every write");
	block_source_put_co(source);
}

#define ROWS_WITH(name, argument, label) \
	STACK_RIG_CASE_WITH(name, argument, label " threads", \
		.world = "threads", .lanes = 3), \
		STACK_RIG_CASE_WITH(name, argument, label " simulated", \
			.world = "simulated", .lanes = 3, .seed = 1)
#define ROWS(name) ROWS_WITH(name, NULL, "")

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS(test_effect_co),
		ROWS(test_errors_co),
		ROWS(test_changes_co),
		ROWS(test_late_read_co),
		ROWS(test_read_within_co),
		ROWS_WITH(test_random_co, ", size: 1M, block: 4K", "4K"),
		ROWS_WITH(test_random_co, ", size: 1M, block: 512", "512"),
		STACK_RIG_CASE(test_overlap_co, simulated, .world = "simulated",
			.lanes = 3, .seed = 5),
		ROWS(test_scan_co),
		ROWS(test_scrub_co),
		ROWS(test_swap_co),
		ROWS(test_resize_co),
		ROWS(test_refusals_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
