/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts around a mirror with a map: before each submission and each completion of
 * a disk operation of the source, of the leg and of the map, while workers write, flush
 * and discard, a resync copies, marks are taken off, the leg fails and comes back.
 * What is left is opened again: the source holds what the model allows; and after a
 * resync, which copies what the map says and nothing else, both are equal.
 *
 * Images are raw and qcow2, on either side.
 *
 * MIRROR_SEEDS: runs of each kind (default 2, of qcow2 1).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/list.h"
#include "blockcore/base/prng.h"
#include "blockcore/job.h"
#include "tests/lib/model_load.h"
#include "tests/lib/power_cut.h"
#include "tests/lib/sim_world.h"

#include <stdlib.h>
#include <string.h>

#define SECTORS 512u
#define BYTES (SECTORS * SECTOR_BYTES)
#define LANES 2u
#define WORKERS 3u
#define SETTLED_NS (6ull * 1000 * 1000 * 1000)

#define RAW_IN(path) \
	"protocol: {type: file, locking: false, path: " path ", size: 256K}"
#define QCOW2_IN(path) \
	"format: {type: qcow2, pool: 64K, cluster_size: 4K, size: 256K, " \
	"file: {protocol: {type: file, locking: false, path: " path \
	", size: 4K}}}"

/* What the source stands on at first, and its leg. */
struct layout {
	const char *disk, *copy;
};
static const struct layout raw = {RAW_IN("disk"), RAW_IN("copy")},
			   leg_is_qcow2 = {RAW_IN("disk"), QCOW2_IN("copy")},
			   stands_on_qcow2 = {QCOW2_IN("disk"), RAW_IN("copy")};

struct cut {
	struct power_cut left;
	bool synced; /* the first resync had ended */
	char *kept; /* the document that was durable then; NULL: the first */
	STAILQ_ENTRY(cut) link;
};

struct run {
	uint64_t seed, random;
	const struct layout *layout;
	/* Documents: the leg as a source of its own, the source with it; and the source
	 * with a leg of its own, for pivots. */
	char leg_text[512], source_text[768], inline_text[1024];
	struct stack_rig *rig;
	struct block_source *leg, *source;
	struct sector_model *model;
	uint32_t sectors;
	bool synced;
	bool ends; /* the mirror, with the pivot; else roles are exchanged */
	struct job_keeper keeper; /* of runs that pivot */
	char *kept; /* what the pivot made durable; NULL: nothing yet */
	struct model_load load[WORKERS];
	STAILQ_HEAD(, cut) cuts;
	const struct cut *checking;
};

static struct {
	uint64_t points, bounded; /* those where little was copied */
	uint64_t pivoted; /* those after a pivot */
} total;

/* -- what a cut has left -------------------------------------------------- */

static uint64_t job_co(struct stack_rig *rig, struct block_source *source,
	const char *kind, const char *options)
{
	struct job_progress progress;
	struct job *job;
	struct err err = {0};

	if (job_start_co(rig->core, source, kind, stack_rig_doc(rig, options),
		    0, &job, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	job_wait_co(job);
	job_get_progress(job, &progress);
	if (progress.state != JOB_DONE)
		check_fail(__FILE__, __LINE__, "%s", progress.error.text);
	job_free(job);
	return progress.done;
}

static uint64_t resync_co(struct stack_rig *rig, struct block_source *source)
{
	return job_co(rig, source, "resync", "{}");
}

static uint8_t *read_co(struct stack_rig *rig, struct block_source *source)
{
	uint8_t *data = calloc(1, BYTES);

	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_READ, 0, 0, BYTES, data),
		0);
	return data;
}

static void expect_equal_co(struct run *run, struct stack_rig *rig,
	struct block_source *source, struct block_source *leg)
{
	uint8_t *here = read_co(rig, source), *there = read_co(rig, leg);

	for (unsigned i = 0; i < SECTORS; i++) {
		if (memcmp(here + i * SECTOR_BYTES, there + i * SECTOR_BYTES,
			    SECTOR_BYTES))
			check_fail(__FILE__, __LINE__,
				"seed %llu, point %llu: sector %u differs",
				(unsigned long long)run->seed,
				(unsigned long long)run->checking->left.point,
				i);
	}
	free(here);
	free(there);
}

static void reopened_co(struct stack_rig *rig, void *argument)
{
	struct run *run = argument;
	struct block_source *leg = stack_rig_source_co(rig, run->leg_text);
	struct block_source *source =
		stack_rig_source_co(rig, run->source_text);

	if (!power_cut_sectors_hold_co(
		    run->checking->left.model, rig, source, BYTES))
		check_fail(__FILE__, __LINE__,
			"seed %llu, point %llu: lost or made up",
			(unsigned long long)run->seed,
			(unsigned long long)run->checking->left.point);
	uint64_t copied = resync_co(rig, source);
	total.bounded += run->checking->synced && copied < BYTES;
	expect_equal_co(run, rig, source, leg);
	block_source_put_co(source);
	block_source_put_co(leg);
}

static struct block_source *bottom_co(struct stack_rig *rig, const char *bottom)
{
	char text[512];

	snprintf(text, sizeof text, "{%s}", bottom);
	return stack_rig_source_co(rig, text);
}

/* It stands on what was durable then. Where the mirror has ended the leg alone counts. */
static void reopened_pivot_co(struct stack_rig *rig, void *argument)
{
	struct run *run = argument;
	const char *kept = run->checking->kept;
	struct block_source *source =
		stack_rig_source_co(rig, kept ? kept : run->inline_text);

	if (!power_cut_sectors_hold_co(
		    run->checking->left.model, rig, source, BYTES))
		check_fail(__FILE__, __LINE__,
			"seed %llu, point %llu: lost or made up",
			(unsigned long long)run->seed,
			(unsigned long long)run->checking->left.point);
	total.pivoted += kept != NULL;
	if (kept && run->ends) {
		block_source_put_co(source);
		return;
	}
	uint64_t copied = resync_co(rig, source);
	total.bounded += kept && copied < BYTES;
	block_source_put_co(source);
	struct block_source *leg = bottom_co(rig, run->layout->copy);
	source = bottom_co(rig, run->layout->disk);
	expect_equal_co(run, rig, source, leg);
	block_source_put_co(source);
	block_source_put_co(leg);
}

static void cut_here(void *argument, uint64_t point)
{
	struct run *run = argument;
	struct cut *cut = calloc(1, sizeof *cut);

	CHECK(cut != NULL);
	power_cut_take(&cut->left, run->rig, run->seed, point, run->model);
	cut->synced = run->synced;
	cut->kept = run->kept ? strdup(run->kept) : NULL;
	STAILQ_INSERT_TAIL(&run->cuts, cut, link);
}

static void check_cuts(
	struct run *run, void (*look_co)(struct stack_rig *rig, void *argument))
{
	struct cut *cut;

	while ((cut = STAILQ_FIRST(&run->cuts))) {
		STAILQ_REMOVE_HEAD(&run->cuts, link);
		run->checking = cut;
		power_cut_reopen(&cut->left, look_co, run);
		total.points++;
		free(cut->kept);
		free(cut);
	}
}

/* -- the run -------------------------------------------------------------- */

static void load_start(struct run *run, unsigned requests)
{
	const struct model_load like = {.source = run->source,
		.model = run->model,
		.weight = {[LOAD_WRITE] = 8,
			[LOAD_FLUSH] = 3,
			[LOAD_FUA] = 2,
			[LOAD_UNMAP] = 1,
			[LOAD_DISCARD] = 1},
		.sectors = &run->sectors,
		.unit_sectors = 1,
		.most_units = 12,
		.fua_percent = 30,
		.requests = requests};

	model_load_plan(run->load, WORKERS, &like, &run->random);
	model_load_start_all(run->rig, run->load, WORKERS);
}

static void load_end_co(struct run *run)
{
	model_load_join_all_co(run->load, WORKERS);
}

static void load_co(struct run *run, unsigned requests)
{
	load_start(run, requests);
	load_end_co(run);
}

static void resync_under_load_co(struct run *run)
{
	load_start(run, 4);
	resync_co(run->rig, run->source);
	load_end_co(run);
}

static void body_co(struct stack_rig *rig, void *argument)
{
	struct run *run = argument;
	struct loop *loop = block_core_lane(rig->core, 0)->loop;

	run->rig = rig;
	run->leg = stack_rig_source_co(rig, run->leg_text);
	run->source = stack_rig_source_co(rig, run->source_text);
	sim_world_watch(rig->world, cut_here, run);
	load_co(run, 2);
	resync_under_load_co(run);
	run->synced = true;
	load_co(run, 5);
	loop_sleep_co(loop, SETTLED_NS);
	run->sectors = SECTORS / 2; /* elsewhere marks are taken off */
	load_co(run, 3);
	loop_sleep_co(loop, SETTLED_NS);
	load_co(run, 3);
	free(stack_rig_command_co(rig, run->leg, "f", "add",
		"{op: change, error: EIO, count: 1}"));
	load_co(run, 4);
	resync_under_load_co(run);
	load_co(run, 2);
	sim_world_watch(rig->world, NULL, NULL);
	block_source_put_co(run->source);
	block_source_put_co(run->leg);
}

/* -- pivots --------------------------------------------------------------- */

static void tell_co(struct job_keeper *keeper, const struct job_pivot *pivot)
{
	(void)keeper;
	(void)pivot;
}

static int keep_co(struct job_keeper *keeper, const struct job_pivot *pivot,
	struct err *err)
{
	struct run *run = container_of(keeper, struct run, keeper);

	(void)err;
	free(run->kept);
	run->kept = strdup(pivot->document);
	return 0;
}

static int begun_co(struct job_keeper *keeper, struct job *job, uint64_t cursor,
	struct err *err)
{
	(void)keeper;
	(void)job;
	(void)cursor;
	(void)err;
	return 0;
}

static void body_pivot_co(struct stack_rig *rig, void *argument)
{
	struct run *run = argument;

	run->rig = rig;
	run->keeper = (struct job_keeper){.begun_co = begun_co,
		.begin_co = tell_co,
		.keep_co = keep_co,
		.end_co = tell_co};
	job_set_keeper(rig->core, &run->keeper);
	run->source = stack_rig_source_co(rig, run->inline_text);
	sim_world_watch(rig->world, cut_here, run);
	load_co(run, 3);
	resync_under_load_co(run);
	loop_sleep_co(block_core_lane(rig->core, 0)->loop, SETTLED_NS);
	run->sectors = SECTORS / 2; /* elsewhere marks are taken off */
	for (unsigned i = 0; i < (run->ends ? 1 : 2); i++) {
		load_start(run, 8);
		job_co(rig, run->source, "pivot",
			run->ends ? "{end: true}" : "{}");
		load_end_co(run);
		load_co(run, 3);
	}
	sim_world_watch(rig->world, NULL, NULL);
	block_source_put_co(run->source);
	job_set_keeper(rig->core, NULL);
}

static void run_documents(struct run *run)
{
	const struct layout *layout = run->layout;

	snprintf(run->leg_text, sizeof run->leg_text,
		"{listeners: [{type: fault, name: f}], %s}", layout->copy);
	snprintf(run->source_text, sizeof run->source_text,
		"{listeners: [{type: mirror, name: m, granularity: 64K, leg: "
		"source-1, map: map}], %s}",
		layout->disk);
	snprintf(run->inline_text, sizeof run->inline_text,
		"{listeners: [{type: mirror, name: m, granularity: 64K, leg: "
		"{%s}, map: map}], %s}",
		layout->copy, layout->disk);
}

static void run_seeds(const struct layout *layout, bool ends,
	void (*run_co)(struct stack_rig *rig, void *argument),
	void (*look_co)(struct stack_rig *rig, void *argument))
{
	const char *text = getenv("MIRROR_SEEDS");
	uint64_t seeds = text	 ? strtoull(text, NULL, 10)
		: layout == &raw ? 2
				 : 1;

	for (uint64_t seed = 1; seed <= seeds; seed++) {
		struct run run = {.seed = seed,
			.layout = layout,
			.ends = ends,
			.random = seed,
			.sectors = SECTORS,
			.model = sector_model_new(SECTORS)};
		struct stack_rig_setup setup = {.world = "simulated",
			.lanes = LANES,
			.seed = seed,
			.direct_align_bytes = seed % 2 ? 512 : 4096};

		STAILQ_INIT(&run.cuts);
		run_documents(&run);
		stack_rig_test(&setup, run_co, &run);
		check_cuts(&run, look_co);
		sector_model_free(run.model);
		free(run.kept);
	}
}

static void test_faults(void **state)
{
	(void)state;
	run_seeds(&raw, false, body_co, reopened_co);
	assert_true(total.bounded > total.points / 4);
}

static void test_pivot(void **state)
{
	(void)state;
	run_seeds(&raw, true, body_pivot_co, reopened_pivot_co);
	assert_true(total.pivoted > 0);
}

/* There and back: what is below the mirror counts, whichever of both that is. */
static void exchange(const struct layout *layout)
{
	uint64_t pivoted = total.pivoted, bounded = total.bounded;

	run_seeds(layout, false, body_pivot_co, reopened_pivot_co);
	pivoted = total.pivoted - pivoted;
	assert_true(pivoted > 0);
	assert_true(total.bounded - bounded > pivoted / 4);
}

static void test_exchange(void **state)
{
	(void)state;
	exchange(&raw);
}

static void test_leg_is_qcow2(void **state)
{
	(void)state;
	run_seeds(&leg_is_qcow2, false, body_co, reopened_co);
}

static void test_stands_on_qcow2(void **state)
{
	(void)state;
	run_seeds(&stands_on_qcow2, false, body_co, reopened_co);
}

static void test_exchange_qcow2(void **state)
{
	(void)state;
	exchange(&leg_is_qcow2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_faults),
		cmocka_unit_test(test_pivot), cmocka_unit_test(test_exchange),
		cmocka_unit_test(test_leg_is_qcow2),
		cmocka_unit_test(test_stands_on_qcow2),
		cmocka_unit_test(test_exchange_qcow2)};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	printf("figure mirror-power-cut-points value=%llu\n",
		(unsigned long long)total.points);
	printf("figure mirror-power-cut-points-after-pivots value=%llu\n",
		(unsigned long long)total.pivoted);
	return failed;
}
