/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source documents: what is refused and with which words, what is printed, what
 * the schema says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/kind.h"
#include "tests/lib/stack_rig.h"

#include <errno.h>

struct wrong {
	const char *document, *text;
	int result;
};

/* All of these are found before anything is opened. */
static const struct wrong wrong[] = {
	{"[]", "expected a source", -EINVAL},
	{"{}", "exactly one of protocol, format, source; here are 0", -EINVAL},
	{"{protocol: {type: null}, source: x}", "here are 2", -EINVAL},
	{"{protocol: {type: null}, listener: []}",
		"listener: unknown key; a source has listeners", -EINVAL},
	{"{protocol: null}", "expected a map with a type", -EINVAL},
	{"{protocol: {size: 1M}}", "a type is missing", -EINVAL},
	{"{protocol: {type: flie}}",
		"there is no protocol 'flie'; there are:", -EINVAL},
	{"{protocol: {type: mem}}", "size", -EINVAL},
	{"{protocol: {type: mem, size: 1M, sise: 2}}", "sise", -EINVAL},
	{"{protocol: {type: mem, size: 100}}", "size", -EINVAL},
	{"{protocol: {type: stats}}", "there is no protocol 'stats'", -EINVAL},
	{"{protocol: {type: null}, view: current}", "only a format has views",
		-EINVAL},
	{"{format: {type: raw}}", "file is missing", -EINVAL},
	{"{format: {type: cow, file: x}}",
		"there is no format 'cow'; there are: raw", -EINVAL},
	{"{format: {type: raw, file: {protocol: {type: flie}}}}",
		"format.file.protocol.type: there is no protocol", -EINVAL},
	{"{format: {type: raw, file: x, backing: y}}", "has no backing file",
		-EINVAL},
	{"{view: monday, format: {type: raw, file: x}}",
		"there is no view 'monday'", -EINVAL},
	{"{listeners: {type: stats}, protocol: {type: null}}",
		"expected a list of listeners", -EINVAL},
	{"{listeners: [{type: mem, size: 1M}], protocol: {type: null}}",
		"listeners[0].type: there is no listener 'mem'", -EINVAL},
	{"{listeners: [{type: fault}, {type: stats}], protocol: {type: null}}",
		"listeners[1]: listener stats must stand above fault", -EINVAL},
	{"{listeners: [{type: stats, name: a}, {type: fault, name: a}], "
	 "protocol: {type: null}}",
		"listeners[1].name: two drivers of one source are named 'a'",
		-EINVAL},
	{"{listeners: [{type: stats, name: 'a b'}], protocol: {type: null}}",
		"a name has 1 to 63 letters", -EINVAL},
	{"{source: nobody}", "there is no source 'nobody'", -ENOENT},
};

static void wrong_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source;

	(void)argument;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct err err = {0};

		CHECK_INT(stack_rig_build_co(
				  rig, wrong[i].document, &source, &err),
			wrong[i].result);
		CHECK_ERR(&err, wrong[i].text);
		CHECK_INT(-err.code, wrong[i].result);
	}
}

static void too_many_co(struct stack_rig *rig, void *argument)
{
	char document[2048] = "{listeners: [{type: fault}";
	struct block_source *source;
	struct err err = {0};

	(void)argument;
	for (unsigned i = 1; i < BLOCK_MAX_DRIVERS - 1; i++)
		strcat(document, ", {type: fault}");
	char *end = document + strlen(document);
	strcpy(end, "], protocol: {type: null}}");
	CHECK_INT(stack_rig_build_co(rig, document, &source, &err), 0);
	block_source_put_co(source);
	strcpy(end, ", {type: fault}], protocol: {type: null}}");
	CHECK_INT(stack_rig_build_co(rig, document, &source, &err), -EINVAL);
	CHECK_ERR(&err, "at most 15 on one source");
	/* That is what a request has frames for. */
	assert_true(BLOCK_FRAMES >= BLOCK_MAX_DRIVERS + 3);
}

/* -- printing ------------------------------------------------------------- */

static char *printed(struct block_source *source)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	spec_print(source, false, out);
	fclose(out);
	return text;
}

/* What is printed builds the same again, and is printed the same. */
static void round_trip_co(struct stack_rig *rig, void *argument)
{
	static const char *const documents[] = {
		"protocol: {type: mem, size: 1M}",
		"protocol: {type: null, name: zero}",
		"{listeners: [{type: stats}, {type: throttle, name: t, "
		"iops: 7}, {type: fault, rules: [{op: write, error: EIO}]}, "
		"{type: fault}], protocol: {type: mem, size: 64K}}",
		"format: {type: raw, offset: 4K, size: 8K, file: "
		"{listeners: [{type: fault}], protocol: {type: mem, size: "
		"1M}}}",
		"source: {source: {protocol: {type: null}}}",
		"source: source-1",
	};
	struct block_source *shared =
		stack_rig_source_co(rig, "protocol: {type: mem, size: 1M}");

	(void)argument;
	for (unsigned i = 0; i < sizeof(documents) / sizeof(char *); i++) {
		struct block_source *first =
			stack_rig_source_co(rig, documents[i]);
		char *one = printed(first);
		block_source_put_co(first);
		struct block_source *second = stack_rig_source_co(rig, one);
		char *two = printed(second);
		block_source_put_co(second);
		CHECK(!strcmp(one, two));
		free(one);
		free(two);
	}
	block_source_put_co(shared);
}

static void names_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: fault}, {type: fault, name: fault-2}, "
		"{type: fault}], protocol: {type: null}}");
	char *text = printed(source);

	(void)argument;
	CHECK(strstr(text, "\"name\": \"fault\""));
	CHECK(strstr(text, "\"name\": \"fault-2\""));
	CHECK(strstr(text, "\"name\": \"fault-3\""));
	free(text);
	CHECK(block_source_find(rig->core, "source-1") == source);
	struct block_source *same;
	struct err err = {0};
	CHECK_INT(spec_build_co(rig->core, "source-1", NULL,
			  stack_rig_doc(rig, "protocol: {type: null}"), &same,
			  &err),
		-EEXIST);
	block_source_put_co(source);
	CHECK(!block_source_find(rig->core, "source-1"));
}

/* -- failing halfway ------------------------------------------------------ */

/* The listener's options are fine by their table, but it cannot open: what was
 * opened before is closed again, and its claims are gone. */
static void halfway_co(struct stack_rig *rig, void *argument)
{
	struct block_source *shared =
		stack_rig_source_co(rig, "protocol: {type: mem, size: 1M}");
	struct block_source *source;
	struct err err = {0};

	(void)argument;
	CHECK(stack_rig_build_co(rig,
		      "{listeners: [{type: stats}, {type: fault, rules: "
		      "[{op: nonsense}]}], format: {type: raw, file: "
		      "source-1}}",
		      &source, &err) < 0);
	CHECK_ERR(&err, "nonsense");
	struct block_claim claim = {
		.mode = BLOCK_CLAIM_WRITE, .holder = "a test"};
	CHECK_INT(block_source_claim(shared, &claim, &err), 0);
	CHECK(stack_rig_build_co(rig, "format: {type: raw, file: source-1}",
		      &source, &err) == -EBUSY);
	CHECK_ERR(&err, "a test");
	block_source_unclaim(&claim);
	block_source_put_co(shared);
}

/* -- for programs --------------------------------------------------------- */

static void schema_has(
	const struct doc *defs, const char *role, enum block_role kind_role)
{
	const struct doc *list = doc_find(doc_find(defs, role), "oneOf");
	uint32_t kinds = 0;

	for (unsigned i = 0; block_kinds[i]; i++) {
		bool found = false;

		if (block_kinds[i]->role != kind_role)
			continue;
		kinds++;
		for (const struct doc *n = list->first; n; n = n->next)
			found |= !strcmp(doc_find(n, "title")->text,
				block_kinds[i]->name);
		assert_true(found);
	}
	assert_int_equal(doc_count(list), kinds);
}

static void test_schema(void **state)
{
	char *text = NULL;
	size_t bytes;
	struct err err = {0};
	FILE *out = open_memstream(&text, &bytes);

	(void)state;
	spec_print_schema(out);
	fclose(out);
	struct doc *doc = doc_parse("schema", text, bytes, &err);
	if (!doc)
		fail_msg("%s", err.text);
	const struct doc *defs = doc_find(doc, "$defs");
	schema_has(defs, "protocol", BLOCK_PROTOCOL);
	schema_has(defs, "listener", BLOCK_LISTENER);
	assert_non_null(doc_find(defs, "format"));
	assert_null(strstr(text, "additionalProperties\": false}]"));
	doc_free(doc);
	free(text);
}

static void verbs_can_be_rehearsed(void **state)
{
	(void)state;
	for (unsigned i = 0; block_kinds[i]; i++)
		assert_true(!block_kinds[i]->command_co ==
			!block_kinds[i]->rehearse_co);
}

static void test_help(void **state)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	(void)state;
	spec_print_help(out);
	fclose(out);
	assert_non_null(strstr(text, "mem: "));
	assert_non_null(strstr(text, "max_size"));
	assert_non_null(strstr(text, "throttle: "));
	free(text);
}

#define ROW(body) STACK_RIG_CASE(body, threads, .world = "threads", .lanes = 2)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(wrong_co),
		ROW(too_many_co),
		ROW(round_trip_co),
		ROW(names_co),
		ROW(halfway_co),
		cmocka_unit_test(test_schema),
		cmocka_unit_test(verbs_can_be_rehearsed),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
