/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text format of negotiation: pairs, numbers, binary values, lists.
 */
#include "target/iscsi/keytext.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* -- the format -------------------------------------------------------------- */

static enum keytext_step first_pair(const char *text, size_t bytes, char **key,
	char **value, const char **why)
{
	static char buffer[1024];
	struct keytext at = {buffer, buffer + bytes};

	memset(buffer, '=', sizeof buffer); /* what lies behind is no zero */
	memcpy(buffer, text, bytes);
	return keytext_next(&at, key, value, why);
}
#define FIRST_PAIR(text) first_pair(text, sizeof(text) - 1, &key, &value, &why)

static void test_pairs(void **state)
{
	char *key, *value, long_key[70];
	const char *why;

	(void)state;
	assert_int_equal(FIRST_PAIR(""), KEYTEXT_END);
	assert_int_equal(FIRST_PAIR("\0\0\0"), KEYTEXT_END);
	assert_int_equal(FIRST_PAIR("\0A=b\0"), KEYTEXT_PAIR);
	assert_string_equal(key, "A");
	assert_string_equal(value, "b");
	assert_int_equal(FIRST_PAIR("A=b=c\0"), KEYTEXT_PAIR);
	assert_string_equal(value, "b=c");
	assert_int_equal(FIRST_PAIR("A=\0"), KEYTEXT_PAIR);
	assert_string_equal(value, "");
	assert_int_equal(FIRST_PAIR("A=b"), KEYTEXT_BAD);
	assert_non_null(strstr(why, "zero byte"));
	assert_int_equal(FIRST_PAIR("Ab\0"), KEYTEXT_BAD);
	assert_non_null(strstr(why, "'='"));
	assert_int_equal(FIRST_PAIR("=b\0"), KEYTEXT_BAD);
	assert_non_null(strstr(why, "empty"));
	assert_int_equal(FIRST_PAIR("A b=c\0"), KEYTEXT_BAD);
	assert_int_equal(FIRST_PAIR("\x01=c\0"), KEYTEXT_BAD);
	assert_int_equal(FIRST_PAIR("\xff=c\0"), KEYTEXT_BAD);
	assert_int_equal(FIRST_PAIR("X-com.example@a+b_c#=1\0"), KEYTEXT_PAIR);

	memset(long_key, 'K', sizeof long_key);
	memcpy(long_key + 63, "=v", 3);
	assert_int_equal(
		first_pair(long_key, 66, &key, &value, &why), KEYTEXT_PAIR);
	memcpy(long_key + 63, "K=v", 4);
	assert_int_equal(
		first_pair(long_key, 67, &key, &value, &why), KEYTEXT_BAD);
	assert_non_null(strstr(why, "63"));
}

static void test_numbers(void **state)
{
	static const struct {
		const char *text;
		bool good;
		uint64_t value;
	} cases[] = {
		{"0", true, 0},
		{"7", true, 7},
		/* No decimal constant of RFC 7143 6.1; some would read octal. */
		{"007", false, 0},
		{"00", false, 0},
		{"01", false, 0},
		{"0x007", true, 7},
		{"0x10", true, 16},
		{"0XfF", true, 255},
		{"0x0", true, 0},
		{"18446744073709551615", true, UINT64_MAX},
		{"0xffffffffffffffff", true, UINT64_MAX},
		{"18446744073709551616", false, 0},
		{"0x10000000000000000", false, 0},
		{"", false, 0},
		{"0x", false, 0},
		{"-1", false, 0},
		{"+1", false, 0},
		{" 1", false, 0},
		{"1 ", false, 0},
		{"1,2", false, 0},
		{"1~2", false, 0},
		{"ff", false, 0},
		{"0xfg", false, 0},
		{"0b1", false, 0},
		{"x1", false, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint64_t number = 0;

		assert_int_equal(
			keytext_number(cases[i].text, &number), cases[i].good);
		assert_int_equal(number, cases[i].value);
	}
}

static void test_binary(void **state)
{
	static const struct {
		const char *text;
		int bytes;
		const char *value;
	} cases[] = {
		/* RFC 4648 10 */
		{"0bZg==", 1, "f"},
		{"0bZm8=", 2, "fo"},
		{"0BZm9v", 3, "foo"},
		{"0bZm9vYg==", 4, "foob"},
		{"0bZm9vYmE=", 5, "fooba"},
		{"0bZm9vYmFy", 6, "foobar"},
		{"0b+/+/", 3, "\xfb\xff\xbf"},
		{"0x666F6f", 3, "foo"},
		{"0X66", 1, "f"},
		{"0x6", -EINVAL, ""},
		{"0x", -EINVAL, ""},
		{"0b", -EINVAL, ""},
		{"0bZg", -EINVAL, ""},
		{"0bZg=", -EINVAL, ""},
		{"0bZ===", -EINVAL, ""},
		{"0b====", -EINVAL, ""},
		{"0bZ=g=", -EINVAL, ""},
		{"0bZg==Zg==", -EINVAL, ""},
		{"0bZ-_=", -EINVAL, ""},
		{"0x6g", -EINVAL, ""},
		{"6666", -EINVAL, ""},
		{"", -EINVAL, ""},
		{"0", -EINVAL, ""},
		{"0x66666666666666", -EMSGSIZE, ""},
		{"0bZm9vYmFyZg==", -EMSGSIZE, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint8_t out[6];

		assert_int_equal(keytext_binary(cases[i].text, out, sizeof out),
			cases[i].bytes);
		if (cases[i].bytes > 0)
			assert_memory_equal(
				out, cases[i].value, (size_t)cases[i].bytes);
	}
}

static void test_lists(void **state)
{
	const char *at = "a,,toolong,b";
	char item[4];

	(void)state;
	assert_true(keytext_list_next(&at, item, sizeof item));
	assert_string_equal(item, "a");
	assert_true(keytext_list_next(&at, item, sizeof item));
	assert_string_equal(item, "");
	assert_true(keytext_list_next(&at, item, sizeof item));
	assert_string_equal(item, "");
	assert_true(keytext_list_next(&at, item, sizeof item));
	assert_string_equal(item, "b");
	assert_false(keytext_list_next(&at, item, sizeof item));
}

static void test_writing_stops_at_the_limit(void **state)
{
	uint8_t text[16];
	struct keytext_out out = {text, 0, 10, false};

	(void)state;
	memset(text, '!', sizeof text);
	keytext_add(&out, "A", "b");
	keytext_add_number(&out, "C", 123);
	assert_false(out.overflow);
	assert_int_equal(out.bytes, 10);
	assert_memory_equal(text, "A=b\0C=123\0!!!!!!", 16);
	out.limit = 12; /* one byte short */
	keytext_add(&out, "D", "");
	assert_true(out.overflow);
	assert_int_equal(out.bytes, 10);
	assert_memory_equal(text + 10, "!!!!!!", 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_binary),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_writing_stops_at_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
