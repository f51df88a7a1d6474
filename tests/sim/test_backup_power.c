/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts around a backup with a map: before each submission and each completion of a
 * disk operation of the source, of the target and of the map, from its attaching on,
 * while workers write, flush and discard, a job copies the rest, the source changes its
 * size, the target fails. What is left is opened again: once the moment was durable it
 * is there, as it was, and stays so over more changes and a clean stop; else it says
 * that it is broken. Wrong data are never read.
 *
 * BACKUP_SEEDS: runs of each kind (default 1).
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

#define SECTORS 256u
#define BYTES (SECTORS * SECTOR_BYTES)
#define LANES 2u
#define WORKERS 3u
#define DEADLINE_NS (1000ull * 1000 * 1000)
#define WAIT_NS (1ull * 1000 * 1000)

#define RAW "protocol: {type: file, locking: false, path: disk, size: 128K}"
#define QCOW2 \
	"format: {type: qcow2, pool: 64K, cluster_size: 4K, size: 128K, " \
	"file: {protocol: {type: file, locking: false, path: disk, size: " \
	"4K}}}"
#define TARGET \
	"{listeners: [{type: fault, name: f}], protocol: {type: file, " \
	"locking: false, path: target, size: 256K}}"
#define BACKUP \
	"{type: backup, name: b, granularity: 4K, map: map, target: source-1}"

struct cut {
	struct power_cut left;
	bool whole; /* the moment must be there */
	STAILQ_ENTRY(cut) link;
};

struct run {
	uint64_t seed, random;
	const char *bottom;
	void (*end_co)(struct run *run);
	bool unflushed; /* hosts flush nothing */
	struct stack_rig *rig;
	struct block_source *target, *source;
	struct sector_model *model;
	uint32_t sectors;
	uint8_t *moment; /* NULL: not yet known */
	bool durable, doubted; /* it is; perhaps it is not any more */
	struct model_load load[WORKERS];
	STAILQ_HEAD(, cut) cuts;
	const struct cut *checking;
};

static struct {
	uint64_t points, whole, broken;
} total;

/* -- what a cut has left -------------------------------------------------- */

static void wrong(const struct run *run, const char *what)
{
	check_fail(__FILE__, __LINE__, "seed %llu, point %llu: %s",
		(unsigned long long)run->seed,
		(unsigned long long)run->checking->left.point, what);
}

static struct block_source *open_co(struct run *run, struct stack_rig *rig)
{
	char text[700];

	snprintf(text, sizeof text, "{listeners: [" BACKUP "], %s}",
		run->bottom);
	return stack_rig_source_co(rig, text);
}

static void expect_moment_co(
	struct run *run, struct stack_rig *rig, struct block_source *source)
{
	char text[160];
	uint8_t *data = aligned_alloc(4096, BYTES);

	snprintf(text, sizeof text, "{source: %s, view: {backup: b}}",
		block_source_name(source));
	struct block_source *view = stack_rig_source_co(rig, text);
	CHECK(data != NULL);
	CHECK_INT(block_transfer_co(view, block_core_lane(rig->core, 0),
			  BLOCK_READ, 0, 0, BYTES, data),
		0);
	if (memcmp(data, run->moment, BYTES))
		wrong(run, "the moment is another one");
	block_source_put_co(view);
	free(data);
}

static bool is_whole(struct block_source *source)
{
	char *status = stack_rig_status(source);
	bool whole = strstr(status, "\"state\": \"active\"") ||
		strstr(status, "\"state\": \"complete\"");

	free(status);
	return whole;
}

static void overwrite_co(
	struct run *run, struct stack_rig *rig, struct block_source *source)
{
	uint8_t *data = stack_rig_pattern(4096, 3);

	for (unsigned i = 0; i < 4; i++)
		CHECK_INT(
			block_transfer_co(source, block_core_lane(rig->core, 0),
				BLOCK_WRITE, 0,
				prng_below(&run->random, BYTES / 512 - 8) * 512,
				4096, data),
			0);
	free(data);
}

static void reopened_co(struct stack_rig *rig, void *argument)
{
	struct run *run = argument;
	struct block_source *target = stack_rig_source_co(rig, TARGET);
	struct block_source *source = open_co(run, rig);

	if (is_whole(source)) {
		total.whole++;
		expect_moment_co(run, rig, source);
		overwrite_co(run, rig, source);
		expect_moment_co(run, rig, source);
		block_source_put_co(source);
		source = open_co(run, rig);
		if (!is_whole(source))
			wrong(run, "a clean stop has ended the moment");
		expect_moment_co(run, rig, source);
	} else {
		total.broken++;
		if (run->checking->whole)
			wrong(run, "the moment is gone");
		char *status = stack_rig_status(source);
		CHECK(strstr(status, "\"broken\": \"") != NULL);
		free(status);
	}
	block_source_put_co(source);
	block_source_put_co(target);
}

/* Nothing of what was before the moment is known is looked at. */
static void cut_here(void *argument, uint64_t point)
{
	struct run *run = argument;

	if (!run->moment)
		return;
	struct cut *cut = calloc(1, sizeof *cut);

	CHECK(cut != NULL);
	power_cut_take(&cut->left, run->rig, run->seed, point, run->model);
	cut->whole = run->durable && !run->doubted;
	STAILQ_INSERT_TAIL(&run->cuts, cut, link);
}

static void check_cuts(struct run *run)
{
	struct cut *cut;

	while ((cut = STAILQ_FIRST(&run->cuts))) {
		STAILQ_REMOVE_HEAD(&run->cuts, link);
		run->checking = cut;
		power_cut_reopen(&cut->left, reopened_co, run);
		total.points++;
		free(cut);
	}
}

/* -- parts of a run -------------------------------------------------------- */

static void load_start(struct run *run, unsigned requests)
{
	const struct model_load like = {.source = run->source,
		.model = run->model,
		.weight = {[LOAD_WRITE] = 8,
			[LOAD_FLUSH] = run->unflushed ? 0 : 2,
			[LOAD_FUA] = run->unflushed ? 0 : 2,
			[LOAD_UNMAP] = 1,
			[LOAD_DISCARD] = 1},
		.sectors = &run->sectors,
		.unit_sectors = 1,
		.most_units = 12,
		.fua_percent = run->unflushed ? 0 : 30,
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

static void attach_co(struct run *run)
{
	struct stack_rig *rig = run->rig;
	struct err err = {0};
	char text[160];
	uint8_t *data = aligned_alloc(4096, BYTES);

	CHECK(data != NULL);
	if (spec_attach_co(run->source, stack_rig_doc(rig, BACKUP), NULL, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	snprintf(text, sizeof text, "{source: %s, view: {backup: b}}",
		block_source_name(run->source));
	struct block_source *view = stack_rig_source_co(rig, text);
	CHECK_INT(block_transfer_co(view, block_core_lane(rig->core, 0),
			  BLOCK_READ, 0, 0, BYTES, data),
		0);
	block_source_put_co(view);
	run->moment = data;
}

static void until_durable_co(struct run *run)
{
	struct loop *loop = block_core_lane(run->rig->core, 0)->loop;

	for (;;) {
		char *status = stack_rig_status(run->source);

		run->durable = strstr(status, "\"durable\": true") != NULL;
		free(status);
		if (run->durable)
			return;
		loop_sleep_co(loop, WAIT_NS);
	}
}

/* -- how it goes on ------------------------------------------------------- */

/* All of it is copied, while hosts write. */
static void job_end_co(struct run *run)
{
	struct job_progress progress;
	struct job *job;
	struct err err = {0};

	load_start(run, 3);
	if (job_start_co(run->rig->core, run->source, "backup",
		    stack_rig_doc(run->rig, "{listener: b}"), 0, &job, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	job_wait_co(job);
	job_get_progress(job, &progress);
	CHECK_INT(progress.state, JOB_DONE);
	job_free(job);
	load_end_co(run);
	load_co(run, 2);
}

/* Hosts go on, the moment is lost. */
static void stop_end_co(struct run *run)
{
	run->doubted = true;
	free(stack_rig_command_co(run->rig, run->source, "b", "stop", NULL));
	load_co(run, 4);
}

/* Nothing more can be copied: hosts go on, the moment is lost with the first change of
 * what was not. */
static void target_end_co(struct run *run)
{
	run->doubted = true;
	free(stack_rig_command_co(
		run->rig, run->target, "f", "add", "{op: change, error: EIO}"));
	load_co(run, 6);
	CHECK(!is_whole(run->source));
}

/* Shorter: behind what was copied nothing is lost. */
static void resize_end_co(struct run *run)
{
	struct err err = {0};

	run->doubted = true;
	CHECK_INT(spec_resize_co(run->source, 2 * BYTES, &err), 0);
	load_co(run, 2);
	CHECK_INT(spec_resize_co(run->source, BYTES, &err), 0);
	until_durable_co(run);
	CHECK(is_whole(run->source));
	run->doubted = false;
	load_co(run, 3);
}

/* Back to what was before: the moment is lost. */
static void revert_end_co(struct run *run)
{
	struct err err = {0};

	run->doubted = true;
	CHECK_INT(spec_snapshot_revert_co(
			  run->source, "old", "new", DEADLINE_NS, &err),
		0);
	CHECK(!is_whole(run->source));
}

/* -- the run -------------------------------------------------------------- */

static void body_co(struct stack_rig *rig, void *argument)
{
	struct run *run = argument;
	struct err err = {0};
	char text[300];

	run->rig = rig;
	run->target = stack_rig_source_co(rig, TARGET);
	snprintf(text, sizeof text, "{%s}", run->bottom);
	run->source = stack_rig_source_co(rig, text);
	if (run->end_co == revert_end_co)
		CHECK_INT(spec_snapshot_create_co(
				  run->source, "old", DEADLINE_NS, &err),
			0);
	load_co(run, 10); /* some of it is not flushed */
	sim_world_watch(rig->world, cut_here, run);
	if (!run->unflushed)
		load_start(run, 6);
	attach_co(run);
	until_durable_co(run);
	if (!run->unflushed)
		load_end_co(run);
	load_co(run, 3);
	run->end_co(run);
	sim_world_watch(rig->world, NULL, NULL);
	block_source_put_co(run->source);
	block_source_put_co(run->target);
}

static void run_kind_with(
	const char *bottom, void (*end_co)(struct run *run), bool unflushed)
{
	const char *text = getenv("BACKUP_SEEDS");
	uint64_t seeds = text ? strtoull(text, NULL, 10) : 1;
	static uint64_t seed;

	for (uint64_t last = seed + seeds; ++seed <= last;) {
		struct run run = {.seed = seed,
			.random = seed,
			.bottom = bottom,
			.end_co = end_co,
			.unflushed = unflushed,
			.sectors = SECTORS,
			.model = sector_model_new(SECTORS)};
		struct stack_rig_setup setup = {.world = "simulated",
			.lanes = LANES,
			.seed = seed,
			.direct_align_bytes = seed % 2 ? 512 : 4096};

		STAILQ_INIT(&run.cuts);
		stack_rig_test(&setup, body_co, &run);
		check_cuts(&run);
		sector_model_free(run.model);
		free(run.moment);
	}
}

static void run_kind(const char *bottom, void (*end_co)(struct run *run))
{
	run_kind_with(bottom, end_co, false);
}

static void test_job(void **state)
{
	(void)state;
	run_kind(RAW, job_end_co);
}

static void test_qcow2(void **state)
{
	(void)state;
	run_kind(QCOW2, job_end_co);
}

static void nothing_co(struct run *run)
{
	(void)run;
}

static void test_unflushed(void **state)
{
	(void)state;
	run_kind_with(RAW, nothing_co, true);
}

static void test_stop(void **state)
{
	(void)state;
	run_kind(RAW, stop_end_co);
}

static void test_target(void **state)
{
	(void)state;
	run_kind(RAW, target_end_co);
}

static void test_resize(void **state)
{
	(void)state;
	run_kind(RAW, resize_end_co);
}

static void test_revert(void **state)
{
	(void)state;
	run_kind(QCOW2, revert_end_co);
}

static void test_both_were_there(void **state)
{
	(void)state;
	assert_true(total.whole > total.points / 2);
	assert_true(total.broken > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_job),
		cmocka_unit_test(test_qcow2),
		cmocka_unit_test(test_unflushed),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_target),
		cmocka_unit_test(test_resize),
		cmocka_unit_test(test_revert),
		cmocka_unit_test(test_both_were_there),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	printf("figure backup-power-cut-points value=%llu\n",
		(unsigned long long)total.points);
	return failed;
}
