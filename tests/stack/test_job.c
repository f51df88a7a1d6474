/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs: progress, pause, cancel, rate, failure, restart; and that fill finds
 * what it is there to find.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/job.h"
#include "tests/lib/stack_rig.h"

#include <errno.h>

#define SOURCE \
	"{listeners: [{type: delay, name: d}, {type: fault, name: f}], " \
	"protocol: {type: mem, size: 8M}}"

static struct job *start_co(struct stack_rig *rig, struct block_source *source,
	const char *options, uint64_t cursor)
{
	struct job *job;
	struct err err = {0};

	CHECK_INT(job_start_co(rig->core, source, "fill",
			  stack_rig_doc(rig, options), cursor, &job, &err),
		0);
	return job;
}

static struct job_progress progress_of(const struct job *job)
{
	struct job_progress progress;

	job_get_progress(job, &progress);
	return progress;
}

static void end_co(struct job *job, enum job_state state)
{
	job_wait_co(job);
	CHECK_INT(progress_of(job).state, state);
	job_free(job);
}

static void command_co(struct stack_rig *rig, struct block_source *source,
	const char *verb, const char *arguments)
{
	struct err err = {0};
	FILE *out = fopen("/dev/null", "w");

	CHECK_INT(spec_command_co(source, "f", verb,
			  stack_rig_doc(rig, arguments), out, &err),
		0);
	fclose(out);
}

static void fill_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, SOURCE);
	struct job *job = start_co(rig, source, "{}", 0);

	(void)argument;
	CHECK_INT(progress_of(job).state, JOB_RUNNING);
	job_wait_co(job);
	struct job_progress progress = progress_of(job);
	CHECK_INT(progress.state, JOB_DONE);
	CHECK_INT(progress.total, 16 << 20);
	CHECK_INT(progress.done, 16 << 20);
	CHECK_INT(progress.cursor, 16 << 20);
	CHECK_INT(progress.left_s, 0);
	job_free(job);
	/* From the middle: only the verification is left, and succeeds. */
	end_co(start_co(rig, source, "{}", 8 << 20), JOB_DONE);
	/* Another seed's bytes are not these. */
	end_co(start_co(rig, source, "{seed: 2}", 8 << 20), JOB_FAILED);
	block_source_put_co(source);
}

static void damage_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, SOURCE);
	uint8_t data[512];

	(void)argument;
	end_co(start_co(rig, source, "{verify: false}", 0), JOB_DONE);
	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_READ, 0, 4096, 512, data),
		0);
	data[511] ^= 1;
	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_WRITE, 0, 4096, 512, data),
		0);
	struct job *job = start_co(rig, source, "{}", 8 << 20);
	job_wait_co(job);
	struct job_progress progress = progress_of(job);
	CHECK_INT(progress.result, -EIO);
	CHECK_ERR(&progress.error, "512 bytes at 4096 are not what");
	job_free(job);
	block_source_put_co(source);
}

static void pause_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, SOURCE);
	struct loop *loop = block_core_lane(rig->core, 0)->loop;
	struct err err = {0};

	(void)argument;
	CHECK_INT(spec_configure_co(source, "d",
			  stack_rig_doc(rig, "{write_us: 200, read_us: 200}"),
			  &err),
		0);
	struct job *job = start_co(rig, source, "{}", 0);
	job_pause(job);
	/* It rests behind the chunk that it is at. */
	while (!progress_of(job).done)
		loop_sleep_co(loop, 1000000);
	CHECK_INT(progress_of(job).done, JOB_CHUNK_BYTES);
	loop_sleep_co(loop, 5000000);
	CHECK_INT(progress_of(job).done, JOB_CHUNK_BYTES);
	CHECK_INT(progress_of(job).state, JOB_PAUSED);
	job_resume(job);
	end_co(job, JOB_DONE);
	/* Cancelled while paused: it ends without being resumed. */
	job = start_co(rig, source, "{}", 0);
	job_pause(job);
	loop_sleep_co(loop, 5000000);
	job_cancel(job);
	end_co(job, JOB_CANCELLED);
	block_source_put_co(source);
}

static void rate_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, SOURCE);
	struct loop *loop = block_core_lane(rig->core, 0)->loop;
	uint64_t before = loop_now_ns(loop);
	struct job *job = start_co(rig, source, "{verify: false}", 0);

	(void)argument;
	job_set_rate(job, 160u << 20); /* 8 MiB: 50 ms, less the last chunk */
	job_wait_co(job);
	CHECK(loop_now_ns(loop) - before > 40000000);
	job_free(job);
	/* Slow, then free to go: it does not sleep on. */
	job = start_co(rig, source, "{}", 0);
	job_set_rate(job, 1000);
	loop_sleep_co(loop, 5000000);
	CHECK(progress_of(job).done < 16 << 20);
	job_set_rate(job, 0);
	end_co(job, JOB_DONE);
	/* Cancelled while it sleeps. */
	job = start_co(rig, source, "{}", 0);
	job_set_rate(job, 1000);
	loop_sleep_co(loop, 5000000);
	job_cancel(job);
	end_co(job, JOB_CANCELLED);
	block_source_put_co(source);
}

/* A chunk that is held does not hold up a cancel, whatever it does. */
static void held_chunk_co(struct stack_rig *rig, void *argument)
{
	static const char *const rules[] = {
		"{op: write, after: 1}", "{op: read}", "{op: flush}"};
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: fault, name: f}], "
		"protocol: {type: mem, size: 8M}}");
	struct job_progress progress;

	(void)argument;
	for (unsigned i = 0; i < 3; i++) {
		struct job *job;

		command_co(rig, source, "hold", rules[i]);
		job = start_co(rig, source, "{}", 0);
		stack_rig_until_co(rig, source, "held", 1);
		job_cancel(job);
		job_wait_co(job);
		job_get_progress(job, &progress);
		CHECK_INT(progress.state, JOB_CANCELLED);
		CHECK_INT(progress.error.code, 0);
		job_free(job);
		command_co(rig, source, "clear", "{}");
	}
	block_source_put_co(source);
}

static void failure_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, SOURCE);
	struct job *job;
	struct err err = {0};

	(void)argument;
	command_co(rig, source, "add", "{op: write, after: 3, error: ENOSPC}");
	job = start_co(rig, source, "{}", 0);
	job_wait_co(job);
	struct job_progress progress = progress_of(job);
	CHECK_INT(progress.state, JOB_FAILED);
	CHECK_INT(progress.result, -ENOSPC);
	CHECK_INT(progress.cursor, 3 << 20); /* where a restart goes on */
	CHECK_ERR(&progress.error, "write of 1048576 bytes at 3145728");
	job_free(job);
	CHECK_INT(job_start_co(rig->core, source, "dig", NULL, 0, &job, &err),
		-EINVAL);
	CHECK_INT(job_start_co(rig->core, source, "fill",
			  stack_rig_doc(rig, "{sede: 1}"), 0, &job, &err),
		-EINVAL);
	CHECK_ERR(&err, "sede");
	job = start_co(rig, source, "{offset: 7M, length: 2M}", 0);
	CHECK_INT(progress_of(job).result, -ERANGE);
	job_free(job);
	block_source_put_co(source);
}

/* Its requests wait at gates like anybody's; the source stays while it runs. */
static void swap_co(struct stack_rig *rig, void *argument)
{
	struct block_source *inner =
		stack_rig_source_co(rig, "protocol: {type: mem, size: 8M}");
	struct block_source *source =
		stack_rig_source_co(rig, "source: source-1");
	struct job *job = start_co(rig, source, "{}", 0);
	struct spec_swap swap = {
		.document = stack_rig_doc(rig, "source: source-1"),
		.same_content = true,
		.deadline_ns = 10000000000ull,
	};
	struct err err = {0};

	(void)argument;
	for (unsigned i = 0; i < 10; i++)
		CHECK_INT(spec_swap_bottom_co(source, &swap, &err), 0);
	block_source_put_co(source);
	end_co(job, JOB_DONE);
	block_source_put_co(inner);
}

/* On threads, and in the simulator, where every interleaving is repeatable. */
#define ROW(body) \
	STACK_RIG_CASE(body, threads, .world = "threads", .lanes = 2), \
		STACK_RIG_CASE(body, simulated, .world = "simulated", \
			.lanes = 2, .seed = 7)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(fill_co),
		ROW(damage_co),
		ROW(pause_co),
		ROW(rate_co),
		ROW(held_chunk_co),
		ROW(failure_co),
		ROW(swap_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
