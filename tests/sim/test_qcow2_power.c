/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts of the format qcow2. Scripts of random requests run on images in the
 * simulator; before each submission and each completion of a disk operation the
 * power is cut. What is left is opened again: every sector holds what the model
 * allows (last flushed or later, nothing else), and the image's own check finds
 * leaks at worst. A share of the images goes to qemu-img check (0 or 3).
 *
 * QCOW2_SEEDS: runs of each script (default 1). QCOW2_QEMU: every n-th image is
 * shown to qemu-img (default 50, 0: none). QCOW2_SCRIPT: the only script to run
 * (a pattern). The suite has to fail for the mistakes
 * that tests/sim/test_qcow2_mutants.sh makes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/prng.h"
#include "tests/lib/model_load.h"
#include "tests/lib/sim_world.h"
#include "tests/lib/stack_sim.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECTORS_MOST 384u
#define SECTORS 256u
#define LANES 2u
#define WORKERS 4u
#define REQUESTS 7u /* of each worker in each phase */
#define PATH "data/disk"
#define BASE "data/base"

enum { GROW = 1, REOPEN = 2, BACKED = 4, AGAIN = 8 };

struct script {
	const char *name, *options;
	uint8_t weight[LOAD_OPS];
	uint32_t unit_sectors, most_units, hot_units;
	unsigned what;
};

/* What a cut left, and what was promised then. */
struct cut {
	struct ring_world *world;
	struct sim *sim;
	struct sector_model *model;
	uint64_t point, size_bytes, next_size_bytes;
	STAILQ_ENTRY(cut) link;
};

struct run {
	const struct script *script;
	struct stack_rig *rig;
	struct block_source *source;
	struct sector_model *model;
	uint8_t *base; /* content of the backing file */
	uint64_t seed, random;
	uint32_t sectors;
	uint64_t size_bytes, next_size_bytes;
	struct model_load load[WORKERS];
	STAILQ_HEAD(, cut) cuts;
	struct cut *checking;
};

static uint64_t all_cuts, all_leaks, all_qemu;

static void describe(const struct run *run, bool made, char *out, size_t size)
{
	snprintf(out, size,
		"format: {type: qcow2, pool: 16K%s%s, "
		"file: {protocol: {type: file, path: disk%s, "
		"locking: false}}%s}",
		made ? "" : ", size: 128K", made ? "" : run->script->options,
		made ? "" : ", size: 4K",
		run->script->what & BACKED
			? ", backing: {protocol: {type: file, path: base, "
			  "read_only: true, locking: false}}"
			: "");
}

/* -- what a cut has left -------------------------------------------------- */

static void lost(const struct run *run, const char *what)
{
	check_fail(__FILE__, __LINE__, "%s, seed %llu, point %llu: %s",
		run->script->name, (unsigned long long)run->seed,
		(unsigned long long)run->checking->point, what);
}

static void check_sectors_co(
	struct run *run, struct stack_rig *rig, struct block_source *source)
{
	static uint8_t data[SECTORS_MOST * SECTOR_BYTES];
	struct cut *cut = run->checking;
	uint64_t size = block_source_info(source, block_core_lane(rig->core, 0))
				.size_bytes;
	uint32_t sector;

	if (size != cut->size_bytes && size != cut->next_size_bytes)
		lost(run, "another size");
	memset(data, 0, sizeof data);
	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_READ, 0, 0, size, data),
		0);
	sector = sector_model_check_cut(
		cut->model, 0, (uint32_t)(size / SECTOR_BYTES), data);
	if (sector == UINT32_MAX)
		return;
	sector_model_explain(cut->model, sector, data + sector * SECTOR_BYTES);
	lost(run, "lost or made up");
}

static void check_image_co(
	struct run *run, struct stack_rig *rig, struct block_source *source)
{
	char *said = stack_rig_command_co(rig, source, "qcow2", "check", NULL);

	if (!strstr(said, "\"errors\": 0,")) {
		fprintf(stderr, "%s\n", said);
		lost(run, "the image has errors");
	}
	if (!strstr(said, "\"leaks\": 0,"))
		all_leaks++;
	free(said);
}

/* It can be written to again: nothing leaked is in the way. */
static void write_again_co(
	struct run *run, struct stack_rig *rig, struct block_source *source)
{
	uint8_t *data = stack_rig_pattern(16 * SECTOR_BYTES, 3);

	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_WRITE, BLOCK_FUA,
			  run->checking->point % 200 * SECTOR_BYTES,
			  16 * SECTOR_BYTES, data),
		0);
	stack_rig_expect_co(rig, source,
		run->checking->point % 200 * SECTOR_BYTES, 16 * SECTOR_BYTES,
		data);
	check_image_co(run, rig, source);
	free(data);
}

static void reopened_co(struct stack_rig *rig, void *argument)
{
	struct run *run = argument;
	char document[512];
	struct block_source *source;

	describe(run, true, document, sizeof document);
	source = stack_rig_source_co(rig, document);
	check_sectors_co(run, rig, source);
	check_image_co(run, rig, source);
	if (run->checking->point % 8 == 0)
		write_again_co(run, rig, source);
	block_source_put_co(source);
}

static void show_to_qemu(struct run *run)
{
	const char *every = getenv("QCOW2_QEMU");
	uint64_t step = every ? strtoull(every, NULL, 10) : 50;
	char path[64] = "/tmp/cairn-qcow2.XXXXXX", command[160];
	int fd, status;

	if (!step || all_cuts % step)
		return;
	fd = mkstemp(path);
	CHECK(fd >= 0);
	close(fd);
	CHECK_INT(sim_world_export(run->checking->world, PATH, path), 0);
	snprintf(command, sizeof command,
		"qemu-img check -q -f qcow2 %s >/dev/null 2>&1", path);
	status = system(command);
	unlink(path);
	if (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 3)
		lost(run, "qemu-img check finds errors");
	all_qemu++;
}

/* The world that a cut has left goes on in the simulation of the rig. */
static struct ring_world *take_world(void *argument, struct sim *sim)
{
	struct cut *cut = argument;

	sim_world_of(cut->world)->sim = sim;
	return cut->world;
}

static void check_cuts(struct run *run)
{
	struct cut *cut;

	while ((cut = STAILQ_FIRST(&run->cuts))) {
		struct stack_rig_setup setup = {.world = "simulated",
			.lanes = 1,
			.seed = cut->point,
			.existing_world = take_world,
			.existing = cut};

		STAILQ_REMOVE_HEAD(&run->cuts, link);
		run->checking = cut;
		show_to_qemu(run);
		stack_rig_test(&setup, reopened_co, run);
		sim_free(cut->sim);
		sector_model_free(cut->model);
		free(cut);
		all_cuts++;
	}
}

/* -- cutting -------------------------------------------------------------- */

static void cut_here(void *argument, uint64_t point)
{
	struct run *run = argument;
	struct cut *cut = calloc(1, sizeof *cut);

	CHECK(cut != NULL);
	cut->sim = sim_new(run->seed << 32 ^ point << 2);
	cut->world = sim_world_after_cut(run->rig->world, cut->sim);
	cut->model = sector_model_copy(run->model);
	cut->point = point;
	cut->size_bytes = run->size_bytes;
	cut->next_size_bytes = run->next_size_bytes;
	STAILQ_INSERT_TAIL(&run->cuts, cut, link);
}

/* -- scripts -------------------------------------------------------------- */

#define PLAIN ", subclusters: \"off\", cluster_size: 4K"
#define SMALL ", subclusters: \"off\", cluster_size: 512"
#define LARGE ", subclusters: \"off\", cluster_size: 64K"
#define PARTS ", subclusters: \"on\", cluster_size: 16K"
#define OLD ", version: \"2\", cluster_size: 4K"
#define W(...) \
	{ \
		__VA_ARGS__ \
	}
#define WRITES W([LOAD_WRITE] = 10, [LOAD_FLUSH] = 2, [LOAD_READ] = 1)
#define FUAS W([LOAD_WRITE] = 3, [LOAD_FUA] = 8, [LOAD_FLUSH] = 1)
#define FLUSHES W([LOAD_WRITE] = 4, [LOAD_FLUSH] = 8)
#define ZEROES \
	W([LOAD_WRITE] = 6, [LOAD_ZERO] = 3, [LOAD_UNMAP] = 3, [LOAD_FLUSH] = 3)
#define DISCARDS W([LOAD_WRITE] = 6, [LOAD_DISCARD] = 6, [LOAD_FLUSH] = 3)
#define COMPARES W([LOAD_WRITE] = 3, [LOAD_COMPARE] = 6, [LOAD_FLUSH] = 2)
static const struct script scripts[] = {
	{"write", PLAIN, WRITES, 1, 20, 0, 0},
	{"write, clusters of 512", SMALL, WRITES, 1, 8, 0, 0},
	{"write, clusters of 64K", LARGE, WRITES, 1, 20, 0, 0},
	{"write, subclusters", PARTS, WRITES, 1, 20, 0, 0},
	{"write, version 2", OLD, WRITES, 1, 20, 0, 0},
	{"overwrite", PLAIN, WRITES, 2, 6, 8, 0},
	{"overwrite, subclusters", PARTS, WRITES, 1, 6, 24, 0},
	{"fua", PLAIN, FUAS, 1, 12, 0, 0},
	{"fua, subclusters", PARTS, FUAS, 1, 12, 0, 0},
	{"fua, hot", PLAIN, FUAS, 1, 4, 12, 0},
	{"flush", PLAIN, FLUSHES, 4, 4, 0, 0},
	{"flush, subclusters", PARTS, FLUSHES, 2, 4, 0, 0},
	{"zero", PLAIN, ZEROES, 1, 40, 0, 0},
	{"zero, subclusters", PARTS, ZEROES, 1, 60, 0, 0},
	{"zero, version 2", OLD, ZEROES, 1, 40, 0, 0},
	{"discard", PLAIN, DISCARDS, 4, 12, 0, 0},
	{"discard, clusters of 512", SMALL, DISCARDS, 1, 24, 64, 0},
	{"discard, subclusters", PARTS, DISCARDS, 1, 60, 0, 0},
	{"discard and write again", PLAIN, DISCARDS, 8, 2, 4, AGAIN},
	{"compare and write", PLAIN, COMPARES, 1, 4, 8, 0},
	{"copy up", PLAIN, WRITES, 1, 12, 0, BACKED},
	{"copy up, subclusters", PARTS, WRITES, 1, 12, 0, BACKED},
	{"copy up, clusters of 64K", LARGE, FUAS, 1, 12, 0, BACKED},
	{"zero over a backing file", PLAIN, ZEROES, 1, 40, 0, BACKED},
	{"zero over a backing file, subclusters", PARTS, ZEROES, 1, 60, 0,
		BACKED},
	{"discard over a backing file, version 2", OLD, DISCARDS, 1, 40, 0,
		BACKED},
	{"grow", PLAIN, WRITES, 1, 12, 0, GROW},
	{"grow, clusters of 512", SMALL, WRITES, 1, 12, 0, GROW},
	{"close and open", PLAIN, DISCARDS, 1, 24, 0, REOPEN},
	{"close and open, subclusters", PARTS, ZEROES, 1, 24, 0,
		REOPEN | BACKED},
};

static void work_co(struct run *run)
{
	unsigned i;

	for (i = 0; i < WORKERS; i++) {
		struct model_load *load = &run->load[i];

		load->done = 0;
		load->source = run->source;
		load->task.done = false;
		stack_rig_start(run->rig, i % LANES, &load->task);
	}
	for (i = 0; i < WORKERS; i++)
		stack_rig_join_co(&run->load[i].task);
}

static void grow_co(struct run *run)
{
	struct err err = {0};

	run->next_size_bytes = (uint64_t)SECTORS_MOST * SECTOR_BYTES;
	CHECK_INT(spec_resize_co(run->source, run->next_size_bytes, &err), 0);
	run->size_bytes = run->next_size_bytes;
	run->sectors = SECTORS_MOST;
}

static void reopen_co(struct run *run)
{
	char document[512];

	block_source_put_co(run->source);
	describe(run, true, document, sizeof document);
	run->source = stack_rig_source_co(run->rig, document);
}

static void put_base(struct run *run)
{
	uint32_t version = sector_model_submit(run->model, 0, SECTORS, false);

	run->base = malloc(SECTORS * SECTOR_BYTES);
	CHECK(run->base != NULL);
	sector_model_fill(run->model, version, run->base);
	sector_model_complete(run->model, version, true);
	sim_world_put(run->rig->world, BASE, run->base, SECTORS * SECTOR_BYTES);
}

static void body_co(struct stack_rig *rig, void *argument)
{
	struct run *run = argument;
	char document[512];

	run->rig = rig;
	if (run->script->what & BACKED)
		put_base(run);
	describe(run, false, document, sizeof document);
	run->source = stack_rig_source_co(rig, document);
	sim_world_watch(rig->world, cut_here, run);
	work_co(run);
	if (run->script->what & GROW)
		grow_co(run);
	if (run->script->what & REOPEN)
		reopen_co(run);
	if (run->script->what & (GROW | REOPEN | AGAIN))
		work_co(run);
	model_load_verify_co(rig, &run->load[0]);
	block_source_put_co(run->source);
	sim_world_watch(rig->world, NULL, NULL);
}

static void plan_workers(struct run *run)
{
	const struct script *script = run->script;
	unsigned i;

	for (i = 0; i < WORKERS; i++) {
		struct model_load *load = &run->load[i];

		*load = (struct model_load){.task.run_co = model_load_run_co,
			.model = run->model,
			.random = prng_next(&run->random),
			.sectors = &run->sectors,
			.unit_sectors = script->unit_sectors,
			.most_units = script->most_units,
			.hot_units = script->hot_units,
			.fua_percent = 30,
			.requests = REQUESTS};
		memcpy(load->weight, script->weight, sizeof load->weight);
	}
}

static void run_once(const struct script *script, uint64_t seed)
{
	struct run run = {.script = script,
		.seed = seed,
		.random = seed,
		.sectors = SECTORS,
		.size_bytes = SECTORS * SECTOR_BYTES,
		.next_size_bytes = SECTORS * SECTOR_BYTES};
	struct stack_rig_setup setup = {.world = "simulated",
		.lanes = LANES,
		.seed = seed,
		.direct_align_bytes = seed % 2 ? 512 : 4096,
		.no_punch = seed & 4,
		.no_zero_range = seed & 8};

	STAILQ_INIT(&run.cuts);
	run.model = sector_model_new(SECTORS_MOST);
	plan_workers(&run);
	stack_rig_test(&setup, body_co, &run);
	check_cuts(&run);
	sector_model_free(run.model);
	free(run.base);
}

static void test_script(void **state)
{
	const char *text = getenv("QCOW2_SEEDS");
	uint64_t seeds = text ? strtoull(text, NULL, 10) : 1, seed;

	for (seed = 1; seed <= seeds; seed++)
		run_once(*state, seed);
}

#define SCRIPTS (sizeof scripts / sizeof scripts[0])

int main(void)
{
	struct CMUnitTest tests[SCRIPTS];
	int failed;
	size_t i;

	for (i = 0; i < SCRIPTS; i++)
		tests[i] = (struct CMUnitTest){.name = scripts[i].name,
			.test_func = test_script,
			.initial_state = (void *)&scripts[i]};
	cmocka_set_test_filter(getenv("QCOW2_SCRIPT"));
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	printf("figure qcow2-power-cut-points value=%llu\n",
		(unsigned long long)all_cuts);
	printf("figure qcow2-power-cut-images-by-qemu value=%llu\n",
		(unsigned long long)all_qemu);
	printf("figure qcow2-power-cut-images-with-leaks value=%llu\n",
		(unsigned long long)all_leaks);
	return failed;
}
