/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running stacks back to documents: what spec_print writes without status
 * builds the same stack again.
 */
#include "blockcore/core/alias.h"
#include "blockcore/core/point.h"
#include "blockcore/format/format.h"
#include "blockcore/spec.h"
#include "blockcore/spec/spec_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void spec_print_source(
	struct block_source *source, bool status, FILE *out);

/* ", "status": {...}" */
static void spec_print_status(struct block_driver *driver, FILE *out)
{
	fprintf(out, ", \"status\": {\"failed\": %s",
		driver->failed ? "true" : "false");
	if (driver->kind->status) {
		fputs(", ", out);
		driver->kind->status(driver, out);
	}
	fputc('}', out);
}

static void spec_print_options(
	const struct opt_spec *specs, const void *options, FILE *out)
{
	if (!options || !specs[0].name)
		return;
	char *text = NULL;
	size_t bytes = 0;
	FILE *values = open_memstream(&text, &bytes);

	if (!values)
		return;
	unsigned printed = opts_print_values(specs, options, values);
	fclose(values);
	if (printed)
		fprintf(out, ", %s", text);
	free(text);
}

/* {"type": "throttle", "name": "limit", "iops": 20000} */
static void spec_print_driver(
	struct block_driver *driver, bool status, FILE *out)
{
	fputs("{\"type\": ", out);
	json_print_string(out, driver->kind->name);
	fputs(", \"name\": ", out);
	json_print_string(out, driver->name);
	spec_print_options(driver->kind->options, driver->options, out);
	if (status)
		spec_print_status(driver, out);
	fputc('}', out);
}

/* A source below: by its name if it has a life of its own. */
static void spec_print_below(
	const char *key, struct block_source *source, bool status, FILE *out)
{
	fprintf(out, "\"%s\": ", key);
	if (source->listed)
		json_print_string(out, source->name);
	else
		spec_print_source(source, status, out);
}

static void spec_print_view(const struct block_view *view, FILE *out)
{
	if (!view->snapshot[0]) {
		fprintf(out, ", \"view\": \"%s\"", FORMAT_CURRENT);
		return;
	}
	fputs(", \"view\": {\"snapshot\": ", out);
	json_print_string(out, view->snapshot);
	fputc('}', out);
}

static void spec_print_format(
	struct block_driver *driver, bool status, FILE *out)
{
	struct block_view *view =
		container_of(driver, struct block_view, driver);
	struct block_format *format = view->format;

	if (view->of) {
		spec_print_below("source", view->of, false, out);
		spec_print_view(view, out);
		return;
	}
	fputs("\"format\": {\"type\": ", out);
	json_print_string(out, format->kind->name);
	spec_print_options(format->kind->options, format->options, out);
	fputs(", ", out);
	spec_print_below("file", format->file, status, out);
	if (format->backing) {
		fputs(", ", out);
		spec_print_below("backing", format->backing, status, out);
	}
	if (status && driver->kind->status)
		spec_print_status(driver, out);
	fputc('}', out);
	spec_print_view(view, out);
}

/* A source, or an image below it. */
static void spec_print_alias(
	struct block_driver *driver, bool status, FILE *out)
{
	const struct block_alias *alias =
		container_of(driver, struct block_alias, driver);

	spec_print_below(
		"source", alias->of ? alias->of : alias->source, status, out);
	if (!alias->of)
		return;
	fputs(", \"view\": {\"image\": ", out);
	json_print_string(out, alias->image);
	fputc('}', out);
}

static void spec_print_point(struct block_driver *driver, FILE *out)
{
	const struct block_point_view *view =
		container_of(driver, struct block_point_view, driver);

	spec_print_below("source", view->source, false, out);
	fputs(", \"view\": {\"backup\": ", out);
	json_print_string(out, view->listener);
	fputc('}', out);
}

static void spec_print_bottom(
	struct block_driver *driver, bool status, FILE *out)
{
	switch (driver->kind->role) {
	case BLOCK_VIEW: spec_print_format(driver, status, out); return;
	case BLOCK_ALIAS: spec_print_alias(driver, status, out); return;
	case BLOCK_POINT_VIEW: spec_print_point(driver, out); return;
	default:
		fputs("\"protocol\": ", out);
		spec_print_driver(driver, status, out);
	}
}

/* -- parsed again --------------------------------------------------------- */

static struct doc *spec_parse_printed(const char *name, void *what,
	void (*print)(void *what, FILE *out), struct err *err)
{
	struct doc *document = NULL;
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);

	if (out)
		print(what, out);
	if (out && !fclose(out))
		document = doc_parse(name, text, bytes, err);
	else
		err_set(err, ENOMEM, "no memory for a document");
	free(text);
	return document;
}

static void spec_print_one_driver(void *driver, FILE *out)
{
	spec_print_driver(driver, false, out);
}

struct doc *spec_driver_doc(struct block_driver *driver, struct err *err)
{
	return spec_parse_printed(
		driver->name, driver, spec_print_one_driver, err);
}

static void spec_print_one_bottom(void *what, FILE *out)
{
	struct block_source *source = what;

	fputc('{', out);
	spec_print_bottom(block_stack_bottom(source->current), false, out);
	fputc('}', out);
}

struct doc *spec_bottom_now(struct block_source *source, struct err *err)
{
	return spec_parse_printed(
		source->name, source, spec_print_one_bottom, err);
}

/* -- sources -------------------------------------------------------------- */

/* Listeners of jobs are in no document. */
static void spec_print_listeners(struct block_driver *const *driver,
	unsigned count, bool status, FILE *out)
{
	const char *before = "\"listeners\": [";
	bool any = false;

	for (unsigned i = 0; i + 1 < count; i++) {
		if (driver[i]->kind->of_job && !status)
			continue;
		fputs(any ? ", " : before, out);
		any = true;
		spec_print_driver(driver[i], status, out);
	}
	if (any)
		fputs("], ", out);
}

static void spec_print_drivers(struct block_driver *const *driver,
	unsigned count, bool status, FILE *out)
{
	fputc('{', out);
	spec_print_listeners(driver, count, status, out);
	spec_print_bottom(driver[count - 1], status, out);
	fputc('}', out);
}

static void spec_print_source(
	struct block_source *source, bool status, FILE *out)
{
	spec_print_drivers(
		source->current->driver, source->current->count, status, out);
}

void spec_print_stack(const struct block_stack *stack, FILE *out)
{
	spec_print_drivers(stack->driver, stack->count, false, out);
}

static void spec_print_uuid(const uint8_t *uuid, FILE *out)
{
	fputs("\"uuid\": \"", out);
	for (unsigned i = 0; i < 16; i++)
		fprintf(out, "%s%02x",
			i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			uuid[i]);
	fputc('"', out);
}

static void spec_print_info(const struct block_info *info, FILE *out)
{
	fprintf(out,
		"\"size_bytes\": %" PRIu64
		", \"physical_block_bytes\": %u, \"discard_bytes\": %u"
		", \"optimal_io_bytes\": %u, \"read_only\": %s"
		", \"volatile_cache\": %s, \"rotational\": %s",
		info->size_bytes, info->physical_block_bytes,
		info->discard_bytes, info->optimal_io_bytes,
		info->read_only ? "true" : "false",
		info->volatile_cache ? "true" : "false",
		info->rotational ? "true" : "false");
}

/* ""gate": {...}" */
static void spec_print_gates(const struct block_gates *gates, FILE *out)
{
	fprintf(out,
		"\"gate\": {\"closed\": %" PRIu64 ", \"late\": %" PRIu64
		", \"last_us\": %" PRIu64 ", \"behind_us\": %" PRIu64
		", \"most_us\": %" PRIu64 ", \"below_us\": {",
		gates->closed, gates->late, gates->last_ns / 1000,
		gates->behind_ns / 1000, gates->most_ns / 1000);
	for (unsigned i = 0; i < BLOCK_GATE_BUCKETS; i++)
		fprintf(out, "%s\"%llu\": %" PRIu64, i ? ", " : "",
			(BLOCK_GATE_FIRST_NS << i) / 1000, gates->bucket[i]);
	fputs("}}", out);
}

void spec_print(struct block_source *source, bool status, FILE *out)
{
	const struct block_claim *claim;
	const char *comma = "";

	if (!status) {
		spec_print_source(source, false, out);
		return;
	}
	fputs("{\"name\": ", out);
	json_print_string(out, source->name);
	fputs(", ", out);
	spec_print_uuid(source->uuid, out);
	fprintf(out, ", \"generation\": %" PRIu64 ", \"tracked\": %s, ",
		source->current->generation,
		source->current->tracked ? "true" : "false");
	spec_print_info(&source->current->info, out);
	fputs(", \"claims\": [", out);
	LIST_FOREACH (claim, &source->claims, link) {
		fputs(comma, out);
		json_print_string(out, claim->holder);
		comma = ", ";
	}
	fputs("], ", out);
	spec_print_gates(&source->gates, out);
	fputs(", \"source\": ", out);
	spec_print_source(source, true, out);
	fputc('}', out);
}
