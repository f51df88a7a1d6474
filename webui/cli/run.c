/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/cli/run.h"
#include "webui/cli/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
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
	if (socket && err->code == ENOENT && !run_place_told(run))
		return run_fail(EXIT_UNREACHABLE,
			"neither %s nor %s is there. Does cairnd run? (make "
			"run, in this folder; or give --socket or --url)",
			RUN_SOCKET_HERE, RUN_SOCKET_OF_SYSTEM);
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
	int status =
		problem_show(answer, run->line.command, run->document, stderr);
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
