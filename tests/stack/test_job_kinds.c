/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds of jobs of every kind: what they say of themselves is true, they rest,
 * keep to a limit, stop within JOB_CHUNK_BYTES, and hosts go on meanwhile. On a
 * virtual clock, and counted by what the disks have moved.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/job.h"
#include "tests/lib/job_cases.h"
#include "tests/lib/stack_sim.h"

#define MS 1000000ull
/* Of tables, beside the data. */
#define TABLES_BYTES (256u << 10)

static struct job_progress progress_of(const struct job *job)
{
	struct job_progress progress;

	job_get_progress(job, &progress);
	return progress;
}

static void expect_done_co(struct job_trial *trial)
{
	struct job_progress progress;

	job_wait_co(trial->job);
	progress = progress_of(trial->job);
	if (progress.state != JOB_DONE)
		check_fail(__FILE__, __LINE__, "%s: %s", trial->kind->kind,
			progress.error.text);
	CHECK_INT(progress.done, progress.total);
	CHECK_INT(progress.left_s, 0);
	job_trial_expect_co(trial);
}

/* -- stopped --------------------------------------------------------------- */

/* Until it is in the midst of its work. */
static void until_midst_co(struct job_trial *trial)
{
	struct job_progress progress;

	do {
		loop_sleep_co(trial->lane->loop, MS / 100);
		progress = progress_of(trial->job);
		if (progress.state != JOB_RUNNING)
			check_fail(__FILE__, __LINE__, "%s has ended: %s",
				trial->kind->kind, progress.error.text);
	} while (!progress.total || progress.done < progress.total / 8);
	CHECK(progress.done < progress.total);
}

/* What each file moves, at most. */
static void expect_little(
	struct job_trial *trial, const struct job_traffic *before)
{
	struct job_traffic now = job_trial_traffic(trial);

	for (unsigned i = 0; i < JOB_FILES; i++) {
		struct sim_traffic a = before->file[i], b = now.file[i];

		CHECK(b.read_bytes - a.read_bytes <=
			JOB_CHUNK_BYTES + TABLES_BYTES);
		CHECK(b.written_bytes - a.written_bytes <=
			JOB_CHUNK_BYTES + TABLES_BYTES);
	}
}

static void cancel_co(struct stack_rig *rig, void *argument)
{
	struct job_trial trial;

	job_trial_begin_co(&trial, rig, argument);
	until_midst_co(&trial);
	struct job_traffic before = job_trial_traffic(&trial);
	job_cancel(trial.job);
	job_wait_co(trial.job);
	CHECK_INT(progress_of(trial.job).state, JOB_CANCELLED);
	expect_little(&trial, &before);
	job_trial_end_co(&trial);
}

static void pause_co(struct stack_rig *rig, void *argument)
{
	struct job_trial trial;

	job_trial_begin_co(&trial, rig, argument);
	until_midst_co(&trial);
	struct job_traffic before = job_trial_traffic(&trial);
	job_pause(trial.job);
	loop_sleep_co(trial.lane->loop, 2000 * MS);
	expect_little(&trial, &before);
	struct job_progress rested = progress_of(trial.job);
	struct job_traffic quiet = job_trial_traffic(&trial);
	loop_sleep_co(trial.lane->loop, 10000 * MS);
	struct job_traffic still = job_trial_traffic(&trial);
	CHECK(!memcmp(&quiet, &still, sizeof quiet));
	struct job_progress now = progress_of(trial.job);
	CHECK_INT(now.state, JOB_PAUSED);
	CHECK_INT(now.done, rested.done);
	CHECK_INT(now.rate_bytes_s, rested.rate_bytes_s);
	job_resume(trial.job);
	expect_done_co(&trial);
	job_trial_end_co(&trial);
}

/* -- slowed ---------------------------------------------------------------- */

#define RATE (1u << 19)

static void limit_co(struct stack_rig *rig, void *argument)
{
	struct job_trial trial;

	job_trial_begin_co(&trial, rig, argument);
	job_set_rate(trial.job, RATE);
	uint64_t start_ns = loop_now_ns(trial.lane->loop);
	for (unsigned i = 0; i < 20; i++) {
		loop_sleep_co(trial.lane->loop, 100 * MS);
		uint64_t took_ns = loop_now_ns(trial.lane->loop) - start_ns;
		uint64_t most = JOB_CHUNK_BYTES + RATE * took_ns / 1000000000u;

		CHECK(progress_of(trial.job).done <= most);
	}
	job_set_rate(trial.job, 0);
	start_ns = loop_now_ns(trial.lane->loop);
	expect_done_co(&trial);
	/* It does not sleep on. */
	CHECK(loop_now_ns(trial.lane->loop) - start_ns < 2000 * MS);
	job_trial_end_co(&trial);
}

/* -- what it says, and what hosts see ---------------------------------------- */

struct said {
	uint64_t start_ns;
	struct job_progress last;
};

static void expect_forward(struct job_trial *trial, struct said *said)
{
	struct job_progress now = progress_of(trial->job);
	uint64_t ms = (loop_now_ns(trial->lane->loop) - said->start_ns) / MS;

	CHECK(now.done >= said->last.done && now.done <= now.total);
	CHECK(now.cursor >= said->last.cursor);
	CHECK(!said->last.total || now.total == said->last.total);
	if (now.state == JOB_RUNNING && ms && now.done) {
		CHECK_INT(now.rate_bytes_s, now.done * 1000 / ms);
		CHECK_INT(
			now.left_s, (now.total - now.done) / now.rate_bytes_s);
	}
	said->last = now;
}

/* Never done more than the disks have moved. */
static void expect_true(struct job_trial *trial, const struct said *said)
{
	struct job_traffic now = job_trial_traffic(trial);
	uint64_t moved = 0;

	for (unsigned i = 0; i < JOB_FILES; i++)
		moved += now.file[i].read_bytes + now.file[i].written_bytes;
	CHECK(moved >= said->last.done);
}

static void whole_co(struct stack_rig *rig, void *argument)
{
	struct job_trial trial;
	struct said said = {0};

	job_trial_begin_co(&trial, rig, argument);
	said.start_ns = loop_now_ns(trial.lane->loop);
	job_trial_host_start(&trial);
	while (progress_of(trial.job).state == JOB_RUNNING) {
		expect_forward(&trial, &said);
		expect_true(&trial, &said);
		loop_sleep_co(trial.lane->loop, MS / 2);
	}
	job_trial_host_stop_co(&trial);
	expect_done_co(&trial);
	job_trial_end_co(&trial);
}

#define CASE(body, number) \
	STACK_RIG_CASE_WITH(body, &job_kind_cases[number], #number, \
		.world = "simulated", .lanes = 2, .seed = 3 + (number))
#define ALL(body) \
	CASE(body, 0), CASE(body, 1), CASE(body, 2), CASE(body, 3), \
		CASE(body, 4), CASE(body, 5), CASE(body, 6), CASE(body, 7), \
		CASE(body, 8), CASE(body, 9), CASE(body, 10), CASE(body, 11), \
		CASE(body, 12), CASE(body, 13), CASE(body, 14), \
		CASE(body, 15), CASE(body, 16)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ALL(cancel_co),
		ALL(pause_co),
		ALL(limit_co),
		ALL(whole_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
