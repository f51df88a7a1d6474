/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts around jobs that make a source stand on something else: migrate to an
 * image and back, commit and flatten of a snapshot, also of one in the middle of a
 * chain, rebase, while workers write, flush and
 * discard, as tests/lib/document_cuts.h says; a document is kept where the job hands it
 * to who keeps it (job_keeper). So it holds that data come before the header of an
 * image, that before the document, that before the gate.
 *
 * QCOW2_SEEDS: runs of each script (default 1). QCOW2_SCRIPT: the only script to run (a
 * pattern).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/list.h"
#include "blockcore/base/prng.h"
#include "blockcore/job.h"
#include "tests/lib/document_cuts.h"
#include "tests/lib/model_load.h"
#include "tests/lib/stack_sim.h"

#include <stdlib.h>
#include <string.h>

#define SECTORS 192u
#define LANES 2u
#define WORKERS 3u
#define STEPS 4u
#define LEAST_REQUESTS 4u /* of a worker after a pivot */
#define MOST_REQUESTS 24u
#define PATIENCE_NS (20ull * 1000 * 1000 * 1000)

struct step {
	const char *kind; /* of a job; "snapshot" */
	const char *document; /* of the target, the image; options */
};

struct script {
	const char *name, *first;
	uint8_t weight[LOAD_OPS];
	struct step step[STEPS];
};

#define FILE_OF(path, size) \
	"{protocol: {type: file, locking: false, path: " path ", size: " size \
	"}}"
#define IMAGE(path, options) \
	"format: {type: qcow2, pool: 16K, " options \
	", file: " FILE_OF(path, "4K")
#define RAW(path) FILE_OF(path, "96K")
#define PLAIN "cluster_size: 4K, subclusters: \"off\""
#define PARTS "cluster_size: 16K, subclusters: \"on\""
#define SIZED(options) options ", size: 96K"
#define WHOLE(path, options) "{" IMAGE(path, SIZED(options)) "}}"
#define SNAPSHOT(path, options) \
	{ \
		"snapshot", IMAGE(path, options) \
	}
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
	{"migrate", RAW("disk"), WRITES,
		{{"migrate", WHOLE("image", PLAIN)}, {"migrate", RAW("back")}}},
	{"migrate, zeroes", RAW("disk"), ZEROES,
		{{"migrate", WHOLE("image", PARTS)}, {"migrate", RAW("back")}}},
	{"migrate between images", WHOLE("disk", PARTS), ZEROES,
		{{"migrate", WHOLE("image", PLAIN)}}},
	{"commit to raw", RAW("disk"), WRITES,
		{SNAPSHOT("over", PLAIN), {"commit", NULL}}},
	{"commit to raw, zeroes", RAW("disk"), ZEROES,
		{SNAPSHOT("over", PARTS), {"commit", NULL}}},
	{"commit to an image", WHOLE("disk", PLAIN), WRITES,
		{SNAPSHOT("over", PARTS), {"commit", NULL}}},
	{"commit to an image, zeroes", WHOLE("disk", PARTS), ZEROES,
		{SNAPSHOT("over", PLAIN), {"commit", NULL}}},
	{"flatten from raw", RAW("disk"), WRITES,
		{SNAPSHOT("over", PLAIN), {"flatten", NULL}}},
	{"flatten from an image, zeroes", WHOLE("disk", PLAIN), ZEROES,
		{SNAPSHOT("over", PARTS), {"flatten", NULL}}},
	{"commit and flatten in a chain", RAW("disk"), ZEROES,
		{SNAPSHOT("one", PLAIN), SNAPSHOT("two", PARTS),
			{"commit", NULL}, {"flatten", NULL}}},
	{"commit within a chain", RAW("disk"), WRITES,
		{SNAPSHOT("one", PLAIN), SNAPSHOT("two", PLAIN),
			{"commit", "{image: one}"}}},
	{"commit within a chain, zeroes", WHOLE("disk", PLAIN), ZEROES,
		{SNAPSHOT("one", PARTS), SNAPSHOT("two", PARTS),
			{"commit", "{image: one}"}, {"commit", NULL}}},
	{"flatten within a chain", RAW("disk"), ZEROES,
		{SNAPSHOT("one", PARTS), SNAPSHOT("two", PLAIN),
			{"flatten", "{image: one}"}, {"commit", NULL}}},
	{"rebase", RAW("disk"), WRITES,
		{SNAPSHOT("over", PARTS), {"rebase", "{to: " RAW("other") "}"},
			{"flatten", NULL}}},
	{"rebase to a longer one, zeroes", RAW("disk"), ZEROES,
		{SNAPSHOT("over", PLAIN),
			{"rebase", "{to: " FILE_OF("other", "48K") "}"},
			{"rebase", "{to: " FILE_OF("third", "128K") "}"}}},
};

struct run {
	const struct script *script;
	struct stack_rig *rig;
	struct block_source *source;
	/* Those between begin and end of the keeper's are marked. */
	struct document_cuts cuts;
	struct job_keeper keeper;
	uint64_t random;
	uint32_t sectors;
	bool moving; /* the step is under way */
	struct model_load load[WORKERS];
};

static struct document_cuts_total total;

/* -- who keeps what jobs leave -------------------------------------------- */

static void begin_co(struct job_keeper *keeper, const struct job_pivot *pivot)
{
	(void)pivot;
	container_of(keeper, struct run, keeper)->cuts.marked = true;
}

/* The latest image that was put over others. */
static const char *head_of(const struct run *run)
{
	const char *head = NULL;

	for (unsigned i = 0; i < STEPS && run->script->step[i].kind; i++) {
		if (strcmp(run->script->step[i].kind, "snapshot") == 0)
			head = run->script->step[i].document;
	}
	return head;
}

static int keep_co(struct job_keeper *keeper, const struct job_pivot *pivot,
	struct err *err)
{
	struct run *run = container_of(keeper, struct run, keeper);
	char *text = NULL;

	(void)err;
	CHECK(pivot->depth < 2);
	if (pivot->depth)
		CHECK(asprintf(&text, "{%s, backing: %s}}", head_of(run),
			      pivot->document) > 0);
	else
		CHECK((text = strdup(pivot->document)) != NULL);
	document_cuts_keep(&run->cuts, text);
	free(text);
	return 0;
}

static void end_co(struct job_keeper *keeper, const struct job_pivot *pivot)
{
	(void)pivot;
	container_of(keeper, struct run, keeper)->cuts.marked = false;
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

/* -- steps ---------------------------------------------------------------- */

static int note_co(void *argument, struct err *err)
{
	char *text = NULL;
	struct run *run = argument;
	const struct step *step = &run->script->step[run->cuts.documents - 1];

	(void)err;
	CHECK(asprintf(&text, "{%s, backing: %s}}", step->document,
		      document_cuts_now(&run->cuts)) > 0);
	document_cuts_keep(&run->cuts, text);
	free(text);
	return 0;
}

static void snapshot_co(struct run *run, const struct step *step)
{
	char *text = NULL;
	struct err err = {0};

	CHECK(asprintf(&text, "{%s}}", step->document) > 0);
	struct spec_overlay overlay = {
		.document = stack_rig_doc(run->rig, text),
		.deadline_ns = PATIENCE_NS,
		.durable_co = note_co,
		.argument = run,
	};
	free(text);
	if (spec_overlay_co(run->source, &overlay, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
}

static void job_co(struct run *run, const struct step *step)
{
	struct job_progress progress;
	struct job *job;
	char *text = NULL;
	struct err err = {0};

	bool migrates = strcmp(step->kind, "migrate") == 0;

	CHECK(asprintf(&text, migrates ? "{to: %s}" : "%s",
		      step->document ? step->document : "{}") > 0);
	if (job_start_co(run->rig->core, run->source, step->kind,
		    stack_rig_doc(run->rig, text), 0, &job, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	free(text);
	job_wait_co(job);
	job_get_progress(job, &progress);
	if (progress.state != JOB_DONE)
		check_fail(__FILE__, __LINE__, "%s", progress.error.text);
	job_free(job);
}

/* -- the run -------------------------------------------------------------- */

/* While the step is under way, and a little longer. */
static bool more(struct model_load *load)
{
	const struct run *run = load->task.argument;

	return load->done < (run->moving ? MOST_REQUESTS : LEAST_REQUESTS);
}

static void load_start(struct run *run)
{
	struct model_load like = {.task.argument = run,
		.source = run->source,
		.model = run->cuts.model,
		.sectors = &run->sectors,
		.unit_sectors = 1,
		.most_units = 12,
		.fua_percent = 30,
		.more = more};

	memcpy(like.weight, run->script->weight, sizeof like.weight);
	model_load_plan(run->load, WORKERS, &like, &run->random);
	model_load_start_all(run->rig, run->load, WORKERS);
}

static void step_co(struct run *run, const struct step *step)
{
	run->moving = true;
	load_start(run);
	if (strcmp(step->kind, "snapshot") == 0)
		snapshot_co(run, step);
	else
		job_co(run, step);
	run->moving = false;
	model_load_join_all_co(run->load, WORKERS);
}

static void body_co(struct stack_rig *rig, void *argument)
{
	struct run *run = argument;

	run->rig = rig;
	run->source = stack_rig_source_co(rig, run->script->first);
	run->keeper = (struct job_keeper){.begun_co = begun_co,
		.begin_co = begin_co,
		.keep_co = keep_co,
		.end_co = end_co};
	job_set_keeper(rig->core, &run->keeper);
	document_cuts_keep(&run->cuts, run->script->first);
	document_cuts_watch(&run->cuts, rig);
	for (unsigned i = 0; i < STEPS && run->script->step[i].kind; i++)
		step_co(run, &run->script->step[i]);
	model_load_verify_co(rig, &run->load[0]);
	block_source_put_co(run->source);
	document_cuts_watch(&run->cuts, NULL);
	job_set_keeper(rig->core, NULL);
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
	printf("figure move-power-cut-points value=%llu\n",
		(unsigned long long)total.all);
	printf("figure move-power-cut-points-at-pivots value=%llu\n",
		(unsigned long long)total.marked);
	return failed;
}
