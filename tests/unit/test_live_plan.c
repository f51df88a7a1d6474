/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one source document to another: which steps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "target/control/appliance/live_change.h"

#include <stdio.h>
#include <string.h>

#define MEM "'protocol': {'type': 'mem', 'size': '1M'}"
#define LIMIT(iops) "{'type': 'throttle', 'name': 'limit', 'iops': " iops "}"

static json_t *read_json(const char *text)
{
	char copy[1024];
	snprintf(copy, sizeof copy, "%s", text);
	for (char *p = copy; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	json_t *json = json_loads(copy, 0, NULL);
	assert_non_null(json);
	return json;
}

/* The descriptions of all steps, ended by ';' each. */
static void expect(const char *from, const char *to, const char *steps)
{
	enum live_step_kind kind;
	char all[1024] = "", one[160];
	json_t *a = read_json(from), *b = read_json(to);
	struct live_change *change = live_change_plan(a, b);
	assert_non_null(change);
	for (unsigned i = 0;
		live_change_describe(change, i, &kind, one, sizeof one); i++) {
		strcat(all, one);
		strcat(all, ";");
	}
	assert_string_equal(all, steps);
	live_change_free(change);
	json_decref(a);
	json_decref(b);
}

static void test_nothing(void **state)
{
	(void)state;
	expect("{'listeners': [" LIMIT("1") "], " MEM "}",
		"{" MEM ", 'listeners': [" LIMIT("1") "]}", "");
}

static void test_listeners(void **state)
{
	(void)state;
	expect("{" MEM "}", "{'listeners': [" LIMIT("1") "], " MEM "}",
		"attach listener limit (throttle);");
	expect("{'listeners': [" LIMIT("1") "], " MEM "}", "{" MEM "}",
		"detach listener limit (throttle);");
	expect("{'listeners': [" LIMIT("1") "], " MEM "}",
		"{'listeners': [" LIMIT("2") "], " MEM "}",
		"configure listener limit (throttle);");
	/* An option that is left out has its default again. */
	expect("{'listeners': [" LIMIT("1") "], " MEM "}",
		"{'listeners': [{'type': 'throttle', 'name': 'limit'}], " MEM
		"}",
		"configure listener limit (throttle);");
	expect("{'listeners': [{'type': 'throttle', 'name': 'limit'}], " MEM
	       "}",
		"{'listeners': [" LIMIT("1") "], " MEM "}",
		"configure listener limit (throttle);");
	expect("{'listeners': [{'type': 'throttle', 'name': 'limit'}], " MEM
	       "}",
		"{'listeners': [" LIMIT("0") "], " MEM "}", "");
}

#define STATS "{'type': 'stats'}"
#define FAULT "{'type': 'fault'}"

/* What comes to its default place stands there already. */
static void test_places(void **state)
{
	(void)state;
	expect("{'listeners': [" STATS ", " FAULT "], " MEM "}",
		"{'listeners': [" STATS ", " LIMIT("1") ", " FAULT "], " MEM
							"}",
		"attach listener limit (throttle);");
	expect("{'listeners': [" FAULT "], " MEM "}",
		"{'listeners': [{'type': 'stats', 'name': 'a'}, {'type': "
		"'stats', 'name': 'b'}, " FAULT "], " MEM "}",
		"attach listener b (stats);attach listener a (stats);");
	expect("{'listeners': [" STATS "], " MEM "}",
		"{'listeners': [" STATS
		", {'type': 'stats', 'name': 'b'}], " MEM "}",
		"attach listener b (stats);change the order of listeners;");
}

static void parks(const char *from, const char *to, bool does)
{
	json_t *a = read_json(from), *b = read_json(to);
	struct live_change *change = live_change_plan(a, b);
	assert_non_null(change);
	assert_int_equal(live_change_parks(change), does);
	live_change_free(change);
	json_decref(a);
	json_decref(b);
}

/* Only what lies behind the gate makes hosts wait. */
static void test_who_waits(void **state)
{
	(void)state;
	parks("{" MEM "}", "{'listeners': [" LIMIT("1") "], " MEM "}", false);
	parks("{" MEM "}", "{'listeners': [" FAULT "], " MEM "}", true);
	parks("{'listeners': [" LIMIT("1") "], " MEM "}",
		"{'listeners': [" LIMIT("2") "], " MEM "}", false);
	parks("{'listeners': [{'type': 'stats', 'name': 'a'}, " STATS ", " FAULT
	      "], " MEM "}",
		"{'listeners': [" STATS
		", {'type': 'stats', 'name': 'a'}, " FAULT "], " MEM "}",
		false);
	parks("{'listeners': [{'type': 'fault', 'name': 'a'}, " FAULT "], " MEM
	      "}",
		"{'listeners': [" FAULT
		", {'type': 'fault', 'name': 'a'}], " MEM "}",
		true);
	parks("{" MEM "}", "{'source': 'other'}", true);
}

/* Without names they are called by their types, and stay the same ones. */
static void test_names_that_are_left_out(void **state)
{
	(void)state;
	expect("{'listeners': [{'type': 'stats'}], " MEM "}",
		"{'listeners': [{'type': 'stats', 'name': 'stats'}], " MEM "}",
		"");
	expect("{'listeners': [{'type': 'stats'}, {'type': 'stats'}], " MEM "}",
		"{'listeners': [{'type': 'stats'}], " MEM "}",
		"detach listener stats-2 (stats);");
}

static void test_order(void **state)
{
	(void)state;
	expect("{'listeners': [{'type': 'stats', 'name': 'a'},"
	       " {'type': 'stats', 'name': 'b'}], " MEM "}",
		"{'listeners': [{'type': 'stats', 'name': 'b'},"
		" {'type': 'stats', 'name': 'a'}], " MEM "}",
		"change the order of listeners;");
}

static void test_bottom(void **state)
{
	(void)state;
	expect("{'protocol': {'type': 'mem', 'size': '1M'}}",
		"{'protocol': {'type': 'mem', 'size': 2097152}}", "grow it;");
	expect("{'protocol': {'type': 'mem', 'size': '2M'}}",
		"{'protocol': {'type': 'mem', 'size': '1M'}}",
		"swap what lies below: other content;");
	expect("{" MEM "}", "{'source': 'other'}",
		"swap what lies below: other content;");
}

#define IMAGE(size) "{'format': {'type': 'qcow2', 'file': {" MEM "}" size "}}"

/* An image has another size and its content; which it does not let be cut off. */
static void test_sizes_of_images(void **state)
{
	(void)state;
	expect(IMAGE(", 'size': '1M'"), IMAGE(", 'size': 2097152"), "grow it;");
	expect(IMAGE(", 'size': '2M'"), IMAGE(", 'size': '1M'"),
		"make it 1048576 bytes; not if data lie beyond;");
	expect(IMAGE(""), IMAGE(", 'size': '1M'"),
		"make it 1048576 bytes; not if data lie beyond;");
	expect(IMAGE(", 'size': '1M'"),
		"{'protocol': {'type': 'mem', 'size': '2M'}}",
		"swap what lies below: other content;");
}

#define DISK(size) "'protocol': {'type': 'file', 'path': 'a.raw'" size "}"

/* Values count, not how they are written, nor whether a default is. */
static void test_spellings(void **state)
{
	(void)state;
	expect("{" DISK(", 'size': 10737418240") "}",
		"{" DISK(", 'size': '10GiB', 'cache': 'direct'") "}", "");
	expect("{'listeners': [{'type': 'throttle', 'bytes_s': '1MiB'}], " MEM
	       "}",
		"{'listeners': [{'type': 'throttle', 'bytes_s': 1048576}], " MEM
		"}",
		"");
	/* A file that is there has a size: nothing is to be said of it. */
	expect("{" DISK(", 'size': 1048576") "}", "{" DISK("") "}", "");
	expect("{" DISK(", 'size': 1048576") "}",
		"{" DISK(", 'size': '1MiB', 'cache': 'writeback'") "}",
		"swap what lies below: other content;");
}

static void test_sizes_of_files(void **state)
{
	(void)state;
	const char *cut = "cut it to 1048576 bytes: the data beyond are lost;";
	expect("{" DISK(", 'size': '1M'") "}", "{" DISK(", 'size': '2M'") "}",
		"grow it;");
	expect("{" DISK(", 'size': 2097152") "}",
		"{" DISK(", 'size': '1MiB'") "}", cut);
	/* It may be larger than that. */
	expect("{" DISK("") "}", "{" DISK(", 'size': '1MiB'") "}", cut);
}

#define OVER(below) \
	"'format': {'type': 'qcow2', 'file': {'protocol': {'type': 'file', " \
	"'path': 'new'}}, 'backing': " below "}"

static void test_snapshots(void **state)
{
	(void)state;
	const char *step = "put a new image over it: the same content;";
	expect("{" MEM "}", "{" OVER("{" MEM "}") "}", step);
	/* Listeners go with the name or with the image. */
	expect("{'listeners': [" LIMIT("1") "], " MEM "}",
		"{'listeners': [" LIMIT("1") "], " OVER("{" MEM "}") "}",
		"put a new image over it: the same content; limit stays on "
		"top;");
	expect("{'listeners': [" LIMIT("1") "], " MEM "}",
		"{" OVER("{'listeners': [" LIMIT("1") "], " MEM "}") "}",
		"put a new image over it: the same content; limit goes down "
		"with the old image;");
	/* The same, written in another way. */
	expect("{" DISK(", 'size': 10737418240") "}",
		"{" OVER("{" DISK(", 'size': '10GiB'") "}") "}", step);
	expect("{" DISK(", 'size': 10737418240") "}",
		"{" OVER("{" DISK("") "}") "}", step);
	/* Over something else, or with other listeners: other content. */
	expect("{" MEM "}",
		"{" OVER("{'protocol': {'type': 'mem', 'size': '2M'}}") "}",
		"swap what lies below: other content;");
	expect("{'listeners': [" LIMIT("1") "], " MEM "}",
		"{'listeners': [" LIMIT("2") "], " OVER("{" MEM "}") "}",
		"configure listener limit (throttle);"
		"swap what lies below: other content;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_who_waits),
		cmocka_unit_test(test_names_that_are_left_out),
		cmocka_unit_test(test_snapshots),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_bottom),
		cmocka_unit_test(test_spellings),
		cmocka_unit_test(test_sizes_of_files),
		cmocka_unit_test(test_sizes_of_images),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
