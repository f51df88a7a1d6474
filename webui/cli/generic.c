/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that are wholly said by their row.
 */
#include "webui/cli/plan.h"
#include "webui/cli/run.h"

#include <stdlib.h>
#include <string.h>

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

static bool destroys(const struct cli_run *run)
{
	const struct cli_line *line = &run->line;
	const char *only = line->command->destroys_if;
	bool does = line->command->destroys && !only;
	for (unsigned i = 0; only && i < line->arguments; i++)
		does |= !strcmp(line->argument[i], only);
	return does;
}

/* Something goes, and nobody has said yes yet. */
static bool must_ask(const struct cli_run *run)
{
	const struct cli_command *command = run->line.command;
	return command->flags & CLI_ASKS &&
		(!command->destroys || destroys(run)) &&
		(!command->asks_if ||
			cli_line_flag(&run->line, command->asks_if)) &&
		!cli_line_flag(&run->line, "yes");
}

static int confirm(struct cli_run *run)
{
	char question[200];
	if (!destroys(run))
		return run_confirm(run, "Do it?");
	snprintf(question, sizeof question,
		"This DESTROYS all data of %.100s. Do it?",
		run->line.argument[0]);
	return run_confirm(run, question);
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
		status = confirm(run);
	} else {
		run_show_plan(run, answer.json);
	}
	client_answer_free(&answer);
	return status;
}

/* What "{0}", "{id}" or "{status.snapshot}" means; "" if it is not there. */
static const char *part_of(
	const struct cli_line *line, const json_t *json, const char *part)
{
	char key[32];
	unsigned i = (unsigned)(part[1] - '0');
	const char *text = NULL;
	snprintf(
		key, sizeof key, "%.*s", (int)strcspn(part + 1, "}"), part + 1);
	if (i < CLI_MAX_ARGUMENTS)
		text = i < line->arguments ? line->argument[i] : NULL;
	else
		text = json_string_value(output_find(json, key));
	return text ? text : "";
}

static void say_sentence(
	struct cli_run *run, const json_t *json, const char *done)
{
	FILE *out = run->output.out;
	while (*done) {
		size_t n = strcspn(done, "{");
		fprintf(out, "%.*s", (int)n, done);
		done += n;
		if (!*done)
			break;
		output_text(out, part_of(&run->line, json, done));
		done += strcspn(done, "}") + 1;
	}
	fputc('\n', out);
}

static void say_done(struct cli_run *run, const json_t *json)
{
	const struct cli_line *line = &run->line;
	const char *done = line->command->done;
	if (run->output.format != OUTPUT_TABLE || !done)
		return;
	if (strchr(done, '{')) {
		say_sentence(run, json, done);
		return;
	}
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
		say_done(run, json);
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

static bool rehearsable(struct cli_run *run)
{
	return run->line.command->flags & CLI_DRY_RUN ||
		!cli_line_flag(&run->line, "dry-run");
}

static int refuse_rehearsal(void)
{
	return run_fail(EXIT_USAGE, "there is no --dry-run of this command");
}

int run_send(struct cli_run *run, const char *path, json_t *body)
{
	const struct cli_command *command = run->line.command;
	bool dry = cli_line_flag(&run->line, "dry-run");
	bool asks = must_ask(run);
	struct client_request request = {.method = command->method,
		.path = path,
		.body = body,
		.keyed = command->flags & CLI_KEYED,
		.if_match = command->flags & CLI_MATCH ? "*" : NULL};
	int status = 0;
	if (!rehearsable(run))
		return refuse_rehearsal();
	if (!dry && destroys(run))
		json_object_set_new(body, command->destroys, json_true());
	if (dry || asks)
		status = rehearse(run, &request, !dry);
	return status || dry ? status : send(run, &request);
}

int run_generic(struct cli_run *run)
{
	char *path;
	json_t *body;
	if (!rehearsable(run))
		return refuse_rehearsal();
	int status = run_request(run, &path, &body);
	if (!status && run->line.command->flags & CLI_PAGED)
		status = list(run, path);
	else if (!status)
		status = run_send(run, path, body);
	json_decref(body);
	free(path);
	return status;
}
