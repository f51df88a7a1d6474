/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a document. What is taken must be printed as JSON that is taken
 * again and means the same; every typed reader and the options parser see every
 * node. Then it is read as what it may be: the daemon's settings, a source, an
 * appliance document, which is kept as JSON that reads back as the same. No file is
 * touched.
 */
#include "blockcore/base/doc.h"
#include "blockcore/base/opts.h"
#include "blockcore/spec.h"
#include "target/control/document/document.h"
#include "target/control/settings.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* libyaml takes no key of more than 1024 bytes in JSON's form. */
#define KEY_MAX 160

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct options {
	bool flag;
	uint64_t number, size;
	char *text;
	int choice;
	const struct doc *rest;
};

static const char *const choices[] = {"a", "b", NULL};

#define AT(field) .offset = offsetof(struct options, field)

static const struct opt_spec specs[] = {
	{"flag", OPT_BOOL, 0, AT(flag), .fallback = "true", .help = "-"},
	{"number", OPT_UINT, 0, AT(number), .max = 9, .fallback = "7",
		.help = "-"},
	{"size", OPT_SIZE, OPT_OPTIONAL, AT(size), .help = "-"},
	{"text", OPT_STRING, OPT_OPTIONAL, AT(text), .max = 9, .help = "-"},
	{"choice", OPT_ENUM, OPT_OPTIONAL, AT(choice), .choices = choices,
		.help = "-"},
	{"rest", OPT_DOC, OPT_OPTIONAL, AT(rest), .help = "-"},
	OPT_END,
};

static char *json_of(const struct doc *root, size_t *bytes)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, bytes);

	doc_print_json(root, out);
	fclose(out);
	return text;
}

static void read_as_options(const struct doc *node)
{
	struct options options;
	struct err err;

	if (opts_parse(specs, node, NULL, &options, sizeof options, &err) == 0)
		opts_free(specs, &options);
	else
		assert(err.code && strnlen(err.text, sizeof err.text));
}

/* Returns the longest key below `node`. */
static size_t visit(const struct doc *node)
{
	size_t longest = node->key ? strlen(node->key) : 0;
	struct err err;
	uint64_t number;
	const char *text;
	bool flag;

	assert(node->line && node->column);
	assert(!node->key == !(node->parent && node->parent->kind == DOC_MAP));
	doc_uint(node, 1, 1000, &number, &err);
	doc_size(node, 1, UINT64_MAX, &number, &err);
	doc_bool(node, &flag, &err);
	assert((doc_text(node, &text, &err) == 0) ==
		(node->kind == DOC_SCALAR));
	read_as_options(node);
	for (const struct doc *n = node->first; n; n = n->next) {
		size_t key = visit(n);
		assert(n->parent == node);
		if (n->key && strlen(n->key) < KEY_MAX)
			assert(doc_find(node, n->key) == n);
		longest = key > longest ? key : longest;
	}
	return longest;
}

static void round_trip(const struct doc *root)
{
	size_t bytes, bytes_again;
	char *json = json_of(root, &bytes), *again;
	struct doc *second = doc_parse("json", json, bytes, NULL);

	assert(second);
	again = json_of(second, &bytes_again);
	assert(bytes == bytes_again && !memcmp(json, again, bytes));
	doc_free(second);
	free(again);
	free(json);
}

/* -- what a document may be ---------------------------------------------------- */

/* A reader that refuses says why. */
static void check_outcome(bool taken, const struct err *err)
{
	assert(taken || (err->code && strnlen(err->text, sizeof err->text)));
}

static void read_as_settings(const struct doc *root)
{
	struct settings settings;
	struct err err = {.code = 0};
	bool taken = settings_read(root, &settings, &err) == 0;

	check_outcome(taken, &err);
	if (!taken)
		return;
	assert(settings.portals && settings.reactors && settings.run_directory);
	settings_free(&settings);
}

static void read_as_source(const struct doc *root)
{
	struct err err = {.code = 0};

	check_outcome(spec_check(root, &err) == 0, &err);
}

static struct document *document_of(const void *text, size_t bytes)
{
	static struct access_portal portals[] = {
		{.name = "main",
			.address = "127.0.0.1",
			.port = 3260,
			.group = 1},
	};
	static const struct settings settings = {
		.naming_authority = "iqn.2026-11.example.cairn",
		.portal = portals,
		.portals = 1};
	struct err err = {.code = 0};
	struct doc *root = doc_parse("fuzz", text, bytes, &err);
	struct document *document =
		root ? document_read(root, &settings, &err) : NULL;

	check_outcome(document != NULL, &err);
	return document;
}

static void read_as_document(const uint8_t *data, size_t size)
{
	struct document *document = document_of(data, size), *again;
	char *kept, *kept_again;

	if (!document)
		return;
	kept = document_json(document);
	assert(kept);
	again = document_of(kept, strlen(kept));
	assert(again);
	kept_again = document_json(again);
	assert(kept_again && !strcmp(kept, kept_again));
	free(kept_again);
	free(kept);
	document_free(again);
	document_free(document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {.code = 0};
	struct doc *root = doc_parse("fuzz", data, size, &err);

	if (!root) {
		check_outcome(false, &err);
		return 0;
	}
	if (visit(root) < KEY_MAX) {
		round_trip(root);
		read_as_document(data, size);
	}
	read_as_settings(root);
	read_as_source(root);
	doc_free(root);
	return 0;
}
