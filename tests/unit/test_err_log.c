/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error texts and the log: wrapping, cutting, escaping, levels, limits, and
 * that lines of several threads are never torn. TSAN: yes
 */
#include "blockcore/base/err.h"
#include "blockcore/base/log.h"
#include "tests/lib/log_capture.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_set_returns_the_code(void **state)
{
	struct err err = {.code = 0};

	(void)state;
	assert_int_equal(err_set(&err, ENOENT, "file %s", "a"), -ENOENT);
	assert_int_equal(err.code, ENOENT);
	assert_string_equal(err.text, "file a");
	assert_int_equal(err_set(&err, EIO, "other"), -EIO);
	assert_string_equal(err.text, "other");
}

static void test_wrap_adds_context(void **state)
{
	struct err err = {.code = 0};

	(void)state;
	err_set(&err, ENOENT, "no such file");
	assert_int_equal(err_wrap(&err, "image %d", 7), -ENOENT);
	assert_int_equal(err_wrap(&err, "volume db01"), -ENOENT);
	assert_string_equal(err.text, "volume db01: image 7: no such file");
}

static void test_text_may_be_its_own_argument(void **state)
{
	struct err err = {.code = 0};

	(void)state;
	err_set(&err, EINVAL, "inner");
	err_set(&err, EINVAL, "<%s>", err.text);
	assert_string_equal(err.text, "<inner>");
	err_wrap(&err, "%s", err.text);
	assert_string_equal(err.text, "<inner>: <inner>");
}

static const char *name_at(const void *count, unsigned i)
{
	static const char *const names[] = {"a", "b"};

	return i < *(const unsigned *)count ? names[i % 2] : NULL;
}

static const char *const more[] = {"c", "d", NULL};

static void test_says_what_is_allowed(void **state)
{
	static const unsigned two = 2, zero = 0;
	struct err err = {.code = 0};

	(void)state;
	assert_null(err_allowed(&err, 0));
	err_set(&err, EINVAL, "none of: ");
	assert_null(err_allowed(&err, 0));
	assert_int_equal(err_allow(&err, name_at, &two, more), -EINVAL);
	assert_string_equal(err.text, "none of: ");
	assert_int_equal(err_list_allowed(&err), -EINVAL);
	assert_string_equal(err.text, "none of: a, b, c, d");
	err_wrap(&err, "colour");
	assert_string_equal(err_allowed(&err, 3), "d");
	assert_null(err_allowed(&err, 4));
	err_allow(&err, name_at, &zero, more);
	assert_string_equal(err_allowed(&err, 0), "c");
	err_allow(&err, name_at, &two, NULL);
	assert_string_equal(err_allowed(&err, 1), "b");
	assert_null(err_allowed(&err, 2));
	err_set(&err, EINVAL, "something else");
	assert_null(err_allowed(&err, 0));
}

/* Half a name is none. */
static void test_too_many_are_allowed(void **state)
{
	static const unsigned many = 300;
	struct err err = {.code = 0};

	(void)state;
	err_set(&err, EINVAL, "none of: ");
	err_allow(&err, name_at, &many, NULL);
	err_list_allowed(&err);
	assert_true(strlen(err.text) > sizeof err.text - 10);
	assert_memory_equal(err.text, "none of: a, b, a, b, ", 21);
	assert_string_equal(err.text + strlen(err.text) - 5, ", ...");
}

static void test_nobody_needs_the_text(void **state)
{
	(void)state;
	assert_int_equal(err_allow(NULL, NULL, NULL, more), -EINVAL);
	assert_int_equal(err_list_allowed(NULL), -EINVAL);
	assert_int_equal(err_set(NULL, EBUSY, "busy"), -EBUSY);
	assert_int_equal(err_wrap(NULL, "volume"), -EINVAL);
}

static void test_long_texts_are_cut(void **state)
{
	char large[2048];
	struct err err = {.code = 0};

	(void)state;
	memset(large, 'x', sizeof large - 1);
	large[sizeof large - 1] = '\0';
	err_set(&err, EINVAL, "%s", large);
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
	err_wrap(&err, "%.500s", large);
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
	err_wrap(&err, "head");
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
	assert_memory_equal(err.text, "head: xxx", 9);
}

/* -- the log, whose standard error is a file here --------------------------- */

static void test_line_has_its_form(void **state)
{
	struct log_capture c = log_capture_begin();
	char *text;

	(void)state;
	log_info("volume demo", "open", "%u bytes", 512u);
	log_error("cairn", "stop", "by signal");
	text = log_capture_end(c);
	assert_string_equal(text,
		"info volume demo open: 512 bytes\n"
		"error cairn stop: by signal\n");
	free(text);
}

static void test_lines_may_begin_with_the_time(void **state)
{
	struct log_capture c = log_capture_begin();
	unsigned year, month, day, hour, minute, second, ms;
	char word[8], *text;

	(void)state;
	log_set_times(true);
	log_info("volume demo", "open", "%d bytes", 512);
	log_set_times(false);
	text = log_capture_end(c);
	assert_int_equal(
		sscanf(text, "%4u-%2u-%2uT%2u:%2u:%2u.%3uZ %7s", &year, &month,
			&day, &hour, &minute, &second, &ms, word),
		8);
	assert_in_range(month, 1, 12);
	assert_in_range(hour, 0, 23);
	assert_string_equal(text + strlen("2026-11-23T20:49:12.305Z "),
		"info volume demo open: 512 bytes\n");
	free(text);
}

static void test_level_decides(void **state)
{
	struct log_capture c = log_capture_begin();
	char *text;

	(void)state;
	log_debug("a", "b", "not yet");
	log_set_level(LOG_DEBUG);
	log_debug("a", "b", "now");
	log_set_level(LOG_ERROR);
	log_warning("a", "b", "no longer");
	log_set_level(LOG_INFO);
	text = log_capture_end(c);
	assert_string_equal(text, "debug a b: now\n");
	free(text);
}

static void test_level_names(void **state)
{
	enum log_level level = LOG_ERROR;

	(void)state;
	assert_true(log_level_from_name("debug", &level));
	assert_int_equal(level, LOG_DEBUG);
	assert_true(log_level_from_name("warning", &level));
	assert_int_equal(level, LOG_WARNING);
	assert_false(log_level_from_name("Info", &level));
	assert_false(log_level_from_name("", &level));
	assert_int_equal(level, LOG_WARNING);
}

/* A peer must not be able to forge lines or to move the cursor. */
static void test_control_characters_never_pass(void **state)
{
	struct log_capture c = log_capture_begin();
	char *text;

	(void)state;
	log_info("host", "login", "name %s", "a\nerror x y: z\x1b[2J\x7f");
	text = log_capture_end(c);
	assert_string_equal(text,
		"info host login: name a\\x0aerror x y: z\\x1b[2J\\x7f\n");
	free(text);
}

static void test_long_line_is_cut_with_its_end(void **state)
{
	char large[5000];
	struct log_capture c = log_capture_begin();
	char *text;

	(void)state;
	memset(large, '\n', sizeof large - 1);
	large[sizeof large - 1] = '\0';
	log_info("a", "b", "%s", large);
	memset(large, 'x', sizeof large - 1);
	log_info(large, "b", "c");
	text = log_capture_end(c);
	assert_true(strlen(text) <= 2048);
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_non_null(strstr(text, "\ninfo xxx"));
	free(text);
}

static void test_escape(void **state)
{
	char out[16];

	(void)state;
	assert_string_equal(
		log_escape(out, sizeof out, "ab\0c", 4), "ab\\x00c");
	assert_string_equal(
		log_escape(out, sizeof out, "\\\xff", 2), "\\x5c\\xff");
	assert_string_equal(log_escape(out, 5, "abcdef", 6), "abcd");
	assert_string_equal(log_escape(out, 6, "ab\n", 3), "ab");
	assert_string_equal(log_escape(out, 7, "ab\n", 3), "ab\\x0a");
	assert_string_equal(log_escape(out, 1, "ab", 2), "");
}

/* The clock may pass into a new window at any time: what holds then, too, is
 * that a window lets ten pass, and that nothing is swallowed silently. */
static void test_limit(void **state)
{
	struct log_limit limit = {.printed = 0};
	uint32_t passed = 0, reported = 0, swallowed = 99, calls = 0;

	(void)state;
	while (calls < 1000 && limit.swallowed < 5) {
		calls++;
		if (log_limit_pass(&limit, &swallowed)) {
			passed++;
			reported += swallowed;
		}
	}
	assert_int_equal(limit.swallowed, 5);
	assert_true(passed >= 10);
	assert_int_equal(passed + reported + limit.swallowed, calls);
	limit.window_start_s -= 5;
	assert_true(log_limit_pass(&limit, &swallowed));
	assert_int_equal(swallowed, 5);
	assert_int_equal(limit.swallowed, 0);
}

#define LINES 500

static void *logs_many(void *arg)
{
	for (unsigned i = 0; i < LINES; i++)
		log_info("thread", "line", "%s-%s-%s", (char *)arg, (char *)arg,
			(char *)arg);
	return NULL;
}

static void test_lines_are_never_torn(void **state)
{
	static char names[2][80];
	struct log_capture c = log_capture_begin();
	pthread_t threads[2];
	unsigned seen[2] = {0, 0};
	char *text, *rest, *line;

	(void)state;
	for (int i = 0; i < 2; i++) {
		memset(names[i], 'a' + i, sizeof names[i] - 1);
		pthread_create(&threads[i], NULL, logs_many, names[i]);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	rest = text = log_capture_end(c);
	while ((line = strsep(&rest, "\n")) && *line) {
		char expected[300];
		int who = strchr(line, 'b') != NULL;
		snprintf(expected, sizeof expected,
			"info thread line: %s-%s-%s", names[who], names[who],
			names[who]);
		assert_string_equal(line, expected);
		seen[who]++;
	}
	assert_int_equal(seen[0], LINES);
	assert_int_equal(seen[1], LINES);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_returns_the_code),
		cmocka_unit_test(test_wrap_adds_context),
		cmocka_unit_test(test_text_may_be_its_own_argument),
		cmocka_unit_test(test_says_what_is_allowed),
		cmocka_unit_test(test_too_many_are_allowed),
		cmocka_unit_test(test_nobody_needs_the_text),
		cmocka_unit_test(test_long_texts_are_cut),
		cmocka_unit_test(test_line_has_its_form),
		cmocka_unit_test(test_lines_may_begin_with_the_time),
		cmocka_unit_test(test_level_decides),
		cmocka_unit_test(test_level_names),
		cmocka_unit_test(test_control_characters_never_pass),
		cmocka_unit_test(test_long_line_is_cut_with_its_end),
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_lines_are_never_torn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
