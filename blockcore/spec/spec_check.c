/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source documents, looked at without opening anything.
 */
#include "blockcore/format/format.h"
#include "blockcore/spec.h"
#include "blockcore/spec/spec_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const spec_driver_keys[] = {"type", "name", NULL};
const char *const spec_format_keys[] = {"type", "file", "backing", NULL};

static const char *const spec_source_keys[] = {
	"listeners", "protocol", "format", "view", "source", NULL};

/* -- options ---------------------------------------------------------------- */

int spec_options(const struct opt_spec *specs, size_t bytes,
	const struct doc *map, const char *const *ignore, void **options,
	struct err *err)
{
	void *parsed = calloc(1, bytes ? bytes : 1);

	if (!parsed)
		return err_set(err, ENOMEM, "no memory for options");
	int error = opts_parse(specs, map, ignore, parsed, bytes, err);
	if (error) {
		free(parsed);
		return error;
	}
	*options = parsed;
	return 0;
}

static void spec_copy_members(
	const struct doc *map, const struct doc *except, bool *comma, FILE *out)
{
	for (const struct doc *node = map->first; node; node = node->next) {
		if (except && doc_find(except, node->key))
			continue;
		if (*comma)
			fputs(", ", out);
		*comma = true;
		json_print_string(out, node->key);
		fputs(": ", out);
		doc_print_json(node, out);
	}
}

struct doc *spec_doc_copy(
	const struct doc *map, const struct doc *over, struct err *err)
{
	char *text = NULL;
	size_t bytes = 0;
	bool comma = false;
	FILE *out = open_memstream(&text, &bytes);

	if (!out) {
		err_set(err, ENOMEM, "no memory for a document");
		return NULL;
	}
	fputc('{', out);
	spec_copy_members(map, over, &comma, out);
	if (over)
		spec_copy_members(over, NULL, &comma, out);
	fputc('}', out);
	struct doc *copy = NULL;
	if (fclose(out) == 0)
		copy = doc_parse(map->file, text, bytes, err);
	else
		err_set(err, ENOMEM, "no memory for a document");
	free(text);
	if (copy)
		doc_copy_places(copy, map);
	return copy;
}

static bool spec_borrows(const struct opt_spec *specs)
{
	for (; specs->name; specs++) {
		if (specs->type == OPT_DOC)
			return true;
	}
	return false;
}

/* Options that borrow from the document get a copy of it, which lives as long
 * as the driver. */
int spec_options_kept(const struct block_kind *kind, const struct doc *map,
	void **options, struct doc **document, struct err *err)
{
	*document = NULL;
	if (spec_borrows(kind->options)) {
		*document = spec_doc_copy(map, NULL, err);
		if (!*document)
			return err ? -err->code : -EINVAL;
		map = *document;
	}
	int error = spec_options(kind->options, kind->options_bytes, map,
		spec_driver_keys, options, err);
	if (error)
		doc_free(*document);
	return error;
}

static int spec_check_options(const struct opt_spec *specs, size_t bytes,
	const struct doc *map, const char *const *ignore, struct err *err)
{
	void *options;
	int error = spec_options(specs, bytes, map, ignore, &options, err);

	if (error)
		return error;
	opts_free(specs, options);
	free(options);
	return 0;
}

static int spec_check_below(const struct doc *node, struct err *err);

static int spec_check_others(
	const struct block_kind *kind, const struct doc *list, struct err *err)
{
	int error = 0;

	if (kind->one_other)
		return spec_check_below(list, err);
	if (list->kind != DOC_LIST || !list->first ||
		doc_count(list) > BLOCK_OTHERS_MOST)
		return doc_error(list, err, EINVAL,
			"wants a list of 1 to %u sources", BLOCK_OTHERS_MOST);
	for (const struct doc *n = list->first; n && !error; n = n->next)
		error = spec_check_below(n, err);
	return error;
}

/* Of a driver: its table, then its own word. */
static int spec_check_driver(
	const struct block_kind *kind, const struct doc *map, struct err *err)
{
	void *options;
	int error = spec_options(kind->options, kind->options_bytes, map,
		spec_driver_keys, &options, err);

	if (error)
		return error;
	if (kind->others)
		error = spec_check_others(
			kind, doc_find(map, kind->others), err);
	if (!error && kind->check)
		error = kind->check(map, options, err);
	opts_free(kind->options, options);
	free(options);
	return error;
}

int spec_check_listener(const struct doc *listener, struct err *err)
{
	const struct block_kind *kind;
	int error = spec_kind(listener, BLOCK_LISTENER, &kind, err);

	if (error)
		return error;
	return spec_check_driver(kind, listener, err);
}

/* -- bottoms -------------------------------------------------------------- */

const struct doc *spec_bottom_doc(const struct doc *document)
{
	static const char *const keys[] = {"protocol", "format", "source"};

	for (unsigned i = 0; i < 3; i++) {
		const struct doc *node = doc_find(document, keys[i]);

		if (node)
			return node;
	}
	return NULL;
}

/* A source below: a document of its own, or the name of one that is there. */
static int spec_check_below(const struct doc *node, struct err *err)
{
	const char *name;

	if (node->kind == DOC_SCALAR)
		return doc_text(node, &name, err);
	return spec_check(node, err);
}

static int spec_check_format(const struct doc *map, struct err *err)
{
	const struct block_format_kind *kind;
	int error = spec_format_kind(map, &kind, err);

	if (error)
		return error;
	error = spec_check_options(
		kind->options, kind->options_bytes, map, spec_format_keys, err);
	if (error)
		return error;
	const struct doc *file = doc_find(map, "file");
	const struct doc *backing = doc_find(map, "backing");
	if (!file)
		return doc_missing_error(map, "file", err,
			"file is missing: the source of the image's bits");
	if (backing && !kind->has_backing)
		return doc_error(backing, err, EINVAL,
			"format %s has no backing file", kind->name);
	error = spec_check_below(file, err);
	if (!error && backing)
		error = spec_check_below(backing, err);
	return error;
}

static int spec_unknown_key(const struct doc *key, struct err *err)
{
	doc_key_error(key, err, EINVAL, "unknown key; a source has ");
	err_allow(err, NULL, NULL, spec_source_keys);
	err_list_allowed(err);
	return -EINVAL;
}

static int spec_check_keys(const struct doc *document, struct err *err)
{
	unsigned bottoms = 0;

	if (document->kind != DOC_MAP)
		return doc_error(document, err, EINVAL,
			"expected a source: a map with protocol, format or "
			"source");
	for (const struct doc *key = document->first; key; key = key->next) {
		unsigned i = 0;

		while (spec_source_keys[i] &&
			strcmp(spec_source_keys[i], key->key))
			i++;
		if (!spec_source_keys[i])
			return spec_unknown_key(key, err);
		bottoms += !strcmp(key->key, "protocol") ||
			!strcmp(key->key, "format") ||
			!strcmp(key->key, "source");
	}
	if (bottoms != 1)
		return doc_error(document, err, EINVAL,
			"a source has exactly one of protocol, format, source; "
			"here are %u",
			bottoms);
	return 0;
}

int spec_check_bottom(const struct doc *document, struct err *err)
{
	const struct block_kind *kind;
	int error = spec_check_keys(document, err);

	if (error)
		return error;
	const struct doc *bottom = spec_bottom_doc(document);
	error = spec_check_view(document, err);
	if (error)
		return error;
	if (!strcmp(bottom->key, "format"))
		return spec_check_format(bottom, err);
	if (!strcmp(bottom->key, "source"))
		return spec_check_below(bottom, err);
	error = spec_kind(bottom, BLOCK_PROTOCOL, &kind, err);
	if (error)
		return error;
	return spec_check_driver(kind, bottom, err);
}

/* -- names ---------------------------------------------------------------- */

int spec_name_given(const struct doc *map, const char **name, struct err *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";
	const struct doc *node =
		map->kind == DOC_MAP ? doc_find(map, "name") : NULL;

	*name = NULL;
	if (!node)
		return 0;
	int error = doc_text(node, name, err);
	if (error)
		return error;
	size_t length = strlen(*name);
	if (length == 0 || length >= BLOCK_NAME_BYTES ||
		strspn(*name, allowed) != length)
		return doc_error(node, err, EINVAL,
			"a name has 1 to %u letters, digits or . _ -",
			BLOCK_NAME_BYTES - 1);
	return 0;
}

static bool spec_name_taken(const struct spec_names *names, const char *name)
{
	for (unsigned i = 0; i < names->count; i++) {
		if (!strcmp(names->name[i], name))
			return true;
	}
	return false;
}

/* The type, or type-2, type-3 ...; a bottom without a type is an alias. */
static void spec_name_make(
	struct spec_names *names, unsigned index, const char *type)
{
	char name[BLOCK_NAME_BYTES];

	snprintf(name, sizeof(name), "%s", type);
	for (unsigned n = 2; spec_name_taken(names, name); n++)
		snprintf(name, sizeof(name), "%.50s-%u", type, n);
	memcpy(names->name[index], name, sizeof(name));
}

static bool spec_driver_named(
	struct block_driver *const *driver, unsigned count, const char *name)
{
	for (unsigned i = 0; i < count; i++) {
		if (!strcmp(driver[i]->name, name))
			return true;
	}
	return false;
}

void spec_name_free(struct block_driver *const *others, unsigned count,
	const char *type, char name[BLOCK_NAME_BYTES])
{
	snprintf(name, BLOCK_NAME_BYTES, "%s", type);
	for (unsigned n = 2; spec_driver_named(others, count, name); n++)
		snprintf(name, BLOCK_NAME_BYTES, "%.50s-%u", type, n);
}

int spec_names(
	const struct doc *document, struct spec_names *names, struct err *err)
{
	const struct doc *listeners = doc_find(document, "listeners");
	const struct doc *bottom = spec_bottom_doc(document);
	const struct doc *map[BLOCK_MAX_DRIVERS];
	uint32_t count = listeners ? doc_count(listeners) : 0;

	if (count + 1 > BLOCK_MAX_DRIVERS)
		return doc_error(listeners, err, EINVAL,
			"%u listeners: at most %u on one source", count,
			BLOCK_MAX_DRIVERS - 1);
	memset(names, 0, sizeof(*names));
	names->count = count + 1;
	const struct doc *node = listeners ? listeners->first : NULL;
	for (unsigned i = 0; i < count; i++, node = node->next)
		map[i] = node;
	map[count] = bottom;
	for (unsigned i = 0; i < names->count; i++) {
		const char *given;
		int error = spec_name_given(map[i], &given, err);

		if (error)
			return error;
		if (given && spec_name_taken(names, given))
			return doc_error(doc_find(map[i], "name"), err, EINVAL,
				"two drivers of one source are named '%s'",
				given);
		if (given)
			snprintf(names->name[i], BLOCK_NAME_BYTES, "%s", given);
	}
	for (unsigned i = 0; i < names->count; i++) {
		if (!names->name[i][0])
			spec_name_make(names, i, spec_type_of(map[i]));
	}
	return 0;
}

/* -- the whole ------------------------------------------------------------ */

static int spec_check_listeners(const struct doc *listeners, struct err *err)
{
	const struct block_kind *above = NULL, *kind;

	if (!listeners || listeners->kind == DOC_NULL)
		return 0;
	if (listeners->kind != DOC_LIST)
		return doc_error(listeners, err, EINVAL,
			"expected a list of listeners, top first");
	for (const struct doc *node = listeners->first; node;
		node = node->next) {
		int error = spec_check_listener(node, err);

		if (!error)
			error = spec_kind(node, BLOCK_LISTENER, &kind, err);
		if (error)
			return error;
		if (above && above->band > kind->band)
			return doc_error(node, err, EINVAL,
				"listener %s must stand above %s", kind->name,
				above->name);
		above = kind;
	}
	return 0;
}

int spec_check(const struct doc *document, struct err *err)
{
	struct spec_names names;
	int error = spec_check_bottom(document, err);

	if (!error)
		error = spec_check_listeners(
			doc_find(document, "listeners"), err);
	if (!error)
		error = spec_names(document, &names, err);
	return error;
}
