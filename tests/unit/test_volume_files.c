/* SPDX-License-Identifier: Apache-2.0 */
/* Which files a volume made, and a source that makes none of them again. */
#include "target/control/appliance/volume_files.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static void test_list(void **state)
{
	static const struct {
		const char *source, *files;
	} row[] = {
		{"{\"protocol\":{\"type\":\"file\",\"path\":\"a\",\"size\":1}}",
			"[\"a\"]"},
		{"{\"protocol\":{\"type\":\"file\",\"path\":\"a\"}}", "[]"},
		{"{\"protocol\":{\"type\":\"mem\",\"size\":1}}", "[]"},
		{"{\"source\":\"other\"}", "[]"},
		{"{\"format\":{\"type\":\"qcow2\",\"file\":{\"protocol\":"
		 "{\"type\":\"file\",\"path\":\"z\",\"size\":\"1M\"}},"
		 "\"backing\":{\"source\":{\"protocol\":"
		 "{\"type\":\"file\",\"path\":\"b\",\"size\":1}}}}}",
			"[\"b\",\"z\"]"},
		{"{\"listeners\":[{\"type\":\"mirror\",\"leg\":{\"protocol\":"
		 "{\"type\":\"file\",\"path\":\"leg\",\"size\":1}}},"
		 "{\"type\":\"mirror\",\"leg\":\"other\"}],\"protocol\":"
		 "{\"type\":\"file\",\"path\":\"z\",\"size\":1}}",
			"[\"leg\",\"z\"]"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
		char *files = volume_files_list(row[i].source);

		assert_non_null(files);
		assert_string_equal(files, row[i].files);
		free(files);
	}
}

static void test_hold(void **state)
{
	static const char made[] = "[\"b\"]";
	char *held = volume_files_hold(
		"{\"format\":{\"type\":\"qcow2\",\"file\":{\"protocol\":"
		"{\"type\":\"file\",\"path\":\"z\",\"size\":1}},"
		"\"backing\":{\"protocol\":"
		"{\"type\":\"file\",\"path\":\"b\",\"size\":1}}}}",
		made, strlen(made));

	(void)state;
	assert_non_null(held);
	assert_non_null(
		strstr(held, "\"path\":\"b\",\"size\":1,\"must_exist\":true"));
	assert_null(strstr(held, "\"path\":\"z\",\"size\":1,\"must_exist\""));
	free(held);
}

static void test_damaged(void **state)
{
	(void)state;
	assert_null(volume_files_hold("{}", "{}", 2));
	assert_null(volume_files_hold("{}", "[", 1));
	assert_null(volume_files_hold("[]", "[]", 2));
	assert_null(volume_files_list(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
