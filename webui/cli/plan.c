/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/cli/plan.h"
#include "blockcore/base/size.h"
#include "webui/cli/text.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PATH 512u

static const struct cli_column impact_columns[] = {
	{"OBJECT", "object"},
	{"EFFECT", "effect"},
	{"SESSIONS", "sessions"},
	{"HOSTS", "hosts"},
	{"PARKED_MS", "parked_ms_max"},
	{"WHAT", "text", COLUMN_WRAP},
	{0},
};

static const char *text_at(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));
	return text ? text : "";
}

/* Texts of several lines (certificates) by their first one. */
static bool print_long(FILE *out, const json_t *json)
{
	const char *text = json_string_value(json);
	size_t first = text ? strcspn(text, "\n") : 0, lines = 0;
	if (!text || !text[first] || !text[first + 1])
		return false;
	for (const char *at = text; *at; at += strcspn(at, "\n"), at += !!*at)
		lines++;
	char *line = strndup(text, first);
	output_text(out, line ? line : "");
	fprintf(out, " ... (%zu lines)", lines);
	free(line);
	return true;
}

static void print_json(FILE *out, const json_t *json)
{
	if (print_long(out, json))
		return;
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

/* Large sizes also in words: 2147483648 (2 GiB). */
static void print_unit(FILE *out, const char *path, const json_t *value)
{
	static const char *const ends[] = {"size", "_bytes"};
	char text[TEXT_SIZE_BYTES];
	json_int_t bytes = json_integer_value(value);
	size_t length = strlen(path);
	bool is_size = false;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		size_t end = strlen(ends[i]);
		is_size |=
			length >= end && !strcmp(path + length - end, ends[i]);
	}
	if (is_size && bytes >= 65536)
		fprintf(out, " (%s)", size_print(text, (uint64_t)bytes));
}

/* "      + source.protocol.size: 100" */
static void print_line(const struct output *output, char sign, const char *path,
	const json_t *value)
{
	fprintf(output->out, "    %s%c ", color_of(output, sign), sign);
	output_text(output->out, path);
	fputs(": ", output->out);
	print_json(output->out, value);
	print_unit(output->out, path, value);
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

/* -- lists of what has names: listeners, rules ------------------------------- */

static const json_t *find_named(const json_t *list, const char *name)
{
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item)
	{
		if (!strcmp(text_at(item, "name"), name))
			return item;
	}
	return NULL;
}

/* Whether each item has a name of its own. */
static bool has_names(const json_t *list)
{
	size_t i;
	json_t *item;
	if (!json_is_array(list))
		return false;
	json_array_foreach(list, i, item)
	{
		const char *name = text_at(item, "name");
		if (!*name || find_named(list, name) != item)
			return false;
	}
	return true;
}

static json_t *names_of(const json_t *list)
{
	json_t *names = json_array();
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item)
	{
		json_array_append(names, json_object_get(item, "name"));
	}
	return names;
}

/* Which there are, in their order, then each one by itself. */
static void diff_named(const struct output *output, const char *path,
	const json_t *before, const json_t *after)
{
	json_t *old = names_of(before), *new = names_of(after);
	for (int added = 0; added < 2; added++) {
		const json_t *one = added ? after : before;
		size_t i;
		json_t *item;
		if (!json_equal(old, new))
			print_line(output, added ? '+' : '-', path,
				added ? new : old);
		json_array_foreach(one, i, item)
		{
			char longer[MAX_PATH];
			const char *name = text_at(item, "name");
			const json_t *twin =
				find_named(added ? before : after, name);
			snprintf(longer, sizeof longer, "%.400s[%.100s]", path,
				name);
			if (!twin || !added)
				diff(output, longer, added ? NULL : item,
					added ? item : twin);
		}
	}
	json_decref(old);
	json_decref(new);
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
	if (has_names(before) && has_names(after)) {
		diff_named(output, path, before, after);
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
	if (!plan_is_empty(plan))
		fputs("changes:\n", output->out);
	else if (!json_array_size(impact))
		fputs("nothing changes\n", output->out);
	json_array_foreach(changes, i, change)
	{
		show_change(output, change);
	}
	if (!json_array_size(impact))
		return;
	fputs("impact:\n", output->out);
	output_table(output, impact_columns, impact);
}
