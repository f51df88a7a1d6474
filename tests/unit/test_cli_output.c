/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML, plans and problems as they are printed, letter by letter.
 */
#include "blockcore/base/doc.h"
#include "tests/lib/cli_printed.h"
#include "webui/cli/commands.h"
#include "webui/cli/output.h"
#include "webui/cli/plan.h"
#include "webui/cli/run.h"
#include "webui/cli/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Invariant 1 of cli_output.h. */
static void nothing_steers_the_terminal(void **state)
{
	static const struct cli_column columns[] = {{"N", "name"}, {NULL}};
	(void)state;
	json_t *items =
		cli_json("[{\"name\": \"a\\u001b[31m\\n\\u009b2J\\u007f\"}]");
	cli_begin(OUTPUT_TABLE);
	cli_output.bare = true;
	output_table(&cli_output, columns, items);
	cli_assert_printed("a\\x1b[31m\\x0a\\x9b2J\\x7f\n");
	cli_begin(OUTPUT_YAML);
	output_list(&cli_output, columns, items);
	fclose(cli_output.out);
	assert_null(strchr(cli_printed, '\033'));
	free(cli_printed);
	json_decref(items);
}

static void yaml(void **state)
{
	(void)state;
	json_t *object = cli_json(
		"{\"name\": \"db01\", \"none\": null, \"yes\": \"yes\", "
		"\"n\": \"12\", \"list\": [\"a\", \"b c\", 3], \"empty\": {}, "
		"\"items\": [{\"a\": 1, \"b\": {\"c\": true}}, []], "
		"\"size_bytes\": 1073741824, \"t\": \"a: b #c\", \"iqn\": "
		"\"iqn.2026-11.example:db\"}");
	cli_begin(OUTPUT_TABLE);
	output_object(&cli_output, NULL, object);
	cli_assert_printed(
		"name: db01\nnone: null\n\"yes\": \"yes\"\n\"n\": \"12\"\n"
		"list: [a, b c, 3]\nempty: {}\nitems:\n"
		"  - a: 1\n    b:\n      c: true\n  - []\n"
		"size_bytes: \"1 GiB\"\nt: \"a: b #c\"\n"
		"iqn: iqn.2026-11.example:db\n");
	json_decref(object);
	object = cli_json(
		"{\"pem\": \"-- A\\nb\\n\", \"in\": [{\"b\": \"x\\ny\\n\"}], "
		"\"open\": \"a\\nb\"}");
	cli_begin(OUTPUT_TABLE);
	output_object(&cli_output, NULL, object);
	cli_assert_printed(
		"pem: |\n  -- A\n  b\nin:\n  - b: |\n      x\n      y\n"
		"open: \"a\\nb\"\n");
	json_decref(object);
}

/* What is printed as YAML is read back, by the reader of documents, as it was. */
static void yaml_reads_back(void **state)
{
	static const char *const texts[] = {
		"{\"a\": [[1, [2]], {\"b\": [{\"c\": {}}]}, \"\"]}",
		"[{\"x\": \"- a\", \"y\": \"'\", \"z\": \"a\\nb\\t\\\"\"}]",
		"{\"null\": \"null\", \"~\": \"~\", \"a b\": \"#x\", "
		"\"true\": \"True\", \"-\": \"--\"}",
		"{\"p\": \"-----A\\n b: #\\n'\\n\", \"q\": [\"a\\nb\\n\", "
		"\" a\\nb\\n\", \"a\\n\\nb\\n\", \"a\\n\\n\", \"\\na\\n\"], "
		"\"r\": {\"s\": \"a\\nb \\n\"}}",
		"{\"u\": \"\\u00e4\\u20ac\", \"e\": \"1e5\", \"o\": \"0x1\"}",
		"{\"long\": [\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\", "
		"\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"]}",
	};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct err err;
		char *again;
		size_t again_bytes;
		json_t *tree = cli_json(texts[i]);
		cli_begin(OUTPUT_YAML);
		output_yaml(cli_output.out, tree);
		fclose(cli_output.out);
		struct doc *doc = doc_parse(
			"yaml", cli_printed, strlen(cli_printed), &err);
		if (!doc)
			fail_msg("%s\n%s", cli_printed, err.text);
		FILE *out = open_memstream(&again, &again_bytes);
		doc_print_json(doc, out);
		fclose(out);
		json_t *second = cli_json(again);
		if (!json_equal(tree, second))
			fail_msg("%s\n%s\n%s", texts[i], cli_printed, again);
		doc_free(doc);
		json_decref(second);
		json_decref(tree);
		free(again);
		free(cli_printed);
	}
}

static void plans(void **state)
{
	(void)state;
	json_t *plan = cli_json(
		"{\"dry_run\": true, \"changes\": ["
		"{\"kind\": \"volume\", \"id\": \"db01\", \"operation\": "
		"\"update\", \"before\": {\"thin\": true, \"source\": "
		"{\"a\": 1, "
		"\"b\": 2}}, \"after\": {\"thin\": true, \"source\": "
		"{\"a\": 1, "
		"\"b\": 3}, \"x\": null}},"
		"{\"kind\": \"host\", \"id\": \"w\", \"operation\": "
		"\"create\", "
		"\"before\": null, \"after\": {\"name\": \"w\"}},"
		"{\"kind\": \"export\", \"id\": \"t,0\", \"operation\": "
		"\"delete\", \"before\": {\"lun\": 0}, \"after\": null}],"
		"\"impact\": [{\"object\": \"volume db01\", \"effect\": "
		"\"parked\", \"text\": \"waits\", \"sessions\": [3, 4], "
		"\"parked_ms_max\": 100}]}");
	cli_begin(OUTPUT_TABLE);
	plan_show(&cli_output, plan);
	cli_assert_printed(
		"changes:\n"
		"  ~ volume db01\n"
		"    - source.b: 2\n"
		"    + source.b: 3\n"
		"    + x: null\n"
		"  + host w\n"
		"    + name: \"w\"\n"
		"  - export t,0\n"
		"impact:\n"
		"OBJECT       EFFECT  SESSIONS  HOSTS  PARKED_MS  WHAT\n"
		"volume db01  parked  3,4       -      100        waits\n");
	assert_false(plan_is_empty(plan));
	json_decref(plan);
	plan = cli_json("{\"dry_run\": true, \"changes\": [], \"impact\": []}");
	assert_true(plan_is_empty(plan));
	json_decref(plan);
}

/* A listener's option is found by the listener's name, not in a list on one line;
 * certificates are told by their first line. */
static void plans_of_lists(void **state)
{
	(void)state;
	json_t *plan = cli_json(
		"{\"changes\": [{\"kind\": \"volume\", \"id\": \"db01\", "
		"\"operation\": \"update\", "
		"\"before\": {\"source\": {\"listeners\": ["
		"{\"name\": \"qos\", \"iops\": 5}, {\"name\": \"gone\"}]}, "
		"\"pem\": \"BEGIN\\nabc\\nEND\\n\", \"list\": [1]}, "
		"\"after\": {\"source\": {\"listeners\": ["
		"{\"name\": \"d1\", \"us\": 1}, "
		"{\"name\": \"qos\", \"iops\": 6}]}, "
		"\"pem\": \"one line\", \"list\": [2], "
		"\"x_size\": 2147483648, \"block_size\": 4096}}]}");
	cli_begin(OUTPUT_TABLE);
	plan_show(&cli_output, plan);
	cli_assert_printed("changes:\n"
			   "  ~ volume db01\n"
			   "    - source.listeners: [\"qos\",\"gone\"]\n"
			   "    - source.listeners[qos].iops: 5\n"
			   "    + source.listeners[qos].iops: 6\n"
			   "    - source.listeners[gone]: {\"name\":\"gone\"}\n"
			   "    + source.listeners: [\"d1\",\"qos\"]\n"
			   "    + source.listeners[d1]: "
			   "{\"name\":\"d1\",\"us\":1}\n"
			   "    - pem: BEGIN ... (3 lines)\n"
			   "    + pem: \"one line\"\n"
			   "    - list: [1]\n"
			   "    + list: [2]\n"
			   "    + x_size: 2147483648 (2 GiB)\n"
			   "    + block_size: 4096\n");
	json_decref(plan);
}

static void assert_flags(int status, const char *problem, const char *expected)
{
	static const struct cli_option options[] = {
		{"for", .metavar = "TIME", .place = "duration_seconds"},
		{"host", .metavar = "HOST,...", .place = "hosts"},
		{"lun", .metavar = "LUN", .place = "export.lun"},
		{"shrink", .place = "shrink"},
		{"cascade", .place = "?cascade"},
		{0},
	};
	const struct cli_command command = {.verb = "v", .options = options};
	struct client_answer answer = {
		.status = status, .json = cli_json(problem)};
	cli_begin(OUTPUT_TABLE);
	problem_show(&answer, &command, NULL, cli_output.out);
	cli_assert_printed(expected);
	json_decref(answer.json);
}

/* Members of the body are named by the flags that set them. */
static void flags_in_problems(void **state)
{
	(void)state;
	assert_flags(422,
		"{\"detail\": \"1 to 9\", \"errors\": [{\"pointer\": "
		"\"/duration_seconds\", \"detail\": \"1 to 9\"}]}",
		"cairn: 1 to 9\n  at /duration_seconds (--for TIME)\n");
	assert_flags(422,
		"{\"detail\": \"x\", \"errors\": [{\"pointer\": "
		"\"/export/lun\", \"detail\": \"x\"}]}",
		"cairn: x\n  at /export/lun (--lun LUN)\n");
	assert_flags(422, "{\"detail\": \"hosts is missing\"}",
		"cairn: hosts is missing\n  that is --host HOST,...\n");
	assert_flags(422,
		"{\"detail\": \"hosts is missing\", \"errors\": [{\"pointer\": "
		"\"/hosts\", \"detail\": \"hosts is missing\"}]}",
		"cairn: hosts is missing\n  at /hosts (--host HOST,...)\n");
	/* What the text says already is not said twice. */
	assert_flags(422,
		"{\"detail\": \"a, ...\", \"errors\": [{\"pointer\": \"/x\", "
		"\"detail\": \"a, ...\", \"allowed\": [\"a\", \"b\"]}]}",
		"cairn: a, ...\n  at /x\n  allowed: a, b\n");
	assert_flags(404, "{\"detail\": \"no\", \"allowed\": [\"a\", \"b\"]}",
		"cairn: no\n  allowed: a, b\n");
	assert_flags(422, "{\"detail\": \"colour is missing\"}",
		"cairn: colour is missing\n");
	assert_flags(422, "{\"detail\": \"say \\\"shrink\\\": true if so\"}",
		"cairn: say \"shrink\": true if so\n  that is --shrink\n");
	assert_flags(409,
		"{\"detail\": \"used\", \"held_by\": [\"export a,0\"]}",
		"cairn: used\n  held by: export a,0\n  that is --cascade\n");
}

static void problems(void **state)
{
	struct client_answer answer = {.status = 422};
	(void)state;
	answer.json = cli_json(
		"{\"type\": \"/problems/invalid\", \"title\": \"Invalid\", "
		"\"status\": 422, \"detail\": \"block_size: 512 or 4096\", "
		"\"instance\": \"r1\", \"errors\": [{\"pointer\": "
		"\"/block_size\", \"detail\": \"block_size: 512 or 4096\", "
		"\"allowed\": [512, 4096]}], \"held_by\": [\"export a,0\"]}");
	cli_begin(OUTPUT_TABLE);
	assert_int_equal(
		problem_show(&answer, NULL, NULL, cli_output.out), EXIT_FAILED);
	cli_assert_printed("cairn: block_size: 512 or 4096\n"
			   "  at /block_size\n"
			   "  held by: export a,0\n");
	json_decref(answer.json);
	answer = (struct client_answer){.status = 503, .retry_after_s = 5};
	cli_begin(OUTPUT_TABLE);
	assert_int_equal(
		problem_show(&answer, NULL, NULL, cli_output.out), EXIT_FAILED);
	cli_assert_printed("cairn: the daemon answers with status 503\n"
			   "  try again in 5 s\n");
	assert_int_equal(problem_status(404), EXIT_NOT_FOUND);
	assert_int_equal(problem_status(409), EXIT_CONFLICT);
	assert_int_equal(problem_status(412), EXIT_CONFLICT);
	assert_int_equal(problem_status(401), EXIT_DENIED);
	assert_int_equal(problem_status(403), EXIT_DENIED);
}

/* -- server-sent events ------------------------------------------------------- */

static char seen[1024];

static void take_event(
	void *argument, const char *id, const char *type, const char *data)
{
	size_t used = strlen(seen);
	(void)argument;
	snprintf(seen + used, sizeof seen - used, "%s|%s|%.40s;", id, type,
		data);
}

static void assert_place(const char *pointer, const char *expected)
{
	static const char yaml[] = "# one\n"
				   "hosts:\n"
				   "  - name: a\n"
				   "  - nme: b\n"
				   "    a/b: [1, 22]\n";
	struct err err;
	struct doc *document = doc_parse("x.yaml", yaml, strlen(yaml), &err);
	assert_non_null(document);
	struct client_answer answer = {.status = 422,
		.json = json_pack("{ss, s[{ss, ss}]}", "detail", "no", "errors",
			"pointer", pointer, "detail", "no")};
	cli_begin(OUTPUT_TABLE);
	problem_show(&answer, NULL, document, cli_output.out);
	cli_assert_printed(expected);
	json_decref(answer.json);
	doc_free(document);
}

/* What the daemon refuses is found in the file that was sent. */
static void places_in_files(void **state)
{
	(void)state;
	assert_place(
		"/hosts/1/nme", "cairn: no\n  at x.yaml:4:5, /hosts/1/nme\n");
	assert_place("/hosts/1/a~1b/1",
		"cairn: no\n  at x.yaml:5:14, /hosts/1/a~1b/1\n");
	assert_place("/hosts/0/iscsi",
		"cairn: no\n  at x.yaml:3:5, /hosts/0/iscsi\n");
	assert_place("/hosts/9", "cairn: no\n  at x.yaml:2:1, /hosts/9\n");
	assert_place("/none", "cairn: no\n  at x.yaml:2:1, /none\n");
}

static void events(void **state)
{
	static const char stream[] =
		": hello\r\n\r\nid: 7\nevent: volumes\ndata: {\"a\":\ndata: "
		"1}\n"
		"\ndata:x\rid\r\rretry: 5\nevent: e\n\nid: 9\ndata: last\n\n";
	struct sse *sse = calloc(1, sizeof *sse);
	(void)state;
	for (size_t step = 1; step < sizeof stream; step++) {
		memset(sse, 0, offsetof(struct sse, line));
		sse->event = take_event;
		seen[0] = '\0';
		for (size_t at = 0; at < sizeof stream - 1; at += step)
			sse_feed(sse, stream + at,
				at + step < sizeof stream - 1
					? step
					: sizeof stream - 1 - at);
		assert_string_equal(seen,
			"7|volumes|{\"a\":\n1};|message|x;9|message|last;");
	}
	/* Too long: left out, and the next one is whole. */
	memset(sse, 0, offsetof(struct sse, line));
	sse->event = take_event;
	seen[0] = '\0';
	for (int i = 0; i < 30000; i++)
		sse_feed(sse, "data: x\n", 8);
	for (unsigned i = 0; i < 2 * SSE_MAX_BYTES; i++)
		sse_feed(sse, "y", 1);
	sse_feed(sse, "\n\ndata: z\n\n", 11);
	assert_string_equal(seen, "|message|z;");
	assert_int_equal(sse->left_out, 1);
	free(sse);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_steers_the_terminal),
		cmocka_unit_test(yaml),
		cmocka_unit_test(yaml_reads_back),
		cmocka_unit_test(plans),
		cmocka_unit_test(plans_of_lists),
		cmocka_unit_test(problems),
		cmocka_unit_test(flags_in_problems),
		cmocka_unit_test(places_in_files),
		cmocka_unit_test(events),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
