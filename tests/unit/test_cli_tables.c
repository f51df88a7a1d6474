/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables as they are printed, letter by letter: for people on wide and narrow
 * terminals, for pipes and for scripts.
 */
#include "tests/lib/cli_printed.h"
#include "webui/cli/commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define VOLUMES \
	"[{\"name\": \"db01\", \"status\": {\"block_bytes\": 512, \"state\": " \
	"\"online\", \"size_bytes\": 107374182400, \"allocated_bytes\": " \
	"1073741824, \"sessions\": 2, \"faults\": 0, \"throttled\": true, " \
	"\"serial\": \"2b1f\"}}," \
	"{\"name\": \"x\", \"status\": {\"block_bytes\": 4096, \"state\": " \
	"\"failed\", \"sessions\": 12345}}]"

static void print_list(enum output_format format, bool bare, bool exact,
	unsigned width, bool color)
{
	json_t *items = cli_json(VOLUMES);
	cli_begin(format);
	cli_output.bare = bare;
	cli_output.exact = exact;
	cli_output.width = width;
	cli_output.color = color;
	output_list(&cli_output, cli_volume.columns, items);
	json_decref(items);
}

static void tables(void **state)
{
	(void)state;
	print_list(OUTPUT_TABLE, false, false, 0, false);
	cli_assert_printed(
		"NAME  STATE      SIZE   USED  BLOCK  SESSIONS  FAULTS  "
		"THROTTLED  SERIAL\n"
		"db01  online  100 GiB  1 GiB  512           2       0  yes   "
		"     2b1f\n"
		"x     failed        -      -  4096      12.3k       -  -     "
		"     -\n");
	print_list(OUTPUT_TABLE, true, true, 0, false);
	cli_assert_printed(
		"db01\tonline\t107374182400\t1073741824\t512\t2\t0\tyes\t"
		"2b1f\nx\tfailed\t-\t-\t4096\t12345\t-\t-\t-\n");
	print_list(OUTPUT_NAME, false, false, 0, false);
	cli_assert_printed("db01\nx\n");
}

/* An object in a cell: pairs for people, JSON for scripts. */
static void objects_in_cells(void **state)
{
	static const struct cli_column columns[] = {
		{"ID", "id"}, {"DATA", "data"}, {NULL}};
	json_t *items =
		cli_json("[{\"id\": \"1\", \"data\": {\"volume\": "
			 "\"a\\u001b\", \"n\": 3, \"list\": "
			 "[\"x\", \"y\"], \"e\": null}}, {\"id\": \"2\", "
			 "\"data\": {}}]");
	(void)state;
	cli_begin(OUTPUT_TABLE);
	output_table(&cli_output, columns, items);
	cli_assert_printed("ID  DATA\n1   volume=a\\x1b n=3 list=x,y\n"
			   "2   -\n");
	cli_begin(OUTPUT_TABLE);
	cli_output.bare = true;
	output_table(&cli_output, columns, items);
	cli_assert_printed("1\t{\"volume\":\"a\\u001B\",\"n\":3,"
			   "\"list\":[\"x\",\"y\"],\"e\":null}\n2\t{}\n");
	json_decref(items);
}

static void colors_and_width(void **state)
{
	static const struct cli_column columns[] = {
		{"NAME", "name"}, {"STATE", "state", COLUMN_STATE}, {NULL}};
	(void)state;
	json_t *items =
		cli_json("[{\"name\": \"a-rather-long-name\", \"state\": "
			 "\"failed\"}]");
	cli_begin(OUTPUT_TABLE);
	cli_output.color = true;
	output_table(&cli_output, columns, items);
	cli_assert_printed("\033[1mNAME                STATE\033[0m\n"
			   "a-rather-long-name  \033[31mfailed\033[0m\n");
	cli_begin(OUTPUT_TABLE);
	cli_output.width = 20;
	output_table(&cli_output, columns, items);
	cli_assert_printed("NAME          STATE\na-rather-lo~  failed\n");
	json_decref(items);
}

#define SESSIONS \
	"[{\"id\": 1, \"host\": \"web1\", \"peer\": \"192.0.2.17:40000\", " \
	"\"since\": \"2001-02-03T04:05:06.789Z\", \"errors\": 12}]"

static const struct cli_column session_columns[] = {{"ID", "id"},
	{"HOST", "host"}, {"PEER", "peer"}, {"SINCE", "since"},
	{"ERRORS", "errors", COLUMN_COUNT}, {NULL}};

static void print_sessions(unsigned width)
{
	json_t *items = cli_json(SESSIONS);
	cli_begin(OUTPUT_TABLE);
	cli_output.width = width;
	output_list(&cli_output, session_columns, items);
	json_decref(items);
}

/* What has no room is left out and named, rather than every value cut to nothing. */
static void narrow_tables(void **state)
{
	(void)state;
	print_sessions(0);
	cli_assert_printed(
		"ID  HOST  PEER              SINCE                     "
		"ERRORS\n"
		"1   web1  192.0.2.17:40000  2001-02-03T04:05:06.789Z  "
		"    12\n");
	print_sessions(80);
	cli_assert_printed(
		"ID  HOST  PEER              SINCE              ERRORS\n"
		"1   web1  192.0.2.17:40000  2001-02-03T04:05Z      12\n");
	print_sessions(40);
	cli_assert_printed("ID  HOST  PEER          SINCE\n"
			   "1   web1  192.0.2.17:~  2001-02-03T~\n"
			   "left out for want of width: ERRORS\n"
			   "  (--columns chooses)\n");
}

/* Today's times are those of the clock. */
static void times(void **state)
{
	char source[96], expected[64], day[16];
	static const struct cli_column columns[] = {{"AT", "at"}, {NULL}};
	time_t now = time(NULL);
	(void)state;
	strftime(day, sizeof day, "%Y-%m-%d", gmtime(&now));
	snprintf(
		source, sizeof source, "[{\"at\": \"%sT04:05:06.789Z\"}]", day);
	json_t *items = cli_json(source);
	cli_begin(OUTPUT_TABLE);
	cli_output.width = 80;
	output_list(&cli_output, columns, items);
	now = time(NULL);
	strftime(source, sizeof source, "%Y-%m-%d", gmtime(&now));
	snprintf(expected, sizeof expected, "AT\n04:05:06Z\n");
	if (!strcmp(source, day))
		cli_assert_printed(expected);
	else
		free((fclose(cli_output.out),
			cli_printed)); /* midnight came between */
	json_decref(items);
}

static void wrapped(void **state)
{
	static const struct cli_column columns[] = {
		{"OBJECT", "object"}, {"WHAT", "text", COLUMN_WRAP}, {NULL}};
	(void)state;
	json_t *items = cli_json(
		"[{\"object\": \"volume db01\", \"text\": \"its hosts lose "
		"the disk, which they see at once\"}]");
	cli_begin(OUTPUT_TABLE);
	cli_output.width = 44;
	output_table(&cli_output, columns, items);
	cli_assert_printed("OBJECT       WHAT\n"
			   "volume db01  its hosts lose the disk, which\n"
			   "             they see at once\n");
	cli_begin(OUTPUT_TABLE);
	cli_output.width = 30; /* no room beside it: lines of its own */
	output_table(&cli_output, columns, items);
	cli_assert_printed("OBJECT       WHAT\n"
			   "volume db01  \n"
			   "    its hosts lose the disk,\n"
			   "    which they see at once\n");
	cli_begin(OUTPUT_TABLE);
	output_table(&cli_output, columns, items); /* a pipe */
	cli_assert_printed(
		"OBJECT       WHAT\n"
		"volume db01  its hosts lose the disk, which they see at "
		"once\n");
	json_decref(items);
	cli_begin(OUTPUT_TABLE);
	cli_output.width = 30;
	output_wrapped(&cli_output, 5, 2,
		"a\033[2J "
		"word-that-is-longer-than-the-terminal "
		"b");
	cli_assert_printed("a\\x1b[2J\n"
			   "  word-that-is-longer-than-the-terminal\n"
			   "  b");
}

static void columns(void **state)
{
	struct err err = {0};
	(void)state;
	struct cli_column *chosen =
		output_choose_columns(cli_volume.columns, "size,Name", &err);
	assert_non_null(chosen);
	assert_string_equal(chosen[0].title, "SIZE");
	assert_string_equal(chosen[1].title, "NAME");
	assert_null(chosen[2].title);
	free(chosen);
	assert_null(output_choose_columns(cli_volume.columns, "name,q", &err));
	assert_non_null(strstr(err.text, "no column \"q\"; there are NAME, "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables),
		cmocka_unit_test(objects_in_cells),
		cmocka_unit_test(colors_and_width),
		cmocka_unit_test(narrow_tables),
		cmocka_unit_test(times),
		cmocka_unit_test(wrapped),
		cmocka_unit_test(columns),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
