/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request: from evhttp, through the checks that all share, to the coroutine
 * of its handler, and back.
 *
 * Invariants
 *  1. evhttp's request is ours until it is answered. While we have it nothing is
 *     read from the connection (evhttp has no state for that). When the client
 *     goes, libevent tells us before it frees anything and `http` becomes NULL; a
 *     request that it has let go of is then ours to free.
 *  2. At most API_MAX_CALLS run at a time, so memory is bounded.
 *  3. The answer is sent from a message of the loop, never from the coroutine.
 */
#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "target/control/config/config.h"
#include "webui/api/server/connection.h"
#include "webui/api/server/events.h"
#include "webui/api/server/framing.h"
#include "webui/api/server/keys.h"
#include "webui/api/server/private.h"
#include "webui/api/server/stream.h"

#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- what handlers read ----------------------------------------------------- */

static const char *find(
	const struct api_pair *pair, unsigned count, const char *name)
{
	for (unsigned i = 0; i < count; i++) {
		if (!strcmp(pair[i].name, name))
			return pair[i].value;
	}
	return NULL;
}

const char *api_parameter(const struct api_request *request, const char *name)
{
	const char *value = find(request->parameter, request->parameters, name);
	assert(value);
	return value;
}

const char *api_query(const struct api_request *request, const char *name)
{
	return find(request->query, request->queries, name);
}

const char *api_header(const struct api_request *request, const char *name)
{
	struct evhttp_request *http = api_call_of(request)->http;
	return http ? evhttp_find_header(
			      evhttp_request_get_input_headers(http), name)
		    : NULL;
}

bool api_accepts(const struct api_request *request, const char *type)
{
	const char *accept = api_header(request, "Accept");
	return accept &&
		parse_accept(accept, type) >
		parse_accept(accept, "application/json");
}

bool api_query_uint(struct api_request *request, const char *name, uint64_t min,
	uint64_t max, uint64_t fallback, uint64_t *out)
{
	const char *text = api_query(request, name);
	char *end;
	*out = fallback;
	if (!text)
		return true;
	*out = strtoull(text, &end, 10);
	if (*text >= '0' && *text <= '9' && !*end && *out >= min && *out <= max)
		return true;
	api_problem(request, "syntax",
		"the query parameter %s is a whole number from %llu to %llu",
		name, (unsigned long long)min, (unsigned long long)max);
	return false;
}

bool api_query_bool(
	struct api_request *request, const char *name, bool fallback, bool *out)
{
	const char *text = api_query(request, name);
	*out = text ? !strcmp(text, "true") : fallback;
	if (!text || *out || !strcmp(text, "false"))
		return true;
	api_problem(request, "syntax",
		"the query parameter %s is true or false", name);
	return false;
}

/* -- one after the other ---------------------------------------------------- */

void api_turn_co(struct api_request *request)
{
	if (api_in_turn(request))
		return;
	config_hold_co(request->parts->config);
	api_call_of(request)->in_turn = true;
}

bool api_in_turn(const struct api_request *request)
{
	return api_call_of(request)->in_turn;
}

void api_turn_end(struct api_request *request)
{
	if (!api_in_turn(request))
		return;
	api_call_of(request)->in_turn = false;
	config_release(request->parts->config);
}

/* -- what others hear ------------------------------------------------------- */

void api_audit(struct api_request *request, const char *object, json_t *before,
	json_t *after)
{
	struct api_call *call = api_call_of(request);
	free(call->audit_object);
	call->audit_object = strdup(object);
	json_decref(call->audit_before);
	json_decref(call->audit_after);
	call->audit_before = before;
	call->audit_after = after;
}

void api_emit(
	struct api *api, const char *topic, const char *type, json_t *data)
{
	api_events_add(api->events, topic, type, data);
	api_streams_wake(api->streams);
}

/* -- the end of a call ------------------------------------------------------ */

static void free_call(struct api_call *call)
{
	struct api *api = call->request.api;
	LIST_REMOVE(call, link);
	api->running--;
	if (call->request.body)
		json_decref(call->request.body);
	free(call->stream);
	free(call->audit_object);
	json_decref(call->audit_before);
	json_decref(call->audit_after);
	api_answer_free(&call->answer);
	free(call->uri);
	free(call->if_match);
	if (call->text) /* it may have held a password */
		explicit_bzero(call->text, call->request.text_bytes);
	free(call->text);
	explicit_bzero(call->cookie, sizeof call->cookie);
	free(call);
	if (api->stopping && !api->running) {
		struct co *co = api->stopping;
		api->stopping = NULL;
		co_resume(co);
	}
}

static void send_answer(struct api_call *call)
{
	struct evhttp_connection *connection =
		evhttp_request_get_connection(call->http);
	if (call->answer.stream) {
		call->answer.stream(call);
		return;
	}
	evhttp_connection_set_closecb(connection, NULL, NULL);
	if (!call->local)
		api_connection_idle(
			evhttp_connection_get_bufferevent(connection));
	api_answer_send(call);
}

static void finish(struct loop_message *message)
{
	struct api_call *call = container_of(message, struct api_call, finish);
	struct api *api = call->request.api;
	uint64_t us = (loop_now_ns(api->loop) - call->started_ns) / 1000;
	api_counters_add(&api->counters, call->request.route->operation,
		call->answer.status, us);
	log_debug("api", "request", "%s %s %s %s %s: %d, %llu us",
		call->request.id, call->request.who.address,
		*call->request.who.name ? call->request.who.name : "-",
		call->method, call->uri, call->answer.status,
		(unsigned long long)us);
	api_guard_record(call);
	api_keys_end(call);
	if (call->http)
		send_answer(call);
	free_call(call);
}

static void end(struct api_call *call)
{
	call->finish.run = finish;
	loop_post(call->request.api->loop, &call->finish);
}

void api_request_gone(struct evhttp_request *http)
{
	if (!evhttp_request_get_connection(http))
		evhttp_request_free(http);
}

static void client_gone(struct evhttp_connection *connection, void *argument)
{
	struct api_call *call = argument;
	(void)connection;
	api_request_gone(call->http);
	call->http = NULL;
}

/* -- the checks that all share ---------------------------------------------- */

static bool is_known_query(const struct api_route *route, const char *name)
{
	if ((route->flags & API_DRY_RUN && !strcmp(name, "dryRun")) ||
		(route->flags & API_PAGED &&
			(!strcmp(name, "limit") || !strcmp(name, "after"))))
		return true;
	const char *at = route->query;
	while (at && *at) {
		size_t bytes = strcspn(at, " ");
		if (bytes == strlen(name) && !memcmp(at, name, bytes))
			return true;
		at += bytes + strspn(at + bytes, " ");
	}
	return false;
}

static bool check_query(struct api_call *call)
{
	struct api_request *request = &call->request;
	for (unsigned i = 0; i < request->queries; i++) {
		if (is_known_query(request->route, request->query[i].name))
			continue;
		api_problem(request, "syntax",
			"%s has no query parameter \"%.64s\"",
			request->route->operation, request->query[i].name);
		return false;
	}
	return api_query_bool(request, "dryRun", false, &request->dry_run);
}

static bool take_match(struct api_call *call, const char *given)
{
	call->request.if_match = call->if_match = strdup(given);
	if (!call->if_match)
		api_problem(&call->request, "busy", "out of memory");
	return call->if_match;
}

/* A change looks at no other condition; to leave one out would be to do what was not asked
 * for (RFC 9110 13.1.2). */
static bool check_conditions(struct api_call *call)
{
	if (!strcmp(call->method, "GET") || !strcmp(call->method, "HEAD") ||
		!api_header(&call->request, "If-None-Match"))
		return true;
	api_problem(&call->request, "syntax",
		"If-None-Match is for GET only: leave it out");
	return false;
}

static bool check_match(struct api_request *request)
{
	bool needs = request->route->flags & API_NEEDS_MATCH;
	const char *given = api_header(request, "If-Match");
	if (given && !take_match(api_call_of(request), given))
		return false;
	if (request->if_match ? needs || !strcmp(request->if_match, "*")
			      : !needs)
		return true;
	if (needs)
		api_problem(request, "match-required",
			"%s needs If-Match: the ETag that you saw, or *",
			request->route->operation);
	else /* who says it relies on it (RFC 9110 13.1.1) */
		api_problem(request, "syntax",
			"%s has no version that If-Match could name: leave it "
			"out",
			request->route->operation);
	return false;
}

/* Of a call that came to no route, or not yet. */
static const struct api_route no_route = {.operation = "request"};

static bool find_route(struct api_call *call)
{
	struct api_request *request = &call->request;
	struct parsed_target *target = &call->target;
	char allowed[80];
	enum parse_result result = parse_target(call->uri, target);
	if (result != PARSE_OK) {
		api_problem(request, "syntax", "%s",
			result == PARSE_TWICE
				? "a query parameter stands there twice"
				: result == PARSE_LONG
				? "the path or the query is too long"
				: "the path or the query is not well formed");
		return false;
	}
	const struct api_route *route =
		api_find_route(call->method, target, allowed, sizeof allowed);
	if (route) {
		request->route = route;
		memcpy(request->parameter, target->parameter,
			sizeof request->parameter);
		request->parameters = target->parameters;
		memcpy(request->query, target->query, sizeof request->query);
		request->queries = target->queries;
		return true;
	}
	if (!*allowed) {
		api_problem(request, "not-found", "there is no path %.200s",
			call->uri);
		return false;
	}
	api_set_header(request, "Allow", allowed);
	if (!strcmp(call->method, "OPTIONS"))
		api_answer_empty(request);
	else
		api_problem(request, "method", "%.200s has only %s", call->uri,
			allowed);
	return false;
}

static void run_co(void *argument)
{
	struct api_call *call = argument;
	call->request.route->handle_co(&call->request);
	assert(call->answer.status);
	api_turn_end(&call->request);
	end(call);
}

/* What remains of such a one is not read. */
static bool check_framing(struct api_call *call)
{
	const char *fault = framing_fault(call->http);
	if (!fault)
		return true;
	call->unread = true;
	api_problem(&call->request, "syntax", "%s", fault);
	return false;
}

static void run(struct api_call *call)
{
	struct api_request *request = &call->request;
	bool well = check_framing(call) && find_route(call) &&
		api_guard(call) && check_query(call) &&
		check_conditions(call) && check_match(request) &&
		api_call_read_body(call) && api_keys_begin(call);
	if (well && co_start(run_co, call))
		return;
	if (!call->answer.status)
		api_problem(request, "busy", "out of memory");
	end(call);
}

/* -- the beginning ---------------------------------------------------------- */

static const char *method_of(struct evhttp_request *http)
{
	static const struct {
		enum evhttp_cmd_type type;
		const char *name;
	} methods[] = {
		{EVHTTP_REQ_GET, "GET"},
		{EVHTTP_REQ_POST, "POST"},
		{EVHTTP_REQ_HEAD, "HEAD"},
		{EVHTTP_REQ_PUT, "PUT"},
		{EVHTTP_REQ_DELETE, "DELETE"},
		{EVHTTP_REQ_OPTIONS, "OPTIONS"},
		{EVHTTP_REQ_TRACE, "TRACE"},
		{EVHTTP_REQ_CONNECT, "CONNECT"},
		{EVHTTP_REQ_PATCH, "PATCH"},
	};
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
		if (methods[i].type == evhttp_request_get_command(http))
			return methods[i].name;
	}
	return "?";
}

/* evhttp reads no body of these, whatever their headers say: it would be the beginning of
 * the next request (RFC 9112 6.3). */
static bool leaves_body(struct evhttp_request *http)
{
	const struct evkeyvalq *headers =
		evhttp_request_get_input_headers(http);
	const char *length = evhttp_find_header(headers, "Content-Length");
	enum evhttp_cmd_type type = evhttp_request_get_command(http);
	return (type == EVHTTP_REQ_HEAD || type == EVHTTP_REQ_TRACE) &&
		(evhttp_find_header(headers, "Transfer-Encoding") ||
			(length && strcmp(length, "0") != 0));
}

void api_make_id(struct api *api, char id[24])
{
	snprintf(id, 24, "%08x-%08llx", api->id_salt,
		(unsigned long long)api->next_id++);
}

static struct api_call *new_call(
	struct api *api, struct evhttp_request *http, bool local)
{
	struct api_call *call = calloc(1, sizeof *call);
	char *uri = strdup(evhttp_request_get_uri(http));
	if (!call || !uri) {
		free(call);
		free(uri);
		return NULL;
	}
	call->request.api = api;
	call->request.parts = &api->parts;
	call->request.route = &no_route;
	call->http = http;
	call->method = method_of(http);
	call->uri = uri;
	call->local = local;
	call->unread = leaves_body(http);
	framing_is_ours(http);
	call->last = framing_is_last(http);
	call->started_ns = loop_now_ns(api->loop);
	api_make_id(api, call->request.id);
	LIST_INSERT_HEAD(&api->calls, call, link);
	api->running++;
	return call;
}

static void begin(struct evhttp_request *http, struct api *api, bool local)
{
	struct evhttp_connection *connection =
		evhttp_request_get_connection(http);
	struct bufferevent *bev = evhttp_connection_get_bufferevent(connection);
	/* Read nothing more until this one is answered. */
	bufferevent_disable(bev, EV_READ);
	bool plain = !local && !bufferevent_openssl_get_ssl(bev);
	struct api_call *call = plain ? NULL : new_call(api, http, local);
	if (!call) {
		evhttp_send_error(http, 503, NULL);
		return;
	}
	if (!local)
		api_connection_busy(bev);
	evhttp_connection_set_closecb(connection, client_gone, call);
	unsigned most = API_MAX_CALLS + (local ? API_LOCAL_CALLS : 0);
	if (!api->closing && api->running <= most) {
		run(call);
		return;
	}
	api_problem(&call->request, "busy", "%s",
		api->closing ? "the daemon is stopping"
			     : "too many requests at once");
	end(call);
}

void api_call_tls(struct evhttp_request *http, void *api)
{
	begin(http, api, false);
}

void api_call_local(struct evhttp_request *http, void *api)
{
	begin(http, api, true);
}
