/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole configuration as one document, and its history.
 */
#include "blockcore/base/doc.h"
#include "target/control/config/json_doc.h"
#include "webui/api/live/faults.h"
#include "webui/api/objects/objects.h"
#include "webui/api/objects/yaml_print.h"
#include "webui/api/server/private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct config *config_of(const struct api_request *request)
{
	return request->parts->config;
}

static const char *config_tag(const struct api_request *request, char out[24])
{
	snprintf(out, 24, "%" PRIu64, config_generation(config_of(request)));
	return out;
}

/* -- the whole ---------------------------------------------------------------- */

static void get_config_co(struct api_request *request)
{
	char tag[24], *text = NULL;
	size_t bytes = 0;
	json_t *document = config_document(config_of(request));
	api_set_etag(request, config_tag(request, tag));
	if (!api_accepts(request, "application/yaml")) {
		api_answer(request, 200, document);
		return;
	}
	FILE *out = document ? open_memstream(&text, &bytes) : NULL;
	if (out)
		yaml_print(document, out);
	json_decref(document);
	if (out && !fclose(out))
		api_answer_text(request, 200, "application/yaml", text, bytes);
	else
		api_answer(request, 500, NULL);
}

static json_t *plan_json(const struct config_outcome *outcome, bool dry_run)
{
	json_t *plan = json_pack("{sb, sO, sO}", "dry_run", dry_run, "changes",
		outcome->changes, "impact", outcome->impact);
	if (outcome->number)
		json_object_set_new(plan, "history",
			json_integer((json_int_t)outcome->number));
	return plan;
}

/* Answers what a change of the whole did, or would do. */
static void answer_plan(struct api_request *request,
	struct config_outcome *outcome, const char *object)
{
	char tag[24];
	if (!request->dry_run) {
		api_faults_adopt(request->api->faults, request->who.name);
		api_audit(request, object, NULL,
			json_pack("{sI}", "changes",
				(json_int_t)json_array_size(outcome->changes)));
		api_emit(request->api, "changes", "config_changed",
			json_pack("{sI}", "history",
				(json_int_t)outcome->number));
	}
	api_set_etag(request, config_tag(request, tag));
	api_answer(request, 200, plan_json(outcome, request->dry_run));
	config_outcome_free(outcome);
}

static void replace_config_co(struct api_request *request)
{
	char tag[24];
	struct config_outcome outcome;
	struct err err = {0};
	api_turn_co(request);
	if (!api_match(request, config_tag(request, tag)))
		return;
	struct config_whole whole = {.who = request->who.name,
		.title = "configuration replaced",
		.witness = api_witness(request, NULL),
		.dry_run = request->dry_run,
		.held = true,
		.strict = true};
	whole.root = request->body
		? json_to_doc(request->body, &err)
		: doc_parse("", request->text, request->text_bytes, &err);
	if (!whole.root ||
		config_replace_co(config_of(request), &whole, &outcome, &err)) {
		object_sort_error(&err);
		api_fail(request, &err);
		return;
	}
	answer_plan(request, &outcome, "config");
}

/* -- history ------------------------------------------------------------------ */

/* As the contract has it. Takes `entry` over. */
static json_t *entry_json(json_t *entry)
{
	json_t *title = json_object_get(entry, "title");
	json_t *who = json_object_get(entry, "who");
	json_t *time = json_object_get(entry, "time");
	if (title)
		json_object_set(entry, "text", title);
	if (who)
		json_object_set(entry, "user", who);
	if (json_is_integer(time))
		json_object_set_new(
			entry, "time", api_time(json_integer_value(time)));
	json_object_del(entry, "title");
	json_object_del(entry, "who");
	return entry;
}

static void list_history_co(struct api_request *request)
{
	const char *after = api_query(request, "after");
	uint64_t limit, before = 0;
	struct err err = {0};
	json_t *list, *entry, *next = json_null();
	size_t i;
	char *end;
	if (!api_query_uint(request, "limit", 1, 1000, 100, &limit))
		return;
	if (after) {
		before = strtoull(after, &end, 10);
		if (!before || *end) {
			api_problem(request, "syntax",
				"after: \"%.32s\" is no number of a change",
				after);
			return;
		}
	}
	if (config_history(
		    config_of(request), before, (unsigned)limit, &list, &err)) {
		api_fail(request, &err);
		return;
	}
	json_array_foreach(list, i, entry) entry_json(entry);
	entry = json_array_get(list, limit - 1);
	json_int_t last = json_integer_value(json_object_get(entry, "number"));
	if (last > 1)
		next = json_sprintf("%" JSON_INTEGER_FORMAT, last);
	api_answer(request, 200,
		json_pack("{so, so}", "items", list, "next", next));
}

/* The number in the path; false: answered. */
static bool history_number(struct api_request *request, uint64_t *number)
{
	const char *text = api_parameter(request, "number");
	char *end;
	*number = strtoull(text, &end, 10);
	if (*text >= '0' && *text <= '9' && !*end && *number)
		return true;
	api_problem(request, "not-found", "\"%.32s\" is no number of a change",
		text);
	return false;
}

static void get_history_co(struct api_request *request)
{
	uint64_t number;
	struct err err = {0};
	json_t *entry;
	if (!history_number(request, &number))
		return;
	if (config_history_entry(config_of(request), number, &entry, &err)) {
		if (!*err.text)
			err_set(&err, ENOENT,
				"change %" PRIu64 " is not in the history",
				number);
		api_fail(request, &err);
		return;
	}
	api_answer(request, 200, entry_json(entry));
}

static void restore_history_co(struct api_request *request)
{
	uint64_t number;
	char object[48];
	struct config_outcome outcome;
	struct err err = {0};
	char tag[24];
	if (!history_number(request, &number))
		return;
	api_turn_co(request);
	if (!api_match(request, config_tag(request, tag)))
		return;
	const struct config_change how = {.who = request->who.name,
		.witness = api_witness(request, NULL),
		.dry_run = request->dry_run,
		.held = true};
	if (config_history_restore_co(
		    config_of(request), number, &how, &outcome, &err)) {
		if (!*err.text)
			err_set(&err, ENOENT,
				"change %" PRIu64 " is not in the history",
				number);
		api_fail(request, &err);
		return;
	}
	snprintf(object, sizeof object, "history/%" PRIu64, number);
	answer_plan(request, &outcome, object);
}

#define HISTORY "/api/v1/history"
#define CHANGE (API_DRY_RUN | API_NEEDS_MATCH)
const struct api_route api_config_routes[] = {
	{"getConfig", "GET", "/api/v1/config", API_VIEWER, 0, NULL,
		get_config_co},
	{"replaceConfig", "PUT", "/api/v1/config", API_ADMIN,
		API_BODY | API_LARGE | API_YAML | CHANGE, NULL,
		replace_config_co},
	{"listHistory", "GET", HISTORY, API_VIEWER, API_PAGED, NULL,
		list_history_co},
	{"getHistory", "GET", HISTORY "/{number}", API_VIEWER, 0, NULL,
		get_history_co},
	{"restoreHistory", "POST", HISTORY "/{number}/restore", API_ADMIN,
		CHANGE | API_IDEMPOTENT | API_BY_CONFIG, NULL,
		restore_history_co},
	{0},
};
