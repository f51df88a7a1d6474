/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options from a document into a struct. One row per type says how a scalar is
 * read; a default is read by the same row, so that it obeys the same rules.
 */
#include "blockcore/base/opts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void *field_of(const struct opt_spec *spec, void *out)
{
	return (char *)out + spec->offset;
}

static uint64_t max_of(const struct opt_spec *spec)
{
	return spec->max ? spec->max : UINT64_MAX;
}

static int read_bool(const struct opt_spec *spec, const struct doc *node,
	void *field, struct err *err)
{
	(void)spec;
	return doc_bool(node, field, err);
}

static int read_uint(const struct opt_spec *spec, const struct doc *node,
	void *field, struct err *err)
{
	return doc_uint(node, spec->min, max_of(spec), field, err);
}

static int read_size(const struct opt_spec *spec, const struct doc *node,
	void *field, struct err *err)
{
	return doc_size(node, spec->min, max_of(spec), field, err);
}

static int read_string(const struct opt_spec *spec, const struct doc *node,
	void *field, struct err *err)
{
	const char *text;
	char **copy = field;
	int r = doc_text(node, &text, err);

	if (r < 0)
		return r;
	if (strlen(text) > max_of(spec))
		return doc_error(node, err, EINVAL,
			"too long: at most %llu bytes are allowed",
			(unsigned long long)spec->max);
	*copy = strdup(text);
	return *copy ? 0 : doc_error(node, err, ENOMEM, "out of memory");
}

static int read_enum(const struct opt_spec *spec, const struct doc *node,
	void *field, struct err *err)
{
	const char *text;
	int *index = field;
	/* Through REST a number is one, and a text a text. */
	bool number = *spec->choices[0] >= '0' && *spec->choices[0] <= '9';
	bool fits = *node->file || doc_is_bare(node) == number;

	if (node->kind != DOC_SCALAR)
		return doc_error(node, err, EINVAL, "a text is expected");
	text = node->text;
	for (int i = 0; spec->choices[i] && fits; i++) {
		if (!strcmp(spec->choices[i], text)) {
			/* Printed as REST would have it. */
			((struct doc *)node)->quoted = !number;
			*index = i;
			return 0;
		}
	}
	doc_error(node, err, EINVAL, "\"%s\" is none of: ", text);
	err_allow(err, NULL, NULL, spec->choices);
	err_list_allowed(err);
	return -EINVAL;
}

static int read_doc(const struct opt_spec *spec, const struct doc *node,
	void *field, struct err *err)
{
	(void)spec;
	(void)err;
	*(const struct doc **)field = node;
	return 0;
}

static int (*const readers[])(const struct opt_spec *spec,
	const struct doc *node, void *field, struct err *err) = {
	[OPT_BOOL] = read_bool,
	[OPT_UINT] = read_uint,
	[OPT_SIZE] = read_size,
	[OPT_STRING] = read_string,
	[OPT_ENUM] = read_enum,
	[OPT_DOC] = read_doc,
};

static int read_fallback(
	const struct opt_spec *spec, void *field, struct err *err)
{
	const struct doc node = {
		.kind = DOC_SCALAR,
		.file = "default",
		.key = spec->name,
		.text = spec->fallback,
	};

	assert(spec->type != OPT_DOC);
	return readers[spec->type](spec, &node, field, err);
}

static int missing(
	const struct opt_spec *spec, const struct doc *node, struct err *err)
{
	if (node)
		return doc_missing_error(node, spec->name, err,
			"%s is missing: %s", spec->name, spec->help);
	return err_set(
		err, EINVAL, "%s is missing: %s", spec->name, spec->help);
}

static int read_one(const struct opt_spec *spec, const struct doc *map,
	void *out, struct err *err)
{
	const struct doc *node = doc_find(map, spec->name);
	void *field = field_of(spec, out);

	if (node)
		return readers[spec->type](spec, node, field, err);
	if (spec->fallback)
		return read_fallback(spec, field, err);
	return spec->flags & OPT_OPTIONAL ? 0 : missing(spec, map, err);
}

static bool is_known(const struct opt_spec *specs, const char *const *ignore,
	const char *key)
{
	for (; specs->name; specs++) {
		if (!strcmp(specs->name, key))
			return true;
	}
	for (; ignore && *ignore; ignore++) {
		if (!strcmp(*ignore, key))
			return true;
	}
	return false;
}

static const char *name_at(const void *specs, unsigned i)
{
	return ((const struct opt_spec *)specs)[i].name;
}

static int unknown_key(const struct opt_spec *specs, const char *const *ignore,
	const struct doc *node, struct err *err)
{
	bool some = specs->name || (ignore && *ignore);

	doc_key_error(node, err, EINVAL,
		some ? "unknown key; allowed are: "
		     : "unknown key; there are no options here");
	err_allow(err, name_at, specs, ignore);
	err_list_allowed(err);
	return -EINVAL;
}

/* The map itself and its keys, before any value is read. */
int opts_check_keys(const struct opt_spec *specs, const struct doc *node,
	const char *const *ignore, struct err *err)
{
	if (!node || node->kind == DOC_NULL)
		return 0;
	if (node->kind != DOC_MAP)
		return doc_error(node, err, EINVAL,
			"a map is expected (key: value, or {...})");
	for (const struct doc *child = node->first; child;
		child = child->next) {
		if (!is_known(specs, ignore, child->key))
			return unknown_key(specs, ignore, child, err);
	}
	return 0;
}

int opts_parse(const struct opt_spec *specs, const struct doc *node,
	const char *const *ignore, void *out, size_t out_bytes, struct err *err)
{
	int r = opts_check_keys(specs, node, ignore, err);

	memset(out, 0, out_bytes);
	for (const struct opt_spec *spec = specs; spec->name && r == 0; spec++)
		r = read_one(spec, node, out, err);
	if (r < 0)
		opts_free(specs, out);
	return r;
}

void opts_free(const struct opt_spec *specs, void *out)
{
	for (; specs->name; specs++) {
		if (specs->type == OPT_STRING) {
			char **text = field_of(specs, out);
			free(*text);
			*text = NULL;
		}
	}
}
