/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change that reads only what it touches is held against one that reads the whole
 * document: over a long random walk of edits, good and bad, both say the same, and
 * what runs afterwards is what the whole document says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/prng.h"
#include "target/control/config/json_doc.h"
#include "tests/lib/appliance_box.h"
#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS 700u
#define EDITS 3u

static uint64_t seed;

static unsigned below(unsigned count)
{
	return (unsigned)prng_below(&seed, count);
}

/* Few names, so that they meet; '-' is nobody's. */
static const char *name(void)
{
	static const char *const names[] = {"a", "b", "c", "d", "e", "-"};
	unsigned i = below(16);
	return names[i < 15 ? i % 5 : 5];
}

/* -- random values ------------------------------------------------------------ */

static json_t *source(void)
{
	json_t *listeners =
		below(2) ? json_pack("[{ss}]", "type", "stats") : json_array();
	if (!below(4))
		return json_pack(
			"{so, ss}", "listeners", listeners, "source", name());
	return json_pack("{so, s{ss, sI}}", "listeners", listeners, "protocol",
		"type", below(40) ? "mem" : "nothing", "size",
		(json_int_t)(1u << 20));
}

static json_t *volume(const char *id)
{
	static const char *const uuids[] = {
		"61616161-6161-6161-6161-616161616161",
		"62626262626262626262626262626262", "no-uuid"};
	json_t *value = json_pack("{ss, so}", "name",
		id && below(20) ? id : name(), "source", source());
	if (!below(5))
		json_object_set_new(value, "product", json_string("OTHER"));
	if (!below(6))
		json_object_set_new(
			value, "uuid", json_string(uuids[below(7) / 3]));
	return value;
}

static json_t *host(const char *id)
{
	char iqn[64];
	snprintf(iqn, sizeof iqn, "iqn.2001-04.com.example:%u", below(4));
	json_t *value = json_pack("{ss, s{s[s]}}", "name",
		id && below(20) ? id : name(), "iscsi", "iqn",
		below(30) ? iqn : "nobody");
	if (!below(3))
		json_object_set_new(
			value, "addresses", json_pack("[s]", "192.0.2.0/24"));
	return value;
}

/* In whole or by its end. */
static json_t *target(const char *id)
{
	char iqn[128];
	json_t *value = json_object();
	const char *end = id && below(20) ? strrchr(id, ':') + 1 : name();
	snprintf(iqn, sizeof iqn, "iqn.2026-11.example.cairn:%s", end);
	if (below(2))
		json_object_set_new(value, "name", json_string(end));
	else
		json_object_set_new(value, "iqn", json_string(iqn));
	if (!below(3))
		json_object_set_new(value, "alias", json_string("for people"));
	if (!below(20))
		json_object_set_new(
			value, "portals", json_pack("[s]", "nowhere"));
	return value;
}

static json_t *export(void)
{
	json_t *hosts = json_array();
	for (unsigned i = below(12) ? 1 + below(2) : 0; i; i--)
		json_array_append_new(hosts, json_string(name()));
	return json_pack("{ss, ss, si, so, sb}", "volume", name(), "target",
		name(), "lun", (int)below(3), "hosts", hosts, "read_only",
		(int)below(2));
}

static json_t *value_of(enum config_kind kind, const char *id)
{
	switch (kind) {
	case CONFIG_VOLUME: return volume(id);
	case CONFIG_HOST: return host(id);
	case CONFIG_TARGET: return target(id);
	default: return export();
	}
}

static const char *some_id(const struct box *box, enum config_kind kind)
{
	const struct config_object *object = NULL;
	for (unsigned i = 1 + below(6); i; i--)
		object = config_next(box->config, kind, object);
	return object ? object->id : NULL;
}

static void make_edit(const struct box *box, struct config_edit *edit)
{
	edit->kind = (enum config_kind)below(CONFIG_KINDS);
	edit->id = below(3) ? some_id(box, edit->kind) : NULL;
	edit->value =
		edit->id && !below(3) ? NULL : value_of(edit->kind, edit->id);
}

/* -- both answers ------------------------------------------------------------- */

struct answer {
	int result;
	struct err err;
	struct config_outcome outcome;
};

static void ask_co(struct box *box, const struct config_edit *edit,
	unsigned edits, bool whole, bool dry_run, struct answer *answer)
{
	struct config_change change = {.edit = edit,
		.edits = edits,
		.who = "test",
		.title = "edited",
		.dry_run = dry_run,
		.whole = whole};
	memset(answer, 0, sizeof *answer);
	answer->result = config_change_co(
		box->config, &change, &answer->outcome, &answer->err);
}

static void must_be_one(const json_t *part, const json_t *whole)
{
	if (json_equal(part, whole))
		return;
	char *is = json_dumps(part, 0), *should = json_dumps(whole, 0);
	check_fail(__FILE__, __LINE__, "part: %s; whole: %s", is, should);
}

static void must_be_equal(const struct answer *part, const struct answer *whole)
{
	if (part->result != whole->result ||
		strcmp(part->err.text, whole->err.text) != 0 ||
		strcmp(part->err.pointer, whole->err.pointer) != 0)
		check_fail(__FILE__, __LINE__,
			"part: %d \"%s\" at \"%s\"; whole: %d \"%s\" at \"%s\"",
			part->result, part->err.text, part->err.pointer,
			whole->result, whole->err.text, whole->err.pointer);
	if (part->result)
		return;
	must_be_one(part->outcome.changes, whole->outcome.changes);
	must_be_one(part->outcome.impact, whole->outcome.impact);
}

/* -- what runs ---------------------------------------------------------------- */

static bool same_hosts(
	const struct access_host *one, const struct access_host *other)
{
	if (strcmp(one->name, other->name) != 0 || one->iqns != other->iqns ||
		one->networks != other->networks)
		return false;
	return !strcmp(one->iqn[0], other->iqn[0]);
}

static bool same_export(const struct box *box, const struct access_export *is,
	const struct access_export *should, const char *volume)
{
	if (is->lun != should->lun || is->read_only != should->read_only ||
		is->hosts != should->hosts ||
		is->volume != appliance_find_volume(box->appliance, volume))
		return false;
	for (unsigned h = 0; h < is->hosts; h++) {
		if (strcmp(is->host[h]->name, should->host[h]->name) != 0)
			return false;
	}
	return true;
}

static const struct access_export *find_export(const struct box *box,
	const struct document *document, const struct document_export *e)
{
	const struct access_target *should = document->table->target[e->target];
	const struct access_target *is = access_find_target(
		appliance_table(box->appliance), should->iqn);
	for (unsigned i = 0; is && i < is->exports; i++) {
		if (same_export(box, &is->export[i], &should -> export[e->slot],
			    document -> volume[e->volume].settings.name))
			return &is->export[i];
	}
	return NULL;
}

/* Hosts of exports are those of their own table. */
static void check_pointers(const struct access_table *table)
{
	for (unsigned t = 0; t < table->targets; t++) {
		const struct access_target *target = table->target[t];
		for (unsigned e = 0; e < target->exports; e++) {
			const struct access_host *one =
				target->export[e].host[0];
			unsigned h = 0;
			while (h < table->hosts && table->host[h] != one)
				h++;
			CHECK(h < table->hosts);
			CHECK(target->export[e].id);
		}
	}
}

static void check_table(const struct box *box, const struct document *document)
{
	const struct access_table *is = appliance_table(box->appliance);
	const struct access_table *should = document->table;
	unsigned exports = 0;
	CHECK_INT(is->hosts, should->hosts);
	CHECK_INT(is->targets, should->targets);
	CHECK_INT(is->portals, should->portals);
	CHECK(is->management_url);
	CHECK(!strcmp(is->management_url, should->management_url));
	for (unsigned i = 0; i < is->hosts; i++)
		CHECK(same_hosts(is->host[i], should->host[i]));
	for (unsigned i = 0; i < should->targets; i++) {
		const struct access_target *one =
			access_find_target(is, should->target[i]->iqn);
		CHECK(one);
		CHECK_INT(!one->alias, !should->target[i]->alias);
		exports += one->exports;
	}
	CHECK_INT(exports, document->exports);
	for (unsigned i = 0; i < document->exports; i++)
		CHECK(find_export(box, document, &document->export[i]));
	check_pointers(is);
}

static void check_running(const struct box *box)
{
	struct err err = {0};
	const void *cursor = NULL;
	unsigned volumes = 0;
	json_t *json = config_document(box->config);
	struct document *document =
		document_read(json_to_doc(json, &err), &box->settings, &err);
	if (!document)
		check_fail(__FILE__, __LINE__, "%s", err.text);
	check_table(box, document);
	const struct volume *one;
	while ((one = appliance_next_volume(box->appliance, &cursor))) {
		/* Refused or not, nothing is left offline. */
		CHECK(atomic_load(&((struct volume *)one)->source));
		volumes++;
	}
	CHECK_INT(volumes, document->volumes);
	for (unsigned i = 0; i < volumes; i++)
		CHECK(appliance_find_volume(
			box->appliance, document->volume[i].settings.name));
	document_free(document);
	json_decref(json);
}

/* Everything is read again, and is the same, ids too. */
static void restart_co(struct box *box)
{
	struct err err = {0};
	char ids[4096] = "";
	const struct config_object *one = NULL;
	json_t *before = config_document(box->config);
	while ((one = config_next(box->config, CONFIG_EXPORT, one)))
		snprintf(ids + strlen(ids), sizeof ids - strlen(ids), "%s ",
			one->id);
	box_restart_co(box);
	if (config_restore_co(box->config, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	json_t *after = config_document(box->config);
	CHECK(json_equal(before, after));
	for (char *at = ids;
		(one = config_next(box->config, CONFIG_EXPORT, one));) {
		CHECK(!strncmp(at, one->id, strlen(one->id)));
		at += strlen(one->id) + 1;
	}
	json_decref(before);
	json_decref(after);
}

/* -- the walk ----------------------------------------------------------------- */

/* Returns true if it was done. */
static bool step_co(struct box *box)
{
	struct config_edit edit[EDITS] = {{0}};
	struct answer whole, part, done;
	unsigned edits = 1 + below(EDITS);
	for (unsigned i = 0; i < edits; i++)
		make_edit(box, &edit[i]);
	ask_co(box, edit, edits, true, true, &whole);
	ask_co(box, edit, edits, false, true, &part);
	must_be_equal(&part, &whole);
	ask_co(box, edit, edits, false, false, &done);
	if (!done.result)
		must_be_equal(&done, &whole);
	bool is_done = !done.result;
	config_outcome_free(&whole.outcome);
	config_outcome_free(&part.outcome);
	config_outcome_free(&done.outcome);
	for (unsigned i = 0; i < edits; i++)
		json_decref(edit[i].value);
	return is_done;
}

static void test_part_is_as_whole_co(struct stack_rig *rig, void *argument)
{
	struct box box;
	unsigned done = 0;
	(void)argument;
	seed = 20261125;
	box_open(&box, rig);
	box_must_apply_co(&box, MEM_OF("a", "1M") "," MEM_OF("b", "2M"));
	for (unsigned i = 0; i < STEPS; i++) {
		done += step_co(&box);
		check_running(&box);
		if (i % 100 == 99)
			restart_co(&box);
	}
	/* Neither all nor nothing was refused. */
	CHECK(done > STEPS / 10 && done < STEPS - STEPS / 10);
	box_close_co(&box);
}

/* Of two at one LUN, for different hosts, the one that stays keeps its id. */
static void test_ids_of_exports_stay_co(struct stack_rig *rig, void *argument)
{
	struct box box;
	struct answer answer;
	json_t *two = json_pack("{ss, s{s[s]}}", "name", "two", "iscsi", "iqn",
		"iqn.2001-04.com.example:two");
	json_t *more = json_pack("{ss, ss, si, s[s]}", "volume", "b", "target",
		"t", "lun", 0, "hosts", "two");
	struct config_edit edit[] = {{.kind = CONFIG_HOST, .value = two},
		{.kind = CONFIG_EXPORT, .value = more},
		{.kind = CONFIG_EXPORT, .id = "1"},
		{.kind = CONFIG_EXPORT, .value = more}};
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, MEM_OF("a", "1M") "," MEM_OF("b", "2M"));
	ask_co(&box, edit, 2, false, false, &answer);
	CHECK_INT(answer.result, 0);
	config_outcome_free(&answer.outcome);
	CHECK(config_find(box.config, CONFIG_EXPORT, "3"));
	ask_co(&box, edit + 2, 1, false, false, &answer);
	CHECK_INT(answer.result, 0);
	config_outcome_free(&answer.outcome);
	CHECK(!config_find(box.config, CONFIG_EXPORT, "1"));
	CHECK(json_equal(
		config_find(box.config, CONFIG_EXPORT, "3")->value, more));
	/* Nobody gets the number again, not even after a restart. */
	restart_co(&box);
	edit[2].id = "3";
	ask_co(&box, edit + 2, 2, false, false, &answer);
	CHECK_INT(answer.result, 0);
	config_outcome_free(&answer.outcome);
	CHECK(config_find(box.config, CONFIG_EXPORT, "4"));
	json_decref(two);
	json_decref(more);
	box_close_co(&box);
}

#define CONFIG_CASE(name) \
	STACK_RIG_CASE(name, simulated, .world = "simulated", .lanes = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONFIG_CASE(test_part_is_as_whole_co),
		CONFIG_CASE(test_ids_of_exports_stay_co),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
