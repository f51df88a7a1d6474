/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command under way: what was typed, the connection, how to show things.
 *
 * Invariants
 *  1. What takes something away (CLI_ASKS) happens only after the impact was shown
 *     and somebody said yes, or --yes was given; without a terminal and --yes it
 *     is refused.
 *  2. Errors go to standard error as one text with cause and cure; the exit status
 *     says of which kind (command.h).
 */
#ifndef WEBUI_CLI_RUN_H
#define WEBUI_CLI_RUN_H

#include "blockcore/base/doc.h"
#include "webui/cli/client.h"
#include "webui/cli/line.h"
#include "webui/cli/output.h"

struct cli_run {
	struct cli_line line;
	struct client client;
	struct output output;
	const struct cli_column *columns; /* of the answer; NULL: none */
	struct cli_column *chosen; /* of --columns; owned */
	/* What is sent, as it was written; or NULL. */
	const struct doc *document;
	char *owned[8]; /* token and names that `client` points to */
	unsigned owns;
};

/* -- run.c: for commands with code of their own ------------------------------ */

/* The row's request: path with parameters and query, body. 0, or an exit status
 * after the error was said. */
int run_request(struct cli_run *run, char **path, json_t **body);
/* One call; 0 with *answer for a status of 2xx, else the exit status after the
 * error was said. */
int run_call(struct cli_run *run, const struct client_request *request,
	struct client_answer *answer);
/* GET; *json is to be freed. */
int run_get(struct cli_run *run, const char *path, json_t **json);
/* All pages of a list as one array. */
int run_get_list(struct cli_run *run, const char *path, json_t **items);
/* 0: go on. Asks unless --yes. */
int run_confirm(struct cli_run *run, const char *question);

/* Prints to standard error. Returns `status`. */
int run_fail(int status, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* -- generic.c ----------------------------------------------------------------- */

/* Sends the row's request with what it needs, shows the answer. */
int run_generic(struct cli_run *run);
/* The same with a path and a body of its own: borrowed. */
int run_send(struct cli_run *run, const char *path, json_t *body);
/* Shows a plan (of a dry run). */
void run_show_plan(struct cli_run *run, const json_t *plan);

/* -- run_job.c ----------------------------------------------------------------- */

/* A job that was started: waits for its end with a progress bar on standard error
 * unless --no-wait, then shows it. Exit status: 1 if it failed. */
int job_follow(struct cli_run *run, const json_t *job);

/* -- start.c ------------------------------------------------------------------- */

/* Runs what the words say. Returns the exit status. */
int cli_run(int argc, char *const *argv);

/* -- run_place.c: which daemon, with which token ----------------------------- */

/* Where the socket is, unless it is told. */
#define RUN_SOCKET_HERE "var/run/cairn.sock"
#define RUN_SOCKET_OF_SYSTEM "/run/cairn/cairn.sock"

int run_place(struct cli_run *run);
/* Whether somebody told which socket. */
bool run_place_told(const struct cli_run *run);
/* ~/.config/cairn/login.json, allocated; NULL: no home. */
char *run_login_file(void);
/* Takes over a text that lives as long as the run. */
const char *run_own(struct cli_run *run, char *text);

/* -- run_body.c --------------------------------------------------------------- */

/* The row's body, NULL with *err unset if it has none. */
json_t *run_body(const struct cli_line *line, struct err *err);
char *run_path(const struct cli_line *line);
/* A file of YAML or JSON ("-": standard input) as JSON. */
json_t *run_read_document(const char *file, struct err *err);
/* The same with the places of all members, for problem_show: to be freed. NULL, as
 * *places is then: *err says why. */
json_t *run_read_places(const char *file, struct doc **places, struct err *err);

/* -- secret.c ------------------------------------------------------------------ */

/* The first line of a file ("-": standard input), or, with `file` NULL, asked for
 * without echo at the terminal (twice if `twice`). Allocated; NULL with *err. To
 * be wiped by secret_free. */
char *secret_read(
	const char *file, const char *what, bool twice, struct err *err);
void secret_free(char *secret);
/* A whole file, at most 64 MiB; the bytes are wiped by secret_free. */
char *secret_read_file(const char *file, struct err *err);

/* -- problem.c ------------------------------------------------------------------ */

/* Says what an answer of 4xx or 5xx means; members of the body are named by the flags
 * of `command` (NULL: as they are) and by their places in `document`, which was sent
 * as a whole (NULL: none was). Returns the exit status. */
int problem_show(const struct client_answer *answer,
	const struct cli_command *command, const struct doc *document,
	FILE *out);
int problem_status(int http_status);

#endif
