/* SPDX-License-Identifier: Apache-2.0 */
/* See left_files.h. */
#include "webui/cli/left_files.h"
#include "blockcore/base/shell.h"
#include "webui/cli/commands.h"
#include "webui/cli/text.h"

#include <stdlib.h>
#include <string.h>

/* Adds the paths of files in a stack to the set `files`; with `all` also those of
 * backing files. */
static void add_files(const json_t *source, bool all, json_t *files)
{
	const json_t *protocol = json_object_get(source, "protocol");
	const json_t *format = json_object_get(source, "format");
	const char *type = json_string_value(json_object_get(protocol, "type"));
	const char *path = json_string_value(json_object_get(protocol, "path"));
	if (type && path && !strcmp(type, "file"))
		json_object_set_new(files, path, json_true());
	if (json_is_object(json_object_get(source, "source")))
		add_files(json_object_get(source, "source"), all, files);
	if (json_is_object(json_object_get(format, "file")))
		add_files(json_object_get(format, "file"), all, files);
	if (all && json_is_object(json_object_get(format, "backing")))
		add_files(json_object_get(format, "backing"), all, files);
}

int left_files_look(struct cli_run *run, const char *volume, json_t **files)
{
	char *path = NULL, *name = text_url_encode(volume);
	json_t *found = NULL;
	*files = NULL;
	if (asprintf(&path, "/volumes/%s", name) < 0)
		abort();
	int status = run_get(run, path, &found);
	free(path);
	free(name);
	if (status)
		return status;
	*files = json_object();
	add_files(json_object_get(found, "source"), false, *files);
	json_decref(found);
	return 0;
}

/* Takes out of `files` what volumes name. */
static int take_out_used(struct cli_run *run, json_t *files)
{
	json_t *volumes = NULL, *volume, *nothing, *used = json_object();
	const char *path;
	size_t i;
	int status = run_get_list(run, "/volumes", &volumes);
	json_array_foreach(volumes, i, volume)
	{
		add_files(json_object_get(volume, "source"), true, used);
	}
	json_object_foreach(used, path, nothing)
	{
		json_object_del(files, path);
	}
	json_decref(used);
	json_decref(volumes);
	return status;
}

static void print_path(FILE *out, const char *directory, const char *path)
{
	char *whole = NULL;
	bool is_whole = *path == '/' || !*directory;
	if (asprintf(&whole, "%s%s%s", is_whole ? "" : directory,
		    is_whole ? "" : "/", path) < 0)
		abort();
	shell_print_word(out, whole);
	free(whole);
}

static void print_left(struct cli_run *run, const json_t *files)
{
	FILE *out = run->output.out;
	const char *path, *directory;
	json_t *system = NULL, *nothing;
	if (run_get(run, "/system", &system))
		return;
	directory =
		json_string_value(json_object_get(system, "data_directory"));
	fprintf(out, "%s; to remove %s, on the appliance:\n",
		json_object_size(files) > 1 ? "files stay" : "its file stays",
		json_object_size(files) > 1 ? "them" : "it");
	json_object_foreach((json_t *)files, path, nothing)
	{
		fputs("  rm -- ", out);
		print_path(out, directory ? directory : "", path);
		fputc('\n', out);
	}
	json_decref(system);
}

void left_files_say(struct cli_run *run, json_t *files)
{
	if (json_object_size(files) && !take_out_used(run, files) &&
		json_object_size(files))
		print_left(run, files);
	json_decref(files);
}

int left_files_around(struct cli_run *run, int (*command)(struct cli_run *run))
{
	json_t *files = NULL;
	bool says = run->output.format == OUTPUT_TABLE && !run->output.bare &&
		!cli_line_flag(&run->line, "dry-run") &&
		!cli_line_flag(&run->line, "no-wait");
	int status =
		says ? left_files_look(run, run->line.argument[0], &files) : 0;
	if (!status)
		status = command(run);
	if (status)
		json_decref(files);
	else
		left_files_say(run, files);
	return status;
}

int run_delete_volume(struct cli_run *run)
{
	if (cli_line_flag(&run->line, "purge"))
		return run_generic(run);
	return left_files_around(run, run_generic);
}

int run_commit(struct cli_run *run)
{
	return left_files_around(run, run_generic);
}
