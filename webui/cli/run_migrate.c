/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `cairn volume migrate`: a file and what is to be in it become a source, as large as
 * the volume.
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

/* From -f, or PATH and --format. */
static int read_target(struct cli_run *run, json_t **to)
{
	const char *document = cli_line_value(&run->line, "file");
	const char *format = cli_line_value(&run->line, "format");
	const char *path =
		run->line.arguments > 1 ? run->line.argument[1] : NULL;
	struct err err = {0};
	json_int_t bytes = 0;
	if (!document == !path)
		return run_fail(EXIT_USAGE,
			"where to? A PATH, or the whole target with --file");
	if (document) {
		*to = run_read_document(document, &err);
		return *to ? 0 : run_fail(EXIT_FAILED, "%s", err.text);
	}
	int status = read_size(run, &bytes);
	if (status)
		return status;
	*to = format && !strcmp(format, "qcow2")
		? image_source(format, path, bytes)
		: file_source(path, bytes);
	return *to ? 0
		   : run_fail(EXIT_USAGE, "\"%s\" is no text in UTF-8", path);
}

static int migrate(struct cli_run *run)
{
	const char *rate = cli_line_value(&run->line, "rate");
	json_t *to = NULL;
	uint64_t bytes_s = 0;
	int status = read_target(run, &to);
	if (status)
		return status;
	if (rate)
		(void)text_read_size(rate, &bytes_s); /* the parser has */
	json_t *body = json_pack("{ss, ss, sI, s{so, sb}}", "volume",
		run->line.argument[0], "kind", "migrate", "rate_bytes",
		(json_int_t)bytes_s, "options", "to", to, "overwrite",
		(int)cli_line_flag(&run->line, "overwrite"));
	status = run_send(run, run->line.command->path, body);
	json_decref(body);
	return status;
}

int run_migrate(struct cli_run *run)
{
	return left_files_around(run, migrate);
}
