/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon writes for people: how to connect, what is wrong, the bundle.
 */
#include "webui/cli/commands.h"
#include "webui/cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *text_at(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));
	return text ? text : "";
}

/* Texts of several lines: control characters but newlines are shown. */
static void print_lines(FILE *out, const char *indent, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		char *line = strndup(text, n);
		fputs(indent, out);
		output_text(out, line ? line : "");
		fputc('\n', out);
		free(line);
		text += n + (text[n] == '\n');
	}
}

/* -- connect ---------------------------------------------------------------- */

static void print_warnings(FILE *out, const json_t *connect)
{
	size_t i;
	json_t *item;
	json_array_foreach(json_object_get(connect, "warnings"), i, item)
	{
		fputs("warning: ", out);
		output_text(out, json_string_value(item));
		fputc('\n', out);
	}
}

static void print_connect(struct cli_run *run, const json_t *connect)
{
	FILE *out = run->output.out;
	output_text(out, text_at(connect, "volume"));
	fprintf(out, " is LUN %lld of ",
		json_integer_value(json_object_get(connect, "lun")));
	output_text(out, text_at(connect, "target"));
	if (*text_at(connect, "host")) {
		fputs(" for host ", out);
		output_text(out, text_at(connect, "host"));
	}
	fputs("; ", out);
	output_text(out, text_at(connect, "title"));
	fputs(":\n", out);
	print_warnings(out, connect);
	fputc('\n', out);
	print_lines(out, "    ", text_at(connect, "text"));
}

/* What stands in the way goes where a pipe does not take it. */
static void print_text_only(struct cli_run *run, const json_t *connect)
{
	print_warnings(stderr, connect);
	print_lines(run->output.out, "", text_at(connect, "text"));
}

int run_connect(struct cli_run *run)
{
	char *path = run_path(&run->line), *whole = NULL;
	json_t *connect;
	bool os = cli_line_flag(&run->line, "os");
	if (asprintf(&whole, "%s%s", path,
		    os				? ""
			    : strchr(path, '?') ? "&os=linux"
						: "?os=linux") < 0)
		abort();
	int status = run_get(run, whole, &connect);
	if (status)
		;
	else if (cli_line_flag(&run->line, "text"))
		print_text_only(run, connect);
	else if (run->output.format == OUTPUT_TABLE)
		print_connect(run, connect);
	else
		output_object(&run->output, NULL, connect);
	json_decref(connect);
	free(whole);
	free(path);
	return status;
}

/* -- doctor ----------------------------------------------------------------- */

#define CHECK_INDENT 9

static void print_check(struct cli_run *run, const json_t *check)
{
	FILE *out = run->output.out;
	output_state(&run->output, text_at(check, "state"));
	fprintf(out, "%*s", (int)(9 - strlen(text_at(check, "state")) % 9), "");
	char *text = NULL;
	if (asprintf(&text, "%s: %s", text_at(check, "title"),
		    text_at(check, "text")) < 0)
		abort();
	output_wrapped(&run->output, CHECK_INDENT, CHECK_INDENT, text);
	fputc('\n', out);
	free(text);
	if (!*text_at(check, "cure"))
		return;
	fprintf(out, "%*s-> ", CHECK_INDENT, "");
	output_wrapped(&run->output, CHECK_INDENT + 3, CHECK_INDENT + 3,
		text_at(check, "cure"));
	fputc('\n', out);
}

/* What is in order comes first: at the end of what scrolls by is what matters. */
static void print_checks(struct cli_run *run, const json_t *checks)
{
	static const char *const order[] = {
		"skipped", "ok", "warning", "failed"};
	size_t i;
	json_t *check;
	for (unsigned s = 0; s < sizeof order / sizeof *order; s++)
		json_array_foreach(checks, i, check)
		{
			if (!strcmp(text_at(check, "state"), order[s]))
				print_check(run, check);
		}
}

int run_doctor(struct cli_run *run)
{
	json_t *all, *check;
	size_t i;
	unsigned failed = 0;
	int status = run_get(run, "/system/checks", &all);
	const json_t *checks = json_object_get(all, "items");
	if (status)
		return status;
	json_array_foreach(checks, i, check)
	{
		failed += !strcmp(text_at(check, "state"), "failed");
	}
	if (run->output.format == OUTPUT_TABLE && !run->output.bare)
		print_checks(run, checks);
	if (run->output.format != OUTPUT_TABLE || run->output.bare)
		output_list(&run->output,
			cli_command_find(&cli_system, "checks")->columns,
			checks);
	json_decref(all);
	return failed ? EXIT_FAILED : EXIT_OK;
}

/* -- bundle ----------------------------------------------------------------- */

static int write_all(
	void *argument, const void *data, size_t bytes, struct err *err)
{
	const int *fd = argument;
	const char *at = data;
	while (bytes) {
		ssize_t n = write(*fd, at, bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(
				err, errno, "write: %s", strerror(errno));
		at += n;
		bytes -= (size_t)n;
	}
	return 0;
}

static char *bundle_name(void)
{
	char *name = NULL, stamp[32];
	time_t now = time(NULL);
	struct tm tm;
	gmtime_r(&now, &tm);
	strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &tm);
	if (asprintf(&name, "cairn-bundle-%s.tar.gz", stamp) < 0)
		abort();
	return name;
}

static int fetch_bundle(struct cli_run *run, int fd)
{
	struct client_answer answer;
	struct client_request request = {.method = "GET",
		.path = "/system/bundle",
		.accept = "*/*",
		.sink = write_all,
		.argument = &fd};
	int status = run_call(run, &request, &answer);
	if (!status)
		client_answer_free(&answer);
	return status;
}

int run_bundle(struct cli_run *run)
{
	const char *to = cli_line_value(&run->line, "to");
	char *name = to ? strdup(to) : bundle_name(), *part = NULL;
	if (name && !strcmp(name, "-")) {
		free(name);
		return fetch_bundle(run, STDOUT_FILENO);
	}
	if (!name || asprintf(&part, "%s.part", name) < 0)
		abort();
	int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int status = fd < 0
		? run_fail(EXIT_FAILED, "%s: %s", part, strerror(errno))
		: fetch_bundle(run, fd);
	if (fd >= 0 && close(fd) && !status)
		status = run_fail(EXIT_FAILED, "%s: %s", part, strerror(errno));
	if (!status && rename(part, name))
		status = run_fail(EXIT_FAILED, "%s: %s", name, strerror(errno));
	if (!status)
		fprintf(run->output.out, "%s\n", name);
	else if (fd >= 0)
		unlink(part);
	free(part);
	free(name);
	return status;
}
