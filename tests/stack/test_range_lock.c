/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Range locks of tracked sources: what overlaps waits for its turn, what does
 * not goes on, across lanes and shards. TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/list.h"
#include "blockcore/base/prng.h"
#include "tests/lib/stack_rig.h"

#include <errno.h>

#define LANES 3u
#define SHARD (16ull << 20)

static void command_co(struct stack_rig *rig, struct block_source *source,
	const char *verb, const char *arguments)
{
	struct err err = {0};
	FILE *out = fopen("/dev/null", "w");

	CHECK_INT(spec_command_co(source, "f", verb,
			  arguments ? stack_rig_doc(rig, arguments) : NULL, out,
			  &err),
		0);
	fclose(out);
}

/* A COMPARE_AND_WRITE, which makes a source tracked. */
static void track_co(struct stack_rig *rig, struct block_source *source)
{
	uint8_t zeroes[1024] = {0};

	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_COMPARE_AND_WRITE, 0, 0, 512, zeroes),
		0);
}

static struct block_source *tracked_co(struct stack_rig *rig)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: fault, name: f}], "
		"protocol: {type: mem, size: 128M}}");

	track_co(rig, source);
	return source;
}

#define WRITE_BYTES 8192u

static uint8_t pattern[10][WRITE_BYTES]; /* of one value each */

struct write {
	struct stack_rig_request request;
};

static void write_start(struct block_source *source, struct block_lane *lane,
	struct write *write, uint64_t offset, uint8_t byte)
{
	stack_rig_submit(source, lane, &write->request, BLOCK_WRITE, 0, offset,
		WRITE_BYTES, pattern[byte]);
}

static uint8_t byte_at_co(
	struct stack_rig *rig, struct block_source *source, uint64_t offset)
{
	uint8_t data[512];

	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_READ, 0, offset, 512, data),
		0);
	return data[0];
}

/* The first write is held below the locks; what overlaps waits in order. */
static void order_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = tracked_co(rig);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct write held, second, third, beside;

	(void)argument;
	command_co(rig, source, "hold", "{op: write, count: 1}");
	write_start(source, lane, &held, 8192, 1);
	write_start(source, lane, &second, 8192 + 4096, 2);
	write_start(source, lane, &third, 8192 - 4096, 3);
	write_start(source, lane, &beside, 8192 + 12288, 4);
	CHECK_INT(stack_rig_wait_co(&beside.request), 0);
	CHECK_INT(byte_at_co(rig, source, 8192 + 12288), 4); /* reads go on */
	CHECK_INT(byte_at_co(rig, source, 8192), 0);
	CHECK(!held.request.done && !second.request.done &&
		!third.request.done);
	CHECK_INT(stack_rig_figure(source, "held"), 1);
	command_co(rig, source, "release", NULL);
	CHECK_INT(stack_rig_wait_co(&held.request), 0);
	CHECK_INT(stack_rig_wait_co(&second.request), 0);
	CHECK_INT(stack_rig_wait_co(&third.request), 0);
	CHECK_INT(byte_at_co(rig, source, 8192), 3);
	CHECK_INT(byte_at_co(rig, source, 8192 + 4096), 2);
	block_source_put_co(source);
}

static void cancel_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = tracked_co(rig);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct write held, waiting, third;

	(void)argument;
	command_co(rig, source, "hold", "{op: write, count: 1}");
	write_start(source, lane, &held, 0, 1);
	write_start(source, lane, &waiting, 4096, 2);
	write_start(source, lane, &third, 8192, 3); /* behind `waiting` only */
	block_cancel(&waiting.request.request);
	CHECK_INT(stack_rig_wait_co(&waiting.request), -ECANCELED);
	CHECK_INT(stack_rig_wait_co(&third.request), 0);
	command_co(rig, source, "release", NULL);
	CHECK_INT(stack_rig_wait_co(&held.request), 0);
	CHECK_INT(byte_at_co(rig, source, 4096), 1);
	CHECK_INT(byte_at_co(rig, source, 8192), 3);
	block_source_put_co(source);
}

/* Over the border of two shards: both are locked, and given back. */
static void shards_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = tracked_co(rig);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct write held, left, right, across;

	(void)argument;
	command_co(rig, source, "hold", "{op: write, count: 1}");
	write_start(source, lane, &held, SHARD - 4096, 1);
	write_start(source, lane, &left, SHARD - 8192, 2);
	write_start(source, lane, &right, SHARD, 3);
	write_start(source, lane, &across, SHARD - 4096, 4);
	loop_sleep_co(lane->loop, 1000000);
	CHECK(!left.request.done && !right.request.done &&
		!across.request.done);
	command_co(rig, source, "release", NULL);
	CHECK_INT(stack_rig_wait_co(&across.request), 0);
	CHECK(held.request.done && left.request.done && right.request.done);
	CHECK_INT(byte_at_co(rig, source, SHARD - 8192), 2);
	CHECK_INT(byte_at_co(rig, source, SHARD - 4096), 4);
	CHECK_INT(byte_at_co(rig, source, SHARD), 4);
	CHECK_INT(byte_at_co(rig, source, SHARD + 4096), 3);
	block_source_put_co(source);
}

/* A discard of 80 MiB goes shard by shard, and waits where it must. */
static void pieces_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = tracked_co(rig);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request discard, zero;
	struct write held, first, last;

	(void)argument;
	write_start(source, lane, &first, 4096, 7);
	write_start(source, lane, &last, 5 * SHARD - 8192, 8);
	CHECK_INT(stack_rig_wait_co(&first.request), 0);
	CHECK_INT(stack_rig_wait_co(&last.request), 0);
	command_co(rig, source, "hold", "{op: write, count: 1}");
	write_start(source, lane, &held, 3 * SHARD, 9);
	stack_rig_submit(source, lane, &discard, BLOCK_DISCARD, 0, 4096,
		5 * SHARD - 4096, NULL);
	loop_sleep_co(lane->loop, 1000000);
	CHECK(!discard.done);
	CHECK_INT(byte_at_co(rig, source, 4096), 0); /* before */
	CHECK_INT(byte_at_co(rig, source, 5 * SHARD - 8192), 8); /* behind */
	command_co(rig, source, "release", NULL);
	CHECK_INT(stack_rig_wait_co(&discard), 0);
	CHECK_INT(byte_at_co(rig, source, 3 * SHARD), 0);
	CHECK_INT(byte_at_co(rig, source, 5 * SHARD - 8192), 0);

	/* Cancelled in the middle: what is done is done. */
	command_co(rig, source, "hold", "{op: write, count: 1}");
	write_start(source, lane, &held, 2 * SHARD, 9);
	stack_rig_submit(
		source, lane, &zero, BLOCK_WRITE_ZEROES, 0, 0, 5 * SHARD, NULL);
	loop_sleep_co(lane->loop, 1000000);
	block_cancel(&zero.request);
	CHECK_INT(stack_rig_wait_co(&zero), -ECANCELED);
	command_co(rig, source, "release", NULL);
	CHECK_INT(stack_rig_wait_co(&held.request), 0);
	CHECK_INT(byte_at_co(rig, source, 2 * SHARD), 9);
	block_source_put_co(source);
}

/* -- many lanes ----------------------------------------------------------- */

#define STRIPE (64u << 10)
#define STRIPES 4u /* the first crosses a border of shards */
#define START (SHARD - STRIPE / 2)
#define WRITES 150u

struct writer {
	struct stack_rig_task task;
	struct block_source *source;
	unsigned index;
};

/* All lanes write the same stripes whole, each with bytes of its own, pieces
 * of a torn one would stay. */
static void writer_co(struct stack_rig_task *task)
{
	struct writer *writer = container_of(task, struct writer, task);
	uint8_t *data = aligned_alloc(4096, STRIPE);
	uint64_t random = writer->index;

	for (unsigned i = 0; i < WRITES; i++) {
		uint64_t stripe = prng_below(&random, STRIPES);

		memset(data, (int)(1 + writer->index), STRIPE);
		CHECK_INT(block_transfer_co(writer->source, task->lane,
				  BLOCK_WRITE, 0, START + stripe * STRIPE,
				  STRIPE, data),
			0);
	}
	free(data);
}

static void whole_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = tracked_co(rig);
	uint8_t *data = aligned_alloc(4096, STRIPE);
	struct writer writer[LANES * 3];

	(void)argument;
	for (unsigned i = 0; i < LANES * 3; i++) {
		writer[i] = (struct writer){
			.source = source, .index = i, .task.run_co = writer_co};
		stack_rig_start(rig, i % LANES, &writer[i].task);
	}
	for (unsigned i = 0; i < LANES * 3; i++)
		stack_rig_join_co(&writer[i].task);
	for (unsigned i = 0; i < STRIPES; i++) {
		CHECK_INT(block_transfer_co(source,
				  block_core_lane(rig->core, 0), BLOCK_READ, 0,
				  START + i * STRIPE, STRIPE, data),
			0);
		CHECK(data[0] != 0);
		CHECK(!memcmp(data, data + 1, STRIPE - 1));
	}
	free(data);
	block_source_put_co(source);
}

/* On threads, and in the simulator, where every interleaving is repeatable. */
#define ROW(body) \
	STACK_RIG_CASE(body, threads, .world = "threads", .lanes = LANES), \
		STACK_RIG_CASE(body, simulated, .world = "simulated", \
			.lanes = LANES, .seed = 7)

int main(void)
{
	for (unsigned i = 0; i < 10; i++)
		memset(pattern[i], (int)i, WRITE_BYTES);
	const struct CMUnitTest tests[] = {
		ROW(order_co),
		ROW(cancel_co),
		ROW(shards_co),
		ROW(pieces_co),
		ROW(whole_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
