/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way goes through text, written by our own printer: jansson's leaves a few
 * characters as they are that YAML would take for the end of a line.
 */
#include "target/control/config/json_doc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static void print(FILE *out, const json_t *json);

static void print_object(FILE *out, const json_t *json)
{
	const char *key;
	json_t *value;
	const char *before = "{";
	json_object_foreach((json_t *)json, key, value)
	{
		fputs(before, out);
		json_print_string(out, key);
		fputs(": ", out);
		print(out, value);
		before = ", ";
	}
	fputs(*before == '{' ? "{}" : "}", out);
}

static void print_array(FILE *out, const json_t *json)
{
	const char *before = "[";
	json_t *value;
	size_t i;
	json_array_foreach(json, i, value)
	{
		fputs(before, out);
		print(out, value);
		before = ", ";
	}
	fputs(*before == '[' ? "[]" : "]", out);
}

static void print(FILE *out, const json_t *json)
{
	switch (json_typeof(json)) {
	case JSON_OBJECT: print_object(out, json); break;
	case JSON_ARRAY: print_array(out, json); break;
	case JSON_STRING:
		json_print_string(out, json_string_value(json));
		break;
	case JSON_INTEGER:
		fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
		break;
	case JSON_REAL: fprintf(out, "%.17g", json_real_value(json)); break;
	case JSON_TRUE: fputs("true", out); break;
	case JSON_FALSE: fputs("false", out); break;
	case JSON_NULL: fputs("null", out); break;
	}
}

struct doc *json_to_doc(const json_t *json, struct err *err)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	if (!out) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	print(out, json);
	struct doc *doc = NULL;
	if (fclose(out))
		err_set(err, ENOMEM, "out of memory");
	else
		doc = doc_parse("", text, bytes, err);
	free(text);
	return doc;
}

json_t *json_from_doc(const struct doc *doc)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	if (!out)
		return NULL;
	doc_print_json(doc, out);
	json_t *json = fclose(out)
		? NULL
		: json_loadb(text, bytes, JSON_DECODE_ANY, NULL);
	free(text);
	return json;
}
