/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts around external snapshots. Two snapshots are taken while workers
 * write, flush and discard, as tests/lib/document_cuts.h says; a document is kept where
 * the swap makes it durable, and what was in force until then goes on showing the moment.
 *
 * OVERLAY_SEEDS: runs of each script (default 2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/prng.h"
#include "tests/lib/document_cuts.h"
#include "tests/lib/model_load.h"
#include "tests/lib/stack_sim.h"

#include <stdlib.h>
#include <string.h>

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

struct run {
	const struct script *script;
	struct stack_rig *rig;
	struct block_source *source;
	/* One document more for each snapshot; those between two are marked. */
	struct document_cuts cuts;
	uint64_t random;
	uint32_t sectors;
	struct model_load load[WORKERS];
};

static struct document_cuts_total total;

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

/* -- the run -------------------------------------------------------------- */

static int note_co(void *argument, struct err *err)
{
	struct run *run = argument;
	char *document = describe(run, run->cuts.documents, 0);

	(void)err;
	document_cuts_put_aside(&run->cuts);
	document_cuts_keep(&run->cuts, document);
	run->cuts.marked = run->cuts.documents == SNAPSHOTS;
	free(document);
	return 0;
}

static void snapshot_co(struct run *run)
{
	char *document = describe(run, 0, run->cuts.documents);
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
	struct model_load like = {.source = run->source,
		.model = run->cuts.model,
		.sectors = &run->sectors,
		.unit_sectors = 1,
		.most_units = 12,
		.fua_percent = 30,
		.requests = 14};

	memcpy(like.weight, run->script->weight, sizeof like.weight);
	model_load_plan(run->load, WORKERS, &like, &run->random);
	model_load_start_all(run->rig, run->load, WORKERS);
}

static void body_co(struct stack_rig *rig, void *argument)
{
	struct run *run = argument;
	char *document = describe(run, 0, 0);

	run->rig = rig;
	run->source = stack_rig_source_co(rig, document);
	document_cuts_keep(&run->cuts, document);
	free(document);
	document_cuts_watch(&run->cuts, rig);
	load_start(run);
	for (unsigned i = 0; i < SNAPSHOTS; i++)
		snapshot_co(run);
	model_load_join_all_co(run->load, WORKERS);
	model_load_verify_co(rig, &run->load[0]);
	block_source_put_co(run->source);
	document_cuts_watch(&run->cuts, NULL);
}

static void run_once(const struct script *script, uint64_t seed)
{
	struct run run = {.script = script, .random = seed, .sectors = SECTORS};
	struct stack_rig_setup setup = {.world = "simulated",
		.lanes = LANES,
		.seed = seed,
		.direct_align_bytes = seed % 2 ? 512 : 4096};

	document_cuts_open(&run.cuts, script->name, seed, SECTORS);
	stack_rig_test(&setup, body_co, &run);
	document_cuts_close(&run.cuts, &total);
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
		(unsigned long long)total.all);
	printf("figure overlay-power-cut-points-between value=%llu\n",
		(unsigned long long)total.marked);
	return failed;
}
