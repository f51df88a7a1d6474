/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts around external snapshots. Two snapshots are taken while workers
 * write, flush and discard; before each submission and each completion of a disk
 * operation the power is cut. What is left is opened by the document that was
 * durable then: every sector holds what the model allows (last flushed or later,
 * nothing else), and the images' own checks find leaks at worst.
 *
 * What would be in the database is the run's `durable` here: it changes at once,
 * in the place where the swap makes it durable.
 *
 * OVERLAY_SEEDS: runs of each script (default 2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/prng.h"
#include "tests/lib/model_load.h"
#include "tests/lib/power_cut.h"
#include "tests/lib/sim_world.h"
#include "tests/lib/stack_sim.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define SECTORS 192u
#define LANES 2u
#define WORKERS 4u
#define SNAPSHOTS 2u
#define PATIENCE_NS (20ull * 1000 * 1000 * 1000)

struct script {
	const char *name;
	bool qcow2; /* the first image; else raw */
	const char *options; /* of the others */
	uint8_t weight[LOAD_OPS];
};

#define WRITES \
	{ \
		[LOAD_WRITE] = 8, [LOAD_FLUSH] = 3, [LOAD_FUA] = 2 \
	}
#define ZEROES \
	{ \
		[LOAD_WRITE] = 6, [LOAD_FLUSH] = 4, [LOAD_UNMAP] = 2, \
		[LOAD_DISCARD] = 2, [LOAD_ZERO] = 1 \
	}
static const struct script scripts[] = {
	{"over raw", false, "cluster_size: 4K, subclusters: \"off\"", WRITES},
	{"over raw, zeroes", false, "cluster_size: 16K, subclusters: \"on\"",
		ZEROES},
	{"over qcow2", true, "cluster_size: 4K, subclusters: \"off\"", WRITES},
	{"over qcow2, zeroes", true, "cluster_size: 16K, subclusters: \"on\"",
		ZEROES},
};

struct cut {
	struct power_cut left;
	unsigned durable;
	STAILQ_ENTRY(cut) link;
};

struct run {
	const struct script *script;
	struct stack_rig *rig;
	struct block_source *source;
	struct sector_model *model;
	uint64_t seed, random;
	uint32_t sectors;
	unsigned durable; /* images over the first, by what is kept */
	struct model_load load[WORKERS];
	STAILQ_HEAD(, cut) cuts;
	struct cut *checking;
};

static uint64_t all_cuts, cuts_between;

/* -- documents ------------------------------------------------------------ */

#define FILE_OF(path, size) \
	"{protocol: {type: file, locking: false, path: " path ", size: " size \
	"}}"

static void print_first(const struct run *run, FILE *out)
{
	fputs(run->script->qcow2
			? "{format: {type: qcow2, pool: 16K, size: 96K, "
			  "cluster_size: 4K, file: " FILE_OF("disk", "4K") "}}"
			: FILE_OF("disk", "96K"),
		out);
}

/* Image `number` over the first, without its backing file and the bracket. */
static void print_format(const struct run *run, unsigned number, FILE *out)
{
	fprintf(out,
		"{format: {type: qcow2, pool: 16K, %s, file: {protocol: {type: "
		"file, locking: false, path: over%u, size: 4K}}",
		run->script->options, number);
}

/* `count` images over the first. */
static void print_chain(const struct run *run, unsigned count, FILE *out)
{
	for (unsigned i = count; i > 0; i--) {
		print_format(run, i, out);
		fputs(", backing: ", out);
	}
	print_first(run, out);
	for (unsigned i = 0; i < count; i++)
		fputs("}}", out);
}

/* To be freed. `count` images over the first, or only image `alone`. */
static char *describe(const struct run *run, unsigned count, unsigned alone)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	CHECK(out != NULL);
	if (alone) {
		print_format(run, alone, out);
		fputs("}}", out);
	} else
		print_chain(run, count, out);
	CHECK_INT(fclose(out), 0);
	return text;
}

/* -- what a cut has left -------------------------------------------------- */

static void lost(const struct run *run, const char *what)
{
	check_fail(__FILE__, __LINE__, "%s, seed %llu, point %llu, %u: %s",
		run->script->name, (unsigned long long)run->seed,
		(unsigned long long)run->checking->left.point,
		run->checking->durable, what);
}

static void reopened_co(struct stack_rig *rig, void *argument)
{
	struct run *run = argument;
	char *document = describe(run, run->checking->durable, 0);
	struct block_source *source = stack_rig_source_co(rig, document);

	free(document);
	if (!power_cut_sectors_hold_co(
		    &run->checking->left, rig, source, SECTORS * SECTOR_BYTES))
		lost(run, "lost or made up");
	if (run->checking->durable || run->script->qcow2) {
		char *said = stack_rig_command_co(
			rig, source, "qcow2", "check", NULL);

		if (!strstr(said, "\"errors\": 0,"))
			lost(run, said);
		free(said);
	}
	block_source_put_co(source);
}

static void check_cuts(struct run *run)
{
	struct cut *cut;

	while ((cut = STAILQ_FIRST(&run->cuts))) {
		STAILQ_REMOVE_HEAD(&run->cuts, link);
		run->checking = cut;
		power_cut_reopen(&cut->left, reopened_co, run);
		all_cuts++;
		cuts_between += cut->durable == 1;
		free(cut);
	}
}

static void cut_here(void *argument, uint64_t point)
{
	struct run *run = argument;
	struct cut *cut = calloc(1, sizeof *cut);

	CHECK(cut != NULL);
	power_cut_take(&cut->left, run->rig, run->seed, point, run->model);
	cut->durable = run->durable;
	STAILQ_INSERT_TAIL(&run->cuts, cut, link);
}

/* -- the run -------------------------------------------------------------- */

static int note_co(void *argument, struct err *err)
{
	struct run *run = argument;

	(void)err;
	run->durable++;
	return 0;
}

static void snapshot_co(struct run *run)
{
	char *document = describe(run, 0, run->durable + 1);
	struct err err = {0};
	struct spec_overlay overlay = {
		.document = stack_rig_doc(run->rig, document),
		.deadline_ns = PATIENCE_NS,
		.durable_co = note_co,
		.argument = run,
	};
	free(document);
	if (spec_overlay_co(run->source, &overlay, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
}

static void load_start(struct run *run)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		struct model_load *load = &run->load[i];

		*load = (struct model_load){.task.run_co = model_load_run_co,
			.source = run->source,
			.model = run->model,
			.random = prng_next(&run->random),
			.sectors = &run->sectors,
			.unit_sectors = 1,
			.most_units = 12,
			.fua_percent = 30,
			.requests = 14};
		memcpy(load->weight, run->script->weight, sizeof load->weight);
		stack_rig_start(run->rig, i % LANES, &load->task);
	}
}

static void body_co(struct stack_rig *rig, void *argument)
{
	struct run *run = argument;
	char *document = describe(run, 0, 0);

	run->rig = rig;
	run->source = stack_rig_source_co(rig, document);
	free(document);
	sim_world_watch(rig->world, cut_here, run);
	load_start(run);
	for (unsigned i = 0; i < SNAPSHOTS; i++)
		snapshot_co(run);
	for (unsigned i = 0; i < WORKERS; i++)
		stack_rig_join_co(&run->load[i].task);
	model_load_verify_co(rig, &run->load[0]);
	block_source_put_co(run->source);
	sim_world_watch(rig->world, NULL, NULL);
}

static void run_once(const struct script *script, uint64_t seed)
{
	struct run run = {.script = script,
		.seed = seed,
		.random = seed,
		.sectors = SECTORS};
	struct stack_rig_setup setup = {.world = "simulated",
		.lanes = LANES,
		.seed = seed,
		.direct_align_bytes = seed % 2 ? 512 : 4096};

	STAILQ_INIT(&run.cuts);
	run.model = sector_model_new(SECTORS);
	stack_rig_test(&setup, body_co, &run);
	check_cuts(&run);
	sector_model_free(run.model);
}

static void test_script(void **state)
{
	const char *text = getenv("OVERLAY_SEEDS");
	uint64_t seeds = text ? strtoull(text, NULL, 10) : 2;

	for (uint64_t seed = 1; seed <= seeds; seed++)
		run_once(*state, seed);
}

#define SCRIPTS (sizeof scripts / sizeof scripts[0])

int main(void)
{
	struct CMUnitTest tests[SCRIPTS];

	for (size_t i = 0; i < SCRIPTS; i++)
		tests[i] = (struct CMUnitTest){.name = scripts[i].name,
			.test_func = test_script,
			.initial_state = (void *)&scripts[i]};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	printf("figure overlay-power-cut-points value=%llu\n",
		(unsigned long long)all_cuts);
	printf("figure overlay-power-cut-points-between value=%llu\n",
		(unsigned long long)cuts_between);
	return failed;
}
