/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options for people (--help), for tools (JSON Schema 2020-12) and back into a
 * document: each from the same table.
 */
#include "blockcore/base/opts.h"

#include <inttypes.h>
#include <string.h>

static const char *const type_names[] = {
	[OPT_BOOL] = "BOOL",
	[OPT_UINT] = "NUMBER",
	[OPT_SIZE] = "SIZE",
	[OPT_STRING] = "TEXT",
	[OPT_ENUM] = "CHOICE",
	[OPT_DOC] = "DOCUMENT",
};

/* Limits that nobody reaches are not worth words. */
#define NO_LIMIT (UINT64_C(1) << 50)

/* "read|write"; returns its length. */
static int print_type(const struct opt_spec *spec, FILE *out)
{
	int length = 0;

	if (spec->type != OPT_ENUM)
		return fprintf(out, "%s", type_names[spec->type]);
	for (int i = 0; spec->choices[i]; i++)
		length += fprintf(out, "%s%s", i ? "|" : "", spec->choices[i]);
	return length;
}

static unsigned type_width(const struct opt_spec *spec)
{
	size_t width = 0;

	if (spec->type != OPT_ENUM)
		return (unsigned)strlen(type_names[spec->type]);
	for (int i = 0; spec->choices[i]; i++)
		width += strlen(spec->choices[i]) + (i > 0);
	return (unsigned)width;
}

/* "1TiB" for a size, in the largest unit that leaves a whole number. */
static void print_limit(const struct opt_spec *spec, uint64_t limit, FILE *out)
{
	static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
	unsigned unit = 0;

	while (spec->type == OPT_SIZE && limit && limit % 1024 == 0 &&
		unit < 4) {
		limit /= 1024;
		unit++;
	}
	fprintf(out, "%" PRIu64 "%s", limit, units[unit]);
}

/* "1 to 64"; false if there is nothing to say. */
static bool print_range(const struct opt_spec *spec, FILE *out)
{
	bool numeric = spec->type == OPT_UINT || spec->type == OPT_SIZE;

	if (spec->type == OPT_STRING && spec->max) {
		fprintf(out, "at most %" PRIu64 " bytes", spec->max);
		return true;
	}
	if (numeric && spec->max && spec->max < NO_LIMIT) {
		print_limit(spec, spec->min, out);
		fputs(" to ", out);
		print_limit(spec, spec->max, out);
		return true;
	}
	if (!numeric || !spec->min)
		return false;
	fputs("at least ", out);
	print_limit(spec, spec->min, out);
	return true;
}

/* "(1 to 64; default 8)" */
static void print_remarks(const struct opt_spec *spec, FILE *out)
{
	fputs(" (", out);
	if (print_range(spec, out))
		fputs("; ", out);
	if (spec->fallback)
		fprintf(out, "default %s", spec->fallback);
	else if (spec->flags & OPT_OPTIONAL)
		fputs("optional", out);
	else
		fputs("required", out);
	if (spec->flags & OPT_LIVE)
		fputs("; can be changed live", out);
	fputc(')', out);
}

void opts_print_help(const struct opt_spec *specs, FILE *out)
{
	unsigned widest = 0;

	for (const struct opt_spec *spec = specs; spec->name; spec++) {
		unsigned width =
			(unsigned)strlen(spec->name) + type_width(spec);
		widest = width > widest ? width : widest;
	}
	for (; specs->name; specs++) {
		int used = fprintf(out, "  %s: ", specs->name);
		used += print_type(specs, out);
		fprintf(out, "%*s%s", (int)widest + 6 - used, "", specs->help);
		print_remarks(specs, out);
		fputc('\n', out);
	}
}

/* Numbers are no texts: see read_enum of opts.c. */
static bool is_number(const struct opt_spec *spec)
{
	return *spec->choices[0] >= '0' && *spec->choices[0] <= '9';
}

static void print_choice(
	const struct opt_spec *spec, const char *choice, FILE *out)
{
	if (is_number(spec))
		fputs(choice, out);
	else
		json_print_string(out, choice);
}

static void print_enum_schema(const struct opt_spec *spec, FILE *out)
{
	fputs("\"enum\": [", out);
	for (int i = 0; spec->choices[i]; i++) {
		fputs(i ? ", " : "", out);
		print_choice(spec, spec->choices[i], out);
	}
	fputs("], ", out);
}

static void print_type_schema(const struct opt_spec *spec, FILE *out)
{
	switch (spec->type) {
	case OPT_BOOL: fputs("\"type\": \"boolean\", ", out); break;
	case OPT_UINT: fputs("\"type\": \"integer\", ", out); break;
	case OPT_SIZE:
		fputs("\"type\": [\"integer\", \"string\"], "
		      "\"pattern\": \"^[0-9]+([KMGTP](iB)?)?$\", ",
			out);
		break;
	case OPT_STRING: fputs("\"type\": \"string\", ", out); break;
	case OPT_ENUM: print_enum_schema(spec, out); break;
	case OPT_DOC: break;
	}
	if (spec->type == OPT_UINT || spec->type == OPT_SIZE)
		fprintf(out, "\"minimum\": %" PRIu64 ", ", spec->min);
	if (spec->max && (spec->type == OPT_UINT || spec->type == OPT_SIZE))
		fprintf(out, "\"maximum\": %" PRIu64 ", ", spec->max);
	if (spec->max && spec->type == OPT_STRING)
		fprintf(out, "\"maxLength\": %" PRIu64 ", ", spec->max);
}

/* The default as the JSON value that it means: text types are quoted. */
static void print_default(const struct opt_spec *spec, FILE *out)
{
	const struct doc node = {
		.kind = DOC_SCALAR,
		.quoted = spec->type == OPT_STRING ||
			(spec->type == OPT_ENUM && !is_number(spec)),
		.text = spec->fallback,
	};

	if (!spec->fallback)
		return;
	fputs("\"default\": ", out);
	doc_print_json(&node, out);
	fputs(", ", out);
}

static void print_required(const struct opt_spec *specs, FILE *out)
{
	const char *between = "";

	fputs("\"required\": [", out);
	for (; specs->name; specs++) {
		if (specs->fallback || (specs->flags & OPT_OPTIONAL))
			continue;
		fputs(between, out);
		json_print_string(out, specs->name);
		between = ", ";
	}
	fputs("], ", out);
}

static void print_more(
	const struct opt_schema *more, const char *name, FILE *out)
{
	for (; more && more->name; more++) {
		if (!strcmp(more->name, name))
			fputs(more->members, out);
	}
}

void opts_print_schema(const struct opt_spec *specs, FILE *out)
{
	opts_print_schema_with(specs, NULL, out);
}

void opts_print_schema_with(
	const struct opt_spec *specs, const struct opt_schema *more, FILE *out)
{
	fputs("{\"type\": \"object\", ", out);
	print_more(more, "", out);
	fputs("\"properties\": {", out);
	for (const struct opt_spec *spec = specs; spec->name; spec++) {
		fputs(spec == specs ? "" : ", ", out);
		json_print_string(out, spec->name);
		fputs(": {", out);
		print_type_schema(spec, out);
		print_more(more, spec->name, out);
		print_default(spec, out);
		fputs("\"description\": ", out);
		json_print_string(out, spec->help);
		fputc('}', out);
	}
	fputs("}, ", out);
	print_required(specs, out);
	fputs("\"additionalProperties\": false}", out);
}

static bool is_zero(const struct opt_spec *spec, const void *field)
{
	switch (spec->type) {
	case OPT_BOOL: return !*(const bool *)field;
	case OPT_UINT:
	case OPT_SIZE: return !*(const uint64_t *)field;
	case OPT_STRING: return !*(char *const *)field;
	case OPT_ENUM: return !*(const int *)field;
	case OPT_DOC: return !*(const struct doc *const *)field;
	}
	return true;
}

static void print_value(
	const struct opt_spec *spec, const void *field, FILE *out)
{
	switch (spec->type) {
	case OPT_BOOL:
		fputs(*(const bool *)field ? "true" : "false", out);
		break;
	case OPT_UINT:
	case OPT_SIZE:
		fprintf(out, "%" PRIu64, *(const uint64_t *)field);
		break;
	case OPT_STRING: json_print_string(out, *(char *const *)field); break;
	case OPT_ENUM:
		print_choice(spec, spec->choices[*(const int *)field], out);
		break;
	case OPT_DOC:
		doc_print_json(*(const struct doc *const *)field, out);
		break;
	}
}

unsigned opts_print_values(
	const struct opt_spec *specs, const void *values, FILE *out)
{
	unsigned printed = 0;

	for (; specs->name; specs++) {
		const void *field = (const char *)values + specs->offset;
		if (!specs->fallback && (specs->flags & OPT_OPTIONAL) &&
			is_zero(specs, field))
			continue;
		fputs(printed++ ? ", " : "", out);
		json_print_string(out, specs->name);
		fputs(": ", out);
		print_value(specs, field, out);
	}
	return printed;
}
