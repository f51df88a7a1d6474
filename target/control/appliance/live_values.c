/* SPDX-License-Identifier: Apache-2.0 */
/* A source document by its values; see live_plan.h. */
#include "target/control/appliance/live_plan.h"

#include "blockcore/base/opts.h"
#include "blockcore/kind.h"
#include "target/control/config/json_doc.h"

#include <stdlib.h>
#include <string.h>

/* What a driver's map holds beside its options. */
static const char *const not_options[] = {
	"type", "name", "file", "backing", NULL};

/* Options that are documents themselves are compared as they are. */
static bool has_value(const struct opt_spec *specs, const char *name)
{
	for (; specs->name; specs++) {
		if (!strcmp(specs->name, name))
			return specs->type != OPT_DOC;
	}
	return false;
}

static json_t *print_values(const struct opt_spec *specs, const void *values)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	if (!out)
		return NULL;
	fputc('{', out);
	opts_print_values(specs, values, out);
	fputc('}', out);
	json_t *json = fclose(out) ? NULL : json_loadb(text, bytes, 0, NULL);
	free(text);
	return json;
}

/* The map's options as values; with `defaults` also those that it leaves out. A
 * map that does not parse stays as it is. */
static void take_values(
	json_t *map, const struct opt_spec *specs, size_t bytes, bool defaults)
{
	struct doc *doc = json_to_doc(map, NULL);
	void *values = calloc(1, bytes + 1);
	struct err ignored = {0};
	const char *name;
	json_t *value;
	if (doc && values &&
		!opts_parse(specs, doc, not_options, values, bytes, &ignored)) {
		json_t *json = print_values(specs, values);
		json_object_foreach(json, name, value)
		{
			if (has_value(specs, name) &&
				(defaults || json_object_get(map, name)))
				json_object_set(map, name, value);
		}
		json_decref(json);
		opts_free(specs, values);
	}
	free(values);
	doc_free(doc);
}

static const char *type_of(const json_t *map)
{
	const char *type = json_string_value(json_object_get(map, "type"));
	return type ? type : "";
}

/* -- a document, driver by driver ------------------------------------------- */

struct visit {
	void (*driver)(json_t *map, enum block_role role);
	/* Of a format. */
	void (*options)(
		json_t *map, const struct opt_spec *specs, size_t bytes);
};

static void visit_source(json_t *source, const struct visit *visit);

static void visit_format(
	json_t *source, json_t *format, const struct visit *visit)
{
	size_t bytes;
	const struct opt_spec *specs =
		spec_format_options(type_of(format), &bytes);
	const char *view = json_string_value(json_object_get(source, "view"));
	if (view && !strcmp(view, "current"))
		json_object_del(source, "view");
	if (specs)
		visit->options(format, specs, bytes);
	visit_source(json_object_get(format, "file"), visit);
	visit_source(json_object_get(format, "backing"), visit);
}

static void visit_source(json_t *source, const struct visit *visit)
{
	json_t *protocol = json_object_get(source, "protocol");
	json_t *format = json_object_get(source, "format");
	json_t *one;
	size_t i;
	if (!json_is_object(source)) /* the name of another */
		return;
	json_array_foreach(json_object_get(source, "listeners"), i, one)
		visit->driver(one, BLOCK_LISTENER);
	if (protocol)
		visit->driver(protocol, BLOCK_PROTOCOL);
	if (format)
		visit_format(source, format, visit);
	visit_source(json_object_get(source, "source"), visit);
}

/* -- as values -------------------------------------------------------------- */

/* What a listener leaves out is left out: it is attached as it is written. */
static void take_driver(json_t *map, enum block_role role)
{
	const struct block_kind *kind = block_kind_find(role, type_of(map));
	if (kind && kind->options)
		take_values(map, kind->options, kind->options_bytes,
			role == BLOCK_PROTOCOL);
}

static void take_options(
	json_t *map, const struct opt_spec *specs, size_t bytes)
{
	take_values(map, specs, bytes, true);
}

void live_values_take(json_t *source)
{
	static const struct visit visit = {
		.driver = take_driver, .options = take_options};
	visit_source(source, &visit);
}

void live_values_complete(json_t *listener)
{
	const struct block_kind *kind =
		block_kind_find(BLOCK_LISTENER, type_of(listener));
	if (kind && kind->options)
		take_values(listener, kind->options, kind->options_bytes, true);
}

/* -- as somebody would write it --------------------------------------------- */

/* True if leaving the option out says the same. */
static bool is_default(const json_t *map, const char *name,
	const struct opt_spec *specs, size_t bytes)
{
	json_t *without = json_copy((json_t *)map);
	json_object_del(without, name);
	take_values(without, specs, bytes, true);
	bool same = json_equal(
		json_object_get(without, name), json_object_get(map, name));
	json_decref(without);
	return same;
}

static void shorten_map(json_t *map, const struct opt_spec *specs, size_t bytes)
{
	for (const struct opt_spec *one = specs; one->name; one++) {
		if (json_object_get(map, one->name) && one->type != OPT_DOC &&
			is_default(map, one->name, specs, bytes))
			json_object_del(map, one->name);
	}
}

static void shorten_driver(json_t *map, enum block_role role)
{
	const struct block_kind *kind = block_kind_find(role, type_of(map));
	const char *name = json_string_value(json_object_get(map, "name"));
	if (kind && kind->options)
		shorten_map(map, kind->options, kind->options_bytes);
	if (name && role == BLOCK_PROTOCOL && !strcmp(name, type_of(map)))
		json_object_del(map, "name");
}

void live_values_shorten(json_t *source)
{
	static const struct visit visit = {
		.driver = shorten_driver, .options = shorten_map};
	visit_source(source, &visit);
}

/* -- files that are there --------------------------------------------------- */

static bool is_same_file(const json_t *a, const json_t *b)
{
	return !strcmp(type_of(a), "file") && !strcmp(type_of(b), "file") &&
		json_equal(
			json_object_get(a, "path"), json_object_get(b, "path"));
}

void live_values_keep_sizes(const json_t *from, json_t *to)
{
	static const char *const below[] = {"file", "backing"};
	const json_t *old = json_object_get(from, "protocol");
	json_t *new = json_object_get(to, "protocol");
	json_t *size = json_object_get(old, "size");
	if (size && is_same_file(old, new) && !json_object_get(new, "size"))
		json_object_set(new, "size", size);
	old = json_object_get(from, "format");
	new = json_object_get(to, "format");
	for (int i = 0; old && new &&i < 2; i++)
		live_values_keep_sizes(json_object_get(old, below[i]),
			json_object_get(new, below[i]));
}
