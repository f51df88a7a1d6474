/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is connected, with all that was negotiated; who was sent away; and the end
 * of a session by an administrator.
 *
 * Invariants
 *  1. Initiator names and aliases are what hosts sent: bytes that are no UTF-8
 *     become U+FFFD before they are JSON.
 *  2. A list is one visit to the lanes, whatever page of it is asked for.
 */
#include "blockcore/base/log.h"
#include "target/control/appliance/appliance.h"
#include "webui/api/handler.h"
#include "webui/api/live/live.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Members that hosts may leave out stand only where there is something to say. */
static void set_text(json_t *object, const char *member, const char *text)
{
	if (*text)
		json_object_set_new(object, member, live_text(text));
}

static void set_number(json_t *object, const char *member, uint64_t value)
{
	json_object_set_new(object, member, json_integer((json_int_t)value));
}

static json_t *negotiated_json(const struct iscsi_params *p)
{
	return json_pack("{sb, sb, sb, sb, sb, sb, si, si, si, si, si, si, si, "
			 "si, si, si, sb, sb}",
		"header_digest", p->header_digest, "data_digest",
		p->data_digest, "initial_r2t", p->initial_r2t, "immediate_data",
		p->immediate_data, "data_pdu_in_order", p->data_pdu_in_order,
		"data_sequence_in_order", p->data_sequence_in_order,
		"max_connections", (int)p->max_connections, "max_receive_bytes",
		(int)p->max_receive_bytes, "max_send_bytes",
		(int)p->max_send_bytes, "max_burst_bytes",
		(int)p->max_burst_bytes, "first_burst_bytes",
		(int)p->first_burst_bytes, "time2wait_s", (int)p->time2wait_s,
		"time2retain_s", (int)p->time2retain_s, "max_outstanding_r2t",
		(int)p->max_outstanding_r2t, "error_recovery_level",
		(int)p->error_recovery_level, "protocol_level",
		(int)p->protocol_level, "fast_abort", p->fast_abort,
		"response_fence", p->response_fence);
}

static void set_identity(json_t *object, const struct iscsi_session_info *info)
{
	char isid[13];
	for (unsigned i = 0; i < 6; i++)
		snprintf(isid + 2 * i, 3, "%02x", info->isid[i]);
	set_text(object, "alias", info->alias);
	set_text(object, "target", info->target);
	set_text(object, "portal_name", info->portal_name);
	set_text(object, "chap", info->chap);
	json_object_set_new(object, "mutual", json_boolean(info->mutual));
	json_object_set_new(object, "isid", json_string(isid));
	set_number(object, "tsih", info->tsih);
	set_number(object, "cid", info->cid);
	set_number(object, "lane", info->lane);
}

static void set_load(json_t *object, const struct iscsi_session_info *info)
{
	set_number(object, "exp_cmd_sn", info->exp_cmd_sn);
	set_number(object, "max_cmd_sn", info->max_cmd_sn);
	set_number(object, "window", info->window);
	set_number(object, "running", info->running);
	set_number(object, "luns", info->units);
	set_number(object, "commands", info->commands);
	set_number(object, "in_bytes", info->in_bytes);
	set_number(object, "out_bytes", info->out_bytes);
	set_number(object, "errors", info->errors);
	if (!info->last_error_ms)
		return;
	set_text(object, "last_error", info->last_error);
	json_object_set_new(
		object, "last_error_time", api_time(info->last_error_ms));
}

json_t *live_session_json(const struct iscsi_session_info *info)
{
	json_t *object = json_object();
	set_number(object, "id", info->id);
	json_object_set_new(object, "initiator", live_text(info->initiator));
	json_object_set_new(object, "host", live_text(info->host));
	json_object_set_new(object, "peer", json_string(info->peer));
	json_object_set_new(object, "portal", json_string(info->portal));
	json_object_set_new(object, "since", api_time(info->since_ms));
	json_object_set_new(object, "discovery", json_boolean(info->discovery));
	set_identity(object, info);
	json_object_set_new(
		object, "negotiated", negotiated_json(&info->params));
	set_load(object, info);
	return object;
}

/* -- lists ------------------------------------------------------------------ */

/* Numbers as keys of a page: strcmp orders what has leading zeroes. */
static const char *number_key(uint64_t number, char out[24])
{
	snprintf(out, 24, "%020" PRIu64, number);
	return out;
}

static void add_sessions(struct api_request *request,
	const struct iscsi_session_list *list, struct api_page *page)
{
	const char *host = api_query(request, "host");
	char key[24];
	for (unsigned i = 0; i < list->count; i++) {
		const struct iscsi_session_info *info = &list->session[i];
		if ((!host || !strcmp(host, info->host)) &&
			api_page_wants(page, number_key(info->id, key)))
			api_page_add(page, key, live_session_json(info));
	}
}

static void list_sessions_co(struct api_request *request)
{
	const char *name = api_query(request, "volume");
	const struct volume *volume = NULL;
	struct api_page page;
	if (name) {
		volume = appliance_find_volume(request->parts->appliance, name);
		if (!volume) {
			api_problem(request, "not-found",
				"there is no volume \"%.64s\"", name);
			return;
		}
	}
	if (!api_page_begin(request, &page))
		return;
	struct iscsi_session_list *list =
		iscsi_sessions_co(request->parts->server, volume);
	if (!list) {
		json_decref(page.items);
		api_answer(request, 200, NULL);
		return;
	}
	add_sessions(request, list, &page);
	free(list);
	api_page_answer(request, &page);
}

static const char *name_of(
	const struct iscsi_session_info *info, enum live_by by)
{
	switch (by) {
	case LIVE_BY_HOST: return info->host;
	case LIVE_BY_TARGET: return info->target;
	default: return info->portal_name;
	}
}

/* {name: sessions} */
static json_t *count_by(const struct iscsi_session_list *list, enum live_by by)
{
	json_t *counts = json_object();
	for (unsigned i = 0; list && i < list->count; i++) {
		const char *name = name_of(&list->session[i], by);
		json_object_set_new(counts, name,
			json_integer(1 +
				json_integer_value(
					json_object_get(counts, name))));
	}
	return counts;
}

void live_sessions_count_co(struct api_request *request, json_t *items,
	const char *key, enum live_by by)
{
	struct iscsi_session_list *list =
		iscsi_sessions_co(request->parts->server, NULL);
	json_t *counts = count_by(list, by), *item;
	size_t i;
	json_array_foreach(items, i, item)
	{
		const char *name =
			json_string_value(json_object_get(item, key));
		json_object_set_new(json_object_get(item, "status"), "sessions",
			json_integer(json_integer_value(
				json_object_get(counts, name ? name : ""))));
	}
	json_decref(counts);
	free(list);
}

json_t *live_refused_json(const struct iscsi_refused *refused)
{
	json_t *item = json_object();
	set_number(item, "serial", refused->serial);
	json_object_set_new(item, "time", api_time(refused->time_ms));
	json_object_set_new(item, "refusal",
		json_string(iscsi_refusal_name(refused->refusal)));
	json_object_set_new(item, "reason", live_text(refused->reason));
	json_object_set_new(item, "initiator", live_text(refused->initiator));
	json_object_set_new(item, "peer", json_string(refused->peer));
	json_object_set_new(
		item, "discovery", json_boolean(refused->discovery));
	set_text(item, "portal", refused->portal);
	set_text(item, "target", refused->target);
	set_text(item, "host", refused->host);
	return item;
}

static void list_refused_co(struct api_request *request)
{
	const struct iscsi_refused *refused;
	struct api_page page;
	if (!api_page_begin(request, &page))
		return;
	for (unsigned back = 0;
		(refused = iscsi_server_refused(request->parts->server, back));
		back++) {
		char key[24];
		/* The newest first: the keys fall, so they are turned round. */
		number_key(UINT64_MAX - refused->serial, key);
		if (!api_page_wants(&page, key))
			continue;
		api_page_add(&page, key, live_refused_json(refused));
	}
	api_page_answer(request, &page);
}

/* -- one -------------------------------------------------------------------- */

/* The session that the path names. False: answered. */
static bool find_session_co(
	struct api_request *request, struct iscsi_session_info *info)
{
	const char *text = api_parameter(request, "id");
	char *end;
	errno = 0;
	uint64_t id = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno) {
		api_problem(request, "not-found",
			"\"%.32s\" is no session: they have numbers", text);
		return false;
	}
	if (!iscsi_session_find_co(request->parts->server, id, info))
		return true;
	api_problem(request, "not-found",
		"session %" PRIu64 " is not there, or not any more", id);
	return false;
}

/* What changes of a session are figures: it is the same one for life. */
static void tag_of(const struct iscsi_session_info *info, char tag[24])
{
	snprintf(tag, 24, "%" PRIu64, info->id);
}

static void get_session_co(struct api_request *request)
{
	struct iscsi_session_info info;
	char tag[24];
	if (!find_session_co(request, &info))
		return;
	tag_of(&info, tag);
	api_set_etag(request, tag);
	api_answer(request, 200, live_session_json(&info));
}

static json_t *end_plan(
	const struct iscsi_session_info *info, uint64_t block_seconds)
{
	char object[96], text[320];
	snprintf(object, sizeof object, "host %s", info->host);
	if (block_seconds)
		snprintf(text, sizeof text,
			"the session of %s from %s ends; it is kept out for "
			"%" PRIu64 " s",
			info->host, info->peer, block_seconds);
	else
		snprintf(text, sizeof text,
			"the session of %s from %s ends; most hosts come back "
			"at once",
			info->host, info->peer);
	return json_pack("{sb, s[], s[{so, ss, so, s[I], s[o]}]}", "dry_run", 1,
		"changes", "impact", "object", live_text(object), "effect",
		"sessions_closed", "text", live_text(text), "sessions",
		(json_int_t)info->id, "hosts", live_text(info->host));
}

static void end_session_co(struct api_request *request)
{
	struct iscsi_session_info info;
	uint64_t block_seconds;
	char reason[128], object[40], tag[24];
	struct err err = {0};
	if (!api_query_uint(
		    request, "block_seconds", 0, 86400, 0, &block_seconds) ||
		!find_session_co(request, &info))
		return;
	tag_of(&info, tag);
	if (!api_match(request, tag))
		return;
	if (request->dry_run) {
		api_answer(request, 200, end_plan(&info, block_seconds));
		return;
	}
	snprintf(reason, sizeof reason, "ended by %s", request->who.name);
	snprintf(object, sizeof object, "sessions/%" PRIu64, info.id);
	struct iscsi_kick kick = {
		.reason = reason, .keep_out_s = (uint32_t)block_seconds};
	if (iscsi_session_kick_co(
		    request->parts->server, info.id, &kick, &err)) {
		api_fail(request, &err);
		return;
	}
	api_audit(request, object, live_session_json(&info), NULL);
	api_answer_empty(request);
}

const struct api_route api_session_routes[] = {
	{"listSessions", "GET", "/api/v1/sessions", API_VIEWER, API_PAGED,
		"volume host", list_sessions_co},
	{"getSession", "GET", "/api/v1/sessions/{id}", API_VIEWER, 0, NULL,
		get_session_co},
	{"endSession", "DELETE", "/api/v1/sessions/{id}", API_OPERATOR,
		API_DRY_RUN | API_NEEDS_MATCH, "block_seconds", end_session_co},
	{"listRefusedLogins", "GET", "/api/v1/logins/refused", API_VIEWER,
		API_PAGED, NULL, list_refused_co},
	{0},
};
