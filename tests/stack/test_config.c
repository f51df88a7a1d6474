/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration, object by object: what a change touches, what refuses it and
 * where, what a dry run says, and the way back through the history.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "target/control/database.h"
#include "tests/lib/appliance_box.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *read_json(const char *text)
{
	char copy[1024];
	snprintf(copy, sizeof copy, "%s", text);
	for (char *p = copy; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	json_t *json = json_loads(copy, 0, NULL);
	CHECK(json);
	return json;
}

/* One edit; `text` NULL: the object goes. */
static int edit_co(struct box *box, enum config_kind kind, const char *id,
	const char *text, bool dry_run, struct config_outcome *outcome,
	struct err *err)
{
	json_t *value = text ? read_json(text) : NULL;
	struct config_edit edit = {.kind = kind, .id = id, .value = value};
	struct config_change change = {.edit = &edit,
		.edits = 1,
		.who = "test",
		.title = "edited",
		.dry_run = dry_run};
	int failed = config_change_co(box->config, &change, outcome, err);
	json_decref(value);
	return failed;
}

static void must_edit_co(struct box *box, enum config_kind kind, const char *id,
	const char *text)
{
	struct config_outcome outcome;
	struct err err = {0};
	if (edit_co(box, kind, id, text, false, &outcome, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	config_outcome_free(&outcome);
}

static void must_refuse_co(struct box *box, enum config_kind kind,
	const char *id, const char *text, int code, const char *pointer,
	const char *word)
{
	struct config_outcome outcome;
	struct err err = {0};
	uint64_t before = config_generation(box->config);
	CHECK_INT(edit_co(box, kind, id, text, false, &outcome, &err), -code);
	if (strcmp(err.pointer, pointer) != 0)
		check_fail(__FILE__, __LINE__, "\"%s\" at \"%s\"", err.text,
			err.pointer);
	CHECK_FIND(err.text, word);
	CHECK_INT(config_generation(box->config), before);
}

#define VOLUME(more) \
	"{'name': 'a', 'source': {" more "'protocol': {'type': 'mem', " \
	"'size': '1M'}}}"

/* -- tests ------------------------------------------------------------------ */

static void test_one_object_at_a_time_co(struct stack_rig *rig, void *argument)
{
	struct box box;
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, MEM_OF("a", "1M") "," MEM_OF("b", "2M"));
	struct volume *a = box_volume_at(&box, 0);
	must_edit_co(&box, CONFIG_VOLUME, NULL,
		"{'name': 'c', 'source': {'protocol': {'type': 'mem', "
		"'size': '3M'}}}");
	must_edit_co(&box, CONFIG_EXPORT, NULL,
		"{'volume': 'c', 'target': 't', 'lun': 9, 'hosts': ['any']}");
	CHECK_INT(box_size_at(&box, 9), 3 << 20);
	CHECK(box_volume_at(&box, 0) == a);
	CHECK(config_find(box.config, CONFIG_EXPORT, "3"));
	must_edit_co(&box, CONFIG_EXPORT, "3", NULL);
	must_edit_co(&box, CONFIG_VOLUME, "c", NULL);
	CHECK(!box_volume_at(&box, 9));
	CHECK(!config_find(box.config, CONFIG_VOLUME, "c"));
	box_close_co(&box);
}

/* An edit of what it was is refused once it is something else, and all with it. */
static void test_edits_of_a_generation_co(struct stack_rig *rig, void *argument)
{
	static const int wanted[] = {0, -EBUSY};
	struct box box;
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, MEM_OF("a", "1M") "," MEM_OF("b", "2M"));
	json_t *a = read_json(VOLUME("'listeners': [{'type': 'stats'}], "));
	json_t *b = read_json("{'name': 'b', 'read_only': true, 'source': "
			      "{'protocol': {'type': 'mem', 'size': '2M'}}}");
	for (unsigned i = 0; i < 2; i++) {
		struct config_edit edits[] = {
			{.kind = CONFIG_VOLUME, .id = "b", .value = b},
			{.kind = CONFIG_VOLUME,
				.id = "a",
				.value = a,
				.generation = 1}};
		struct config_change change = {.edit = &edits[i ? 0 : 1],
			.edits = i ? 2 : 1,
			.who = "test",
			.title = "edited"};
		struct config_outcome outcome;
		struct err err = {0};
		CHECK_INT(config_change_co(box.config, &change, &outcome, &err),
			wanted[i]);
		if (i)
			CHECK_FIND(err.text, "volume \"a\" is being changed");
		config_outcome_free(&outcome);
		CHECK_INT(
			config_find(box.config, CONFIG_VOLUME, "a")->generation,
			2);
		CHECK_INT(
			config_find(box.config, CONFIG_VOLUME, "b")->generation,
			1);
	}
	must_edit_co(&box, CONFIG_VOLUME, "a", VOLUME(""));
	json_decref(a);
	json_decref(b);
	box_close_co(&box);
}

static void test_generations_co(struct stack_rig *rig, void *argument)
{
	struct box box;
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, MEM_OF("a", "1M") "," MEM_OF("b", "2M"));
	must_edit_co(&box, CONFIG_VOLUME, "a",
		VOLUME("'listeners': [{'type': 'stats'}], "));
	CHECK_INT(config_find(box.config, CONFIG_VOLUME, "a")->generation, 2);
	CHECK_INT(config_find(box.config, CONFIG_VOLUME, "b")->generation, 1);
	uint64_t number = config_generation(box.config);
	must_edit_co(&box, CONFIG_VOLUME, "a",
		VOLUME("'listeners': [{'type': 'stats'}], "));
	CHECK_INT(config_generation(box.config), number);
	box_restart_co(&box);
	struct err err = {0};
	CHECK_INT(config_restore_co(box.config, &err), 0);
	CHECK_INT(config_find(box.config, CONFIG_VOLUME, "a")->generation, 2);
	CHECK_INT(box_size_at(&box, 1), 2 << 20);
	box_close_co(&box);
}

static void test_mistakes_have_pointers_co(
	struct stack_rig *rig, void *argument)
{
	struct box box;
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, MEM_OF("a", "1M") "," MEM_OF("b", "2M"));
	must_refuse_co(&box, CONFIG_VOLUME, "b",
		"{'name': 'b', 'source': {'protocol': {'type': 'mem', "
		"'size': 'much'}}}",
		EINVAL, "/source/protocol/size",
		"source.protocol.size: a size");
	must_refuse_co(&box, CONFIG_VOLUME, NULL, "{'name': 'c', 'color': 1}",
		EINVAL, "/color", "color");
	must_refuse_co(&box, CONFIG_VOLUME, NULL, VOLUME(""), EEXIST, "/name",
		"there already");
	must_refuse_co(&box, CONFIG_VOLUME, "none", VOLUME(""), ENOENT, "",
		"there is no volume \"none\"");
	must_refuse_co(&box, CONFIG_EXPORT, NULL,
		"{'volume': 'a', 'target': 't', 'lun': 5, 'hosts': ['none']}",
		ENOENT, "/hosts/0", "there is no host");
	box_close_co(&box);
}

/* A listener comes while the source runs, and goes again when what comes with it
 * is refused. */
static void test_listeners_change_as_it_runs_co(
	struct stack_rig *rig, void *argument)
{
	struct box box;
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, MEM_OF("a", "1M"));
	struct volume *a = box_volume_at(&box, 0);
	struct block_source *source = atomic_load(&a->source);
	must_edit_co(&box, CONFIG_VOLUME, "a",
		VOLUME("'listeners': [{'type': 'throttle', 'name': 'limit', "
		       "'iops': 100}], "));
	CHECK(box_volume_at(&box, 0) == a);
	CHECK(atomic_load(&a->source) == source);
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	spec_print(source, false, out);
	fclose(out);
	CHECK_FIND(text, "\"iops\": 100");
	free(text);
	box_close_co(&box);
}

static void test_file_grows_as_it_runs_co(struct stack_rig *rig, void *argument)
{
	struct box box;
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, FILE_OF("a", "1M"));
	struct volume *a = box_volume_at(&box, 0);
	struct block_source *source = atomic_load(&a->source);
	must_edit_co(&box, CONFIG_VOLUME, "a",
		"{'name': 'a', 'source': {'protocol': {'type': 'file', "
		"'path': 'a.raw', 'size': '4M'}}}");
	CHECK_INT(box_size_at(&box, 0), 4 << 20);
	CHECK(atomic_load(&a->source) == source);
	box_close_co(&box);
}

/* The data of the new bottom are seen at once, and after a restart. */
static void test_bottom_is_swapped_co(struct stack_rig *rig, void *argument)
{
	struct box box;
	struct err err = {0};
	static const char second[] =
		"{'name': 'a', 'source': {'protocol': {'type': 'file', "
		"'path': 'second.raw', 'size': '2M'}}}";
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, FILE_OF("a", "1M"));
	struct volume *a = box_volume_at(&box, 0);
	must_edit_co(&box, CONFIG_VOLUME, "a", second);
	CHECK(box_volume_at(&box, 0) == a);
	CHECK_INT(box_size_at(&box, 0), 2 << 20);
	box_restart_co(&box);
	CHECK_INT(config_restore_co(box.config, &err), 0);
	CHECK_INT(box_size_at(&box, 0), 2 << 20);
	box_close_co(&box);
}

static int count_commit(void *commits)
{
	++*(unsigned *)commits;
	return 0;
}

/* What is kept of the files that volume `lun` made; to be freed. */
static char *made_by(struct box *box, unsigned lun)
{
	void *data;
	size_t bytes;
	struct err err = {0};
	CHECK_INT(state_load_blob(box->state,
			  box_volume_at(box, lun)->settings.uuid, "files",
			  &data, &bytes, &err),
		0);
	char *text = strndup(data ? data : "", bytes);
	free(data);
	return text;
}

/* Which files a volume made is kept with the change that made them, or neither is:
 * one transaction, whether the volume is new, runs on or stands on another file. */
static void test_made_files_are_kept_with_the_change_co(
	struct stack_rig *rig, void *argument)
{
	static const struct {
		const char *id, *source, *made;
	} steps[] = {
		{NULL,
			"'protocol': {'type': 'file', 'path': 'a.raw', "
			"'size': '1M'}",
			"[\"a.raw\"]"},
		{"a",
			"'listeners': [{'type': 'stats'}], 'protocol': "
			"{'type': 'file', 'path': 'a.raw', 'size': '1M'}",
			"[\"a.raw\"]"},
		{"a",
			"'protocol': {'type': 'file', 'path': 'b.raw', "
			"'size': '1M'}",
			"[\"b.raw\"]"},
	};
	struct box box;
	unsigned commits = 0;
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, MEM_OF("z", "1M"));
	sqlite3_commit_hook(state_database(box.state), count_commit, &commits);
	for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
		char text[256];
		snprintf(text, sizeof text, "{'name': 'a', 'source': {%s}}",
			steps[i].source);
		must_edit_co(&box, CONFIG_VOLUME, steps[i].id, text);
		CHECK_INT(commits, i + 1);
		if (!i) {
			must_edit_co(&box, CONFIG_EXPORT, NULL,
				"{'volume': 'a', 'target': '" BOX_TARGET
				"', 'lun': 1, 'hosts': ['any']}");
			commits--;
		}
		char *made = made_by(&box, 1);
		if (strcmp(made, steps[i].made) != 0)
			check_fail(__FILE__, __LINE__, "%s", made);
		free(made);
	}
	box_close_co(&box);
}

static const char *text_of(const json_t *json, size_t i, const char *member)
{
	const char *text = json_string_value(
		json_object_get(json_array_get(json, i), member));
	return text ? text : "";
}

static void test_dry_run_touches_nothing_co(
	struct stack_rig *rig, void *argument)
{
	struct box box;
	struct config_outcome outcome;
	struct err err = {0};
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, MEM_OF("a", "1M"));
	uint64_t number = config_generation(box.config);
	CHECK_INT(edit_co(&box, CONFIG_VOLUME, "a",
			  VOLUME("'listeners': [{'type': 'stats'}], "), true,
			  &outcome, &err),
		0);
	CHECK_INT(json_array_size(outcome.changes), 1);
	CHECK(!strcmp(text_of(outcome.changes, 0, "operation"), "update"));
	CHECK(!strcmp(text_of(outcome.impact, 0, "effect"), "live"));
	CHECK_FIND(text_of(outcome.impact, 0, "text"),
		"attach listener stats (stats)");
	config_outcome_free(&outcome);
	CHECK_INT(config_generation(box.config), number);
	json_t *value = config_find(box.config, CONFIG_VOLUME, "a")->value;
	CHECK(!json_object_get(json_object_get(value, "source"), "listeners"));
	box_close_co(&box);
}

static int go_back_co(struct box *box, uint64_t number, struct err *err)
{
	struct config_outcome outcome;
	const struct config_change how = {.who = "test"};
	int failed = config_history_restore_co(
		box->config, number, &how, &outcome, err);
	if (!failed)
		config_outcome_free(&outcome);
	return failed;
}

#define UUID_OF_A "61616161-6161-6161-6161-616161616161"
#define ON_A(name) \
	"{name: " name ", uuid: " UUID_OF_A \
	", source: {protocol: {type: mem, size: 1M}}}, " \
	"{name: z, source: {source: " name "}}"

/* Through another name, and from nothing: what stands on a volume is behind it. */
static void test_history_knows_names_co(struct stack_rig *rig, void *argument)
{
	struct box box;
	struct err err = {0};
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, ON_A("a"));
	uint64_t good = config_generation(box.config);
	json_t *before = config_document(box.config);
	box_must_apply_co(&box, ON_A("b"));
	CHECK_INT(go_back_co(&box, good, &err), 0);
	CHECK(!config_find(box.config, CONFIG_VOLUME, "b"));
	box_must_apply_co(&box, MEM_OF("x", "1M"));
	CHECK_INT(go_back_co(&box, good, &err), 0);
	json_t *after = config_document(box.config);
	CHECK(json_equal(before, after));
	json_decref(before);
	json_decref(after);
	box_close_co(&box);
}

/* What an older version kept and this one does not take is refused, and nothing of
 * it is done. */
static void test_history_of_another_version_co(
	struct stack_rig *rig, void *argument)
{
	static const struct {
		const char *sql, *said;
	} strange[] = {
		{"UPDATE history SET changes = replace(changes,"
		 " '\"before\":{', '\"before\":{\"colour\":1,')",
			"no way back to change 1: volumes[0].colour: "},
		{"UPDATE history SET changes = replace(changes,"
		 " '\"colour\":1,', '')",
			NULL},
		{"UPDATE history SET changes = replace(changes,"
		 " '\"kind\":\"volume\"', '\"kind\":\"floppy\"')",
			"no way back to change 1: change 2 is of a kind that "
			"this version does not know"},
	};
	struct box box;
	struct err err = {0};
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, ON_A("a"));
	uint64_t good = config_generation(box.config);
	box_must_apply_co(&box, MEM_OF("x", "1M"));
	uint64_t last = config_generation(box.config);
	for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
		CHECK_INT(database_run(state_database(box.state),
				  strange[i].sql, &err),
			0);
		if (!strange[i].said)
			continue;
		CHECK_INT(go_back_co(&box, good, &err), -EINVAL);
		CHECK_FIND(err.text, strange[i].said);
		CHECK_INT(config_generation(box.config), last);
		CHECK(!config_find(box.config, CONFIG_VOLUME, "a"));
	}
	box_close_co(&box);
}

static void test_history_goes_back_co(struct stack_rig *rig, void *argument)
{
	struct box box;
	struct err err = {0};
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, MEM_OF("a", "1M"));
	uint64_t good = config_generation(box.config);
	json_t *before = config_document(box.config);
	must_edit_co(&box, CONFIG_VOLUME, NULL,
		"{'name': 'c', 'source': {'protocol': {'type': 'mem', "
		"'size': '3M'}}}");
	must_edit_co(&box, CONFIG_EXPORT, "1", NULL);
	must_edit_co(&box, CONFIG_HOST, "any", NULL);
	CHECK_INT(go_back_co(&box, good, &err), 0);
	json_t *after = config_document(box.config);
	CHECK(json_equal(before, after));
	CHECK_INT(box_size_at(&box, 0), 1 << 20);
	json_decref(before);
	json_decref(after);
	CHECK_INT(go_back_co(&box, 999, &err), -ENOENT);
	json_t *list;
	CHECK_INT(config_history(box.config, 0, 2, &list, &err), 0);
	CHECK_INT(json_array_size(list), 2);
	CHECK_FIND(text_of(list, 0, "title"), "back to change");
	json_decref(list);
	box_close_co(&box);
}

#define CONFIG_CASE(name) \
	STACK_RIG_CASE(name, simulated, .world = "simulated", .lanes = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONFIG_CASE(test_one_object_at_a_time_co),
		CONFIG_CASE(test_generations_co),
		CONFIG_CASE(test_edits_of_a_generation_co),
		CONFIG_CASE(test_mistakes_have_pointers_co),
		CONFIG_CASE(test_listeners_change_as_it_runs_co),
		CONFIG_CASE(test_file_grows_as_it_runs_co),
		CONFIG_CASE(test_bottom_is_swapped_co),
		CONFIG_CASE(test_made_files_are_kept_with_the_change_co),
		CONFIG_CASE(test_dry_run_touches_nothing_co),
		CONFIG_CASE(test_history_goes_back_co),
		CONFIG_CASE(test_history_knows_names_co),
		CONFIG_CASE(test_history_of_another_version_co),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
