/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/cli/run.h"
#include "webui/cli/commands.h"
#include "webui/cli/help.h"
#include "webui/cli/plan.h"
#include "webui/cli/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int run_fail(int status, const char *format, ...)
{
	va_list arguments;
	char text[2048];
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	fputs("cairn: ", stderr);
	output_text(stderr, text);
	fputc('\n', stderr);
	return status;
}

/* -- calls ------------------------------------------------------------------ */

static int unreachable(struct cli_run *run, const struct err *err)
{
	const char *socket = run->client.place.socket;
	if (err->code == EINTR)
		return run_fail(EXIT_FAILED, "interrupted");
	if (socket && (err->code == ENOENT || err->code == ECONNREFUSED))
		return run_fail(EXIT_UNREACHABLE,
			"%s. Does cairnd run? (make run; or give --socket or "
			"--url)",
			err->text);
	if (socket && err->code == EACCES)
		return run_fail(EXIT_DENIED,
			"%s. Only root and the daemon's own user may; others "
			"sign in: cairn login --url https://...",
			err->text);
	return run_fail(EXIT_UNREACHABLE, "%s", err->text);
}

int run_call(struct cli_run *run, const struct client_request *request,
	struct client_answer *answer)
{
	struct err err = {0};
	if (client_call(&run->client, request, answer, &err))
		return unreachable(run, &err);
	if (answer->status >= 200 && answer->status < 300)
		return 0;
	int status = problem_show(answer, stderr);
	client_answer_free(answer);
	return status;
}

int run_get(struct cli_run *run, const char *path, json_t **json)
{
	struct client_request request = {.method = "GET", .path = path};
	struct client_answer answer;
	int status = run_call(run, &request, &answer);
	*json = NULL;
	if (status)
		return status;
	*json = json_incref(answer.json);
	client_answer_free(&answer);
	return *json ? 0 : run_fail(EXIT_FAILED, "%s: no JSON came", path);
}

/* The path of the page after `next`. */
static char *page_path(const char *path, const char *next)
{
	char *page = NULL;
	char *encoded = text_url_encode(next ? next : "");
	if (asprintf(&page, "%s%climit=1000%s%s", path,
		    strchr(path, '?') ? '&' : '?', next ? "&after=" : "",
		    encoded) < 0)
		abort();
	free(encoded);
	return page;
}

int run_get_list(struct cli_run *run, const char *path, json_t **items)
{
	json_t *page = NULL;
	const char *next = NULL;
	*items = json_array();
	do {
		char *at = page_path(path, next);
		json_decref(page);
		int status = run_get(run, at, &page);
		free(at);
		if (status) {
			json_decref(*items);
			*items = NULL;
			return status;
		}
		json_array_extend(*items, json_object_get(page, "items"));
		next = json_string_value(json_object_get(page, "next"));
	} while (next);
	json_decref(page);
	return 0;
}

/* -- a request from the table ------------------------------------------------ */

int run_request(struct cli_run *run, char **path, json_t **body)
{
	struct err err = {0};
	*path = NULL;
	*body = run_body(&run->line, &err);
	if (!*body && err.code)
		return run_fail(EXIT_USAGE, "%s", err.text);
	*path = run_path(&run->line);
	return 0;
}

static char *with_dry_run(const char *path)
{
	char *text = NULL;
	if (asprintf(&text, "%s%cdryRun=true", path,
		    strchr(path, '?') ? '&' : '?') < 0)
		abort();
	return text;
}

void run_show_plan(struct cli_run *run, const json_t *plan)
{
	if (run->output.format == OUTPUT_TABLE)
		plan_show(&run->output, plan);
	else
		output_object(&run->output, NULL, plan);
}

int run_confirm(struct cli_run *run, const char *question)
{
	char line[16] = "";
	if (cli_line_flag(&run->line, "yes"))
		return 0;
	if (!isatty(STDIN_FILENO))
		return run_fail(EXIT_USAGE,
			"%s There is no terminal to ask on; say --yes",
			question);
	fprintf(stderr, "%s [y/N] ", question);
	if (fgets(line, sizeof line, stdin) &&
		(!strcmp(line, "y\n") || !strcmp(line, "yes\n")))
		return 0;
	return run_fail(EXIT_USAGE, "nothing was changed");
}

/* Asks the daemon what the request would do. With `ask`, then the user. */
static int rehearse(
	struct cli_run *run, const struct client_request *real, bool ask)
{
	struct client_request request = *real;
	struct client_answer answer;
	struct output output = run->output;
	char *path = with_dry_run(real->path);
	request.path = path;
	request.keyed = false;
	int status = run_call(run, &request, &answer);
	free(path);
	if (status)
		return status;
	if (ask) {
		output.out = stderr;
		plan_show(&output, answer.json);
		status = run_confirm(run, "Do it?");
	} else {
		run_show_plan(run, answer.json);
	}
	client_answer_free(&answer);
	return status;
}

static void say_done(struct cli_run *run)
{
	const struct cli_line *line = &run->line;
	const char *done = line->command->done;
	if (run->output.format != OUTPUT_TABLE || !done)
		return;
	if (line->arguments && *line->noun->name) {
		fprintf(run->output.out, "%s ", line->noun->name);
		output_text(run->output.out, line->argument[0]);
		fputc(' ', run->output.out);
	}
	fprintf(run->output.out, "%s\n", done);
}

/* A list, an object, or what the row says of a success. */
static int show(struct cli_run *run, const struct client_answer *answer)
{
	const json_t *json = answer->json;
	const json_t *items = json_object_get(json, "items");
	bool quiet =
		run->output.format == OUTPUT_TABLE && run->line.command->done;
	if (json_is_array(items))
		output_list(&run->output, run->columns, items);
	else if (json && !quiet)
		output_object(&run->output, run->columns, json);
	else
		say_done(run);
	return 0;
}

static int send(struct cli_run *run, const struct client_request *request)
{
	struct client_answer answer;
	int status = run_call(run, request, &answer);
	if (status)
		return status;
	if (run->line.command->flags & CLI_JOB && answer.status == 202)
		status = job_follow(run, answer.json);
	else
		status = show(run, &answer);
	client_answer_free(&answer);
	return status;
}

static int list(struct cli_run *run, const char *path)
{
	json_t *items;
	int status = run_get_list(run, path, &items);
	if (!status)
		output_list(&run->output, run->columns, items);
	json_decref(items);
	return status;
}

int run_generic(struct cli_run *run)
{
	const struct cli_command *command = run->line.command;
	bool dry = cli_line_flag(&run->line, "dry-run");
	char *path;
	json_t *body;
	if (dry && !(command->flags & CLI_DRY_RUN))
		return run_fail(
			EXIT_USAGE, "there is no --dry-run of this command");
	int status = run_request(run, &path, &body);
	struct client_request request = {.method = command->method,
		.path = path,
		.body = body,
		.keyed = command->flags & CLI_KEYED,
		.if_match = command->flags & CLI_MATCH ? "*" : NULL};
	bool asks =
		command->flags & CLI_ASKS && !cli_line_flag(&run->line, "yes");
	if (!status && command->flags & CLI_PAGED)
		status = list(run, path);
	else if (!status) {
		if (dry || asks)
			status = rehearse(run, &request, !dry);
		if (!status && !dry)
			status = send(run, &request);
	}
	json_decref(body);
	free(path);
	return status;
}

/* -- start ------------------------------------------------------------------ */

static void set_output(struct cli_run *run)
{
	static const char *const formats[] = {"table", "json", "yaml", "name"};
	const char *format = cli_line_value(&run->line, "output");
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	struct winsize size;
	run->output.out = stdout;
	for (unsigned i = 0; format && i < 4; i++)
		if (!strcmp(format, formats[i]))
			run->output.format = i;
	run->output.bare = cli_line_flag(&run->line, "no-headers");
	run->output.exact = cli_line_flag(&run->line, "exact");
	if (!isatty(STDOUT_FILENO))
		return;
	run->output.color =
		!(no_color && *no_color) && !(term && !strcmp(term, "dumb"));
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		run->output.width = size.ws_col;
}

static int set_columns(struct cli_run *run)
{
	struct err err = {0};
	const struct cli_command *command = run->line.command;
	const char *names = cli_line_value(&run->line, "columns");
	run->columns =
		command->columns ? command->columns : run->line.noun->columns;
	if (!names)
		return 0;
	if (!run->columns)
		return run_fail(EXIT_USAGE, "this command has no columns");
	run->chosen = output_choose_columns(run->columns, names, &err);
	if (!run->chosen)
		return run_fail(EXIT_USAGE, "%s", err.text);
	run->columns = run->chosen;
	return 0;
}

static int start(struct cli_run *run)
{
	const struct cli_command *command = run->line.command;
	int status = set_columns(run);
	if (!status && command->role)
		status = run_place(run);
	if (status)
		return status;
	return command->run ? command->run(run) : run_generic(run);
}

static void finish(struct cli_run *run)
{
	client_close(&run->client);
	free(run->chosen);
	while (run->owns)
		secret_free(run->owned[--run->owns]);
}

int cli_run(int argc, char *const *argv)
{
	struct cli_run *run = calloc(1, sizeof *run);
	struct err err = {0};
	int status;
	if (!run)
		abort();
	if (cli_line_parse(&run->line, argc, argv, &err)) {
		status = run_fail(EXIT_USAGE, "%s", err.text);
	} else if (cli_line_flag(&run->line, "version")) {
		puts("cairn " CAIRN_VERSION);
		status = EXIT_OK;
	} else if (cli_line_flag(&run->line, "help")) {
		help_print(&run->line, stdout);
		status = EXIT_OK;
	} else {
		set_output(run);
		status = start(run);
	}
	finish(run);
	free(run);
	if (fflush(stdout) || ferror(stdout))
		return status ? status : EXIT_FAILED;
	return status;
}
