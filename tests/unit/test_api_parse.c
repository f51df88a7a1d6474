/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a request is ours to parse: targets, templates, lists in headers, the
 * version of libevent.
 */
#include "webui/api/server/libevent_version.h"
#include "webui/api/server/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct parsed_target target;

static void targets_are_split_and_decoded(void **state)
{
	(void)state;
	assert_int_equal(parse_target("/a/b%2Fc/d%20e?x=1+2&y=%26&z", &target),
		PARSE_OK);
	assert_int_equal(target.segments, 3);
	assert_string_equal(target.segment[1], "b/c");
	assert_string_equal(target.segment[2], "d e");
	assert_int_equal(target.queries, 3);
	assert_string_equal(target.query[0].value, "1 2");
	assert_string_equal(target.query[1].value, "&");
	assert_string_equal(target.query[2].name, "z");
	assert_string_equal(target.query[2].value, "");
	assert_int_equal(parse_target("/", &target), PARSE_OK);
	assert_int_equal(target.segments, 0);
}

static void absolute_targets_lose_their_host(void **state)
{
	(void)state;
	assert_int_equal(
		parse_target("https://[::1]:8443/a/b?x=/", &target), PARSE_OK);
	assert_int_equal(target.segments, 2);
	assert_string_equal(target.segment[0], "a");
	assert_string_equal(target.query[0].value, "/");
	assert_int_equal(parse_target("HTTP://x/a", &target), PARSE_OK);
	assert_int_equal(target.segments, 1);
	assert_int_equal(parse_target("http://x", &target), PARSE_OK);
	assert_int_equal(target.segments, 0);
}

static const struct {
	const char *raw;
	enum parse_result result;
} wrong[] = {
	{"", PARSE_FORM},
	{"*", PARSE_FORM},
	{"http:///x", PARSE_FORM},
	{"http:/x", PARSE_FORM},
	{"http://x?y", PARSE_FORM},
	{"ftp://x/y", PARSE_FORM},
	{"/%", PARSE_FORM},
	{"/%4", PARSE_FORM},
	{"/%4x", PARSE_FORM},
	{"/%00", PARSE_FORM},
	{"/%0a", PARSE_FORM},
	{"/a?%", PARSE_FORM},
	{"/a?x=%7f", PARSE_FORM},
	{"/a?x=1&x=2", PARSE_TWICE},
	{"/a?x=1&%78=2", PARSE_TWICE},
	{"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", PARSE_LONG},
	{"/?1&2&3&4&5&6&7&8&9&10&11&12&13&14&15&16&17", PARSE_LONG},
};

static void wrong_targets_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(
			parse_target(wrong[i].raw, &target), wrong[i].result);
	static char longest[PARSED_MAX_TARGET + 2];
	memset(longest, 'a', PARSED_MAX_TARGET);
	longest[0] = '/';
	assert_int_equal(parse_target(longest, &target), PARSE_LONG);
	longest[PARSED_MAX_TARGET - 1] = '\0';
	assert_int_equal(parse_target(longest, &target), PARSE_OK);
}

static bool matches(const char *path_template, const char *raw)
{
	assert_int_equal(parse_target(raw, &target), PARSE_OK);
	return parse_match(path_template, &target);
}

static void templates_match_whole_paths(void **state)
{
	(void)state;
	assert_true(matches("/healthz", "/healthz"));
	assert_false(matches("/healthz", "/healthz/"));
	assert_false(matches("/healthz", "/health"));
	assert_false(matches("/healthz", "/"));
	assert_false(matches("/healthz", "/healthz/x"));
	assert_false(matches("/a/{b}", "/a"));
	assert_false(matches("/a/{b}", "/a/"));
	assert_true(matches("/a/{name}/c/{id}", "/a/x%2cy/c/7"));
	assert_int_equal(target.parameters, 2);
	assert_string_equal(target.parameter[0].name, "name");
	assert_string_equal(target.parameter[0].value, "x,y");
	assert_string_equal(target.parameter[1].name, "id");
	assert_string_equal(target.parameter[1].value, "7");
}

static void tags_match_by_rfc_9110(void **state)
{
	(void)state;
	assert_true(parse_tags_match("*", "7", false));
	assert_true(parse_tags_match("\"7\"", "7", false));
	assert_true(parse_tags_match("\"6\", \"7\"", "7", false));
	assert_false(parse_tags_match("7", "7", false));
	assert_false(parse_tags_match("\"77\"", "7", false));
	assert_false(parse_tags_match("W/\"7\"", "7", false));
	assert_true(parse_tags_match("W/\"7\"", "7", true));
	assert_false(parse_tags_match("", "7", true));
	assert_false(parse_tags_match(",,, ", "7", true));
}

static void accept_is_weighed(void **state)
{
	(void)state;
	assert_int_equal(parse_accept("text/html", "text/html"), 1000);
	assert_int_equal(parse_accept("*/*", "text/html"), 1000);
	assert_int_equal(parse_accept("text/*;q=0.5", "text/html"), 500);
	assert_int_equal(
		parse_accept("text/html;q=0.2, */*;q=0.9", "text/html"), 200);
	assert_int_equal(parse_accept("image/png", "text/html"), 0);
	assert_int_equal(parse_accept("text/html;q=x", "text/html"), 0);
	assert_int_equal(parse_accept("", "text/html"), 0);
	assert_int_equal(
		parse_accept("application/openmetrics-text;version=1.0.0;q=0.7",
			"application/openmetrics-text"),
		700);
}

static void lists_have_items(void **state)
{
	(void)state;
	assert_true(parse_list_has("GET, HEAD", "head"));
	assert_false(parse_list_has("GET, HEADS", "HEAD"));
	assert_true(parse_list_has("a;q=1,b ;x", "b"));
	assert_false(parse_list_has("", "a"));
}

static void libevent_is_known_by_its_repairs(void **state)
{
	(void)state;
	assert_true(libevent_is_repaired(0x02010d00, ""));
	assert_true(libevent_is_repaired(0x02020100, ""));
	assert_false(libevent_is_repaired(0x02010c00, ""));
	assert_false(libevent_is_repaired(0x02010c00, "2.1.12-stable-8"));
	assert_false(libevent_is_repaired(0x02010c00, "2.1.12-stable-10+b1"));
	assert_true(
		libevent_is_repaired(0x02010c00, "2.1.12-stable-8+deb12u1"));
	assert_true(
		libevent_is_repaired(0x02010c00, "2.1.12-stable-10+deb13u1"));
	assert_false(
		libevent_is_repaired(0x02010b00, "2.1.12-stable-8+deb12u1"));
}

static void the_package_is_found(void **state)
{
	char path[] = "/tmp/cairn-dpkg.XXXXXX", version[64];
	FILE *out = fdopen(mkstemp(path), "w");
	(void)state;
	fputs("Package: libevent-2.1-7\nVersion: 1\n\n"
	      "Package: libevent-extra-2.1-7\nArchitecture: amd64\n"
	      "Version: 2.1.12-stable-8+deb12u1\n\nPackage: x\nVersion: 3\n",
		out);
	fclose(out);
	assert_true(libevent_find_package(path, version, sizeof version));
	assert_string_equal(version, "2.1.12-stable-8+deb12u1");
	unlink(path);
	assert_false(libevent_find_package(path, version, sizeof version));
	assert_string_equal(version, "");
}

static void times_are_utc(void **state)
{
	static const char *const bad[] = {"", "2027-01-31",
		"2027-01-31T00:00:00", "2027-01-31T00:00:00+01:00",
		"2027-01-31T00:00:00Zulu", "2027-13-31T00:00:00Z", "soon"};
	int64_t ms = 0;
	(void)state;
	assert_true(parse_time("1970-01-02T00:00:01Z", &ms));
	assert_int_equal(ms, 86401000);
	assert_true(parse_time("2027-01-31T00:00:00.250Z", &ms));
	assert_int_equal(ms, 1801353600000);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(parse_time(bad[i], &ms));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_utc),
		cmocka_unit_test(targets_are_split_and_decoded),
		cmocka_unit_test(absolute_targets_lose_their_host),
		cmocka_unit_test(wrong_targets_are_refused),
		cmocka_unit_test(templates_match_whole_paths),
		cmocka_unit_test(tags_match_by_rfc_9110),
		cmocka_unit_test(accept_is_weighed),
		cmocka_unit_test(lists_have_items),
		cmocka_unit_test(libevent_is_known_by_its_repairs),
		cmocka_unit_test(the_package_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
