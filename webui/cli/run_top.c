/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live rates of volumes and of sessions, again and again; of volumes that were named
 * also the time in their layers. On a terminal each look takes the place of the one
 * before and is cut to the window; elsewhere they come one below the other.
 */
#include "webui/cli/commands.h"
#include "webui/cli/layers.h"
#include "webui/cli/rates.h"
#include "webui/cli/run.h"
#include "webui/cli/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const struct cli_column volume_columns[] = {
	{"VOLUME", "volume"},
	{"READ/S", "read_per_s", COLUMN_COUNT},
	{"WRITE/S", "write_per_s", COLUMN_COUNT},
	{"READ", "read_bytes_per_s", COLUMN_SIZE},
	{"WRITE", "write_bytes_per_s", COLUMN_SIZE},
	{"READ_US", "read_us", COLUMN_COUNT},
	{"WRITE_US", "write_us", COLUMN_COUNT},
	{"IN_FLIGHT", "in_flight", COLUMN_COUNT},
	{"CACHED_%", "cache_hit_percent", COLUMN_COUNT},
	{0},
};

static const struct cli_column session_columns[] = {
	{"SESSION", "id"},
	{"HOST", "host"},
	{"PEER", "peer"},
	{"COMMANDS/S", "commands_per_s", COLUMN_COUNT},
	{"IN", "in_per_s", COLUMN_SIZE},
	{"OUT", "out_per_s", COLUMN_SIZE},
	{"RUNNING", "running", COLUMN_COUNT},
	{0},
};

/* One look: figures by name of volume, sessions by number. */
struct look {
	double time;
	json_t *volumes, *sessions;
};

static int get_names(struct cli_run *run, json_t **names)
{
	json_t *volumes, *volume;
	size_t i;
	*names = json_array();
	for (unsigned a = 0; a < run->line.arguments; a++)
		json_array_append_new(
			*names, json_string(run->line.argument[a]));
	if (run->line.arguments)
		return 0;
	int status = run_get_list(run, "/volumes", &volumes);
	json_array_foreach(volumes, i, volume)
	{
		json_array_append(*names, json_object_get(volume, "name"));
	}
	json_decref(volumes);
	return status;
}

static int look_volumes(struct cli_run *run, struct look *look)
{
	json_t *names, *name;
	size_t i;
	int status = get_names(run, &names);
	look->volumes = json_object();
	json_array_foreach(names, i, name)
	{
		char *path = NULL;
		char *encoded = text_url_encode(json_string_value(name));
		json_t *figures = NULL;
		if (asprintf(&path, "/volumes/%s/figures", encoded) < 0)
			abort();
		if (!status)
			status = run_get(run, path, &figures);
		if (figures)
			json_object_set(look->volumes, json_string_value(name),
				figures);
		json_decref(figures);
		free(encoded);
		free(path);
	}
	json_decref(names);
	return status;
}

static int look_sessions(struct cli_run *run, struct look *look)
{
	json_t *items, *item;
	size_t i;
	int status = run_get_list(run, "/sessions", &items);
	look->sessions = json_object();
	json_array_foreach(items, i, item)
	{
		char id[32];
		snprintf(id, sizeof id, "%lld",
			json_integer_value(json_object_get(item, "id")));
		json_object_set(look->sessions, id, item);
	}
	json_decref(items);
	return status;
}

static int look_take(struct cli_run *run, struct look *look)
{
	look->time = rates_clock();
	int status = look_volumes(run, look);
	return status ? status : look_sessions(run, look);
}

static void look_free(struct look *look)
{
	json_decref(look->volumes);
	json_decref(look->sessions);
	*look = (struct look){0};
}

static double grown(
	const json_t *before, const json_t *after, const char *key, double s)
{
	double d = json_number_value(json_object_get(after, key)) -
		json_number_value(json_object_get(before, key));
	return d > 0 && s > 0 ? d / s : 0;
}

static json_t *session_rates(
	const json_t *before, const json_t *after, double s)
{
	return json_pack("{sO?, sO?, sO?, sO?, sf, sf, sf}", "id",
		json_object_get(after, "id"), "host",
		json_object_get(after, "host"), "peer",
		json_object_get(after, "peer"), "running",
		json_object_get(after, "running"), "commands_per_s",
		grown(before, after, "commands", s), "in_per_s",
		grown(before, after, "in_bytes", s), "out_per_s",
		grown(before, after, "out_bytes", s));
}

static json_t *volume_rates(const struct cli_run *run, const char *name,
	const json_t *before, const json_t *after, double s)
{
	struct rates rates;
	rates_compute(&rates, before, after, s);
	json_t *item = rates_json(name, &rates);
	if (run->line.arguments)
		json_object_set_new(item, "layers", layers_rows(before, after));
	return item;
}

static json_t *compute(const struct cli_run *run, const struct look *before,
	const struct look *after)
{
	json_t *volumes = json_array(), *sessions = json_array(), *item;
	double seconds = after->time - before->time;
	const char *by = cli_line_value(&run->line, "sort");
	const char *key;
	json_object_foreach(after->volumes, key, item)
	{
		const json_t *old = json_object_get(before->volumes, key);
		json_array_append_new(volumes,
			volume_rates(
				run, key, old ? old : item, item, seconds));
	}
	rates_sort(volumes, by ? by : "requests");
	json_object_foreach(after->sessions, key, item)
	{
		const json_t *old = json_object_get(before->sessions, key);
		json_array_append_new(sessions,
			session_rates(old ? old : item, item, seconds));
	}
	return json_pack("{so, so}", "volumes", volumes, "sessions", sessions);
}

/* -- shown ------------------------------------------------------------------ */

static void print_layers(const struct cli_run *run, const struct output *output,
	const struct look *before, const struct look *after)
{
	for (unsigned a = 0; a < run->line.arguments; a++) {
		const char *name = run->line.argument[a];
		char title[300];
		snprintf(title, sizeof title, "%.250s: time in layers", name);
		layers_print(output, title,
			json_object_get(before->volumes, name),
			json_object_get(after->volumes, name));
	}
}

static void print_tables(const struct cli_run *run, const struct output *output,
	const json_t *rates, const struct look *before,
	const struct look *after)
{
	output_table(output, volume_columns, json_object_get(rates, "volumes"));
	print_layers(run, output, before, after);
	if (json_array_size(json_object_get(rates, "sessions"))) {
		fputc('\n', output->out);
		output_table(output, session_columns,
			json_object_get(rates, "sessions"));
	}
}

/* Over what was there, line by line so that nothing flickers; at most `rows`. */
static void print_frame(FILE *out, const char *text, unsigned rows)
{
	unsigned lines = 0, left;
	for (const char *at = text; *at; at++)
		lines += *at == '\n';
	left = rows && lines >= rows ? rows - 2 : lines;
	fputs("\033[H", out);
	for (unsigned i = 0; i < left; i++) {
		size_t n = strcspn(text, "\n");
		fprintf(out, "%.*s\033[K\n", (int)n, text);
		text += n + 1;
	}
	fputs("\033[J", out);
	if (left < lines)
		fprintf(out, "~ and %u more lines", lines - left);
}

static void show_on_terminal(struct cli_run *run, const json_t *rates,
	const struct look *before, const struct look *after)
{
	struct output frame = run->output;
	struct winsize size = {0};
	char *text = NULL;
	size_t bytes;
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
		frame.width = size.ws_col;
	frame.out = open_memstream(&text, &bytes);
	if (!frame.out)
		abort();
	print_tables(run, &frame, rates, before, after);
	fclose(frame.out);
	print_frame(run->output.out, text, size.ws_row);
	free(text);
}

static void show(struct cli_run *run, const struct look *before,
	const struct look *after)
{
	json_t *rates = compute(run, before, after);
	if (run->output.format != OUTPUT_TABLE)
		output_object(&run->output, NULL, rates);
	else if (run->output.width && !cli_line_flag(&run->line, "once"))
		show_on_terminal(run, rates, before, after);
	else
		print_tables(run, &run->output, rates, before, after);
	fflush(run->output.out);
	json_decref(rates);
}

static uint64_t looks_wanted(const struct cli_run *run)
{
	uint64_t count = UINT64_MAX;
	const char *given = cli_line_value(&run->line, "count");
	if (given)
		text_read_number(given, &count);
	return cli_line_flag(&run->line, "once") ? 1 : count;
}

int run_top(struct cli_run *run)
{
	struct look before = {0}, after = {0};
	uint64_t count = looks_wanted(run), interval = 1;
	const char *every = cli_line_value(&run->line, "interval");
	if (every)
		text_read_duration(every, &interval);
	int status = look_take(run, &before);
	if (run->output.width && !cli_line_flag(&run->line, "once"))
		fputs("\033[2J", run->output.out);
	while (!status && count-- && !ferror(run->output.out) &&
		rates_wait((double)(interval ? interval : 1))) {
		status = look_take(run, &after);
		if (!status)
			show(run, &before, &after);
		look_free(&before);
		before = after;
		after = (struct look){0};
	}
	look_free(&before);
	return status;
}
