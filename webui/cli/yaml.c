/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON trees as YAML in block style. Invariant: what is printed reads back (also by
 * doc_parse) to the same tree; so a text stands without quotes only if it is made
 * of harmless characters and could be nothing else.
 */
#include "webui/cli/output.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool is_word(const char *text)
{
	static const char *const taken[] = {
		"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
	for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
		if (!strcasecmp(text, taken[i]))
			return false;
	if (!isalpha((unsigned char)*text) && *text != '/')
		return false;
	for (const char *at = text; *at; at++) {
		bool colon = *at == ':' && at[1] && at[1] != ' ';
		bool space =
			*at == ' ' && at[1] && at[1] != ' ' && at[1] != '#';
		if (!isalnum((unsigned char)*at) && !colon && !space &&
			!strchr("_./-+()%", *at))
			return false;
	}
	return true;
}

static void print_scalar(FILE *out, const json_t *json)
{
	if (json_is_string(json) && is_word(json_string_value(json))) {
		fputs(json_string_value(json), out);
		return;
	}
	char *text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
	fputs(text ? text : "null", out);
	free(text);
}

/* Lines that stand as they are behind "|": printable, none is blank, the last one
 * is ended. */
static bool is_lines(const json_t *json)
{
	const char *text = json_string_value(json);
	if (!text || !strchr(text, '\n') || *text == ' ')
		return false;
	for (; *text; text++) {
		if (*text == '\n' && (!text[1] || text[1] == '\n'))
			return !text[1];
		if (*text != '\n' && !(*text >= ' ' && *text <= '~'))
			return false;
	}
	return false;
}

static void print_lines(FILE *out, const char *text, unsigned depth)
{
	fputs("|\n", out);
	while (*text) {
		size_t bytes = strcspn(text, "\n") + 1;
		fprintf(out, "%*s%.*s", (int)depth * 2, "", (int)bytes, text);
		text += bytes;
	}
}

static void print_key(FILE *out, const char *key)
{
	json_t *text = json_string(key);
	print_scalar(out, text);
	json_decref(text);
}

static bool is_flat(const json_t *json)
{
	return !json_is_object(json) && !json_is_array(json);
}

/* [a, b] on one line: short lists of scalars. */
static bool is_short_list(const json_t *json)
{
	size_t i, bytes = 0;
	json_t *item;
	if (!json_is_array(json))
		return false;
	json_array_foreach(json, i, item)
	{
		if (!is_flat(item))
			return false;
		bytes += 2 +
			(json_is_string(item) ? json_string_length(item) : 8);
	}
	return bytes <= 60;
}

static void print_short_list(FILE *out, const json_t *json)
{
	size_t i;
	json_t *item;
	fputc('[', out);
	json_array_foreach(json, i, item)
	{
		fputs(i ? ", " : "", out);
		/* No commas and brackets: is_word allows none. */
		print_scalar(out, item);
	}
	fputc(']', out);
}

static void print_block(
	FILE *out, const json_t *json, unsigned depth, bool begun);

/* What stands behind "key:" or "-". */
static void print_value(FILE *out, const json_t *json, unsigned depth)
{
	if (is_lines(json)) {
		fputc(' ', out);
		print_lines(out, json_string_value(json), depth);
	} else if (is_flat(json)) {
		fputc(' ', out);
		print_scalar(out, json);
		fputc('\n', out);
	} else if (is_short_list(json)) {
		fputc(' ', out);
		print_short_list(out, json);
		fputc('\n', out);
	} else if (json_is_object(json) && !json_object_size(json)) {
		fputs(" {}\n", out);
	} else {
		fputc('\n', out);
		print_block(out, json, depth, false);
	}
}

static void print_items(FILE *out, const json_t *json, unsigned depth)
{
	size_t i;
	json_t *item;
	json_array_foreach(json, i, item)
	{
		fprintf(out, "%*s-", (int)depth * 2, "");
		if (json_object_size(item)) {
			fputc(' ', out);
			print_block(out, item, depth + 1, true);
		} else {
			print_value(out, item, depth + 1);
		}
	}
}

/* `begun`: the first line has its indentation. */
static void print_block(
	FILE *out, const json_t *json, unsigned depth, bool begun)
{
	const char *key;
	json_t *item;
	if (json_is_array(json)) {
		print_items(out, json, depth);
		return;
	}
	json_object_foreach((json_t *)json, key, item)
	{
		fprintf(out, "%*s", begun ? 0 : (int)depth * 2, "");
		begun = false;
		print_key(out, key);
		fputc(':', out);
		print_value(out, item, depth + 1);
	}
}

void output_yaml(FILE *out, const json_t *json)
{
	if (is_flat(json)) {
		print_scalar(out, json);
		fputc('\n', out);
	} else if (is_short_list(json)) {
		print_short_list(out, json);
		fputc('\n', out);
	} else if (json_is_object(json) && !json_object_size(json)) {
		fputs("{}\n", out);
	} else {
		print_block(out, json, 0, false);
	}
}
