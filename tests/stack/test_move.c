/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs that move content while hosts write: copy, migrate, commit, flatten. Every lane
 * writes stamps and reads them back meanwhile. TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/opts.h"
#include "blockcore/core/core.h"
#include "blockcore/format/format.h"
#include "blockcore/job.h"
#include "tests/lib/stack_load.h"

#include <errno.h>

#define LANES STACK_LOAD_LANES
#define BYTES (4u << 20)
#define MEM "protocol: {type: mem, size: 4M}"
#define OVERLAY \
	"{format: {type: qcow2, cluster_size: 4K, " \
	"file: {protocol: {type: mem, size: 32M}}}}"
#define TO_QCOW2 \
	"{to: {format: {type: qcow2, cluster_size: 64K, size: 4M, " \
	"file: {protocol: {type: mem, size: 32M}}}}}"
#define TO_MEM "{to: {protocol: {type: mem, size: 4M}}}"

/* -- helpers -------------------------------------------------------------- */

static struct job *start_co(struct stack_rig *rig, struct block_source *source,
	const char *kind, const char *options)
{
	struct job *job;
	struct err err = {0};

	if (job_start_co(rig->core, source, kind, stack_rig_doc(rig, options),
		    0, &job, &err))
		fail_msg("%s", err.text);
	return job;
}

static void end_co(struct job *job, enum job_state state, const char *text)
{
	struct job_progress progress;

	job_wait_co(job);
	job_get_progress(job, &progress);
	if (progress.state == JOB_FAILED && state != JOB_FAILED)
		fail_msg("%s", progress.error.text);
	CHECK_INT(progress.state, state);
	if (text)
		CHECK_ERR(&progress.error, text);
	if (state == JOB_DONE)
		CHECK_INT(progress.done, progress.total);
	job_free(job);
}

static void run_co(struct stack_rig *rig, struct block_source *source,
	const char *kind, const char *options)
{
	end_co(start_co(rig, source, kind, options), JOB_DONE, NULL);
}

static void refused_co(struct stack_rig *rig, struct block_source *source,
	const char *kind, const char *options, const char *text)
{
	end_co(start_co(rig, source, kind, options), JOB_FAILED, text);
}

static void snapshot_co(
	struct stack_rig *rig, struct block_source *source, int code)
{
	struct spec_overlay overlay = {
		.document = stack_rig_doc(rig, OVERLAY),
		.deadline_ns = 20ull * 1000 * 1000 * 1000,
	};
	struct err err = {0};

	CHECK_INT(spec_overlay_co(source, &overlay, &err), -code);
}

static struct block_driver *bottom_of(struct block_source *source)
{
	return source->current->driver[source->current->count - 1];
}

static void zero_co(
	struct stack_rig *rig, struct block_source *source, uint64_t offset)
{
	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_WRITE_ZEROES, BLOCK_MAY_UNMAP, offset, 4096,
			  NULL),
		0);
}

static void expect_co(struct stack_rig *rig, struct block_source *source,
	uint64_t offset, uint8_t stamp)
{
	uint8_t data[4096], expected[4096];

	memset(expected, stamp, sizeof expected);
	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_READ, 0, offset, sizeof data, data),
		0);
	CHECK(!memcmp(data, expected, sizeof data));
}

/* No listener of a job is left, and the document does not know of one. */
static void expect_clean_co(struct block_source *source)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	spec_print(source, false, out);
	fclose(out);
	CHECK(!strstr(text, "follow"));
	free(text);
	for (unsigned i = 0; i < source->current->count; i++)
		CHECK(!source->current->driver[i]->kind->of_job);
	CHECK(source->locks != NULL);
}

/* -- content -------------------------------------------------------------- */

static void migrate_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, MEM);

	(void)argument;
	CHECK_INT(stack_rig_stamp_co(rig, source, 1, 0), 0);
	CHECK_INT(stack_rig_stamp_co(rig, source, 2, BYTES - 4096), 0);
	run_co(rig, source, "migrate", TO_QCOW2);
	CHECK_INT(bottom_of(source)->kind->role, BLOCK_VIEW);
	expect_clean_co(source);
	expect_co(rig, source, 0, 1);
	expect_co(rig, source, 4096, 0);
	expect_co(rig, source, BYTES - 4096, 2);
	CHECK_INT(stack_rig_stamp_co(rig, source, 3, 8192), 0);
	run_co(rig, source, "migrate", TO_MEM);
	CHECK_INT(bottom_of(source)->kind->role, BLOCK_PROTOCOL);
	expect_co(rig, source, 8192, 3);
	expect_co(rig, source, BYTES - 4096, 2);
	block_source_put_co(source);
}

static void commit_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, MEM);

	(void)argument;
	CHECK_INT(stack_rig_stamp_co(rig, source, 1, 0), 0);
	CHECK_INT(stack_rig_stamp_co(rig, source, 2, 4096), 0);
	CHECK_INT(stack_rig_stamp_co(rig, source, 3, 1 << 20), 0);
	snapshot_co(rig, source, 0);
	CHECK_INT(stack_rig_stamp_co(rig, source, 4, 4096), 0);
	zero_co(rig, source, 1 << 20);
	CHECK_INT(stack_rig_stamp_co(rig, source, 5, 3 << 20), 0);
	run_co(rig, source, "commit", "{}");
	CHECK_INT(bottom_of(source)->kind->role, BLOCK_PROTOCOL);
	expect_clean_co(source);
	expect_co(rig, source, 0, 1);
	expect_co(rig, source, 4096, 4);
	expect_co(rig, source, 1 << 20, 0);
	expect_co(rig, source, 3 << 20, 5);
	CHECK_INT(stack_rig_stamp_co(rig, source, 6, 0), 0);
	expect_co(rig, source, 0, 6);
	refused_co(rig, source, "commit", "{}", "no image with a backing");
	block_source_put_co(source);
}

static void flatten_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, MEM);

	(void)argument;
	CHECK_INT(stack_rig_stamp_co(rig, source, 1, 0), 0);
	CHECK_INT(stack_rig_stamp_co(rig, source, 2, 4096), 0);
	CHECK_INT(stack_rig_stamp_co(rig, source, 3, 1 << 20), 0);
	snapshot_co(rig, source, 0);
	CHECK_INT(stack_rig_stamp_co(rig, source, 4, 4096), 0);
	zero_co(rig, source, 1 << 20);
	run_co(rig, source, "flatten", "{}");
	CHECK_INT(bottom_of(source)->kind->role, BLOCK_VIEW);
	CHECK(!stack_rig_backing(source));
	expect_clean_co(source);
	expect_co(rig, source, 0, 1);
	expect_co(rig, source, 4096, 4);
	expect_co(rig, source, 1 << 20, 0);
	CHECK_INT(stack_rig_stamp_co(rig, source, 6, 0), 0);
	expect_co(rig, source, 0, 6);
	refused_co(rig, source, "flatten", "{}", "has no backing file");
	block_source_put_co(source);
}

/* -- under load ----------------------------------------------------------- */

/* All jobs one after the other while every lane writes and reads. */
static void load_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, MEM);
	struct stack_load *load = calloc(1, sizeof *load);

	(void)argument;
	stack_load_start(load, rig, source);
	for (unsigned i = 0; i < 2; i++) {
		run_co(rig, source, "migrate", TO_QCOW2);
		snapshot_co(rig, source, 0);
		run_co(rig, source, "commit", "{}");
		CHECK(!stack_rig_backing(source));
		snapshot_co(rig, source, 0);
		snapshot_co(rig, source, 0);
		run_co(rig, source, "commit", "{}");
		CHECK(stack_rig_backing(source));
		run_co(rig, source, "flatten", "{}");
		CHECK(!stack_rig_backing(source));
		run_co(rig, source, "copy", TO_MEM);
		run_co(rig, source, "migrate", TO_MEM);
	}
	stack_load_stop_co(load);
	free(load);
	expect_clean_co(source);
	block_source_put_co(source);
}

/* A copy that ends under load is of one moment: the stamps of a pair of blocks that a
 * writer keeps in step differ by one write at most. */
static void moment_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, MEM);
	struct block_source *copy;
	struct job *job;
	uint8_t first[512], last[512];

	(void)argument;
	job = start_co(rig, source, "copy",
		"{to: {protocol: {type: file, path: copy, size: 4M}}}");
	for (unsigned i = 1; i < 200; i++) {
		CHECK_INT(stack_rig_stamp_co(rig, source, (uint8_t)i, 3 << 20),
			0);
		CHECK_INT(stack_rig_stamp_co(rig, source, (uint8_t)i, 0), 0);
	}
	end_co(job, JOB_DONE, NULL);
	copy = stack_rig_source_co(rig, "protocol: {type: file, path: copy}");
	CHECK_INT(block_transfer_co(copy, block_core_lane(rig->core, 0),
			  BLOCK_READ, 0, 0, 512, first),
		0);
	CHECK_INT(block_transfer_co(copy, block_core_lane(rig->core, 0),
			  BLOCK_READ, 0, 3 << 20, 512, last),
		0);
	CHECK(last[0] - first[0] <= 1 && last[0] >= first[0]);
	block_source_put_co(copy);
	block_source_put_co(source);
}

/* -- what goes wrong ------------------------------------------------------ */

static void target_fails_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, MEM);
	struct job *job;

	(void)argument;
	CHECK_INT(stack_rig_stamp_co(rig, source, 1, 0), 0);
	job = start_co(rig, source, "migrate",
		"{to: {listeners: [{type: fault, name: f, rules: [{op: write, "
		"error: ENOSPC}]}], protocol: {type: mem, size: 4M}}}");
	CHECK_INT(stack_rig_stamp_co(rig, source, 2, 0), 0);
	end_co(job, JOB_FAILED, "No space left");
	CHECK_INT(bottom_of(source)->kind->role, BLOCK_PROTOCOL);
	expect_clean_co(source);
	expect_co(rig, source, 0, 2);
	block_source_put_co(source);
}

static void cancel_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(
		rig, "{listeners: [{type: fault, name: f}], " MEM "}");
	struct job *job;

	(void)argument;
	free(stack_rig_command_co(rig, source, "f", "hold", "{op: read}"));
	CHECK_INT(stack_rig_stamp_co(rig, source, 1, 0), 0);
	job = start_co(rig, source, "migrate", TO_MEM);
	stack_rig_until_co(rig, source, "held", 1);
	/* Nobody pulls the source away from below it. */
	snapshot_co(rig, source, EBUSY);
	struct err err = {0};
	CHECK_INT(spec_resize_co(source, 8 << 20, &err), -EBUSY);
	CHECK_ERR(&err, "job 'migrate' is at work");
	CHECK_INT(spec_detach_co(source, "migrate", 0, &err), -EBUSY);
	refused_co(rig, source, "copy", TO_MEM, "job 'migrate' is at work");
	job_cancel(job);
	end_co(job, JOB_CANCELLED, NULL);
	free(stack_rig_command_co(rig, source, "f", "clear", NULL));
	expect_clean_co(source);
	run_co(rig, source, "migrate", TO_MEM);
	expect_co(rig, source, 0, 1);
	block_source_put_co(source);
}

static void checks_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, MEM);
	struct block_source *other = stack_rig_source_co(rig,
		"protocol: {type: file, path: full, "
		"size: 4M}");

	(void)argument;
	CHECK_INT(stack_rig_stamp_co(rig, other, 1, 0), 0);
	block_source_put_co(other);
	refused_co(rig, source, "copy",
		"{to: {protocol: {type: mem, size: "
		"8M}}}",
		"the target has 8388608 bytes, the source 4194304");
	refused_co(rig, source, "copy",
		"{to: {protocol: {type: file, path: full}}}",
		"something in the target");
	run_co(rig, source, "copy",
		"{overwrite: true, to: {protocol: {type: file, path: full}}}");
	other = stack_rig_source_co(rig, "protocol: {type: file, path: full}");
	expect_co(rig, other, 0, 0);
	block_source_put_co(other);
	refused_co(rig, source, "copy", "{to: nobody}", "expected a source");
	refused_co(rig, source, "migrate", "{}", "say where to");
	refused_co(rig, source, "migrate",
		"{to: {listeners: [{type: readonly}], " MEM "}}",
		"the target is read-only");
	block_source_put_co(source);
}

static uint64_t needs_co(
	struct stack_rig *rig, struct block_source *source, const char *name)
{
	const struct job_kind *const *kind = job_kinds;
	struct job_space space;
	struct err err = {0};

	while (strcmp((*kind)->name, name) != 0)
		kind++;
	void *options = calloc(1, (*kind)->options_bytes + 1);
	CHECK_INT(opts_parse((*kind)->options, stack_rig_doc(rig, "{}"), NULL,
			  options, (*kind)->options_bytes, &err),
		0);
	CHECK_INT(
		(*kind)->space_co(rig->core, source, options, &space, &err), 0);
	opts_free((*kind)->options, options);
	free(options);
	return space.needs_bytes;
}

/* What a job would write, from what is allocated where. */
static void space_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"format: {type: qcow2, cluster_size: 4K, subclusters: "
		"\"off\", size: 4M, file: {protocol: {type: mem, size: 32M}}}");

	(void)argument;
	CHECK_INT(stack_rig_stamp_co(rig, source, 1, 0), 0);
	CHECK_INT(stack_rig_stamp_co(rig, source, 1, 4096), 0);
	CHECK_INT(stack_rig_stamp_co(rig, source, 1, 1 << 20), 0);
	snapshot_co(rig, source, 0);
	CHECK_INT(needs_co(rig, source, "commit"), 0);
	CHECK_INT(needs_co(rig, source, "flatten"), 3 * 4096);
	CHECK_INT(stack_rig_stamp_co(rig, source, 2, 4096),
		0); /* there is a place for it below */
	CHECK_INT(needs_co(rig, source, "commit"), 0);
	CHECK_INT(needs_co(rig, source, "flatten"), 2 * 4096);
	CHECK_INT(stack_rig_stamp_co(rig, source, 2, 2 << 20), 0);
	CHECK_INT(needs_co(rig, source, "commit"), 4096);
	CHECK_INT(needs_co(rig, source, "flatten"), 2 * 4096);
	block_source_put_co(source);
}

static void scrub_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(
		rig, "{listeners: [{type: fault, name: f}], " MEM "}");

	(void)argument;
	run_co(rig, source, "scrub", "{}");
	free(stack_rig_command_co(rig, source, "f", "add",
		"{op: read, offset: 1M, length: 4K, error: EIO}"));
	free(stack_rig_command_co(rig, source, "f", "add",
		"{op: read, offset: 3M, length: 4K, error: EIO}"));
	refused_co(rig, source, "scrub", "{}",
		"2 places of 4096 bytes cannot be read (Input/output error), "
		"at 1048576, 3145728");
	block_source_put_co(source);
}

#define ROW(body) \
	STACK_RIG_CASE(body, threads, .world = "threads", .lanes = LANES), \
		STACK_RIG_CASE(body, simulated, .world = "simulated", \
			.lanes = LANES, .seed = 7)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(migrate_co),
		ROW(commit_co),
		ROW(flatten_co),
		ROW(load_co),
		ROW(moment_co),
		ROW(target_fails_co),
		ROW(cancel_co),
		ROW(checks_co),
		ROW(space_co),
		ROW(scrub_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
