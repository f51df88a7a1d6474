/* SPDX-License-Identifier: Apache-2.0 */
/* See yaml_print.h. */
#include "webui/api/objects/yaml_print.h"

#include "blockcore/base/doc.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* -- scalars ---------------------------------------------------------------- */

/* A word that nobody takes for a number, a truth value or a sign of YAML. */
static bool is_word(const char *text)
{
	static const char *const meant[] = {"true", "false", "null", "yes",
		"no", "on", "off", "y", "n", "nan", "inf"};
	size_t length = strlen(text);
	if (!isalpha((unsigned char)*text) || length > 200)
		return false;
	for (size_t i = 0; i < sizeof meant / sizeof *meant; i++) {
		if (!strcasecmp(text, meant[i]))
			return false;
	}
	for (size_t i = 0; i < length; i++) {
		if (!isalnum((unsigned char)text[i]) &&
			!strchr("-_./", text[i]))
			return false;
	}
	return true;
}

static void print_text(const char *text, FILE *out)
{
	if (is_word(text))
		fputs(text, out);
	else
		json_print_string(out, text);
}

static void print_scalar(const json_t *json, FILE *out)
{
	switch (json_typeof(json)) {
	case JSON_STRING: print_text(json_string_value(json), out); break;
	case JSON_INTEGER:
		fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
		break;
	case JSON_REAL: fprintf(out, "%.17g", json_real_value(json)); break;
	case JSON_TRUE: fputs("true", out); break;
	case JSON_FALSE: fputs("false", out); break;
	case JSON_OBJECT: fputs("{}", out); break; /* the empty ones */
	case JSON_ARRAY: fputs("[]", out); break;
	default: fputs("null", out); break;
	}
}

/* -- nodes ------------------------------------------------------------------ */

static bool is_flat(const json_t *json)
{
	return !json_object_size(json) && !json_array_size(json);
}

/* A list of scalars stands in one line. */
static bool is_line(const json_t *json)
{
	for (size_t i = 0; i < json_array_size(json); i++) {
		if (!is_flat(json_array_get(json, i)))
			return false;
	}
	return json_array_size(json) > 0 && json_array_size(json) <= 8;
}

static void print_line(const json_t *json, FILE *out)
{
	for (size_t i = 0; i < json_array_size(json); i++) {
		fputs(i ? ", " : "[", out);
		print_scalar(json_array_get(json, i), out);
	}
	fputc(']', out);
}

static void print_block(const json_t *json, unsigned depth, FILE *out);

static void indent(unsigned depth, FILE *out)
{
	fprintf(out, "%*s", (int)(2 * depth), "");
}

/* What stands behind "key:", up to the end of the line or lines. */
static void print_value(const json_t *json, unsigned depth, FILE *out)
{
	if (is_flat(json) || is_line(json)) {
		fputc(' ', out);
		if (is_line(json))
			print_line(json, out);
		else
			print_scalar(json, out);
		fputc('\n', out);
		return;
	}
	fputc('\n', out);
	indent(depth, out);
	print_block(json, depth, out);
}

static void print_members(const json_t *json, unsigned depth, FILE *out)
{
	const char *key;
	json_t *value;
	bool first = true;
	json_object_foreach((json_t *)json, key, value)
	{
		if (!first)
			indent(depth, out);
		first = false;
		print_text(key, out);
		fputc(':', out);
		print_value(value, depth + 1, out);
	}
}

static void print_items(const json_t *json, unsigned depth, FILE *out)
{
	for (size_t i = 0; i < json_array_size(json); i++) {
		const json_t *item = json_array_get(json, i);
		if (i)
			indent(depth, out);
		if (is_flat(item) || is_line(item)) {
			fputc('-', out);
			print_value(item, depth + 1, out);
			continue;
		}
		fputs("- ", out);
		print_block(item, depth + 1, out);
	}
}

/* The first line is indented already. */
static void print_block(const json_t *json, unsigned depth, FILE *out)
{
	if (json_is_object(json))
		print_members(json, depth, out);
	else
		print_items(json, depth, out);
}

void yaml_print(const json_t *json, FILE *out)
{
	if (is_flat(json)) {
		print_scalar(json, out);
		fputc('\n', out);
	} else {
		print_block(json, 0, out);
	}
}
