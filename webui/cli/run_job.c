/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Following a job to its end.
 */
#include "blockcore/base/size.h"
#include "webui/cli/commands.h"
#include "webui/cli/run.h"
#include "webui/cli/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BAR 30

static double number_at(const json_t *json, const char *key)
{
	return json_number_value(json_object_get(json, key));
}

static const char *state_of(const json_t *job)
{
	const char *state = json_string_value(json_object_get(job, "state"));
	return state ? state : "?";
}

static bool is_over(const json_t *job)
{
	const char *state = state_of(job);
	return !strcmp(state, "done") || !strcmp(state, "failed") ||
		!strcmp(state, "cancelled");
}

/* "running [#####.....]  50.0%  512 MiB of 1 GiB  100 MiB/s  5 s left" */
static void draw(const json_t *job)
{
	char done[TEXT_SIZE_BYTES], total[TEXT_SIZE_BYTES];
	char rate[TEXT_SIZE_BYTES], left[TEXT_SIZE_BYTES], bar[BAR + 1];
	double part = number_at(job, "done_bytes");
	double whole = number_at(job, "total_bytes");
	double share = whole > 0 ? part / whole : 0;
	const json_t *seconds = output_find(job, "left_seconds");
	for (int i = 0; i < BAR; i++)
		bar[i] = i < (int)(share * BAR) ? '#' : '.';
	bar[BAR] = '\0';
	fprintf(stderr, "\r\033[K%s [%s] %5.1f%%  %s of %s  %s/s",
		state_of(job), bar, share * 100,
		size_print(done, (uint64_t)part),
		size_print(total, (uint64_t)whole),
		size_print(rate, (uint64_t)number_at(job, "rate_bytes_s")));
	if (seconds)
		fprintf(stderr, "  %s left",
			text_print_duration(
				left, (uint64_t)json_number_value(seconds)));
	fflush(stderr);
}

/* Without a terminal the daemon is asked seldom: it answers when the job ends. */
static char *wait_path(const json_t *job, bool bar)
{
	char *path = NULL;
	json_int_t id = json_integer_value(json_object_get(job, "id"));
	if (asprintf(&path, "/jobs/%lld?wait=%d", (long long)id, bar ? 1 : 20) <
		0)
		abort();
	return path;
}

static int show_end(struct cli_run *run, const json_t *job)
{
	const char *error = json_string_value(json_object_get(job, "error"));
	bool good = !strcmp(state_of(job), "done");
	output_object(&run->output, run->columns, job);
	if (good)
		return 0;
	return run_fail(EXIT_FAILED, "the job has ended: %s%s%s", state_of(job),
		error ? ": " : "", error ? error : "");
}

int job_follow(struct cli_run *run, const json_t *first)
{
	bool bar = isatty(STDERR_FILENO);
	json_t *job = json_incref((json_t *)first);
	int status = 0;
	bool wait = !cli_line_flag(&run->line, "no-wait");
	while (wait && !is_over(job)) {
		char *path = wait_path(job, bar);
		if (bar)
			draw(job);
		json_decref(job);
		status = run_get(run, path, &job);
		free(path);
		if (status)
			return status;
	}
	if (bar && wait)
		fputs("\r\033[K", stderr);
	if (wait)
		status = show_end(run, job);
	else
		output_object(&run->output, run->columns, job);
	json_decref(job);
	return status;
}

int run_job_wait(struct cli_run *run)
{
	char *path = run_path(&run->line);
	json_t *job;
	int status = run_get(run, path, &job);
	free(path);
	if (!status)
		status = job_follow(run, job);
	json_decref(job);
	return status;
}
