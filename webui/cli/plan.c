/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/cli/plan.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PATH 512u

static const struct cli_column impact_columns[] = {
	{"OBJECT", "object"},
	{"EFFECT", "effect"},
	{"SESSIONS", "sessions"},
	{"HOSTS", "hosts"},
	{"PARKED_MS", "parked_ms_max"},
	{"WHAT", "text"},
	{0},
};

static const char *text_at(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));
	return text ? text : "";
}

static void print_json(FILE *out, const json_t *json)
{
	char *text = json_dumps(
		json, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
	output_text(out, text ? text : "null");
	free(text);
}

static const char *color_of(const struct output *output, char sign)
{
	if (!output->color)
		return "";
	return sign == '+' ? "\033[32m" : sign == '-' ? "\033[31m" : "\033[33m";
}

/* "      + source.protocol.size: 100" */
static void print_line(const struct output *output, char sign, const char *path,
	const json_t *value)
{
	fprintf(output->out, "    %s%c ", color_of(output, sign), sign);
	output_text(output->out, path);
	fputs(": ", output->out);
	print_json(output->out, value);
	fprintf(output->out, "%s\n", output_plain(output));
}

static void diff(const struct output *output, const char *path,
	const json_t *before, const json_t *after);

/* Members of `one`, those of `other` beside them; `fresh`: only what `other`
 * lacks. */
static void diff_members(const struct output *output, const char *path,
	const json_t *before, const json_t *after, bool added)
{
	const json_t *one = added ? after : before;
	const json_t *other = added ? before : after;
	const char *key;
	json_t *item;
	json_object_foreach((json_t *)one, key, item)
	{
		char longer[MAX_PATH];
		json_t *twin = json_object_get(other, key);
		if (added && twin)
			continue;
		snprintf(longer, sizeof longer, "%.400s%s%.100s", path,
			*path ? "." : "", key);
		diff(output, longer, added ? NULL : item, added ? item : twin);
	}
}

static void diff(const struct output *output, const char *path,
	const json_t *before, const json_t *after)
{
	if (before && after && json_equal(before, after))
		return;
	if (json_is_object(before) && json_is_object(after)) {
		diff_members(output, path, before, after, false);
		diff_members(output, path, before, after, true);
		return;
	}
	if (before)
		print_line(output, '-', path, before);
	if (after)
		print_line(output, '+', path, after);
}

static void show_change(const struct output *output, const json_t *change)
{
	const char *operation = text_at(change, "operation");
	const json_t *before = output_find(change, "before");
	const json_t *after = output_find(change, "after");
	char sign = !strcmp(operation, "create") ? '+'
		: !strcmp(operation, "delete")	 ? '-'
						 : '~';
	fprintf(output->out, "  %s%c ", color_of(output, sign), sign);
	output_text(output->out, text_at(change, "kind"));
	fputc(' ', output->out);
	output_text(output->out, text_at(change, "id"));
	fprintf(output->out, "%s\n", output_plain(output));
	if (before && after)
		diff(output, "", before, after);
	else if (after)
		diff_members(output, "", NULL, after, true);
}

bool plan_is_empty(const json_t *plan)
{
	return !json_array_size(json_object_get(plan, "changes"));
}

void plan_show(const struct output *output, const json_t *plan)
{
	const json_t *changes = json_object_get(plan, "changes");
	const json_t *impact = json_object_get(plan, "impact");
	size_t i;
	json_t *change;
	fputs(plan_is_empty(plan) ? "nothing changes\n" : "changes:\n",
		output->out);
	json_array_foreach(changes, i, change)
	{
		show_change(output, change);
	}
	if (!json_array_size(impact))
		return;
	fputs("impact:\n", output->out);
	output_table(output, impact_columns, impact);
}
