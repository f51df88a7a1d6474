/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts of the protocol file. Scripts of random requests run in the
 * simulator; before each submission and each completion of a disk operation the
 * power is cut in several ways, and what is left is held against a model: nothing
 * that was promised durable is lost, nothing else appears.
 *
 * POWER_CUT_SEEDS: runs of each script (default 3). The suite has to fail for the
 * drivers that tests/sim/test_mutants.sh makes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/prng.h"
#include "tests/lib/model_load.h"
#include "tests/lib/stack_sim.h"

#include <stdlib.h>
#include <string.h>

#define SECTORS_MOST 192u
#define SECTORS 128u
#define LANES 3u
#define WORKERS 6u
#define REQUESTS 18u
#define CUTS 3u /* at each point */
#define PATH "data/disk"

struct run;

struct script {
	const char *name;
	uint8_t weight[LOAD_OPS];
	uint32_t unit_sectors, most_units, hot_units;
	uint32_t align_bytes; /* of direct I/O */
	/* Beside the workers, until they are done; NULL: nothing. */
	void (*beside_co)(struct run *run);
};

struct run {
	const struct script *script;
	struct stack_rig *rig;
	struct block_source *source;
	struct sector_model *model;
	uint64_t seed, random;
	uint32_t sectors; /* what requests may use now */
	uint64_t size_bytes, next_size_bytes; /* both may be found */
	unsigned running;
	struct model_load load[WORKERS];
	uint64_t cuts;
};

static uint64_t all_cuts;

/* -- cutting -------------------------------------------------------------- */

static void check_left(struct run *run, const struct ring_world *left)
{
	static uint8_t data[SECTORS_MOST * SECTOR_BYTES];
	uint64_t size_bytes = sim_world_size_bytes(left, PATH);
	uint32_t sector;

	if (size_bytes != run->size_bytes && size_bytes != run->next_size_bytes)
		check_fail(__FILE__, __LINE__, "%s, seed %llu: size is %llu",
			run->script->name, (unsigned long long)run->seed,
			(unsigned long long)size_bytes);
	memset(data, 0, sizeof data);
	CHECK(sim_world_get(left, PATH, 0, data, size_bytes));
	sector = sector_model_check_cut(run->model, 0, SECTORS_MOST, data);
	if (sector == UINT32_MAX)
		return;
	sector_model_explain(run->model, sector, data + sector * SECTOR_BYTES);
	check_fail(__FILE__, __LINE__,
		"%s, seed %llu, point %llu: lost or made up", run->script->name,
		(unsigned long long)run->seed,
		(unsigned long long)sim_world_points(run->rig->world));
}

static void cut_here(void *argument, uint64_t point)
{
	struct run *run = argument;
	unsigned i;

	for (i = 0; i < CUTS; i++) {
		struct sim *after = sim_new(run->seed << 32 ^ point << 2 ^ i);
		struct ring_world *left =
			sim_world_after_cut(run->rig->world, after);

		check_left(run, left);
		ring_world_free(left);
		sim_free(after);
		run->cuts++;
	}
}

/* -- beside the workers --------------------------------------------------- */

/* Bigger, smaller: what was cut off and comes back is zero. */
static void resize_co(struct run *run)
{
	struct err err = {0};
	uint32_t to =
		(uint32_t)(SECTORS_MOST / 16 / 2 +
			prng_below(&run->random, SECTORS_MOST / 16 / 2 + 1)) *
		16;
	uint32_t from = (uint32_t)(run->size_bytes / SECTOR_BYTES);
	uint32_t version = UINT32_MAX;

	if (to < from) {
		run->sectors = to;
		version = sector_model_submit(run->model, to, from - to, true);
	}
	run->next_size_bytes = (uint64_t)to * SECTOR_BYTES;
	CHECK_INT(spec_resize_co(run->source, run->next_size_bytes, &err), 0);
	run->size_bytes = run->next_size_bytes;
	run->sectors = to;
	if (version != UINT32_MAX)
		sector_model_complete(run->model, version, true);
}

static void attach_or_detach_co(struct run *run)
{
	static const char *const documents[] = {
		"{type: delay, name: x, read_us: 300, write_us: 700}",
		"{type: throttle, name: x, iops: 20000}",
		"{type: fault, name: x, rules: [{op: write, delay_us: 900}]}",
		"{type: stats, name: x}"};
	struct err err = {0};

	CHECK_INT(spec_attach_co(run->source,
			  stack_rig_doc(run->rig,
				  documents[prng_below(&run->random, 4)]),
			  NULL, &err),
		0);
	loop_sleep_co(block_core_lane(run->rig->core, 0)->loop,
		prng_below(&run->random, 1000000));
	CHECK_INT(spec_detach_co(
			  run->source, "x", 10 * SPEC_GATE_DEADLINE_NS, &err),
		0);
}

/* The same file, opened anew in another way. */
static void swap_co(struct run *run)
{
	static const char *const documents[] = {
		"{protocol: {type: file, path: disk, locking: false, "
		"cache: direct}}",
		"{protocol: {type: file, path: disk, locking: false, "
		"cache: writeback}}"};
	struct spec_swap swap = {
		.document = stack_rig_doc(
			run->rig, documents[prng_below(&run->random, 2)]),
		.same_content = true,
		.deadline_ns = 10 * SPEC_GATE_DEADLINE_NS};
	struct err err = {0};

	CHECK_INT(spec_swap_bottom_co(run->source, &swap, &err), 0);
}

static void change_stack_co(struct run *run)
{
	if (prng_below(&run->random, 2))
		swap_co(run);
	else
		attach_or_detach_co(run);
}

/* -- scripts -------------------------------------------------------------- */

#define W(...) \
	{ \
		__VA_ARGS__ \
	}
static const struct script scripts[] = {
	{"write", W([LOAD_WRITE] = 10, [LOAD_FLUSH] = 2, [LOAD_READ] = 1), 8, 3,
		0, 512, NULL},
	{"overwrite", W([LOAD_WRITE] = 10, [LOAD_FLUSH] = 3), 8, 1, 2, 512,
		NULL},
	{"fua", W([LOAD_WRITE] = 3, [LOAD_FUA] = 8, [LOAD_FLUSH] = 1), 8, 2, 6,
		512, NULL},
	{"flush", W([LOAD_WRITE] = 4, [LOAD_FLUSH] = 8), 8, 1, 4, 512, NULL},
	{"zero",
		W([LOAD_WRITE] = 6, [LOAD_ZERO] = 3, [LOAD_UNMAP] = 3,
			[LOAD_FLUSH] = 3),
		1, 12, 0, 4096, NULL},
	{"discard", W([LOAD_WRITE] = 6, [LOAD_DISCARD] = 6, [LOAD_FLUSH] = 3),
		1, 12, 0, 4096, NULL},
	{"unaligned",
		W([LOAD_WRITE] = 8, [LOAD_FUA] = 3, [LOAD_FLUSH] = 3,
			[LOAD_READ] = 3),
		1, 5, 24, 4096, NULL},
	{"compare and write",
		W([LOAD_WRITE] = 2, [LOAD_COMPARE] = 8, [LOAD_FLUSH] = 2,
			[LOAD_READ] = 2),
		1, 4, 8, 4096, NULL},
	{"resize", W([LOAD_WRITE] = 8, [LOAD_FLUSH] = 3, [LOAD_READ] = 2), 8, 2,
		0, 512, resize_co},
	{"stack changes",
		W([LOAD_WRITE] = 6, [LOAD_FUA] = 2, [LOAD_FLUSH] = 3,
			[LOAD_READ] = 2, [LOAD_ZERO] = 1),
		8, 2, 6, 512, change_stack_co},
};

/* How the file is opened, and what its file system can: by the seed. */
static const char *const caches[] = {"direct", "writeback", "writethrough"};

static const char *cache_of(const struct run *run)
{
	/* Two of three: what a stack change opens is no writethrough. */
	if (run->script->beside_co == change_stack_co)
		return caches[run->seed % 2];
	return caches[run->seed % 3];
}

static void body_co(struct stack_rig *rig, void *argument)
{
	struct run *run = argument;
	char document[128];
	unsigned i;

	run->rig = rig;
	snprintf(document, sizeof document,
		"protocol: {type: file, path: disk, size: %u, cache: %s, "
		"locking: false}",
		SECTORS * SECTOR_BYTES, cache_of(run));
	run->source = stack_rig_source_co(rig, document);
	sim_world_watch(rig->world, cut_here, run);
	for (i = 0; i < WORKERS; i++) {
		struct model_load *load = &run->load[i];

		load->source = run->source;
		stack_rig_start(rig, i % rig->lanes, &load->task);
	}
	for (i = 0; i < REQUESTS / 3 && run->script->beside_co; i++)
		run->script->beside_co(run);
	for (i = 0; i < WORKERS; i++)
		stack_rig_join_co(&run->load[i].task);
	sim_world_watch(rig->world, NULL, NULL);
	model_load_verify_co(rig, &run->load[0]);
	block_source_put_co(run->source);
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
			.write_through = !strcmp(cache_of(run), "writethrough"),
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
		.direct_align_bytes = script->align_bytes,
		.no_punch = seed & 4,
		.no_zero_range = seed & 8};

	run.model = sector_model_new(SECTORS_MOST);
	plan_workers(&run);
	stack_rig_test(&setup, body_co, &run);
	sector_model_free(run.model);
	all_cuts += run.cuts;
}

static void test_script(void **state)
{
	const char *text = getenv("POWER_CUT_SEEDS");
	uint64_t seeds = text ? strtoull(text, NULL, 10) : 3, seed;

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
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	printf("figure power-cut-points value=%llu\n",
		(unsigned long long)all_cuts);
	return failed;
}
