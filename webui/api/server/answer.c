/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers: kept while the handler runs, sent when it is over.
 *
 * Invariants
 *  1. One answer per request; a second is our bug. No memory for one is 500.
 *  2. No value reaches a header that could end its line.
 *  3. Every answer says that it is not to be kept, sniffed or framed, unless it is
 *     a page of ours, which says more.
 */
#include "target/control/unix_time.h"
#include "webui/api/server/private.h"

#include <assert.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static struct api_answer *answer_of(struct api_request *request)
{
	return &api_call_of(request)->answer;
}

/* -- what handlers call ----------------------------------------------------- */

void api_answer(struct api_request *request, int status, json_t *json)
{
	struct api_answer *answer = answer_of(request);
	assert(!answer->status);
	answer->status = json ? status : 500;
	answer->json = json;
}

void api_answer_created(
	struct api_request *request, const char *location, json_t *json)
{
	api_set_header(request, "Location", location);
	api_answer(request, 201, json);
}

void api_answer_created_once(struct api_request *request, const char *location,
	json_t *json, const char *secret)
{
	answer_of(request)->secret = secret;
	api_answer_created(request, location, json);
}

void api_answer_job(
	struct api_request *request, const char *location, json_t *json)
{
	api_set_header(request, "Location", location);
	api_answer(request, 202, json);
}

void api_answer_empty(struct api_request *request)
{
	struct api_answer *answer = answer_of(request);
	assert(!answer->status);
	answer->status = 204;
}

void api_answer_text(struct api_request *request, int status, const char *type,
	char *text, size_t bytes)
{
	struct api_answer *answer = answer_of(request);
	assert(!answer->status);
	answer->status = text ? status : 500;
	answer->type = type;
	answer->data = answer->owned = text;
	answer->bytes = text ? bytes : 0;
}

void api_answer_static(struct api_request *request, const char *type,
	const void *data, size_t bytes)
{
	struct api_answer *answer = answer_of(request);
	assert(!answer->status);
	answer->status = 200;
	answer->type = type;
	answer->data = data;
	answer->bytes = bytes;
}

/* Printable, without what ends a line or a quoted string. */
static bool is_safe(const char *value, char forbidden)
{
	for (; *value; value++) {
		if ((unsigned char)*value < 0x20 || *value == 0x7f ||
			*value == forbidden)
			return false;
	}
	return true;
}

void api_set_etag(struct api_request *request, const char *tag)
{
	struct api_answer *answer = answer_of(request);
	if (is_safe(tag, '"'))
		snprintf(answer->etag, sizeof answer->etag, "%s", tag);
}

void api_set_header(
	struct api_request *request, const char *name, const char *value)
{
	struct api_answer *answer = answer_of(request);
	assert(answer->headers < API_MAX_ANSWER_HEADERS);
	char *copy = is_safe(value, '\0') ? strdup(value) : NULL;
	if (!copy)
		return;
	answer->header[answer->headers].name = name;
	answer->header[answer->headers++].value = copy;
}

bool api_answer_has(struct api_request *request, const char *name)
{
	const struct api_answer *answer = answer_of(request);
	for (unsigned i = 0; i < answer->headers; i++) {
		if (!strcasecmp(answer->header[i].name, name))
			return true;
	}
	return false;
}

bool api_match(struct api_request *request, const char *tag)
{
	if (!request->if_match ||
		parse_tags_match(request->if_match, tag, false))
		return true;
	api_problem(request, "stale",
		"If-Match is %s, but the present version is \"%s\"",
		request->if_match, tag);
	return false;
}

/* -- sending ---------------------------------------------------------------- */

const char *api_status_phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} phrases[] = {
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{204, "No Content"},
		{304, "Not Modified"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{409, "Conflict"},
		{412, "Precondition Failed"},
		{413, "Content Too Large"},
		{415, "Unsupported Media Type"},
		{422, "Unprocessable Content"},
		{428, "Precondition Required"},
		{429, "Too Many Requests"},
		{500, "Internal Server Error"},
		{503, "Service Unavailable"},
		{507, "Insufficient Storage"},
	};
	for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
		if (phrases[i].status == status)
			return phrases[i].phrase;
	}
	return "Status";
}

static void free_text(const void *data, size_t bytes, void *text)
{
	(void)data;
	(void)bytes;
	free(text);
}

static void keep(const void *data, size_t bytes, void *nothing)
{
	(void)data;
	(void)bytes;
	(void)nothing;
}

/* The body, NULL without memory. */
static struct evbuffer *make_body(struct api_answer *answer)
{
	struct evbuffer *body = evbuffer_new();
	if (!body)
		return NULL;
	if (answer->json) {
		char *text = json_dumps(answer->json, JSON_COMPACT);
		size_t bytes = text ? strlen(text) : 0;
		if (!text ||
			evbuffer_add_reference(
				body, text, bytes, free_text, text)) {
			free(text);
			evbuffer_free(body);
			return NULL;
		}
		evbuffer_add(body, "\n", 1);
	} else if (answer->bytes) {
		evbuffer_add_reference(body, answer->data, answer->bytes,
			answer->owned ? free_text : keep, answer->owned);
		answer->owned = NULL;
	}
	return body;
}

static const char *type_of(const struct api_answer *answer)
{
	if (answer->type)
		return answer->type;
	return answer->json ? "application/json" : NULL;
}

/* Who is told how long an idle connection is kept does not ask on one that is being
 * closed: that request would be lost, and nobody knew whether it was seen. */
static void add_connection(
	const struct api_call *call, struct evkeyvalq *headers)
{
	const struct api *api = call->request.api;
	char kept[24];
	if (api->closing || !api->repaired || call->unread || call->last) {
		evhttp_add_header(headers, "Connection", "close");
		return;
	}
	snprintf(kept, sizeof kept, "timeout=%u", API_IDLE_S);
	evhttp_add_header(headers, "Connection", "keep-alive");
	evhttp_add_header(headers, "Keep-Alive", kept);
}

static void add_headers(struct api_call *call, struct evkeyvalq *headers)
{
	static const struct {
		const char *name, *value;
	} always[] = {
		{"Cache-Control", "no-store"},
		{"X-Content-Type-Options", "nosniff"},
		{"X-Frame-Options", "DENY"},
		{"Referrer-Policy", "no-referrer"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Content-Security-Policy",
			"default-src 'none'; frame-ancestors 'none'"},
	};
	struct api_answer *answer = &call->answer;
	for (unsigned i = 0; i < answer->headers; i++)
		evhttp_add_header(headers, answer->header[i].name,
			answer->header[i].value);
	for (size_t i = 0; i < sizeof always / sizeof *always; i++) {
		if (!evhttp_find_header(headers, always[i].name))
			evhttp_add_header(
				headers, always[i].name, always[i].value);
	}
	evhttp_add_header(headers, "X-Request-Id", call->request.id);
	add_connection(call, headers);
}

static bool is_unmodified(const struct api_call *call)
{
	const char *tags = api_header(&call->request, "If-None-Match");
	bool reading =
		!strcmp(call->method, "GET") || !strcmp(call->method, "HEAD");
	return call->answer.status == 200 && reading && *call->answer.etag &&
		tags && parse_tags_match(tags, call->answer.etag, true);
}

/* How long the body is; HEAD gets no more of it, which evhttp leaves to us. */
static void add_length(
	struct api_call *call, struct evkeyvalq *headers, struct evbuffer *body)
{
	char text[24];
	size_t bytes = body ? evbuffer_get_length(body) : 0;
	int status = call->answer.status;
	if (status == 204 || status == 304)
		return;
	snprintf(text, sizeof text, "%zu", bytes);
	evhttp_add_header(headers, "Content-Length", text);
	if (body && !strcmp(call->method, "HEAD"))
		evbuffer_drain(body, bytes);
}

static struct evbuffer *prepare_body(
	struct api_call *call, struct evkeyvalq *headers)
{
	struct api_answer *answer = &call->answer;
	if (is_unmodified(call)) {
		answer->status = 304;
		return NULL;
	}
	struct evbuffer *body = make_body(answer);
	if (!body)
		answer->status = 500;
	else if (type_of(answer))
		evhttp_add_header(headers, "Content-Type", type_of(answer));
	return body;
}

void api_answer_send(struct api_call *call)
{
	struct api_answer *answer = &call->answer;
	struct evkeyvalq *headers =
		evhttp_request_get_output_headers(call->http);
	char tag[80];
	add_headers(call, headers);
	if (*answer->etag) {
		snprintf(tag, sizeof tag, "\"%s\"", answer->etag);
		evhttp_add_header(headers, "ETag", tag);
	}
	struct evbuffer *body = prepare_body(call, headers);
	add_length(call, headers, body);
	evhttp_send_reply(call->http, answer->status,
		api_status_phrase(answer->status), body);
	if (body)
		evbuffer_free(body);
}

void api_answer_free(struct api_answer *answer)
{
	if (answer->json)
		json_decref(answer->json);
	free(answer->owned);
	for (unsigned i = 0; i < answer->headers; i++)
		free(answer->header[i].value);
}

/* -- times ------------------------------------------------------------------ */

json_t *api_time(int64_t unix_ms)
{
	return unix_time_json(unix_ms);
}

int64_t api_now_ms(void)
{
	return unix_now_ms();
}

json_t *api_time_now(void)
{
	return api_time(api_now_ms());
}
