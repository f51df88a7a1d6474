/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents and JSON: strings as they are printed, and what is a text in which of
 * the two.
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

#include <cmocka.h>

static void test_json_strings(void **state)
{
	char *out = NULL;
	size_t bytes;
	FILE *stream = open_memstream(&out, &bytes);

	(void)state;
	json_print_string(stream, "a\"\\\b\f\n\r\t\x1f\x7f/");
	json_print_string(stream, "\xf0\x9f\x98\x80 \xe2\x82\xac");
	/* Cut, overlong, surrogate, beyond Unicode, alone. */
	json_print_string(stream, "\xc3");
	json_print_string(stream, "\xc0\x80");
	json_print_string(stream, "\xed\xa0\x80");
	json_print_string(stream, "\xf4\x90\x80\x80");
	json_print_string(stream, "\x80z");
	fclose(stream);
#define R "\xef\xbf\xbd"
	assert_string_equal(out,
		"\"a\\\"\\\\\\b\\f\\n\\r\\t\\u001f\\u007f/\""
		"\"\xf0\x9f\x98\x80 \xe2\x82\xac\""
		"\"" R "\"\"" R R "\"\"" R R R "\"\"" R R R R "\"\"" R "z\"");
#undef R
	free(out);
}

/* Without a file it came through REST, where a number is no text. */
static void test_texts_of_json(void **state)
{
	static const char json[] =
		"{\"a\": true, \"b\": \"true\", \"c\": 12, \"d\": \"12\"}";
	static const char *const names[] = {"a", "b", "c", "d"};
	static const int wanted[] = {-EINVAL, 0, -EINVAL, 0};
	struct err err = {0};
	const char *text;
	(void)state;
	struct doc *root = doc_parse("", json, sizeof json - 1, &err);
	struct doc *file = doc_parse("file", json, sizeof json - 1, &err);
	assert_non_null(root);
	assert_non_null(file);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(
			doc_text(doc_find(root, names[i]), &text, &err),
			wanted[i]);
		assert_int_equal(
			doc_text(doc_find(file, names[i]), &text, &err), 0);
	}
	doc_free(root);
	doc_free(file);
}

/* What was read as a text is printed as one, however it was written. */
static void test_texts_stay_texts(void **state)
{
	static const char yaml[] = "a: 12\nb: 12\n";
	struct err err = {0};
	const char *text;
	char *out = NULL;
	size_t bytes;
	(void)state;
	struct doc *root = doc_parse("file", yaml, sizeof yaml - 1, &err);
	assert_non_null(root);
	assert_int_equal(doc_text(doc_find(root, "a"), &text, &err), 0);
	FILE *stream = open_memstream(&out, &bytes);
	doc_print_json(root, stream);
	fclose(stream);
	assert_string_equal(out, "{\"a\": \"12\", \"b\": 12}");
	free(out);
	doc_free(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_strings),
		cmocka_unit_test(test_texts_of_json),
		cmocka_unit_test(test_texts_stay_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
