/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options: every type, defaults, what is missing or unknown, and that help,
 * schema and values tell the same as the parser does.
 */
#include "blockcore/base/opts.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct options {
	bool direct, flag;
	uint64_t depth, least, size;
	char *path, *note;
	int mode, level;
	const struct doc *extra;
};

static const char *const modes[] = {"read", "write", NULL};

#define AT(field) .offset = offsetof(struct options, field)

static const struct opt_spec specs[] = {
	{"path", OPT_STRING, 0, AT(path), .max = 8, .help = "where it is"},
	{"depth", OPT_UINT, OPT_LIVE, AT(depth), .min = 1, .max = 64,
		.fallback = "8", .help = "how deep"},
	{"least", OPT_UINT, OPT_OPTIONAL, AT(least), .min = 3,
		.help = "at least"},
	{"size", OPT_SIZE, 0, AT(size), .min = 512, .max = 1ull << 40,
		.fallback = "64K", .help = "how large"},
	{"direct", OPT_BOOL, 0, AT(direct), .fallback = "true",
		.help = "past the page cache"},
	{"flag", OPT_BOOL, OPT_OPTIONAL, AT(flag), .help = "a flag"},
	{"mode", OPT_ENUM, 0, AT(mode), .choices = modes, .fallback = "write",
		.help = "what for"},
	{"level", OPT_ENUM, OPT_OPTIONAL, AT(level), .choices = modes,
		.help = "which"},
	{"note", OPT_STRING, OPT_OPTIONAL, AT(note), .help = "said \"so\""},
	{"extra", OPT_DOC, OPT_OPTIONAL, AT(extra), .help = "anything"},
	OPT_END,
};

static const struct opt_spec no_specs[] = {OPT_END};

/* Parses `text` into `out`, leaving out "type"; the tree to be freed. */
static struct doc *parse(
	const char *text, struct options *out, int expected, struct err *err)
{
	static const char *const ignore[] = {"type", NULL};
	struct doc *root = doc_parse("f", text, strlen(text), err);

	assert_non_null(root);
	assert_int_equal(opts_parse(specs, root, ignore, out, sizeof *out, err),
		expected);
	return root;
}

static void test_defaults(void **state)
{
	struct err err = {.code = 0};
	struct options o;
	struct doc *root = parse("{type: file, path: /x}", &o, 0, &err);

	(void)state;
	assert_string_equal(o.path, "/x");
	assert_int_equal(o.depth, 8);
	assert_int_equal(o.least, 0);
	assert_int_equal(o.size, 65536);
	assert_true(o.direct);
	assert_false(o.flag);
	assert_int_equal(o.mode, 1);
	assert_null(o.note);
	assert_null(o.extra);
	opts_free(specs, &o);
	assert_null(o.path);
	opts_free(specs, &o);
	doc_free(root);
}

static void test_every_type(void **state)
{
	struct err err = {.code = 0};
	struct options o;
	struct doc *root = parse("{path: a, depth: 64, least: 3, size: 1GiB, "
				 "direct: false, flag: true, mode: read, "
				 "level: write, note: 'n', extra: [1]}",
		&o, 0, &err);

	(void)state;
	assert_int_equal(o.depth, 64);
	assert_int_equal(o.least, 3);
	assert_int_equal(o.size, 1u << 30);
	assert_false(o.direct);
	assert_true(o.flag);
	assert_int_equal(o.mode, 0);
	assert_int_equal(o.level, 1);
	assert_string_equal(o.note, "n");
	assert_ptr_equal(o.extra, doc_find(root, "extra"));
	opts_free(specs, &o);
	doc_free(root);
}

static void test_what_is_refused(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"{}", "f:1:1: path is missing: where it is"},
		{"[]", "f:1:1: a map is expected"},
		{"x", "f:1:1: a map is expected"},
		{"{path: a, dept: 1}",
			"f:1:11: dept: unknown key; allowed "
			"are: path, depth, least, size, "},
		{"{path: 123456789}", "f:1:8: path: too long: at most 8 "},
		{"{path: ~}", "f:1:8: path: a text is expected"},
		{"{path: a, depth: 0}", "f:1:18: depth: 0 is out of range"},
		{"{path: a, depth: 65}", "f:1:18: depth: 65 is out of range"},
		{"{path: a, least: 2}", "f:1:18: least: 2 is out of range"},
		{"{path: a, size: 511}", "f:1:17: size: 511 is out of range"},
		{"{path: a, direct: 1}", "f:1:19: direct: true or false"},
		{"{path: a, mode: Read}",
			"f:1:17: mode: \"Read\" is none of: read, write"},
		{"{path: a, mode: [read]}", "f:1:17: mode: a text"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct err err = {.code = 0};
		struct options o;
		struct doc *root = parse(cases[i].text, &o, -EINVAL, &err);
		if (strncmp(err.text, cases[i].error, strlen(cases[i].error)))
			fail_msg("%s: %s", cases[i].text, err.text);
		assert_null(o.path);
		doc_free(root);
	}
}

static const char *allowed(const struct err *err)
{
	static struct err list;

	list = *err;
	list.text[0] = '\0';
	err_list_allowed(&list);
	return list.text;
}

/* Whoever has no file to look into has a pointer and a list. */
static void test_places_and_choices(void **state)
{
	static const struct {
		const char *text, *pointer, *allowed;
	} cases[] = {
		{"{}", "/path", ""},
		{"{path: a, dept: 1}", "/dept",
			"path, depth, least, size, direct, flag, mode, level, "
			"note, extra, type"},
		{"{path: a, direct: 1}", "/direct", "true, false"},
		{"{path: a, mode: Read}", "/mode", "read, write"},
		{"{path: a, depth: 0}", "/depth", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct err err = {.code = 0};
		struct options o;
		struct doc *root = parse(cases[i].text, &o, -EINVAL, &err);
		assert_string_equal(err.pointer, cases[i].pointer);
		assert_string_equal(allowed(&err), cases[i].allowed);
		doc_free(root);
	}
}

static void test_no_options_at_all(void **state)
{
	struct err err = {.code = 0};
	struct doc *root = doc_parse("f", "a: 1", 4, &err);
	struct options o;

	(void)state;
	assert_int_equal(
		opts_parse(specs, NULL, NULL, &o, sizeof o, &err), -EINVAL);
	assert_string_equal(err.text, "path is missing: where it is");
	assert_int_equal(
		opts_parse(no_specs, NULL, NULL, &o, sizeof o, &err), 0);
	assert_int_equal(
		opts_parse(no_specs, root, NULL, &o, sizeof o, &err), -EINVAL);
	assert_string_equal(
		err.text, "f:1:1: a: unknown key; there are no options here");
	assert_int_equal(
		opts_parse(no_specs, root, NULL, &o, sizeof o, NULL), -EINVAL);
	doc_free(root);
}

/* What `print` writes; freed by the caller. */
static char *printed(void (*print)(const struct opt_spec *, FILE *))
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	print(specs, out);
	fclose(out);
	return text;
}

static void test_help(void **state)
{
	char *help = printed(opts_print_help);

	(void)state;
	assert_string_equal(help,
		"  path: TEXT         where it is (at most 8 bytes; required)\n"
		"  depth: NUMBER      how deep (1 to 64; default 8; can be "
		"changed live)\n"
		"  least: NUMBER      at least (at least 3; optional)\n"
		"  size: SIZE         how large (512 to 1TiB; default 64K)\n"
		"  direct: BOOL       past the page cache (default true)\n"
		"  flag: BOOL         a flag (optional)\n"
		"  mode: read|write   what for (default write)\n"
		"  level: read|write  which (optional)\n"
		"  note: TEXT         said \"so\" (optional)\n"
		"  extra: DOCUMENT    anything (optional)\n");
	free(help);
}

/* The schema of one property as JSON; freed by the caller. */
static char *property(const struct doc *schema, const char *name)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	doc_print_json(doc_find(doc_find(schema, "properties"), name), out);
	fclose(out);
	return text;
}

static void test_schema(void **state)
{
	static const struct {
		const char *name, *schema;
	} cases[] = {
		{"path",
			"{\"type\": \"string\", \"maxLength\": 8, "
			"\"description\": \"where it is\"}"},
		{"depth",
			"{\"type\": \"integer\", \"minimum\": 1, "
			"\"maximum\": 64, \"default\": 8, "
			"\"description\": \"how deep\"}"},
		{"size",
			"{\"type\": [\"integer\", \"string\"], \"pattern\": "
			"\"^[0-9]+([KMGTP](iB)?)?$\", \"minimum\": 512, "
			"\"maximum\": 1099511627776, \"default\": \"64K\", "
			"\"description\": \"how large\"}"},
		{"direct",
			"{\"type\": \"boolean\", \"default\": true, "
			"\"description\": \"past the page cache\"}"},
		{"mode",
			"{\"enum\": [\"read\", \"write\"], \"default\": "
			"\"write\", \"description\": \"what for\"}"},
		{"note",
			"{\"type\": \"string\", "
			"\"description\": \"said \\\"so\\\"\"}"},
		{"extra", "{\"description\": \"anything\"}"},
	};
	char *text = printed(opts_print_schema);
	struct err err = {.code = 0};
	struct doc *schema = doc_parse("schema", text, strlen(text), &err);
	const struct doc *required;

	(void)state;
	assert_non_null(schema);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *found = property(schema, cases[i].name);
		assert_string_equal(found, cases[i].schema);
		free(found);
	}
	assert_int_equal(doc_count(doc_find(schema, "properties")), 10);
	required = doc_find(schema, "required");
	assert_int_equal(doc_count(required), 1);
	assert_string_equal(required->first->text, "path");
	assert_string_equal(
		doc_find(schema, "additionalProperties")->text, "false");
	doc_free(schema);
	free(text);
}

/* Printed values, freed by the caller. */
static char *values(const struct options *o, unsigned expected)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	fputc('{', out);
	assert_int_equal(opts_print_values(specs, o, out), expected);
	fputc('}', out);
	fclose(out);
	return text;
}

static void test_values_parse_to_the_same(void **state)
{
	static const struct {
		const char *text, *json;
		unsigned members;
	} cases[] = {
		{"path: '12'",
			"{\"path\": \"12\", \"depth\": 8, \"size\": 65536, "
			"\"direct\": true, \"mode\": \"write\"}",
			5},
		{"{path: a, depth: 1, least: 9, size: 1K, direct: false, flag: "
		 "true, mode: read, level: write, note: \"q\\\"\", extra: {b: "
		 "[~]}}",
			"{\"path\": \"a\", \"depth\": 1, \"least\": 9, "
			"\"size\": 1024, \"direct\": false, \"flag\": true, "
			"\"mode\": \"read\", \"level\": \"write\", \"note\": "
			"\"q\\\"\", \"extra\": {\"b\": [null]}}",
			10},
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct err err = {.code = 0};
		struct options first, second;
		struct doc *a = parse(cases[i].text, &first, 0, &err), *b;
		char *text = values(&first, cases[i].members), *again;
		assert_string_equal(text, cases[i].json);
		b = parse(text, &second, 0, &err);
		again = values(&second, cases[i].members);
		assert_string_equal(again, text);
		free(text);
		free(again);
		opts_free(specs, &first);
		opts_free(specs, &second);
		doc_free(a);
		doc_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_type),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_places_and_choices),
		cmocka_unit_test(test_no_options_at_all),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_schema),
		cmocka_unit_test(test_values_parse_to_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
