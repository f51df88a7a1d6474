/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs go on after the power was cut, from the cursor that they had said before: what
 * lies below it is not read again, what a host wrote before, without and beside the job
 * is there in the end.
 *
 * The same at every operation of the disks (or one of so many) while a job makes its next
 * cursor durable; of one that is carried, from its midst to its end, while a host writes.
 *
 * JOB_CUTS: cuts of each kind (default 2). JOB_EVERY: one of so many operations, of all
 * kinds (default: one of 8, of a commit only; one of 97 of those that are carried). JOB_KIND: only those of that name (a pattern).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/prng.h"
#include "tests/lib/job_cases.h"
#include "tests/lib/power_cut.h"

#define MS 1000000ull
#define RATE \
	(1u << 19) /* so that it takes more than one flush for the cursor */
#define TABLES_BYTES (256u << 10)

/* What has been left, and the cursor that was durable then. */
struct left {
	struct power_cut cut;
	uint64_t cursor;
	/* Of one that is carried; else NULL and what was before. */
	uint8_t *expected;
	uint64_t unsure_at, unsure_bytes;
	struct job_book book;
	STAILQ_ENTRY(left) link;
};

struct restart {
	struct job_trial before;
	uint64_t seed;
	uint64_t cursor;
	char *document;
	struct power_cut cut;
	uint64_t every; /* of every: one of so many */
	STAILQ_HEAD(, left) all;
};

static struct job_progress progress_of(const struct job *job)
{
	struct job_progress progress;

	job_get_progress(job, &progress);
	return progress;
}

static void print_document(struct restart *restart)
{
	size_t bytes = 0;
	FILE *out = open_memstream(&restart->document, &bytes);

	CHECK(out != NULL);
	spec_print(restart->before.source, false, out);
	CHECK_INT(fclose(out), 0);
}

/* -- before ----------------------------------------------------------------- */

static void until_cursor_co(struct job_trial *trial, unsigned eighths)
{
	bool resumes = trial->kind->resumes != NULL;
	struct job_progress progress;

	do {
		loop_sleep_co(trial->lane->loop, 50 * MS);
		progress = progress_of(trial->job);
		CHECK_INT(progress.state, JOB_RUNNING);
	} while (resumes ? progress.cursor <= JOB_CASE_BYTES / 4
			 : progress.done < progress.total / 8 * eighths);
}

/* In the midst; what the host has written is durable. */
static void begin_co(
	struct restart *restart, struct stack_rig *rig, unsigned eighths)
{
	struct job_trial *trial = &restart->before;

	job_trial_begin_co(trial, rig, trial->kind);
	job_set_rate(trial->job, RATE);
	job_trial_host_start(trial);
	until_cursor_co(trial, eighths);
	job_trial_host_stop_co(trial);
	restart->cursor = progress_of(trial->job).cursor;
	print_document(restart);
}

static void leave_co(struct job_trial *trial)
{
	job_cancel(trial->job);
	job_wait_co(trial->job);
	job_free(trial->job);
	block_source_put_co(trial->source);
	job_set_keeper(trial->rig->core, NULL);
}

static void before_co(struct stack_rig *rig, void *argument)
{
	struct restart *restart = argument;
	struct job_trial *trial = &restart->before;

	begin_co(restart, rig, 7);
	/* More has been moved than the cursor says, and is in part durable. */
	loop_sleep_co(trial->lane->loop, 200 * MS);
	power_cut_take(&restart->cut, rig, restart->seed, 1, NULL);
	struct job_book book = {.cursor = 0};
	job_book_copy(&book, &trial->book);
	leave_co(trial);
	job_book_close(&trial->book);
	trial->book = book;
}

static void leave_carried(struct left *left, const struct job_trial *trial)
{
	left->expected = malloc(JOB_CASE_BYTES);
	CHECK(left->expected != NULL);
	memcpy(left->expected, trial->expected, JOB_CASE_BYTES);
	left->unsure_at = trial->unsure_at;
	left->unsure_bytes = trial->unsure_bytes;
	job_book_copy(&left->book, &trial->book);
}

static void cut_here(void *argument, uint64_t point)
{
	struct restart *restart = argument;
	struct left *left;

	if (point && point % restart->every)
		return;
	left = calloc(1, sizeof *left);
	CHECK(left != NULL);
	power_cut_take(
		&left->cut, restart->before.rig, restart->seed, point, NULL);
	left->cursor = progress_of(restart->before.job).cursor;
	if (restart->before.kind->carried)
		leave_carried(left, &restart->before);
	STAILQ_INSERT_TAIL(&restart->all, left, link);
}

/* A host beside a job that is carried: one write after the other, here and there. */
static void write_once_co(struct restart *restart, uint64_t *random)
{
	struct job_trial *trial = &restart->before;
	uint64_t at = prng_below(random, JOB_CASE_BYTES / 4096 / 16) * 65536;
	uint8_t *data =
		stack_rig_pattern(4096, (unsigned)prng_below(random, 1000));

	trial->unsure_at = at;
	trial->unsure_bytes = 4096;
	CHECK_INT(block_transfer_co(trial->source, trial->lane, BLOCK_WRITE, 0,
			  at, 4096, data),
		0);
	if (!prng_below(random, 8))
		cut_here(restart, 0); /* right after it was acknowledged */
	CHECK_INT(block_transfer_co(trial->source, trial->lane, BLOCK_FLUSH, 0,
			  0, 0, NULL),
		0);
	memcpy(trial->expected + at, data, 4096);
	trial->unsure_bytes = 0;
	free(data);
}

static void before_every_co(struct stack_rig *rig, void *argument)
{
	struct restart *restart = argument;
	struct job_trial *trial = &restart->before;
	struct job_progress progress;
	bool carried = trial->kind->carried;
	uint64_t random = 7;

	begin_co(restart, rig, carried ? 4 : 7);
	sim_world_watch(rig->world, cut_here, restart);
	do {
		loop_sleep_co(trial->lane->loop, 50 * MS);
		if (carried)
			write_once_co(restart, &random);
		progress = progress_of(trial->job);
	} while (progress.state == JOB_RUNNING &&
		progress.cursor == restart->cursor);
	sim_world_watch(rig->world, NULL, NULL);
	leave_co(trial);
}

/* -- after ------------------------------------------------------------------ */

/* Of what the kind says it reads. */
static void expect_rest(
	const struct restart *restart, const struct job_trial *trial)
{
	const char *path = trial->kind->resumes;
	uint64_t known = restart->cursor - 1;

	if (!path)
		return;
	CHECK(sim_world_traffic(trial->rig->world, path).read_bytes <=
		JOB_CASE_BYTES - known + TABLES_BYTES);
}

static void after_co(struct stack_rig *rig, void *argument)
{
	struct restart *restart = argument;
	const char *kept = restart->before.book.kept;
	struct job_trial trial;

	job_trial_resume_co(&trial, rig, &restart->before,
		kept ? kept : restart->document, restart->cursor);
	if (kept) { /* the job had done its work */
		job_trial_expect_co(&trial);
		job_trial_end_co(&trial);
		return;
	}
	if (trial.kind->carried)
		job_pause(trial.job);
	struct job_progress progress = progress_of(trial.job);
	while (!progress.total && progress.state <= JOB_PAUSED) {
		loop_sleep_co(trial.lane->loop, MS / 100);
		progress = progress_of(trial.job);
	}
	if (trial.kind->resumes)
		CHECK(progress.done + 1 >= restart->cursor);
	if (trial.kind->carried && !restart->every)
		CHECK(progress.done >= JOB_CASE_BYTES / 4);
	trial.still = trial.kind->carried && trial.kind->copy;
	if (trial.still)
		job_trial_host_stop_co(&trial);
	job_resume(trial.job);
	job_wait_co(trial.job);
	progress = progress_of(trial.job);
	if (progress.state != JOB_DONE)
		check_fail(__FILE__, __LINE__, "%s: %s", trial.kind->kind,
			progress.error.text);
	CHECK_INT(progress.done, progress.total);
	job_trial_host_stop_co(&trial);
	expect_rest(restart, &trial);
	job_trial_expect_co(&trial);
	job_trial_end_co(&trial);
}

static struct stack_rig_setup setup_of(uint64_t seed)
{
	return (struct stack_rig_setup){
		.world = "simulated", .lanes = 2, .seed = seed};
}

static void restart_once(const struct job_kind_case *kind, uint64_t seed)
{
	struct restart restart = {.before.kind = kind, .seed = seed};
	const struct stack_rig_setup setup = setup_of(seed);

	stack_rig_test(&setup, before_co, &restart);
	power_cut_reopen(&restart.cut, after_co, &restart);
	free(restart.document);
	job_book_close(&restart.before.book);
	free(restart.before.expected);
}

static uint64_t number_of(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : fallback;
}

static void test_restart(void **state)
{
	uint64_t cuts = number_of("JOB_CUTS", 2);

	for (uint64_t seed = 1; seed <= cuts; seed++)
		restart_once(*state, seed);
}

/* What was so at that cut. */
static void take_carried(struct job_trial *before, struct left *left)
{
	if (!left->expected)
		return;
	free(before->expected);
	before->expected = left->expected;
	before->unsure_at = left->unsure_at;
	before->unsure_bytes = left->unsure_bytes;
	job_book_close(&before->book);
	before->book = left->book;
}

static void test_every(void **state)
{
	const struct job_kind_case *kind = *state;
	struct restart restart = {.before.kind = kind,
		.seed = 1,
		.every = number_of("JOB_EVERY", kind->carried ? 97 : 8)};
	const struct stack_rig_setup setup = setup_of(1);
	struct left *left;

	STAILQ_INIT(&restart.all);
	stack_rig_test(&setup, before_every_co, &restart);
	CHECK(!STAILQ_EMPTY(&restart.all));
	while ((left = STAILQ_FIRST(&restart.all))) {
		STAILQ_REMOVE_HEAD(&restart.all, link);
		restart.cursor = left->cursor;
		take_carried(&restart.before, left);
		power_cut_reopen(&left->cut, after_co, &restart);
		free(left);
	}
	free(restart.document);
	job_book_close(&restart.before.book);
	free(restart.before.expected);
}

/* A moment that a backup keeps, and a check's counts, do not outlive the program. */
static bool outlives(const struct job_kind_case *kind)
{
	return strcmp(kind->kind, "backup") != 0 &&
		strcmp(kind->kind, "check") != 0;
}

/* What takes something away where it has been; the others where there is time. */
static bool cuts_everywhere(const struct job_kind_case *kind)
{
	bool leaves = !strcmp(kind->kind, "commit") && !kind->image[1];

	return leaves || kind->carried ||
		(kind->resumes && getenv("JOB_EVERY"));
}

int main(void)
{
	struct CMUnitTest tests[2 * JOB_KIND_CASES];
	size_t count = 0;

	for (size_t i = 0; i < JOB_KIND_CASES; i++) {
		const struct job_kind_case *kind = &job_kind_cases[i];

		if (outlives(kind))
			tests[count++] = (struct CMUnitTest){.name = kind->kind,
				.test_func = test_restart,
				.initial_state = (void *)kind};
		if (cuts_everywhere(kind))
			tests[count++] = (struct CMUnitTest){.name = kind->kind,
				.test_func = test_every,
				.initial_state = (void *)kind};
	}
	cmocka_set_test_filter(getenv("JOB_KIND"));
	return _cmocka_run_group_tests("jobs go on", tests, count, NULL, NULL);
}
