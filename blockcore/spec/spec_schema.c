/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may be written in a source document, for programs (JSON Schema) and for
 * people (--help): both from the registry, so that they cannot differ from what
 * is parsed.
 */
#include "blockcore/format/format.h"
#include "blockcore/job.h"
#include "blockcore/kind.h"
#include "blockcore/listener/fault_rules.h"
#include "blockcore/spec.h"

#include <stdlib.h>
#include <string.h>

/* -- for programs --------------------------------------------------------- */

static void schema_string(FILE *out, const char *key, const char *text)
{
	fprintf(out, "\"%s\": ", key);
	json_print_string(out, text);
}

/* Takes away what would close it to the options alone. */
static void schema_open(char *text)
{
	static const char closing[] = ", \"additionalProperties\": false}";
	size_t length = strlen(text), tail = sizeof(closing) - 1;

	if (length >= tail && !strcmp(text + length - tail, closing))
		strcpy(text + length - tail, "}");
}

#define SOURCE_OR_NAME "\"$ref\": \"#/$defs/below\", "
/* What options are that a driver takes as they stand, whichever has one of that name. */
static const struct opt_schema schema_of_docs[] = {
	{"target", SOURCE_OR_NAME},
	{"leg", SOURCE_OR_NAME},
	{"others",
		"\"type\": \"array\", \"minItems\": 1, \"maxItems\": 3, "
		"\"items\": {\"$ref\": \"#/$defs/below\"}, "},
	{"rules",
		"\"type\": [\"array\", \"null\"], \"maxItems\": 64, "
		"\"items\": {\"$ref\": \"#/$defs/rule\"}, "},
	{NULL, NULL},
};

/* One driver's or format's map: `type` is fixed, its options beside it. The
 * options' own schema is joined by allOf; unevaluatedProperties closes it. */
static void schema_kind(FILE *out, const char *name, const char *help,
	const struct opt_spec *options, const char *more)
{
	fputs("{", out);
	schema_string(out, "title", name);
	fputs(", ", out);
	schema_string(out, "description", help);
	fputs(", \"type\": \"object\", \"required\": [\"type\"], "
	      "\"properties\": {\"type\": {\"const\": ",
		out);
	json_print_string(out, name);
	fprintf(out, "}%s}, \"allOf\": [", more);
	char *text = NULL;
	size_t bytes = 0;
	FILE *schema = open_memstream(&text, &bytes);
	if (schema) {
		opts_print_schema_with(options, schema_of_docs, schema);
		fclose(schema);
		schema_open(text);
		fputs(text, out);
		free(text);
	}
	fputs("], \"unevaluatedProperties\": false}", out);
}

static void schema_role(FILE *out, const char *name, enum block_role role)
{
	const char *comma = "";

	fprintf(out, "\"%s\": {\"oneOf\": [", name);
	for (unsigned i = 0; block_kinds[i]; i++) {
		const struct block_kind *kind = block_kinds[i];

		if (kind->role != role)
			continue;
		fputs(comma, out);
		schema_kind(out, kind->name, kind->help, kind->options,
			", \"name\": {\"$ref\": \"#/$defs/name\"}");
		comma = ",\n";
	}
	fputs("]}", out);
}

static void schema_formats(FILE *out)
{
	fputs("\"format\": {\"oneOf\": [", out);
	for (unsigned i = 0; block_format_kinds[i]; i++) {
		const struct block_format_kind *kind = block_format_kinds[i];

		if (i)
			fputs(",\n", out);
		schema_kind(out, kind->name, kind->help, kind->options,
			kind->has_backing
				? ", \"file\": {\"$ref\": \"#/$defs/below\"}"
				  ", \"backing\": "
				  "{\"$ref\": \"#/$defs/below\"}"
				: ", \"file\": {\"$ref\": \"#/$defs/below\"}");
	}
	fputs("]}", out);
}

static const char schema_source[] =
	"\"name\": {\"type\": \"string\", "
	"\"pattern\": \"^[A-Za-z0-9._-]{1,63}$\"},\n"
	"\"below\": {\"description\": \"a source of its own, or the name of "
	"one\", \"oneOf\": [{\"type\": \"string\"}, "
	"{\"$ref\": \"#/$defs/source\"}]},\n"
	"\"source\": {\"type\": \"object\", \"properties\": {"
	"\"listeners\": {\"type\": [\"array\", \"null\"], \"maxItems\": 15, "
	"\"items\": {\"$ref\": \"#/$defs/listener\"}}, "
	"\"protocol\": {\"$ref\": \"#/$defs/protocol\"}, "
	"\"format\": {\"$ref\": \"#/$defs/format\"}, "
	"\"view\": {\"oneOf\": [{\"type\": \"object\", "
	"\"properties\": {\"snapshot\": {\"type\": \"string\", \"minLength\": "
	"1, "
	"\"maxLength\": 255}}, \"required\": [\"snapshot\"], "
	"\"additionalProperties\": false}, {\"type\": \"object\", "
	"\"properties\": {\"image\": {\"type\": \"string\", \"minLength\": "
	"1}}, \"required\": [\"image\"], "
	"\"additionalProperties\": false}, {\"type\": \"object\", "
	"\"properties\": {\"backup\": {\"type\": \"string\", "
	"\"minLength\": 1, \"maxLength\": 63}}, "
	"\"required\": [\"backup\"], "
	"\"additionalProperties\": false}, {\"const\": \"current\"}]}, "
	"\"source\": {\"$ref\": \"#/$defs/below\"}}, "
	"\"oneOf\": [{\"required\": [\"protocol\"]}, "
	"{\"required\": [\"format\"]}, {\"required\": [\"source\"]}], "
	/* `format` and `source` once more: linters want to see what is required. */
	"\"dependentSchemas\": {\"view\": {\"anyOf\": ["
	"{\"required\": [\"format\"], \"properties\": {\"format\": {}}}, "
	"{\"required\": [\"source\"], \"properties\": {\"source\": {}, "
	"\"view\": {\"type\": \"object\"}}}]}}, "
	"\"additionalProperties\": false}";

void spec_print_schema(FILE *out)
{
	fputs("{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\","
	      "\n\"title\": \"Source of a volume\", "
	      "\"$ref\": \"#/$defs/source\",\n\"$defs\": {",
		out);
	fputs(schema_source, out);
	fputs(",\n\"rule\": ", out);
	fault_rules_print_schema(out);
	fputs(",\n", out);
	schema_role(out, "listener", BLOCK_LISTENER);
	fputs(",\n", out);
	schema_role(out, "protocol", BLOCK_PROTOCOL);
	fputs(",\n", out);
	schema_formats(out);
	fputs("}}\n", out);
}

/* -- jobs ------------------------------------------------------------------ */

#define SOURCE_SCHEMA "/api/v1/schemas/source"

static void schema_job(FILE *out, const struct job_kind *kind)
{
	static const struct opt_schema target[] = {
		{"to", "\"$ref\": \"" SOURCE_SCHEMA "\", "}, {NULL, NULL}};
	static const struct opt_schema named[] = {
		{"to", "\"$ref\": \"" SOURCE_SCHEMA "#/$defs/below\", "},
		{NULL, NULL}};
	bool may_name = !strcmp(kind->name, "rebase");

	fputs("{", out);
	schema_string(out, "title", kind->name);
	fputs(", ", out);
	schema_string(out, "description", kind->help);
	fputs(", \"type\": \"object\", \"required\": [\"kind\"], "
	      "\"properties\": {\"kind\": {\"const\": ",
		out);
	json_print_string(out, kind->name);
	fputs("}, \"options\": ", out);
	opts_print_schema_with(kind->options, may_name ? named : target, out);
	fputs("}}", out);
}

void spec_print_job_schema(FILE *out)
{
	fputs("{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\","
	      "\n\"title\": \"Kind of a job and its options\", \"oneOf\": [",
		out);
	for (unsigned i = 0; job_kinds[i]; i++) {
		fputs(i ? ",\n" : "", out);
		schema_job(out, job_kinds[i]);
	}
	fputs("]}\n", out);
}

/* -- for people ----------------------------------------------------------- */

static void help_kind(FILE *out, const char *name, const char *help,
	const struct opt_spec *options)
{
	fprintf(out, "%s: %s\n", name, help);
	opts_print_help(options, out);
	fputc('\n', out);
}

static void help_role(FILE *out, const char *title, enum block_role role)
{
	fprintf(out, "%s\n\n", title);
	for (unsigned i = 0; block_kinds[i]; i++) {
		if (block_kinds[i]->role == role)
			help_kind(out, block_kinds[i]->name,
				block_kinds[i]->help, block_kinds[i]->options);
	}
}

void spec_print_help(FILE *out)
{
	help_role(out, "PROTOCOLS (protocol: {type: TYPE, OPTION: VALUE, ...})",
		BLOCK_PROTOCOL);
	fputs("FORMATS (format: {type: TYPE, file: SOURCE, ...})\n\n", out);
	for (unsigned i = 0; block_format_kinds[i]; i++)
		help_kind(out, block_format_kinds[i]->name,
			block_format_kinds[i]->help,
			block_format_kinds[i]->options);
	help_role(out,
		"LISTENERS, in their order from the top (listeners: "
		"[{type: TYPE, name: NAME, OPTION: VALUE, ...}])",
		BLOCK_LISTENER);
}

const struct opt_spec *spec_format_options(const char *type, size_t *bytes)
{
	const struct block_format_kind *kind = block_format_kind_find(type);

	*bytes = kind ? kind->options_bytes : 0;
	return kind ? kind->options : NULL;
}
