/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What jobs make a volume stand on is in the configuration, with its record in the
 * history, before the gate opens; if it cannot be kept the old stack goes on and the
 * job fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/list.h"
#include "target/control/appliance/pivots.h"
#include "tests/lib/appliance_box.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TO \
	"{to: {format: {type: qcow2, size: 1M, file: {protocol: {type: file, " \
	"path: b, size: 64K}}}}}"

struct bench {
	struct box box;
	struct pivots pivots;
	struct pivots_watcher watcher;
	unsigned begun, recorded, moved;
	char merged[64]; /* as the record was told */
	int refuse; /* errno of record; 0: none */
};

/* -- who keeps jobs ---------------------------------------------------------- */

static int begun(struct pivots_watcher *watcher, struct job *job,
	uint64_t cursor, struct err *err)
{
	(void)job;
	(void)err;
	CHECK_INT(cursor, 1);
	container_of(watcher, struct bench, watcher)->begun++;
	return 0;
}

static int record(struct pivots_watcher *watcher, struct job *job,
	const struct pivots_merge *merge, struct err *err)
{
	struct bench *bench = container_of(watcher, struct bench, watcher);
	CHECK(job != NULL);
	snprintf(bench->merged, sizeof bench->merged, "%s -> %s", merge->from,
		merge->to);
	bench->recorded++;
	return bench->refuse
		? err_set(err, bench->refuse, "the disk of records is full")
		: 0;
}

static void moved(struct pivots_watcher *watcher, const char *volume)
{
	CHECK_FIND(volume, "a");
	container_of(watcher, struct bench, watcher)->moved++;
}

static void open_pivots(struct bench *bench)
{
	struct appliance_world world = {
		.core = bench->box.rig->core, .state = bench->box.state};
	bench->watcher = (struct pivots_watcher){
		.begun = begun, .record = record, .moved = moved};
	pivots_open(&bench->pivots, &world, bench->box.appliance,
		bench->box.config, NULL);
	bench->pivots.watcher = &bench->watcher;
}

static void open_bench(struct bench *bench, struct stack_rig *rig)
{
	*bench = (struct bench){0};
	box_open(&bench->box, rig);
	box_must_apply_co(&bench->box, FILE_OF("a", "1M"));
	open_pivots(bench);
}

static void close_bench_co(struct bench *bench)
{
	pivots_close(&bench->pivots);
	box_close_co(&bench->box);
}

/* -- jobs ---------------------------------------------------------------------- */

static struct block_source *source_of(const struct bench *bench)
{
	return atomic_load(&box_volume_at(&bench->box, 0)->source);
}

static struct job *start_co(
	struct bench *bench, const char *kind, const char *options)
{
	struct stack_rig *rig = bench->box.rig;
	struct job *job;
	struct err err = {0};
	if (job_start_co(rig->core, source_of(bench), kind,
		    stack_rig_doc(rig, options), 0, &job, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	return job;
}

static void end_co(struct job *job, enum job_state state, const char *text)
{
	struct job_progress progress;
	job_wait_co(job);
	job_get_progress(job, &progress);
	if (progress.state != state)
		check_fail(__FILE__, __LINE__, "%s", progress.error.text);
	if (text)
		CHECK_FIND(progress.error.text, text);
	job_free(job);
}

/* The document and what runs: the volume's path, and its format. */
static void expect_stack(
	const struct bench *bench, const char *path, bool image)
{
	const struct config_object *object =
		config_find(bench->box.config, CONFIG_VOLUME, "a");
	char *kept = json_dumps(json_object_get(object->value, "source"), 0);
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	spec_print(source_of(bench), false, out);
	fclose(out);
	CHECK_FIND(kept, path);
	CHECK_FIND(text, path);
	CHECK((strstr(kept, "qcow2") != NULL) == image);
	CHECK((strstr(text, "qcow2") != NULL) == image);
	free(kept);
	free(text);
}

/* The document's source, as it was kept. */
static void expect_document(const struct bench *bench, const char *expected)
{
	const struct config_object *object =
		config_find(bench->box.config, CONFIG_VOLUME, "a");
	char *kept = json_dumps(json_object_get(object->value, "source"),
		JSON_COMPACT | JSON_SORT_KEYS);
	if (strcmp(kept, expected) != 0)
		check_fail(__FILE__, __LINE__, "%s, not %s", kept, expected);
	free(kept);
}

static uint64_t generation_of(const struct bench *bench)
{
	return config_find(bench->box.config, CONFIG_VOLUME, "a")->generation;
}

/* -- tests ---------------------------------------------------------------------- */

static void test_a_pivot_is_kept_co(struct stack_rig *rig, void *argument)
{
	struct bench bench;
	struct err err = {0};
	json_t *history;
	(void)argument;
	open_bench(&bench, rig);
	uint64_t before = generation_of(&bench);
	end_co(start_co(&bench, "migrate", TO), JOB_DONE, NULL);
	expect_stack(&bench, "\"b\"", true);
	CHECK_INT(generation_of(&bench), before + 1);
	CHECK_INT(bench.begun, 1);
	CHECK_INT(bench.recorded, 1);
	CHECK_INT(bench.moved, 1);
	CHECK_INT(config_history(bench.box.config, 0, 1, &history, &err), 0);
	CHECK_FIND(json_string_value(json_object_get(
			   json_array_get(history, 0), "title")),
		"volume a: end of a migrate");
	json_decref(history);
	pivots_close(&bench.pivots);
	box_restart_co(&bench.box);
	CHECK_INT(config_restore_co(bench.box.config, &err), 0);
	expect_stack(&bench, "\"b\"", true);
	close_bench_co(&bench);
}

/* The document says no more than somebody would write, and what he wrote of
 * listeners as he wrote it; not what the daemon adds when it opens a file again. */
static void test_a_document_is_short_co(struct stack_rig *rig, void *argument)
{
	struct bench bench;
	struct err err = {0};
	(void)argument;
	open_bench(&bench, rig);
	box_must_apply_co(&bench.box,
		"{name: a, source: {listeners: [{type: throttle, bytes_s: "
		"90M}], protocol: {type: file, path: a.raw, size: "
		"1M}}}");
	end_co(start_co(&bench, "migrate", TO), JOB_DONE, NULL);
	expect_document(&bench,
		"{\"format\":{\"file\":{\"protocol\":{\"path\":\"b\","
		"\"size\":65536,\"type\":\"file\"}},\"size\":1048576,"
		"\"type\":\"qcow2\"},\"listeners\":[{\"bytes_s\":\"90M\","
		"\"type\":\"throttle\"}]}");
	pivots_close(&bench.pivots);
	box_restart_co(&bench.box);
	CHECK_INT(config_restore_co(bench.box.config, &err), 0);
	open_pivots(&bench);
	/* The daemon's own must_exist is on b now; a snapshot keeps b below. */
	struct spec_overlay overlay = {
		.document = stack_rig_doc(rig,
			"{format: {type: qcow2, file: {protocol: {type: file, "
			"path: c, "
			"size: 64K}}}}"),
		.deadline_ns = 20 * NS_PER_S};
	CHECK_INT(spec_overlay_co(source_of(&bench), &overlay, &err), 0);
	end_co(start_co(&bench, "commit", "{}"), JOB_DONE, NULL);
	expect_document(&bench,
		"{\"format\":{\"file\":{\"protocol\":{\"path\":\"b\","
		"\"size\":65536,\"type\":\"file\"}},\"size\":1048576,"
		"\"type\":\"qcow2\"},\"listeners\":[{\"bytes_s\":\"90M\","
		"\"type\":\"throttle\"}]}");
	close_bench_co(&bench);
}

static void test_what_cannot_be_kept_is_undone_co(
	struct stack_rig *rig, void *argument)
{
	struct bench bench;
	(void)argument;
	open_bench(&bench, rig);
	uint64_t number = config_generation(bench.box.config);
	bench.refuse = ENOSPC;
	end_co(start_co(&bench, "migrate", TO), JOB_FAILED,
		"what volume a would stand on cannot be kept: the disk of "
		"records is full");
	expect_stack(&bench, "a.raw", false);
	CHECK_INT(config_generation(bench.box.config), number);
	CHECK_INT(bench.moved, 0);
	bench.refuse = 0;
	end_co(start_co(&bench, "migrate", TO), JOB_DONE, NULL);
	/* The image that has lost its backing file has it again. */
	struct spec_overlay overlay = {
		.document = stack_rig_doc(rig,
			"{format: {type: qcow2, file: {protocol: {type: file, "
			"path: c, "
			"size: 64K}}}}"),
		.deadline_ns = 20 * NS_PER_S};
	struct err err = {0};
	CHECK_INT(spec_overlay_co(source_of(&bench), &overlay, &err), 0);
	bench.refuse = EIO;
	end_co(start_co(&bench, "flatten", "{}"), JOB_FAILED, "cannot be kept");
	end_co(start_co(&bench, "commit", "{}"), JOB_FAILED, "cannot be kept");
	bench.refuse = 0;
	end_co(start_co(&bench, "commit", "{}"), JOB_DONE, NULL);
	expect_stack(&bench, "\"b\"", true);
	close_bench_co(&bench);
}

/* An image in the middle goes: the snapshot under it, and who keeps jobs, hear of it. */
static void test_a_merge_is_kept_co(struct stack_rig *rig, void *argument)
{
#define OVER(path, below) \
	"{format: {type: qcow2, size: 1M, file: {protocol: {type: file, " \
	"path: " path ", size: 64K}}, backing: " below "}}"
#define SHOT(name, path, under) \
	"{path: " path ", name: " name ", under: " under \
	", created: 1, size: 1M}"
#define BELOW "{protocol: {type: file, path: a.raw, size: 1M}}"
	struct bench bench;
	json_t *list;
	(void)argument;
	open_bench(&bench, rig);
	box_must_apply_co(
		&bench.box, "{name: a, source: " OVER("b", BELOW) "}");
	box_must_apply_co(&bench.box,
		"{name: a, source: " OVER(
			"c", OVER("b", BELOW)) ", snapshots: [" SHOT("one",
			"a.raw", "b") ", " SHOT("two", "b", "c") "]}");
	end_co(start_co(&bench, "commit", "{image: b}"), JOB_DONE, NULL);
	CHECK_FIND(bench.merged, "b -> a.raw");
	list = json_object_get(
		config_find(bench.box.config, CONFIG_VOLUME, "a")->value,
		"snapshots");
	/* The one is not what it was, and has lost its place; the other is in its
	 * file. */
	CHECK(json_is_true(
		json_object_get(json_array_get(list, 0), "merging")));
	CHECK(!json_object_get(json_array_get(list, 1), "merging"));
	CHECK_FIND(json_string_value(
			   json_object_get(json_array_get(list, 1), "path")),
		"a.raw");
	expect_document(&bench,
		"{\"format\":{\"backing\":{\"protocol\":{\"path\":\"a.raw\","
		"\"size\":1048576,\"type\":\"file\"}},\"file\":{\"protocol\":"
		"{\"path\":\"c\",\"size\":\"64K\",\"type\":\"file\"}},"
		"\"size\":\"1M\",\"type\":\"qcow2\"}}");
	close_bench_co(&bench);
}

/* What has been removed meanwhile does not come back. */
static void test_a_volume_that_is_gone_co(struct stack_rig *rig, void *argument)
{
	struct bench bench;
	(void)argument;
	open_bench(&bench, rig);
	struct job *job = start_co(&bench, "migrate", TO);
	job_pause(job);
	box_must_apply_co(&bench.box, MEM_OF("d", "1M"));
	job_resume(job);
	end_co(job, JOB_FAILED, "does not run on what the job works on");
	CHECK_INT(bench.recorded, 0);
	close_bench_co(&bench);
}

/* Changes of the configuration that want the source's turn, again and again, while
 * jobs want both: each waits for the other only in one order. */
static void test_changes_meanwhile_co(struct stack_rig *rig, void *argument)
{
	static const char *const more[] = {"", "listeners: [{type: stats}], "};
	struct bench bench;
	char volume[200];
	struct job_progress progress;
	(void)argument;
	open_bench(&bench, rig);
	struct job *job = start_co(&bench, "migrate", TO);
	for (unsigned i = 0;; i++) {
		job_get_progress(job, &progress);
		if (progress.state == JOB_DONE)
			break;
		snprintf(volume, sizeof volume,
			"{name: a, source: {%sprotocol: {type: file, path: "
			"a.raw, size: 1M}}}",
			more[i % 2]);
		struct err err = {0};
		box_apply_co(&bench.box, volume, true, &err);
		loop_sleep_co(block_core_lane(rig->core, 0)->loop, 100000);
	}
	end_co(job, JOB_DONE, NULL);
	CHECK_INT(bench.moved, 1);
	close_bench_co(&bench);
}

#define PIVOT_CASE(name) \
	STACK_RIG_CASE(name, simulated, .world = "simulated", .lanes = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PIVOT_CASE(test_a_pivot_is_kept_co),
		PIVOT_CASE(test_a_document_is_short_co),
		PIVOT_CASE(test_what_cannot_be_kept_is_undone_co),
		PIVOT_CASE(test_a_merge_is_kept_co),
		PIVOT_CASE(test_a_volume_that_is_gone_co),
		PIVOT_CASE(test_changes_meanwhile_co),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
