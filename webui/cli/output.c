/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cells and objects. table.c prints tables, yaml.c documents.
 */
#include "webui/cli/output.h"
#include "blockcore/base/size.h"
#include "webui/cli/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const json_t *output_find(const json_t *json, const char *path)
{
	char key[64];
	while (json && *path) {
		size_t n = strcspn(path, ".");
		snprintf(key, sizeof key, "%.*s", (int)n, path);
		json = json_object_get(json, key);
		path += n + (path[n] == '.');
	}
	return json_is_null(json) ? NULL : json;
}

/* -- texts ------------------------------------------------------------------ */

/* C1 controls in UTF-8 are C2 80 to C2 9F. */
static bool is_control(const unsigned char *at)
{
	return *at < ' ' || *at == 0x7f || (*at == 0xc2 && at[1] < 0xa0);
}

void output_text(FILE *out, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	for (; *at; at++) {
		if (!is_control(at)) {
			fputc(*at, out);
			continue;
		}
		if (*at == 0xc2 && at[1])
			at++;
		fprintf(out, "\\x%02x", *at);
	}
}

/* The end of what fits into `room` of a text: at a space if there is one. */
static size_t line_bytes(const char *text, unsigned room)
{
	size_t at = 0, space = 0;
	unsigned seen = 0;
	for (; text[at] && seen <= room; at++) {
		if (text[at] == ' ' && at)
			space = at;
		seen += (text[at] & 0xc0) != 0x80;
	}
	if (seen <= room)
		return at;
	return space ? space : strcspn(text, " ");
}

void output_wrapped(const struct output *output, unsigned at, unsigned indent,
	const char *text)
{
	char *safe = NULL;
	size_t bytes;
	FILE *to = open_memstream(&safe, &bytes);
	if (!to)
		abort();
	output_text(to, text);
	fclose(to);
	bool wraps = output->width >= indent + 20;
	for (const char *rest = safe; *rest; at = indent) {
		size_t n = wraps && at < output->width
			? line_bytes(rest, output->width - at)
			: strlen(rest);
		fprintf(output->out, "%.*s", (int)n, rest);
		rest += n + strspn(rest + n, " ");
		if (*rest)
			fprintf(output->out, "\n%*s", (int)indent, "");
	}
	free(safe);
}

const char *output_bold(const struct output *output)
{
	return output->color ? "\033[1m" : "";
}

const char *output_plain(const struct output *output)
{
	return output->color ? "\033[0m" : "";
}

static const char *state_color(const char *word)
{
	static const struct {
		const char *word, *color;
	} colors[] = {
		{"online", "\033[32m"},
		{"ok", "\033[32m"},
		{"done", "\033[32m"},
		{"in sync", "\033[32m"},
		{"running", "\033[36m"},
		{"warning", "\033[33m"},
		{"offline", "\033[33m"},
		{"paused", "\033[33m"},
		{"ejected", "\033[33m"},
		{"behind", "\033[33m"},
		{"degraded", "\033[31m"},
		{"failed", "\033[31m"},
	};
	for (size_t i = 0; i < sizeof colors / sizeof *colors; i++)
		if (!strcmp(word, colors[i].word))
			return colors[i].color;
	return "";
}

void output_state(const struct output *output, const char *text)
{
	const char *color = output->color ? state_color(text) : "";
	fputs(color, output->out);
	output_text(output->out, text);
	if (*color)
		fputs("\033[0m", output->out);
}

/* -- cells ------------------------------------------------------------------ */

static void print_value(FILE *out, const json_t *value)
{
	size_t i;
	json_t *item;
	if (!value) {
		fputc('-', out);
	} else if (json_is_string(value)) {
		const char *text = json_string_value(value);
		output_text(out, *text ? text : "-");
	} else if (json_is_array(value)) {
		json_array_foreach(value, i, item)
		{
			fputs(i ? "," : "", out);
			print_value(out, item);
		}
		if (!json_array_size(value))
			fputc('-', out);
	} else if (json_is_boolean(value)) {
		fputs(json_is_true(value) ? "yes" : "no", out);
	} else {
		char *text = json_dumps(value,
			JSON_ENCODE_ANY | JSON_COMPACT |
				JSON_REAL_PRECISION(6));
		output_text(out, text ? text : "?");
		free(text);
	}
}

/* "id=db01 reason=logout": braces, quotes and what is null are for programs. */
static void print_pairs(FILE *out, const json_t *object)
{
	const char *key, *gap = "";
	json_t *item;
	json_object_foreach((json_t *)object, key, item)
	{
		if (json_is_null(item))
			continue;
		fputs(gap, out);
		output_text(out, key);
		fputc('=', out);
		print_value(out, item);
		gap = " ";
	}
	if (!*gap)
		fputc('-', out);
}

static void print_percent(FILE *out, double part, double whole)
{
	fprintf(out, "%.1f%%", whole > 0 ? 100 * part / whole : 0.0);
}

static bool print_number(FILE *out, const json_t *item, const json_t *value,
	const struct cli_column *column)
{
	char text[TEXT_SIZE_BYTES];
	double number = json_number_value(value);
	uint64_t whole = number > 0 ? (uint64_t)number : 0;
	switch (column->kind) {
	case COLUMN_SIZE: fputs(size_print(text, whole), out); return true;
	case COLUMN_COUNT:
		fputs(text_print_count(text, number), out);
		return true;
	case COLUMN_SECONDS:
		fputs(text_print_duration(text, whole), out);
		return true;
	case COLUMN_PERCENT_OF:
		print_percent(out, number,
			json_number_value(output_find(item, column->other)));
		return true;
	default: return false;
	}
}

char *output_cell(const struct output *output, const json_t *item,
	const struct cli_column *column)
{
	char *text = NULL;
	size_t bytes;
	const json_t *value = output_find(item, column->path);
	FILE *out = open_memstream(&text, &bytes);
	if (!out)
		abort();
	if (!value && column->kind == COLUMN_FLAG)
		fputs("no", out);
	else if (json_is_object(value) && !output->bare)
		print_pairs(out, value);
	else if (!json_is_number(value) || output->exact ||
		!print_number(out, item, value, column))
		print_value(out, value);
	fclose(out);
	return text;
}

/* -- columns ---------------------------------------------------------------- */

static int no_column(const struct cli_column *columns, const char *name,
	size_t bytes, struct err *err)
{
	char list[256] = "";
	for (; columns->title; columns++) {
		size_t used = strlen(list);
		snprintf(list + used, sizeof list - used, "%s%s",
			used ? ", " : "", columns->title);
	}
	return err_set(err, EINVAL, "no column \"%.*s\"; there are %s",
		(int)bytes, name, list);
}

static const struct cli_column *find_column(
	const struct cli_column *columns, const char *name, size_t bytes)
{
	for (; columns->title; columns++)
		if (strlen(columns->title) == bytes &&
			!strncasecmp(columns->title, name, bytes))
			return columns;
	return NULL;
}

struct cli_column *output_choose_columns(
	const struct cli_column *columns, const char *names, struct err *err)
{
	struct cli_column *chosen =
		calloc(OUTPUT_MAX_COLUMNS + 1, sizeof *chosen);
	unsigned n = 0;
	if (!chosen)
		abort();
	while (*names && n < OUTPUT_MAX_COLUMNS) {
		size_t bytes = strcspn(names, ",");
		const struct cli_column *column =
			find_column(columns, names, bytes);
		if (!column) {
			no_column(columns, names, bytes, err);
			free(chosen);
			return NULL;
		}
		chosen[n++] = *column;
		names += bytes + (names[bytes] == ',');
	}
	return chosen;
}

/* -- any format ------------------------------------------------------------- */

static void print_json(const struct output *output, const json_t *json)
{
	char *text = json_dumps(json, JSON_INDENT(2) | JSON_ENCODE_ANY);
	fprintf(output->out, "%s\n", text ? text : "null");
	free(text);
}

static void print_name(const struct output *output,
	const struct cli_column *columns, const json_t *item)
{
	char *cell = columns ? output_cell(output, item, columns) : NULL;
	if (cell)
		fprintf(output->out, "%s\n", cell);
	free(cell);
}

/* Names the last `count` columns. */
static void print_left_out(const struct output *output,
	const struct cli_column *columns, unsigned count)
{
	char text[512] = "left out for want of width: ";
	unsigned all = 0;
	while (columns[all].title)
		all++;
	for (unsigned c = all - count; c < all; c++) {
		size_t used = strlen(text);
		snprintf(text + used, sizeof text - used, "%s%s",
			c > all - count ? ", " : "", columns[c].title);
	}
	strncat(text, " (--columns chooses)", sizeof text - strlen(text) - 1);
	if (count) {
		output_wrapped(output, 0, 2, text);
		fputc('\n', output->out);
	}
}

void output_list(const struct output *output, const struct cli_column *columns,
	const json_t *items)
{
	size_t i;
	json_t *item;
	if (output->format == OUTPUT_JSON) {
		print_json(output, items);
	} else if (output->format == OUTPUT_YAML || !columns) {
		output_yaml(output->out, items);
	} else if (output->format == OUTPUT_TABLE) {
		print_left_out(
			output, columns, output_table(output, columns, items));
	} else {
		json_array_foreach(items, i, item)
		{
			print_name(output, columns, item);
		}
	}
}

/* A copy of a tree in which sizes are texts with units. */
static json_t *with_units(const json_t *json, const char *key)
{
	size_t bytes = key ? strlen(key) : 0, i;
	json_t *copy, *item;
	char text[TEXT_SIZE_BYTES];
	if (json_is_integer(json) && bytes > 6 &&
		!strcmp(key + bytes - 6, "_bytes") &&
		json_integer_value(json) >= 1024)
		return json_string(
			size_print(text, (uint64_t)json_integer_value(json)));
	if (json_is_array(json)) {
		copy = json_array();
		json_array_foreach(json, i, item)
		{
			json_array_append_new(copy, with_units(item, key));
		}
		return copy;
	}
	if (!json_is_object(json))
		return json_deep_copy(json);
	copy = json_object();
	const char *name;
	json_object_foreach((json_t *)json, name, item)
	{
		json_object_set_new(copy, name, with_units(item, name));
	}
	return copy;
}

void output_object(const struct output *output,
	const struct cli_column *columns, const json_t *object)
{
	if (output->format == OUTPUT_JSON) {
		print_json(output, object);
	} else if (output->format == OUTPUT_NAME && columns) {
		print_name(output, columns, object);
	} else if (output->format == OUTPUT_TABLE && columns &&
		(output->bare || output->chosen)) {
		json_t *items = json_pack("[O]", object);
		output_table(output, columns, items);
		json_decref(items);
	} else if (output->format == OUTPUT_TABLE && !output->exact) {
		json_t *copy = with_units(object, NULL);
		output_yaml(output->out, copy);
		json_decref(copy);
	} else {
		output_yaml(output->out, object);
	}
}
