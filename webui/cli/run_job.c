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
#include <sys/ioctl.h>
#include <time.h>
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

static unsigned stderr_width(void)
{
	struct winsize size = {0};
	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col < 2
		? 256
		: size.ws_col;
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
	char text[256] = "", time[TEXT_SIZE_BYTES + 16] = "";
	if (seconds)
		snprintf(time, sizeof time, "  %s left",
			text_print_duration(
				left, (uint64_t)json_number_value(seconds)));
	snprintf(text, sizeof text, "%s [%s] %5.1f%%  %s of %s  %s/s%s",
		state_of(job), bar, share * 100,
		size_print(done, (uint64_t)part),
		size_print(total, (uint64_t)whole),
		size_print(rate, (uint64_t)number_at(job, "rate_bytes_s")),
		time);
	/* A line that wraps could not be drawn over. */
	fprintf(stderr, "\r\033[K%.*s", (int)stderr_width() - 1, text);
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

/* Seconds since 1970 of a time as the daemon writes it; 0: none. */
static time_t time_at(const json_t *job, const char *key)
{
	const char *text = json_string_value(json_object_get(job, key));
	struct tm tm = {0};
	return text && strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) ? timegm(&tm)
								: 0;
}

/* "job 3, fill of db01: done" */
static void print_job(const struct output *output, const json_t *job)
{
	fprintf(output->out, "job %lld, ",
		json_integer_value(json_object_get(job, "id")));
	output_text(
		output->out, json_string_value(json_object_get(job, "kind")));
	fputs(" of ", output->out);
	output_text(
		output->out, json_string_value(json_object_get(job, "volume")));
	fputs(": ", output->out);
	output_state(output, state_of(job));
}

/* "job 3, fill of db01: running; to its end: cairn job wait 3" */
static void print_started(const struct output *output, const json_t *job)
{
	print_job(output, job);
	fprintf(output->out, "; to its end: cairn job wait %lld\n",
		json_integer_value(json_object_get(job, "id")));
}

/* "job 3, fill of db01: done, 1 MiB in 12 s" */
static void print_end(const struct output *output, const json_t *job)
{
	char text[TEXT_SIZE_BYTES];
	const char *note = json_string_value(json_object_get(job, "note"));
	time_t seconds = time_at(job, "ended") - time_at(job, "created");
	print_job(output, job);
	fprintf(output->out, ", %s",
		size_print(text, (uint64_t)number_at(job, "done_bytes")));
	if (time_at(job, "ended") && seconds > 0)
		fprintf(output->out, " in %s",
			text_print_duration(text, (uint64_t)seconds));
	fputc('\n', output->out);
	if (!note)
		return;
	output_wrapped(output, 0, 0, note);
	fputc('\n', output->out);
}

static void show(struct cli_run *run, const json_t *job,
	void (*print)(const struct output *output, const json_t *job))
{
	if (run->output.format != OUTPUT_TABLE || run->output.bare)
		output_object(&run->output, run->columns, job);
	else
		print(&run->output, job);
}

static int show_end(struct cli_run *run, const json_t *job)
{
	const char *error = json_string_value(json_object_get(job, "error"));
	bool good = !strcmp(state_of(job), "done");
	show(run, job, print_end);
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
		show(run, job, is_over(job) ? print_end : print_started);
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
