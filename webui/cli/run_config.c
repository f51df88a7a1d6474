/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole configuration: out, edited, in again. What is confirmed is what is
 * changed: the ETag of what the user saw goes with the change.
 */
#include "webui/cli/commands.h"
#include "webui/cli/plan.h"
#include "webui/cli/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int run_config_show(struct cli_run *run)
{
	json_t *config;
	int status = run_get(run, "/config", &config);
	if (!status && run->output.format == OUTPUT_TABLE)
		output_yaml(run->output.out, config);
	else if (!status)
		output_object(&run->output, NULL, config);
	json_decref(config);
	return status;
}

/* The document in force and its ETag (`etag` of 128 bytes). */
static int get_config(struct cli_run *run, json_t **config, char *etag)
{
	struct client_request request = {.method = "GET", .path = "/config"};
	struct client_answer answer;
	int status = run_call(run, &request, &answer);
	if (status)
		return status;
	*config = json_incref(answer.json);
	snprintf(etag, 128, "%s", *answer.etag ? answer.etag : "*");
	client_answer_free(&answer);
	return 0;
}

static int put_config(struct cli_run *run, json_t *config, const char *etag,
	bool dry, json_t **plan)
{
	struct client_answer answer;
	struct client_request request = {.method = "PUT",
		.path = dry ? "/config?dryRun=true" : "/config",
		.body = config,
		.if_match = etag};
	int status = run_call(run, &request, &answer);
	*plan = NULL;
	if (status)
		return status;
	*plan = json_incref(answer.json);
	client_answer_free(&answer);
	return 0;
}

/* Shows what would change, asks, does it. */
static int apply(struct cli_run *run, json_t *config, const char *etag)
{
	json_t *plan = NULL, *done = NULL;
	int status = put_config(run, config, etag, true, &plan);
	if (status)
		return status;
	bool empty = plan_is_empty(plan);
	bool dry = cli_line_flag(&run->line, "dry-run");
	run_show_plan(run, plan);
	fflush(run->output.out);
	json_decref(plan);
	if (empty || dry)
		return 0;
	status = run_confirm(run, "Apply this?");
	if (!status)
		status = put_config(run, config, etag, false, &done);
	if (!status && run->output.format == OUTPUT_TABLE)
		fputs("applied\n", run->output.out);
	json_decref(done);
	return status;
}

/* Reads the file, shows what would change, asks, does it. */
static int apply_file(struct cli_run *run, const char *file, const char *etag)
{
	struct err err = {0};
	struct doc *places;
	json_t *config = run_read_places(file, &places, &err);
	int status = 0;
	if (!config)
		return run_fail(EXIT_USAGE, "%s", err.text);
	if (!json_is_object(config))
		status = run_fail(EXIT_USAGE,
			"%s: a map with volumes, hosts, targets and exports is "
			"expected%s",
			file,
			json_is_null(config) ? ", and nothing is in it" : "");
	run->document = places;
	if (!status)
		status = apply(run, config, etag);
	run->document = NULL;
	doc_free(places);
	json_decref(config);
	return status;
}

int run_apply(struct cli_run *run)
{
	const char *file = cli_line_value(&run->line, "file");
	char etag[128];
	json_t *now = NULL;
	if (!file)
		return run_fail(EXIT_USAGE, "-f FILE is missing");
	int status = get_config(run, &now, etag);
	json_decref(now);
	return status ? status : apply_file(run, file, etag);
}

/* -- edit ------------------------------------------------------------------- */

static int start_editor(const char *path)
{
	const char *editor = getenv("VISUAL");
	if (!editor || !*editor)
		editor = getenv("EDITOR");
	pid_t child = fork();
	if (child == 0) {
		/* $EDITOR may have arguments: "code --wait". */
		execl("/bin/sh", "sh", "-c", "exec ${0} \"$1\"",
			editor && *editor ? editor : "vi", path, (char *)NULL);
		_exit(127);
	}
	int status;
	while (child > 0 && waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int edit_file(struct cli_run *run, const char *path, const char *etag)
{
	int editor = start_editor(path);
	if (editor)
		return run_fail(EXIT_FAILED,
			"the editor ended with %d; nothing was changed",
			editor);
	return apply_file(run, path, etag);
}

int run_edit(struct cli_run *run)
{
	const char *folder = getenv("TMPDIR");
	char path[512], etag[128];
	json_t *config = NULL;
	int status = get_config(run, &config, etag);
	if (status)
		return status;
	snprintf(path, sizeof path, "%s/cairn.XXXXXX.yaml",
		folder && *folder ? folder : "/tmp");
	int fd = mkstemps(path, 5);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!out) {
		json_decref(config);
		return run_fail(EXIT_FAILED, "%s: %s", path, strerror(errno));
	}
	output_yaml(out, config);
	json_decref(config);
	if (fclose(out))
		status = run_fail(EXIT_FAILED, "%s: %s", path, strerror(errno));
	if (!status)
		status = edit_file(run, path, etag);
	if (status == EXIT_OK)
		unlink(path);
	else
		fprintf(stderr, "what you wrote is in %s\n", path);
	return status;
}
