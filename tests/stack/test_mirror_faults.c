/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener mirror when one of both fails: what hosts see, what the leg lacks then,
 * and that they are equal in the end.
 *
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/list.h"
#include "blockcore/base/prng.h"
#include "tests/lib/mirror_pair.h"
#include "tests/lib/sim_world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SETTLED_NS (11ull * 1000 * 1000 * 1000)

/* -- what fails ----------------------------------------------------------- */

static void test_degrade_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = mirror_pair_co(rig, "");

	(void)argument;
	pair_resync_co(&pair);
	pair_fault_co(&pair, pair.leg, "{op: write, error: EIO, count: 1}");
	CHECK_INT(pair_write_co(&pair, 0, 1), 0);
	pair_expect_state(&pair, "degraded");
	/* The rule is used up, and still the leg gets nothing. */
	CHECK_INT(pair_write_co(&pair, 4 * PAIR_GRANULE, 2), 0);
	CHECK_INT(pair_transfer_co(&pair, BLOCK_FLUSH, 0, 0, NULL), 0);
	CHECK(!pair_is_equal_co(&pair));
	CHECK_INT(pair_resync_co(&pair), 2 * PAIR_GRANULE);
	CHECK(pair_is_equal_co(&pair));
	CHECK_INT(pair_write_co(&pair, 9 * PAIR_GRANULE, 3), 0);
	CHECK(pair_is_equal_co(&pair));
	mirror_pair_end_co(&pair);
}

/* A flush that failed: what had changed since the last one may not be there. */
static void test_leg_flush_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = mirror_pair_co(rig, "");

	(void)argument;
	pair_resync_co(&pair);
	CHECK_INT(pair_write_co(&pair, 3 * PAIR_GRANULE, 1), 0);
	pair_fault_co(&pair, pair.leg, "{op: flush, error: EIO, count: 1}");
	CHECK_INT(pair_transfer_co(&pair, BLOCK_FLUSH, 0, 0, NULL), 0);
	pair_expect_state(&pair, "degraded");
	CHECK(pair_resync_co(&pair) >= PAIR_GRANULE);
	CHECK(pair_is_equal_co(&pair));
	mirror_pair_end_co(&pair);
}

/* After a while nothing is kept, so that a leg that fails then lacks little. */
static void test_settle_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = mirror_pair_co(rig, "");
	struct loop *loop = block_core_lane(rig->core, 0)->loop;

	(void)argument;
	pair_resync_co(&pair);
	for (unsigned i = 0; i < 8; i++)
		CHECK_INT(pair_write_co(&pair, i * PAIR_GRANULE, i), 0);
	CHECK(stack_rig_figure(pair.source, "kept_bytes") >= 8 * PAIR_GRANULE);
	loop_sleep_co(loop, SETTLED_NS);
	CHECK_INT(stack_rig_figure(pair.source, "kept_bytes"), 0);
	pair_fault_co(&pair, pair.leg, "{op: write, error: EIO, count: 1}");
	CHECK_INT(pair_write_co(&pair, 9 * PAIR_GRANULE, 9), 0);
	CHECK_INT(pair_resync_co(&pair), PAIR_GRANULE);
	/* A flush that fails takes nothing off. */
	loop_sleep_co(loop, SETTLED_NS);
	CHECK_INT(stack_rig_figure(pair.source, "kept_bytes"), 0);
	CHECK_INT(pair_write_co(&pair, 2 * PAIR_GRANULE, 9), 0);
	pair_fault_co(&pair, pair.source, "{op: flush, error: EIO}");
	loop_sleep_co(loop, SETTLED_NS);
	CHECK_INT(stack_rig_figure(pair.source, "kept_bytes"), PAIR_GRANULE);
	mirror_pair_end_co(&pair);
}

static void test_fail_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = mirror_pair_co(rig, ", on_error: fail");
	uint8_t *data = stack_rig_pattern(PAIR_BLOCK, 1);

	(void)argument;
	pair_resync_co(&pair);
	pair_fault_co(&pair, pair.leg, "{op: write, error: EIO, count: 1}");
	CHECK_INT(pair_write_co(&pair, 0, 1), -EIO);
	CHECK_INT(pair_write_co(&pair, PAIR_GRANULE, 1), -EIO);
	CHECK_INT(pair_transfer_co(
			  &pair, BLOCK_READ, PAIR_GRANULE, PAIR_BLOCK, data),
		0);
	CHECK_INT(pair_resync_co(&pair), PAIR_GRANULE);
	CHECK(pair_is_equal_co(&pair));
	CHECK_INT(pair_write_co(&pair, 0, 1), 0);
	CHECK(pair_is_equal_co(&pair));
	free(data);
	mirror_pair_end_co(&pair);
}

/* What the leg alone has is not what counts. */
static void test_source_fails_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = mirror_pair_co(rig, "");

	(void)argument;
	pair_resync_co(&pair);
	CHECK_INT(pair_write_co(&pair, 0, 1), 0);
	pair_fault_co(&pair, pair.source, "{op: write, error: EIO, count: 1}");
	CHECK_INT(pair_write_co(&pair, 0, 2), -EIO);
	pair_expect_state(&pair, "behind");
	CHECK(!pair_is_equal_co(&pair));
	CHECK_INT(pair_resync_co(&pair), PAIR_GRANULE);
	CHECK(pair_is_equal_co(&pair));
	mirror_pair_end_co(&pair);
}

static void test_failover_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair =
		mirror_pair_co(rig, argument ? ", failover: false" : "");
	uint8_t *data = stack_rig_pattern(PAIR_BLOCK, 0);
	uint8_t *expected = stack_rig_pattern(PAIR_BLOCK, 5);

	CHECK_INT(pair_write_co(&pair, 2 * PAIR_GRANULE, 5), 0);
	pair_fault_co(&pair, pair.source, "{op: read, error: EIO}");
	/* The leg lacks it. */
	CHECK_INT(pair_transfer_co(&pair, BLOCK_READ, 2 * PAIR_GRANULE,
			  PAIR_BLOCK, data),
		-EIO);
	pair_clear_co(&pair);
	pair_resync_co(&pair);
	pair_fault_co(&pair, pair.source, "{op: read, error: EIO}");
	CHECK_INT(pair_transfer_co(&pair, BLOCK_READ, 2 * PAIR_GRANULE,
			  PAIR_BLOCK, data),
		argument ? -EIO : 0);
	if (!argument)
		CHECK(!memcmp(data, expected, PAIR_BLOCK));
	CHECK_INT(stack_rig_figure(pair.source, "failovers"), !argument);
	pair_fault_co(&pair, pair.leg, "{op: read, error: ENOMEM}");
	CHECK_INT(pair_transfer_co(&pair, BLOCK_READ, 2 * PAIR_GRANULE,
			  PAIR_BLOCK, data),
		-EIO);
	free(data);
	free(expected);
	mirror_pair_end_co(&pair);
}

/* A file that cannot be synced promises nothing any more. A leg's is the mirror's trouble,
 * not the source's; what is below is. */
static void test_sync_fails_co(struct stack_rig *rig, void *argument)
{
	struct sim_fault fault = {.opcodes = 1u << RING_DATASYNC,
		.path = "data/copy",
		.error = -EIO};
	struct mirror_pair pair = {.rig = rig,
		.source = stack_rig_source_co(rig,
			"{listeners: [{type: mirror, name: m, leg: {protocol: "
			"{type: file, path: copy, size: 1M}}}], protocol: "
			"{type: file, path: disk, size: 1M}}")};

	(void)argument;
	pair_resync_co(&pair);
	sim_world_fail(rig->world, &fault);
	CHECK_INT(pair_write_co(&pair, 0, 1), 0);
	CHECK_INT(pair_transfer_co(&pair, BLOCK_FLUSH, 0, 0, NULL), 0);
	pair_expect_state(&pair, "degraded");
	CHECK(!block_source_failed(pair.source));
	sim_world_heal(rig->world, &fault);
	pair_resync_co(&pair);
	fault.path = "data/disk";
	sim_world_fail(rig->world, &fault);
	CHECK_INT(pair_write_co(&pair, 0, 1), 0);
	CHECK_INT(pair_transfer_co(&pair, BLOCK_FLUSH, 0, 0, NULL), -EIO);
	CHECK(block_source_failed(pair.source));
	sim_world_heal(rig->world, &fault);
	block_source_put_co(pair.source);
}

/* -- everybody at once ---------------------------------------------------- */

#define BLOCKS 40u
#define REQUESTS 250u

struct worker {
	struct stack_rig_task task;
	struct block_source *source;
	bool faults;
};

static void worker_co(struct stack_rig_task *task)
{
	static const enum block_opcode ops[] = {BLOCK_READ, BLOCK_WRITE,
		BLOCK_WRITE, BLOCK_WRITE_ZEROES, BLOCK_DISCARD, BLOCK_FLUSH,
		BLOCK_COMPARE_AND_WRITE};
	struct worker *worker = container_of(task, struct worker, task);
	uint64_t random = task->lane->index + 1;
	uint8_t *data = stack_rig_pattern(4 * PAIR_BLOCK, 1);

	for (unsigned i = 0; i < REQUESTS; i++) {
		enum block_opcode op = ops[prng_below(&random, 7)];
		uint64_t first = prng_below(&random, BLOCKS);
		uint64_t count = 1 + prng_below(&random, 2);
		int result;

		memset(data, (int)prng_below(&random, 256), 4 * PAIR_BLOCK);
		result = block_transfer_co(worker->source, task->lane, op, 0,
			op == BLOCK_FLUSH ? 0 : first * PAIR_BLOCK,
			op == BLOCK_FLUSH ? 0 : count * PAIR_BLOCK, data);
		if (!worker->faults &&
			!(op == BLOCK_COMPARE_AND_WRITE && result == -EILSEQ))
			CHECK_INT(result, 0);
	}
	free(data);
}

static struct worker *workers_start(struct mirror_pair *pair, bool faults)
{
	struct stack_rig *rig = pair->rig;
	struct worker *worker = calloc(4 * rig->lanes, sizeof *worker);

	for (unsigned i = 0; i < 4 * rig->lanes; i++) {
		worker[i] = (struct worker){.task = {.run_co = worker_co},
			.source = pair->source,
			.faults = faults};
		stack_rig_start(rig, i % rig->lanes, &worker[i].task);
	}
	return worker;
}

static void workers_end_co(struct mirror_pair *pair, struct worker *worker)
{
	for (unsigned i = 0; i < 4 * pair->rig->lanes; i++)
		stack_rig_join_co(&worker[i].task);
	free(worker);
}

#define SLOW "{op: any, delay_us: 100, probability_ppm: 300000}"

/* They are written in one order, so they are equal; also what a resync copies among
 * that, and while it comes and goes. */
static void test_overlap_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = mirror_pair_co(rig, "");

	(void)argument;
	pair_fault_co(&pair, pair.leg, SLOW);
	pair_fault_co(&pair, pair.source, SLOW);
	struct worker *worker = workers_start(&pair, false);
	pair_resync_co(&pair);
	for (unsigned i = 0; i < 2; i++) {
		pair_detach_co(&pair);
		pair_attach_co(&pair,
			"{type: mirror, name: m, granularity: 64K, leg: "
			"source-1}");
		pair_resync_co(&pair);
	}
	workers_end_co(&pair, worker);
	pair_expect_state(&pair, "in sync");
	CHECK(pair_is_equal_co(&pair));
	mirror_pair_end_co(&pair);
}

/* Both fail now and then, resyncs too: in the end one succeeds. */
static void test_faults_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = mirror_pair_co(rig, argument ? argument : "");
	unsigned ended[JOB_CANCELLED + 1] = {0};
	struct job_progress progress;

	pair_resync_co(&pair);
	pair_fault_co(&pair, pair.leg,
		"{op: change, error: EIO, probability_ppm: 8000}");
	pair_fault_co(&pair, pair.source,
		"{op: change, error: EIO, probability_ppm: 8000}");
	pair_fault_co(&pair, pair.source,
		"{op: read, error: EIO, probability_ppm: 8000}");
	pair_fault_co(&pair, pair.leg, SLOW);
	struct worker *worker = workers_start(&pair, true);
	for (unsigned i = 0; i < 12; i++) {
		struct job *job = pair_job_co(&pair);

		job_wait_co(job);
		job_get_progress(job, &progress);
		ended[progress.state]++;
		job_free(job);
	}
	CHECK_INT(ended[JOB_DONE] + ended[JOB_FAILED], 12);
	workers_end_co(&pair, worker);
	pair_clear_co(&pair);
	pair_resync_co(&pair);
	CHECK(pair_is_equal_co(&pair));
	mirror_pair_end_co(&pair);
}

#define ROWS(name) \
	STACK_RIG_CASE(name, threads, .world = "threads", .lanes = 3), \
		STACK_RIG_CASE(name, simulated, .world = "simulated", \
			.lanes = 3, .seed = 1)

#define ROWS_WITH(name, argument) \
	STACK_RIG_CASE_WITH(name, argument, "threads " argument, \
		.world = "threads", .lanes = 3), \
		STACK_RIG_CASE_WITH(name, argument, "simulated " argument, \
			.world = "simulated", .lanes = 3, .seed = 2)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS(test_degrade_co),
		ROWS(test_leg_flush_co),
		STACK_RIG_CASE(test_settle_co, simulated, .world = "simulated",
			.lanes = 3, .seed = 1),
		STACK_RIG_CASE(test_sync_fails_co, simulated,
			.world = "simulated", .lanes = 3, .seed = 1),
		ROWS(test_fail_co),
		ROWS(test_source_fails_co),
		ROWS(test_failover_co),
		ROWS_WITH(test_failover_co, "off"),
		ROWS(test_overlap_co),
		ROWS(test_faults_co),
		ROWS_WITH(test_faults_co, ", on_error: fail"),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
