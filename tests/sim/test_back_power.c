/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts around going back to an external snapshot, and on to what was there before,
 * while workers write, flush and discard, as tests/lib/document_cuts.h says. A document
 * is kept where the change makes it durable: from then on the source shows the snapshot,
 * and what it stood on shows the moment at which it was left. A way back that could not
 * be kept changes nothing, and is gone again before it is tried anew.
 *
 * QCOW2_SEEDS: runs of each script (default 1). QCOW2_SCRIPT: the only script to run (a
 * pattern).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/prng.h"
#include "tests/lib/document_cuts.h"
#include "tests/lib/model_load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECTORS 192u
#define BYTES (SECTORS * SECTOR_BYTES)
#define LANES 2u
#define WORKERS 3u
#define STEPS 4u
#define NO_STEP UINT32_MAX
#define PATIENCE_NS (20ull * 1000 * 1000 * 1000)

/* Step n puts image n + 1 over that document: over the one in force it is a snapshot,
 * else the way back to one. */
struct script {
	const char *name;
	bool qcow2; /* the first image; else raw */
	const char *options; /* of the others */
	uint8_t weight[LOAD_OPS];
	uint32_t over[STEPS];
};

#define PLAIN "cluster_size: 4K, subclusters: \"off\""
#define PARTS "cluster_size: 16K, subclusters: \"on\""
#define WRITES \
	{ \
		[LOAD_WRITE] = 8, [LOAD_FLUSH] = 3, [LOAD_FUA] = 2 \
	}
#define ZEROES \
	{ \
		[LOAD_WRITE] = 6, [LOAD_FLUSH] = 4, [LOAD_UNMAP] = 2, \
		[LOAD_DISCARD] = 2, [LOAD_ZERO] = 1 \
	}
#define BACK_AND_ON \
	{ \
		0, 0, 1, NO_STEP \
	}
#define BACK_TO_THE_MIDDLE \
	{ \
		0, 1, 1, NO_STEP \
	}
#define OVER_A_CHAIN \
	{ \
		0, 1, 0, 2 \
	}
static const struct script scripts[] = {
	{"back and on, raw", false, PLAIN, WRITES, BACK_AND_ON},
	{"back and on, raw, zeroes", false, PARTS, ZEROES, BACK_AND_ON},
	{"back and on, qcow2", true, PARTS, WRITES, BACK_AND_ON},
	{"back and on, qcow2, zeroes", true, PLAIN, ZEROES, BACK_AND_ON},
	{"back to the middle", false, PLAIN, ZEROES, BACK_TO_THE_MIDDLE},
	{"back and on over a chain", true, PLAIN, WRITES, OVER_A_CHAIN},
};

struct run {
	const struct script *script;
	struct stack_rig *rig;
	struct block_source *source;
	/* Document n has image n on top. Those between two are marked. */
	struct document_cuts cuts;
	uint64_t random;
	uint32_t sectors;
	uint8_t *
		shown; /* by the snapshot that it goes back to; NULL: a snapshot */
	bool refuses; /* the next document cannot be kept */
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

static void print_image(const struct run *run, unsigned image, FILE *out)
{
	fprintf(out,
		"{format: {type: qcow2, pool: 16K, %s, file: {protocol: {type: "
		"file, locking: false, path: over%u, size: 4K}}",
		run->script->options, image);
}

/* To be freed. Of that number; `alone`: without what its image stands on. */
static char *describe(const struct run *run, unsigned number, bool alone)
{
	char *text = NULL;
	size_t bytes;
	unsigned images = 0;
	FILE *out = open_memstream(&text, &bytes);

	CHECK(out != NULL);
	for (; number; number = run->script->over[number - 1], images++) {
		print_image(run, number, out);
		if (alone)
			break;
		fputs(", backing: ", out);
	}
	if (alone)
		images = 1;
	else
		print_first(run, out);
	while (images--)
		fputs("}}", out);
	CHECK_INT(fclose(out), 0);
	return text;
}

static bool stands_on(const struct run *run, unsigned document, unsigned image)
{
	while (document && document != image)
		document = run->script->over[document - 1];
	return document == image;
}

/* The file that stays open: of the first image of `to` that is below `from` too. */
static const char *shared(const struct run *run, unsigned from, unsigned to)
{
	static char path[16];

	from = run->script->over[from - 1];
	while (to && !stands_on(run, from, to))
		to = run->script->over[to - 1];
	if (!to)
		return "disk";
	snprintf(path, sizeof path, "over%u", to);
	return path;
}

/* -- steps ---------------------------------------------------------------- */

/* What was there is left, and the source shows what the snapshot does. */
static void comes_back(struct run *run)
{
	struct sector_model *model = run->cuts.model;
	uint32_t version =
		sector_model_submit_again(model, 0, SECTORS, run->shown);

	sector_model_complete(model, version, true);
}

static int note_co(void *argument, struct err *err)
{
	struct run *run = argument;
	char *document;

	if (run->refuses)
		return err_set(err, ENOSPC, "no room for the note");
	document = describe(run, run->cuts.documents, false);
	document_cuts_put_aside(&run->cuts);
	document_cuts_keep(&run->cuts, document);
	if (run->shown)
		comes_back(run);
	free(document);
	return 0;
}

static void snapshot_co(struct run *run)
{
	char *document = describe(run, run->cuts.documents, true);
	struct err err = {0};
	struct spec_overlay overlay = {
		.document = stack_rig_doc(run->rig, document),
		.deadline_ns = PATIENCE_NS,
		.durable_co = note_co,
		.argument = run};

	free(document);
	if (spec_overlay_co(run->source, &overlay, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
}

static uint8_t *content_co(struct run *run, unsigned number)
{
	char *document = describe(run, number, false);
	uint8_t *content = malloc(BYTES);
	struct block_source *source = stack_rig_source_co(run->rig, document);

	CHECK(content != NULL);
	CHECK_INT(block_transfer_co(source, block_core_lane(run->rig->core, 0),
			  BLOCK_READ, 0, 0, BYTES, content),
		0);
	block_source_put_co(source);
	free(document);
	return content;
}

static void back_co(struct run *run, unsigned to)
{
	char *document = describe(run, run->cuts.documents, false);
	struct err err = {0};
	struct spec_back back = {.document = stack_rig_doc(run->rig, document),
		.shared = shared(run, run->cuts.documents - 1, to),
		.deadline_ns = PATIENCE_NS,
		.durable_co = note_co,
		.argument = run};

	free(document);
	run->shown = content_co(run, to);
	run->refuses = true;
	CHECK_INT(spec_back_co(run->source, &back, &err), -ENOSPC);
	run->refuses = false;
	if (spec_back_co(run->source, &back, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	free(run->shown);
	run->shown = NULL;
}

/* -- the run -------------------------------------------------------------- */

static void load_start(struct run *run)
{
	struct model_load like = {.source = run->source,
		.model = run->cuts.model,
		.sectors = &run->sectors,
		.unit_sectors = 1,
		.most_units = 12,
		.fua_percent = 30,
		.requests = 6};

	memcpy(like.weight, run->script->weight, sizeof like.weight);
	model_load_plan(run->load, WORKERS, &like, &run->random);
	model_load_start_all(run->rig, run->load, WORKERS);
}

static void step_co(struct run *run, unsigned step)
{
	unsigned over = run->script->over[step];

	load_start(run);
	run->cuts.marked = over != step;
	if (over == step)
		snapshot_co(run);
	else
		back_co(run, over);
	run->cuts.marked = false;
	model_load_join_all_co(run->load, WORKERS);
}

static void body_co(struct stack_rig *rig, void *argument)
{
	struct run *run = argument;
	char *document = describe(run, 0, false);

	run->rig = rig;
	run->source = stack_rig_source_co(rig, document);
	document_cuts_keep(&run->cuts, document);
	free(document);
	document_cuts_watch(&run->cuts, rig);
	for (unsigned i = 0; i < STEPS && run->script->over[i] != NO_STEP; i++)
		step_co(run, i);
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
	const char *text = getenv("QCOW2_SEEDS");
	uint64_t seeds = text ? strtoull(text, NULL, 10) : 1;

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
	cmocka_set_test_filter(getenv("QCOW2_SCRIPT"));
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	printf("figure back-power-cut-points value=%llu\n",
		(unsigned long long)total.all);
	printf("figure back-power-cut-points-on-the-way value=%llu\n",
		(unsigned long long)total.marked);
	return failed;
}
