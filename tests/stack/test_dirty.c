/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener dirty: a consumer that copies what it is told has changed has a
 * true copy, whatever is under way while it asks.
 *
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/list.h"
#include "blockcore/base/prng.h"
#include "tests/lib/dirty_asker.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK DIRTY_ASKER_BLOCK
#define LISTENER "{type: dirty, name: d, granularity: 4K}"

/* -- what is marked ------------------------------------------------------- */

static void test_marks_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [" LISTENER "], "
		"protocol: {type: mem, size: 1M, max_size: 4M}}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint8_t *data = stack_rig_pattern((size_t)BLOCK * 80, 1);
	struct err err = {0};

	(void)argument;
	dirty_asker_tell_co(rig, source, "add", "{consumer: a}");
	dirty_asker_tell_co(rig, source, "add", "{consumer: b, clean: true}");
	dirty_asker_done_co(rig, source, "a", "0+256");
	dirty_asker_done_co(rig, source, "b", "");
	block_transfer_co(source, lane, BLOCK_WRITE, 0, 512, 512, data);
	block_transfer_co(
		source, lane, BLOCK_WRITE, 0, 3 * BLOCK - 512, 1024, data);
	block_transfer_co(source, lane, BLOCK_READ, 0, 40 * BLOCK, BLOCK, data);
	block_transfer_co(source, lane, BLOCK_FLUSH, 0, 0, 0, NULL);
	dirty_asker_expect_co(rig, source, "a", "0+1 2+2");
	/* Not done with: it comes again, with what is new. */
	block_transfer_co(
		source, lane, BLOCK_WRITE_ZEROES, 0, 1 * BLOCK, BLOCK, NULL);
	dirty_asker_done_co(rig, source, "a", "0+4");
	block_transfer_co(
		source, lane, BLOCK_WRITE, 0, 60 * BLOCK, 80 * BLOCK, data);
	block_transfer_co(
		source, lane, BLOCK_DISCARD, 0, 255 * BLOCK, BLOCK, NULL);
	memset(data, 0, BLOCK);
	CHECK_INT(block_transfer_co(source, lane, BLOCK_COMPARE_AND_WRITE, 0,
			  10 * BLOCK, 512, data),
		0);
	dirty_asker_done_co(rig, source, "a", "10+1 60+80 255+1");
	dirty_asker_done_co(rig, source, "b", "0+4 10+1 60+80 255+1");
	/* What is new is one block, for those who were there before. */
	CHECK_INT(spec_resize_co(source, 2 << 20, &err), 0);
	dirty_asker_done_co(rig, source, "a", "256+256");
	block_transfer_co(
		source, lane, BLOCK_WRITE, 0, 500 * BLOCK, BLOCK, data);
	dirty_asker_done_co(rig, source, "a", "257+255");
	free(data);
	block_source_put_co(source);
}

/* A page at a time gives the same. */
static void test_pages_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [" LISTENER "], protocol: {type: mem, size: 1M}}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint8_t *data = stack_rig_pattern(BLOCK, 1);
	char arguments[96];
	uint64_t offset = 0, extents = 0;
	const char *next;

	(void)argument;
	dirty_asker_tell_co(rig, source, "add", "{consumer: a, clean: true}");
	for (unsigned i = 0; i < 100; i++)
		block_transfer_co(source, lane, BLOCK_WRITE, 0,
			(uint64_t)i * 2 * BLOCK, BLOCK, data);
	dirty_asker_tell_co(rig, source, "freeze", "{consumer: a}");
	do {
		char *said;

		snprintf(arguments, sizeof arguments,
			"{consumer: a, offset: %llu, extents: 7}",
			(unsigned long long)offset);
		said = stack_rig_command_co(
			rig, source, "d", "list", arguments);
		for (char *at = said; (at = strstr(at, "\"length\"")); at++)
			extents++;
		next = strstr(said, "\"next\": ");
		if (next)
			offset = strtoull(next + 8, NULL, 10);
		free(said);
	} while (next);
	CHECK_INT(extents, 100);
	free(data);
	block_source_put_co(source);
}

static void list_says_co(struct stack_rig *rig, struct block_source *source,
	const char *arguments, const char *extents)
{
	char *said = stack_rig_command_co(rig, source, "d", "list", arguments);

	if (!strstr(said, extents))
		check_fail(__FILE__, __LINE__, "'%s', not '%s'", said, extents);
	free(said);
}

/* What came after the freeze can be asked for, and stays for the next one. */
static void test_later_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [" LISTENER "], protocol: {type: mem, size: 1M}}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint8_t *data = stack_rig_pattern(BLOCK, 1);

	(void)argument;
	dirty_asker_tell_co(rig, source, "add", "{consumer: a, clean: true}");
	block_transfer_co(source, lane, BLOCK_WRITE, 0, 0, BLOCK, data);
	dirty_asker_tell_co(rig, source, "freeze", "{consumer: a}");
	block_transfer_co(source, lane, BLOCK_WRITE, 0, BLOCK, BLOCK, data);
	block_transfer_co(
		source, lane, BLOCK_WRITE, 0, 100 * BLOCK, BLOCK, data);
	list_says_co(rig, source, "{consumer: a}",
		"[{\"offset\": 0, \"length\": 4096}]");
	list_says_co(rig, source, "{consumer: a, later: true}",
		"[{\"offset\": 0, \"length\": 8192}, "
		"{\"offset\": 409600, \"length\": 4096}]");
	list_says_co(rig, source, "{consumer: a, later: true, extents: 1}",
		"\"next\": 409600");
	dirty_asker_tell_co(rig, source, "done", "{consumer: a}");
	dirty_asker_done_co(rig, source, "a", "1+1 100+1");
	CHECK_INT(dirty_asker_refused_co(
			  rig, source, "list", "{consumer: a, later: maybe}"),
		-EINVAL);
	free(data);
	block_source_put_co(source);
}

/* A write that ends after the freeze is seen by the next one. */
static void test_under_way_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [" LISTENER ", {type: fault, name: f, "
		"rules: [{op: write, hold: true}]}], "
		"protocol: {type: mem, size: 1M}}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint8_t *data = stack_rig_pattern(BLOCK, 1);
	struct stack_rig_request request;

	(void)argument;
	dirty_asker_tell_co(rig, source, "add", "{consumer: a, clean: true}");
	stack_rig_submit(
		source, lane, &request, BLOCK_WRITE, 0, 5 * BLOCK, BLOCK, data);
	dirty_asker_done_co(rig, source, "a", "5+1");
	dirty_asker_done_co(rig, source, "a", "");
	free(stack_rig_command_co(rig, source, "f", "release", NULL));
	CHECK_INT(stack_rig_wait_co(&request), 0);
	dirty_asker_done_co(rig, source, "a", "5+1");
	free(data);
	block_source_put_co(source);
}

/* Swaps say whether the content is another. */
static void test_content_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [" LISTENER "], protocol: {type: mem, size: 1M}}");
	struct spec_swap swap = {.document = stack_rig_doc(rig,
					 "{protocol: {type: mem, size: 1M}}"),
		.same_content = true,
		.deadline_ns = SPEC_GATE_DEADLINE_NS};
	struct err err = {0};

	(void)argument;
	dirty_asker_tell_co(rig, source, "add", "{consumer: a, clean: true}");
	CHECK_INT(spec_swap_bottom_co(source, &swap, &err), 0);
	dirty_asker_done_co(rig, source, "a", "");
	swap.same_content = false;
	CHECK_INT(spec_swap_bottom_co(source, &swap, &err), 0);
	dirty_asker_done_co(rig, source, "a", "0+256");
	block_source_put_co(source);
}

static void test_refusals_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [" LISTENER "], protocol: {type: mem, size: 1M}}");
	struct block_source *huge = stack_rig_source_co(rig,
		"{listeners: [{type: dirty, name: d, granularity: 512}], "
		"protocol: {type: null, size: 1T}}");
	struct block_source *bad;
	struct err err = {0};
	char text[64];

	(void)argument;
	for (unsigned i = 0; i < 8; i++) {
		snprintf(text, sizeof text, "{consumer: c%u}", i);
		dirty_asker_tell_co(rig, source, "add", text);
	}
	CHECK_INT(dirty_asker_refused_co(rig, source, "add", "{consumer: c8}"),
		-ENOSPC);
	CHECK_INT(dirty_asker_refused_co(rig, source, "add", "{consumer: c0}"),
		-EEXIST);
	CHECK_INT(dirty_asker_refused_co(rig, source, "list", "{consumer: x}"),
		-ENOENT);
	CHECK_INT(
		dirty_asker_refused_co(rig, source, "freeze", "{consumer: x}"),
		-ENOENT);
	CHECK_INT(
		dirty_asker_refused_co(rig, source, "remove", "{consumer: x}"),
		-ENOENT);
	CHECK_INT(dirty_asker_refused_co(rig, source, "list", "{}"), -EINVAL);
	CHECK_INT(dirty_asker_refused_co(rig, source, "list", NULL), -EINVAL);
	CHECK_INT(dirty_asker_refused_co(
			  rig, source, "list", "{consumer: 'a\"'}"),
		-EINVAL);
	CHECK_INT(dirty_asker_refused_co(
			  rig, source, "list", "{consumer: c0, extents: 4097}"),
		-EINVAL);
	CHECK_INT(dirty_asker_refused_co(rig, source, "copy", "{consumer: c0}"),
		-EINVAL);
	CHECK_INT(dirty_asker_refused_co(rig, huge, "add", "{consumer: a}"),
		-EFBIG);
	dirty_asker_tell_co(rig, source, "remove", "{consumer: c0}");
	dirty_asker_tell_co(rig, source, "add", "{consumer: c8}");
	dirty_asker_expect_co(rig, source, "c8", "0+256");
	CHECK_INT(stack_rig_build_co(rig,
			  "{listeners: [{type: dirty, name: d, "
			  "granularity: 5000}], protocol: {type: null}}",
			  &bad, &err),
		-EINVAL);
	CHECK_FIND(err.text, "power of two");
	block_source_put_co(huge);
	block_source_put_co(source);
}

/* -- a true copy ---------------------------------------------------------- */

#define BLOCKS 64u
#define WRITES 400u

struct worker {
	struct stack_rig_task task;
	struct block_source *source;
	_Atomic unsigned *running;
};

static void worker_co(struct stack_rig_task *task)
{
	struct worker *worker = container_of(task, struct worker, task);
	uint64_t random = task->lane->index + 1;
	uint8_t *data = stack_rig_pattern(2 * BLOCK, 1);

	for (unsigned i = 0; i < WRITES; i++) {
		memset(data, (int)prng_below(&random, 256), 2 * BLOCK);
		CHECK_INT(block_transfer_co(worker->source, task->lane,
				  BLOCK_WRITE, 0,
				  prng_below(&random, BLOCKS * 2 - 1) * 2048,
				  (1 + prng_below(&random, 2)) * 1024, data),
			0);
	}
	free(data);
	atomic_fetch_sub(worker->running, 1);
}

static void copy_co(
	struct stack_rig *rig, struct block_source *source, uint8_t *copy)
{
	struct block_lane *lane = block_core_lane(rig->core, 0);
	unsigned long long offset, length;
	char *said, *at;

	dirty_asker_tell_co(rig, source, "freeze", "{consumer: a}");
	at = said =
		stack_rig_command_co(rig, source, "d", "list", "{consumer: a}");
	while ((at = strstr(at, "{\"offset\": "))) {
		CHECK_INT(sscanf(at++, "{\"offset\": %llu, \"length\": %llu}",
				  &offset, &length),
			2);
		CHECK_INT(block_transfer_co(source, lane, BLOCK_READ, 0, offset,
				  length, copy + offset),
			0);
	}
	dirty_asker_tell_co(rig, source, "done", "{consumer: a}");
	free(said);
}

/* While all lanes write: what was copied by passes is what is there at the end,
 * and the last pass had little to do. */
static void test_copy_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [" LISTENER ", {type: fault, name: f, rules: "
		"[{op: write, delay_us: 200, probability_ppm: 300000}]}], "
		"protocol: {type: file, path: disk, size: 256K, "
		"locking: false}}");
	uint8_t *copy = calloc(BLOCKS, BLOCK);
	struct worker worker[BLOCK_MAX_LANES];
	_Atomic unsigned running = rig->lanes;
	unsigned passes = 0;

	(void)argument;
	dirty_asker_tell_co(rig, source, "add", "{consumer: a, clean: true}");
	for (unsigned i = 0; i < rig->lanes; i++) {
		worker[i] = (struct worker){.task = {.run_co = worker_co},
			.source = source,
			.running = &running};
		stack_rig_start(rig, i, &worker[i].task);
	}
	while (atomic_load(&running)) {
		copy_co(rig, source, copy);
		passes++;
		/* The simulator's lanes have this thread, too. */
		loop_sleep_co(block_core_lane(rig->core, 0)->loop, 100000);
	}
	for (unsigned i = 0; i < rig->lanes; i++)
		stack_rig_join_co(&worker[i].task);
	copy_co(rig, source, copy);
	stack_rig_expect_co(rig, source, 0, (uint64_t)BLOCKS * BLOCK, copy);
	dirty_asker_expect_co(rig, source, "a", "");
	CHECK(passes > 1);
	free(copy);
	block_source_put_co(source);
}

#define ROWS(name) \
	STACK_RIG_CASE(name, threads, .world = "threads", .lanes = 3), \
		STACK_RIG_CASE(name, simulated, .world = "simulated", \
			.lanes = 3, .seed = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS(test_marks_co),
		ROWS(test_later_co),
		ROWS(test_pages_co),
		ROWS(test_under_way_co),
		ROWS(test_content_co),
		ROWS(test_refusals_co),
		ROWS(test_copy_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
