/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live rates of volumes and of sessions, again and again.
 */
#include "webui/cli/commands.h"
#include "webui/cli/rates.h"
#include "webui/cli/run.h"
#include "webui/cli/text.h"

#include <stdlib.h>
#include <string.h>

static const struct cli_column volume_columns[] = {
	{"VOLUME", "volume"},
	{"READ/S", "read_per_s", COLUMN_COUNT},
	{"WRITE/S", "write_per_s", COLUMN_COUNT},
	{"READ", "read_bytes_per_s", COLUMN_SIZE},
	{"WRITE", "write_bytes_per_s", COLUMN_SIZE},
	{"READ_US", "read_us", COLUMN_COUNT},
	{"WRITE_US", "write_us", COLUMN_COUNT},
	{"IN_FLIGHT", "in_flight", COLUMN_COUNT},
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

static json_t *compute(const struct look *before, const struct look *after)
{
	json_t *volumes = json_array(), *sessions = json_array(), *item;
	double seconds = after->time - before->time;
	const char *key;
	json_object_foreach(after->volumes, key, item)
	{
		struct rates rates;
		const json_t *old = json_object_get(before->volumes, key);
		rates_compute(&rates, old ? old : item, item, seconds);
		json_array_append_new(volumes, rates_json(key, &rates));
	}
	json_object_foreach(after->sessions, key, item)
	{
		const json_t *old = json_object_get(before->sessions, key);
		json_array_append_new(sessions,
			session_rates(old ? old : item, item, seconds));
	}
	return json_pack("{so, so}", "volumes", volumes, "sessions", sessions);
}

static void show(struct cli_run *run, const json_t *rates)
{
	FILE *out = run->output.out;
	if (run->output.format != OUTPUT_TABLE) {
		output_object(&run->output, NULL, rates);
		fflush(out);
		return;
	}
	if (run->output.width)
		fputs("\033[H\033[J", out);
	output_table(&run->output, volume_columns,
		json_object_get(rates, "volumes"));
	if (json_array_size(json_object_get(rates, "sessions"))) {
		fputc('\n', out);
		output_table(&run->output, session_columns,
			json_object_get(rates, "sessions"));
	}
	fflush(out);
}

int run_top(struct cli_run *run)
{
	struct look before = {0}, after = {0};
	uint64_t count = UINT64_MAX, interval = 1;
	const char *given = cli_line_value(&run->line, "count");
	const char *every = cli_line_value(&run->line, "interval");
	if (given)
		text_read_number(given, &count);
	if (every)
		text_read_duration(every, &interval);
	int status = look_take(run, &before);
	while (!status && count-- && !ferror(run->output.out) &&
		rates_wait((double)(interval ? interval : 1))) {
		status = look_take(run, &after);
		if (!status) {
			json_t *rates = compute(&before, &after);
			show(run, rates);
			json_decref(rates);
		}
		look_free(&before);
		before = after;
		after = (struct look){0};
	}
	look_free(&before);
	return status;
}
