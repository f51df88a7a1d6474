/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents: the tree that a text means, everything that is refused and where
 * the error says it is, typed scalars, and JSON out.
 */
#include "blockcore/base/doc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct doc *parse(const char *text)
{
	struct err err = {.code = 0};
	struct doc *root = doc_parse("f", text, strlen(text), &err);

	if (!root)
		fail_msg("%s", err.text);
	return root;
}

/* The tree as JSON; freed by the caller. */
static char *json_of(const struct doc *root)
{
	char *out = NULL;
	size_t bytes;
	FILE *stream = open_memstream(&out, &bytes);

	doc_print_json(root, stream);
	fclose(stream);
	return out;
}

static void assert_json(const char *text, const char *expected)
{
	struct doc *root = parse(text), *again;
	char *json = json_of(root), *second;

	assert_string_equal(json, expected);
	again = parse(json);
	second = json_of(again);
	assert_string_equal(second, expected);
	free(json);
	free(second);
	doc_free(root);
	doc_free(again);
}

static void test_trees(void **state)
{
	static const struct {
		const char *yaml, *json;
	} cases[] = {
		{"", "null"},
		{"# only a comment\n", "null"},
		{"---\n...\n", "null"},
		{"a: 1", "{\"a\": 1}"},
		{"a:\n  - b\n  - c: true\n", "{\"a\": [\"b\", {\"c\": true}]}"},
		{"[1, 2.5e3, -0, 01, +1, .5, 0x10, ~, null, '~', '']",
			"[1, 2.5e3, -0, \"01\", \"+1\", \".5\", \"0x10\", "
			"null, "
			"null, \"~\", \"\"]"},
		{"{\"a\":{\"b\":[]},\"c\":{}}",
			"{\"a\": {\"b\": []}, \"c\": {}}"},
		{"a:\nb: 'true'\nc: yes",
			"{\"a\": null, \"b\": \"true\", "
			"\"c\": \"yes\"}"},
		{"\xef\xbb\xbf"
		 "bom: 1",
			"{\"bom\": 1}"},
		{"a: |\n  x\n  \"y\"\n", "{\"a\": \"x\\n\\\"y\\\"\\n\"}"},
		{"a: \"\\t\\x01\\\\ \\u00e4 \xc3\xa4\"",
			"{\"a\": \"\\t\\u0001\\\\ \xc3\xa4 \xc3\xa4\"}"},
		{"\"\": 1", "{\"\": 1}"},
		{"'<<': {a: 1}", "{\"<<\": {\"a\": 1}}"},
		{"a: \"\\N\\L\\P\\x80\\ufffe\\ufeff\\U0001f600\"",
			"{\"a\": \"\\u0085\\u2028\\u2029\\u0080\\ufffe"
			"\\ufeff\xf0\x9f\x98\x80\"}"},
		{"%YAML 1.1\n---\na: 1", "{\"a\": 1}"},
		{"\"a\\/b\": \"\\/\"", "{\"a/b\": \"/\"}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_json(cases[i].yaml, cases[i].json);
}

static void test_nodes_know_their_place(void **state)
{
	struct doc *root =
		parse("volumes:\n  - name: db\n    size:\n      10G\n");
	const struct doc *volume, *size;

	(void)state;
	volume = doc_find(root, "volumes")->first;
	size = doc_find(volume, "size");
	assert_int_equal(volume->line, 2);
	assert_int_equal(volume->column, 5);
	assert_int_equal(size->line, 4);
	assert_int_equal(size->column, 7);
	assert_int_equal(size->key_line, 3);
	assert_int_equal(size->key_column, 5);
	assert_ptr_equal(size->parent, volume);
	assert_string_equal(size->file, "f");
	assert_null(doc_find(root, "volume"));
	assert_null(doc_find(size, "x"));
	assert_null(doc_find(NULL, "x"));
	assert_int_equal(doc_count(volume), 2);
	doc_free(root);
}

struct refused {
	const char *text, *error;
};

static void assert_refused(const struct refused *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct err err = {.code = 0};
		struct doc *root = doc_parse(
			"f", cases[i].text, strlen(cases[i].text), &err);
		if (root)
			fail_msg("taken: %s", cases[i].text);
		assert_int_equal(err.code, EINVAL);
		if (strncmp(err.text, cases[i].error, strlen(cases[i].error)))
			fail_msg("%s: %s", cases[i].text, err.text);
		assert_null(doc_parse(
			"f", cases[i].text, strlen(cases[i].text), NULL));
	}
}

static void test_what_is_refused(void **state)
{
	static const struct refused cases[] = {
		{"a: 1\nb: 2\na: 3",
			"f:3:1: a: this key is already there, in "
			"line 1"},
		{"x: {b: 1, 'b': 2}", "f:1:11: x.b: this key is already"},
		{"a: &x 1", "f:1:4: a: anchors"},
		{"&x a: 1", "f:1:1: anchors"},
		{"- &x [1]", "f:1:3: [0]: anchors"},
		{"- 1\n- &x {a: 1}", "f:2:3: [1]: anchors"},
		{"a: 1\nb: *x", "f:2:4: b: aliases"},
		{"*x : 1", "f:1:1: aliases"},
		{"a: !!int 1", "f:1:4: a: tags"},
		{"a: {b: ! x}", "f:1:8: a.b: tags"},
		{"a: !t [1]", "f:1:4: a: tags"},
		{"a: !t {b: 1}", "f:1:4: a: tags"},
		{"!t {b: 1}", "f:1:1: tags"},
		{"%TAG ! tag:x,2000:\n---\na: 1", "f:1:1: %TAG"},
		{"<<: {a: 1}", "f:1:1: merge keys"},
		{"a: [0, {<<: {a: 1}}]", "f:1:9: a[1]: merge keys"},
		{"a: 1\n---\nb: 2", "f:2:1: a second document"},
		{"---\n---\n", "f:2:1: a second document"},
		{"? [a]\n: 1", "f:1:3: a key must be a plain name"},
		{"{a: 1}: 2", "f:1:1: a key must be a plain name"},
		{": 1", "f:1:1: "},
		{"?\n: 1", "f:1:2: a key is missing"},
		{"~: 1", "f:1:1: a key is missing"},
		{"a: \"x\\0y\"", "f:1:4: a: a text must not contain a NUL"},
		{"a: [1", "f:2:1: did not find expected ',' or ']'"},
		{"a: 1\n b: 2", "f:2:3: mapping values are not allowed"},
		{"\tb: 1", "f:1:1: "},
		{"a: 1\nb: x\xffy", "f:2:5: "},
		{"a: \xc3", "f:1:4: "},
		{"a: \xed\xa0\x80", "f:1:4: "},
		{"a: b\x01", "f:1:5: control characters"},
	};

	(void)state;
	assert_refused(cases, sizeof cases / sizeof cases[0]);
}

static void test_other_encodings_are_refused(void **state)
{
	static const char utf16[] = "\xff\xfe"
				    "a\0:\0 \0001\0";
	struct err err = {.code = 0};

	(void)state;
	assert_null(doc_parse("f", utf16, sizeof utf16 - 1, &err));
	assert_int_equal(err.code, EINVAL);
	assert_null(doc_parse("f", "a: \0", 4, &err));
	assert_int_equal(err.code, EINVAL);
}

static void test_depth_is_bounded(void **state)
{
	char text[2 * DOC_MAX_DEPTH + 3];
	struct err err = {.code = 0};
	struct doc *root;

	(void)state;
	memset(text, '[', DOC_MAX_DEPTH);
	memset(text + DOC_MAX_DEPTH, ']', DOC_MAX_DEPTH);
	root = doc_parse("f", text, 2 * DOC_MAX_DEPTH, &err);
	assert_non_null(root);
	doc_free(root);
	memset(text, '[', DOC_MAX_DEPTH + 1);
	assert_null(doc_parse("f", text, DOC_MAX_DEPTH + 1, &err));
	assert_string_equal(err.text + strlen(err.text) - 44,
		"[0][0]: nested too deep: more than 64 levels");
	assert_memory_equal(err.text, "f:1:65: [0][0]", 14);
}

/* "[,,]" would be no list; "[[],[],...]" is one node for three bytes. */
static void test_size_is_bounded(void **state)
{
	size_t bytes = 2 * DOC_MAX_NODES + 1;
	char *text = malloc(bytes);
	struct err err = {.code = 0};
	struct doc *root;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < bytes; i += 2) {
		text[i] = '0';
		text[i + 1 < bytes ? i + 1 : i] = ',';
	}
	text[0] = '[';
	text[bytes - 1] = ']';
	text[1] = '0';
	root = doc_parse("f", text, bytes, &err);
	assert_non_null(root);
	assert_int_equal(doc_count(root), DOC_MAX_NODES - 1);
	doc_free(root);
	text[bytes - 2] = ',';
	text[bytes - 1] = '0';
	assert_null(doc_parse("f", text, bytes, &err));
	assert_non_null(strstr(err.text,
		"[999999]: too large: more than "
		"1000000 nodes"));
	free(text);

	assert_null(doc_parse("f", "", DOC_MAX_BYTES + 1, &err));
	assert_int_equal(err.code, EFBIG);
}

/* Ten thousand keys, one of them twice: found, and not by comparing all. */
static void test_large_maps_are_checked(void **state)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	struct err err = {.code = 0};

	(void)state;
	for (unsigned i = 0; i < 10000; i++)
		fprintf(out, "key%u: %u\n", i * 7919 % 10000, i);
	fprintf(out, "key4711: again\n");
	fclose(out);
	assert_null(doc_parse("f", text, bytes, &err));
	assert_non_null(strstr(err.text, "f:10001:1: key4711: "));
	free(text);
}

static void test_error_names_the_path(void **state)
{
	struct doc *root = parse("volumes:\n  - a: 1\n  - b:\n      - x\n");
	const struct doc *volume = doc_find(root, "volumes")->first->next;
	const struct doc *x = doc_find(volume, "b")->first;
	struct err err = {.code = 0};

	(void)state;
	assert_int_equal(doc_error(x, &err, ENOENT, "no %s", "file"), -ENOENT);
	assert_int_equal(err.code, ENOENT);
	assert_string_equal(err.text, "f:4:9: volumes[1].b[0]: no file");
	doc_key_error(x->parent, &err, EINVAL, "why");
	assert_string_equal(err.text, "f:3:5: volumes[1].b: why");
	doc_error(root, &err, EINVAL, "all wrong");
	assert_string_equal(err.text, "f:1:1: all wrong");
	assert_int_equal(doc_error(root, NULL, EINVAL, "x"), -EINVAL);
	doc_free(root);
}

static void test_long_paths_are_cut(void **state)
{
	char text[1200], key[200];
	struct err err = {.code = 0};
	const struct doc *node;
	struct doc *root;

	(void)state;
	memset(key, 'k', sizeof key - 1);
	key[sizeof key - 1] = '\0';
	snprintf(text, sizeof text, "{%s: {%s: {%s: [1]}}}", key, key, key);
	root = parse(text);
	for (node = root; node->first;)
		node = node->first;
	doc_error(node, &err, EINVAL, "wrong");
	assert_non_null(strstr(err.text, "kkk"));
	assert_string_equal(err.text + strlen(err.text) - 7, ": wrong");
	doc_free(root);
}

static void test_uint(void **state)
{
	static const char *const bad[] = {"x", "", "-1", "+1", "1 2", "0x1",
		"1.0", "'5'", "[5]", "~", "18446744073709551616", "1K"};
	struct err err = {.code = 0};
	uint64_t value = 0;
	struct doc *root;

	(void)state;
	root = parse("18446744073709551615");
	assert_int_equal(doc_uint(root, 0, UINT64_MAX, &value, &err), 0);
	assert_true(value == UINT64_MAX);
	doc_free(root);
	root = parse("a: 65");
	assert_int_equal(doc_uint(root->first, 1, 64, &value, &err), -EINVAL);
	assert_string_equal(
		err.text, "f:1:4: a: 65 is out of range: 1 to 64 is allowed");
	assert_int_equal(doc_uint(root->first, 66, 70, &value, &err), -EINVAL);
	assert_int_equal(doc_uint(root->first, 65, 65, &value, &err), 0);
	assert_int_equal(value, 65);
	doc_free(root);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		root = parse(bad[i]);
		assert_int_equal(
			doc_uint(root, 0, UINT64_MAX, &value, &err), -EINVAL);
		doc_free(root);
	}
	assert_int_equal(value, 65);
	/* JSON knows none with leading zeros, YAML 1.1 takes them for octal: such a
	 * one was kept as a text, which then was no number. */
	root = parse("a: 010");
	assert_int_equal(doc_uint(root->first, 0, 64, &value, &err), -EINVAL);
	assert_string_equal(err.text,
		"f:1:4: a: a whole number is expected, without quotes and "
		"without zeros before it");
	doc_free(root);
	root = parse("a: 0");
	assert_int_equal(doc_uint(root->first, 0, 64, &value, &err), 0);
	assert_int_equal(value, 0);
	doc_free(root);
}

static void test_size(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{"0", 0},
		{"4096", 4096},
		{"64K", 65536},
		{"'64KiB'", 65536},
		{"3M", 3u << 20},
		{"10GiB", 10ull << 30},
		{"2T", 2ull << 40},
		{"16383P", 16383ull << 50},
	};
	static const char *const bad[] = {"K", "1k", "1KB", "1Ki", "1 K", "1E",
		"16384P", "18446744073709551615K", "-1K", "1.5G", "~"};
	struct err err = {.code = 0};
	uint64_t bytes = 7;
	struct doc *root;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		root = parse(good[i].text);
		assert_int_equal(
			doc_size(root, 0, UINT64_MAX, &bytes, &err), 0);
		assert_true(bytes == good[i].bytes);
		doc_free(root);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		root = parse(bad[i]);
		assert_int_equal(
			doc_size(root, 0, UINT64_MAX, &bytes, &err), -EINVAL);
		doc_free(root);
	}
	root = parse("1M");
	assert_int_equal(doc_size(root, 0, 65536, &bytes, &err), -EINVAL);
	doc_free(root);
}

static void test_bool_and_text(void **state)
{
	struct doc *root = parse(
		"{a: true, b: false, c: yes, d: 'true', e: 12, f: ~, g: []}");
	struct err err = {.code = 0};
	const char *text = NULL;
	bool value = false;

	(void)state;
	assert_int_equal(doc_bool(doc_find(root, "a"), &value, &err), 0);
	assert_true(value);
	assert_int_equal(doc_bool(doc_find(root, "b"), &value, &err), 0);
	assert_false(value);
	for (const char *key = "c\0d\0e\0f\0g\0"; *key; key += 2)
		assert_int_equal(
			doc_bool(doc_find(root, key), &value, &err), -EINVAL);
	assert_int_equal(doc_text(doc_find(root, "e"), &text, &err), 0);
	assert_string_equal(text, "12");
	assert_int_equal(doc_text(doc_find(root, "f"), &text, &err), -EINVAL);
	assert_int_equal(doc_text(doc_find(root, "g"), &text, &err), -EINVAL);
	assert_string_equal(err.text, "f:1:56: g: a text is expected");
	doc_free(root);
}

static void test_places_are_copied(void **state)
{
	struct doc *from = parse("a: 1\nb:\n  - c: 2\n  - 3\n");
	struct doc *to = parse("{\"b\": [{\"c\": 2, \"d\": 4}], \"a\": 1}");
	const struct doc *c = doc_find(doc_find(to, "b")->first, "c");

	(void)state;
	doc_copy_places(to, from);
	assert_int_equal(doc_find(to, "a")->line, 1);
	assert_int_equal(c->line, 3);
	assert_int_equal(c->column, 8);
	assert_int_equal(c->key_column, 5);
	doc_free(from);
	doc_free(to);
}

static void test_files(void **state)
{
	char path[] = "/tmp/cairn-doc-XXXXXX";
	int fd = mkstemp(path);
	struct err err = {.code = 0};
	char expected[100];
	struct doc *root;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "a: 1\nb: [\n", 10), 10);
	assert_null(doc_parse_file(path, &err));
	snprintf(expected, sizeof expected, "%s:3:1: ", path);
	assert_memory_equal(err.text, expected, strlen(expected));
	assert_int_equal(pwrite(fd, "b: {}", 5, 5), 5);
	root = doc_parse_file(path, &err);
	assert_non_null(root);
	assert_string_equal(root->file, path);
	doc_free(root);
	/* Larger than the first piece that is read, and larger than allowed. */
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, "#", 1, 0), 1);
	for (off_t at = 1; at < 100000; at += 10)
		assert_int_equal(pwrite(fd, "xxxxxxxxxx", 10, at), 10);
	root = doc_parse_file(path, &err);
	assert_non_null(root);
	assert_int_equal(root->kind, DOC_NULL);
	doc_free(root);
	assert_int_equal(ftruncate(fd, DOC_MAX_BYTES + 10), 0);
	assert_null(doc_parse_file(path, &err));
	assert_int_equal(err.code, EFBIG);
	close(fd);
	unlink(path);
	assert_null(doc_parse_file(path, &err));
	assert_int_equal(err.code, ENOENT);
	assert_non_null(strstr(err.text, path));
	assert_null(doc_parse_file("/", &err));
	assert_int_equal(err.code, EISDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trees),
		cmocka_unit_test(test_nodes_know_their_place),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_other_encodings_are_refused),
		cmocka_unit_test(test_depth_is_bounded),
		cmocka_unit_test(test_size_is_bounded),
		cmocka_unit_test(test_large_maps_are_checked),
		cmocka_unit_test(test_error_names_the_path),
		cmocka_unit_test(test_long_paths_are_cut),
		cmocka_unit_test(test_uint),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_bool_and_text),
		cmocka_unit_test(test_places_are_copied),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
