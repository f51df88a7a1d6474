/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `cairn volume migrate`, `cairn mirror attach`: a file and what is to be in it become a
 * source, as large as the volume. `cairn volume rebase`: one that is there becomes a
 * backing file.
 */
#include "webui/cli/commands.h"
#include "webui/cli/left_files.h"
#include "webui/cli/run.h"
#include "webui/cli/text.h"

#include <stdlib.h>
#include <string.h>

/* A file that has its size from its image grows with it. */
#define IMAGE_FILE_BYTES (64 << 10)

static json_t *file_source(const char *path, json_int_t bytes)
{
	return json_pack("{s{ss, ss, sI}}", "protocol", "type", "file", "path",
		path, "size", bytes);
}

static json_t *image_source(
	const char *format, const char *path, json_int_t bytes)
{
	return json_pack("{s{ss, sI, so}}", "format", "type", format, "size",
		bytes, "file", file_source(path, IMAGE_FILE_BYTES));
}

/* The volume's size is the target's. */
static int read_size(struct cli_run *run, json_int_t *bytes)
{
	char *path = NULL, *name = text_url_encode(run->line.argument[0]);
	json_t *volume = NULL;
	if (asprintf(&path, "/volumes/%s", name) < 0)
		abort();
	int status = run_get(run, path, &volume);
	if (!status)
		*bytes = json_integer_value(
			output_find(volume, "status.size_bytes"));
	if (!status && !*bytes)
		status = run_fail(EXIT_CONFLICT,
			"volume %s is offline: its size is not known",
			run->line.argument[0]);
	json_decref(volume);
	free(path);
	free(name);
	return status;
}

static json_t *old_source(const char *format, const char *path)
{
	json_t *file = json_pack("{s{ss, ss, sb}}", "protocol", "type", "file",
		"path", path, "read_only", 1);
	return file && format && !strcmp(format, "qcow2")
		? json_pack(
			  "{s{ss, so}}", "format", "type", format, "file", file)
		: file;
}

static json_t *new_source(
	const char *format, const char *path, json_int_t bytes)
{
	return format && !strcmp(format, "qcow2")
		? image_source(format, path, bytes)
		: file_source(path, bytes);
}

/* From -f, or PATH, which is argument `at`, and --format: one that is made, or one that
 * is there. */
static int read_target(struct cli_run *run, unsigned at, bool made, json_t **to)
{
	const char *document = cli_line_value(&run->line, "file");
	const char *format = cli_line_value(&run->line, "format");
	const char *path =
		run->line.arguments > at ? run->line.argument[at] : NULL;
	struct err err = {0};
	json_int_t bytes = 0;
	if (!document == !path)
		return run_fail(EXIT_USAGE,
			"where to? A PATH, or the whole target with --file");
	if (document) {
		*to = run_read_document(document, &err);
		return *to ? 0 : run_fail(EXIT_FAILED, "%s", err.text);
	}
	int status = made ? read_size(run, &bytes) : 0;
	if (status)
		return status;
	*to = made ? new_source(format, path, bytes) : old_source(format, path);
	return *to ? 0
		   : run_fail(EXIT_USAGE, "\"%s\" is no text in UTF-8", path);
}

static json_int_t read_rate(const struct cli_run *run)
{
	const char *rate = cli_line_value(&run->line, "rate");
	uint64_t bytes_s = 0;
	if (rate)
		(void)text_read_size(rate, &bytes_s); /* the parser has */
	return (json_int_t)bytes_s;
}

/* A job of the command's name, onto another source. `flag`: an option of both. */
static int move(struct cli_run *run, bool made, const char *flag)
{
	json_t *to = NULL;
	int status = read_target(run, 1, made, &to);
	if (status)
		return status;
	const struct cli_command *command = run->line.command;
	json_t *body = json_pack("{ss, ss, sI, s{so, sb}}", "volume",
		run->line.argument[0], "kind", command->verb, "rate_bytes",
		read_rate(run), "options", "to", to, flag,
		(int)cli_line_flag(&run->line, flag));
	status = run_send(run, command->path, body);
	json_decref(body);
	return status;
}

static int migrate(struct cli_run *run)
{
	return move(run, true, "overwrite");
}

int run_migrate(struct cli_run *run)
{
	return left_files_around(run, migrate);
}

/* NULL: it is not said. */
static json_t *read_retry(const struct cli_run *run)
{
	const char *seconds = cli_line_value(&run->line, "retry");
	return seconds ? json_integer(strtoll(seconds, NULL, 10)) : NULL;
}

int run_mirror_attach(struct cli_run *run)
{
	const char *map = cli_line_value(&run->line, "map");
	const char *on_error = cli_line_value(&run->line, "on-error");
	const char *resync = cli_line_value(&run->line, "resync");
	char *path = NULL, *name = text_url_encode(run->line.argument[0]);
	json_t *leg = NULL;
	int status = read_target(run, 2, true, &leg);
	if (!status) {
		if (asprintf(&path, "/volumes/%s/listeners", name) < 0)
			abort();
		json_t *body = json_pack("{ss, ss, so, ss*, ss*, ss*, so*}",
			"type", "mirror", "name", run->line.argument[1], "leg",
			leg, "map", map, "on_error", on_error, "resync", resync,
			"retry", read_retry(run));
		status = run_send(run, path, body);
		json_decref(body);
	}
	free(path);
	free(name);
	return status;
}

/* A job of the command's name; takes its options over. */
static int mirror_job(struct cli_run *run, json_t *options)
{
	const struct cli_command *command = run->line.command;
	json_object_set_new(
		options, "listener", json_string(run->line.argument[1]));
	json_t *body = json_pack("{ss, ss, sI, so}", "volume",
		run->line.argument[0], "kind", command->verb, "rate_bytes",
		read_rate(run), "options", options);
	int status = run_send(run, command->path, body);
	json_decref(body);
	return status;
}

int run_mirror_resync(struct cli_run *run)
{
	return mirror_job(run, json_object());
}

int run_mirror_pivot(struct cli_run *run)
{
	return mirror_job(run,
		json_pack(
			"{sb}", "end", (int)cli_line_flag(&run->line, "end")));
}

int run_rebase(struct cli_run *run)
{
	return move(run, false, "unsafe");
}
