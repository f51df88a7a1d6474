/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks, whether he may, and that he did.
 *
 * Invariants
 *  1. Nobody is API_PUBLIC: only rows that say so are for him.
 *  2. At the unix socket the kernel says who it is: root and the daemon's own user
 *     are admin, all others are refused.
 *  3. Over TLS one credential counts: a bearer token, else a cookie, else a client
 *     certificate. One that is wrong is not made up for by the next.
 *  4. A browser sends cookies by itself: what changes something with one needs the
 *     CSRF token that goes with it, and must not come from another site. Signing in
 *     must not either.
 *  5. A token that is kept to volumes reaches paths below these volumes, and what
 *     tells about itself; nothing else.
 */
#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "target/control/trust/audit.h"
#include "webui/api/server/private.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define COOKIE_NAME "__Host-cairn="

enum api_role api_role_of(enum trust_role role)
{
	static const enum api_role roles[] = {[TRUST_PUBLIC] = API_PUBLIC,
		[TRUST_VIEWER] = API_VIEWER,
		[TRUST_OPERATOR] = API_OPERATOR,
		[TRUST_ADMIN] = API_ADMIN};
	return roles[role];
}

static bool changes_something(const struct api_call *call)
{
	return strcmp(call->method, "GET") && strcmp(call->method, "HEAD") &&
		strcmp(call->method, "OPTIONS");
}

/* -- who -------------------------------------------------------------------- */

static struct bufferevent *stream_of(const struct api_call *call)
{
	return evhttp_connection_get_bufferevent(
		evhttp_request_get_connection(call->http));
}

static int identify_peer(
	struct api_call *call, struct trust *trust, struct err *err)
{
	struct ucred peer;
	socklen_t bytes = sizeof peer;
	if (getsockopt(bufferevent_getfd(stream_of(call)), SOL_SOCKET,
		    SO_PEERCRED, &peer, &bytes))
		return err_set(err, errno, "unknown peer");
	return trust_identify_peer(trust, peer.uid, &call->identity, err);
}

/* Copies the cookie of our name, if there is one. */
static bool find_cookie(struct api_call *call)
{
	const char *at = api_header(&call->request, "Cookie");
	for (; at && *at; at += strspn(at, "; ")) {
		size_t bytes = strcspn(at, ";");
		size_t name = sizeof COOKIE_NAME - 1;
		if (bytes > name && bytes - name < sizeof call->cookie &&
			!strncmp(at, COOKIE_NAME, name)) {
			memcpy(call->cookie, at + name, bytes - name);
			return true;
		}
		at += bytes;
	}
	return false;
}

static int identify_certificate(struct api_call *call, struct trust *trust,
	const char *address, struct err *err)
{
	SSL *ssl = bufferevent_openssl_get_ssl(stream_of(call));
	X509 *peer = ssl ? SSL_get0_peer_certificate(ssl) : NULL;
	if (!peer || SSL_get_verify_result(ssl) != X509_V_OK)
		return -EACCES;
	return trust_identify_certificate(
		trust, peer, address, &call->identity, err);
}

static int identify_remote(
	struct api_call *call, struct trust *trust, struct err *err)
{
	const char *bearer = api_header(&call->request, "Authorization");
	char *address;
	uint16_t port;
	evhttp_connection_get_peer(
		evhttp_request_get_connection(call->http), &address, &port);
	snprintf(call->request.who.address, sizeof call->request.who.address,
		"%s", address);
	if (bearer && !strncasecmp(bearer, "Bearer ", 7))
		return trust_identify_bearer(
			trust, bearer + 7, address, &call->identity, err);
	if (find_cookie(call))
		return trust_identify_cookie(
			trust, call->cookie, address, &call->identity, err);
	return identify_certificate(call, trust, address, err);
}

static void identify(struct api_call *call)
{
	struct trust *trust = call->request.parts->trust;
	struct api_identity *who = &call->request.who;
	struct err err = {0};
	who->role = API_PUBLIC;
	if (call->local)
		snprintf(who->address, sizeof who->address, "unix");
	int failed = call->local ? identify_peer(call, trust, &err)
				 : identify_remote(call, trust, &err);
	if (failed) {
		call->identity = (struct trust_identity){0};
		if (failed != -EACCES)
			log_error("api", "identify", "%s", err.text);
		return;
	}
	who->role = api_role_of(call->identity.role);
	snprintf(who->name, sizeof who->name, "%s", call->identity.name);
}

/* -- whether ---------------------------------------------------------------- */

/* Where the page that asks comes from is where it asks. A program sends neither
 * header; a browser sends Origin with everything that is no GET. */
static bool same_site(const struct api_call *call)
{
	const struct api_request *request = &call->request;
	const char *origin = api_header(request, "Origin");
	const char *host = api_header(request, "Host");
	const char *site = api_header(request, "Sec-Fetch-Site");
	if (site && strcmp(site, "same-origin") && strcmp(site, "none"))
		return false;
	if (!origin)
		return true;
	return host && !strncmp(origin, "https://", 8) &&
		!strcasecmp(origin + 8, host);
}

static bool check_site(struct api_call *call)
{
	struct api_request *request = &call->request;
	if (call->local || !changes_something(call) ||
		call->identity.how == TRUST_TOKEN)
		return true;
	if (!same_site(call)) {
		api_problem(request, "origin",
			"this comes from a page of another site");
		return false;
	}
	if (call->identity.how != TRUST_COOKIE || !call->identity.name[0] ||
		request->route->role == API_PUBLIC ||
		trust_csrf_right(
			call->cookie, api_header(request, "X-CSRF-Token")))
		return true;
	api_problem(request, "origin",
		"X-CSRF-Token is missing or not the one of this session "
		"(GET /api/v1/login tells it)");
	return false;
}

static bool check_scope(struct api_call *call)
{
	static const char volumes[] = "/api/v1/volumes/{name}";
	static const char *const own[] = {"getLogin", "signOut", "listRoles",
		"getSystem", "getOpenApi", NULL};
	struct api_request *request = &call->request;
	const struct api_route *route = request->route;
	if (!call->identity.scopes || route->role == API_PUBLIC)
		return true;
	for (const char *const *one = own; *one; one++)
		if (!strcmp(*one, route->operation))
			return true;
	if (!strncmp(route->path, volumes, sizeof volumes - 1) &&
		trust_may_volume(
			&call->identity, api_parameter(request, "name")))
		return true;
	api_problem(request, "forbidden",
		"this token is for some volumes only: GET /api/v1/login names "
		"them");
	return false;
}

static void refuse_role(struct api_request *request)
{
	if (request->who.role != API_PUBLIC) {
		api_problem(request, "forbidden",
			"%s may not call %s with that role", request->who.name,
			request->route->operation);
		return;
	}
	request->api->counters.auth_failures++;
	api_set_header(request, "WWW-Authenticate", "Bearer");
	api_problem(request, "unauthenticated",
		"%s needs a session, a token or the unix socket",
		request->route->operation);
}

bool api_guard(struct api_call *call)
{
	struct api_request *request = &call->request;
	identify(call);
	if (request->who.role > request->route->role) {
		refuse_role(request);
		return false;
	}
	return check_site(call) && check_scope(call);
}

/* -- that ------------------------------------------------------------------- */

static char *print(const json_t *json)
{
	return json ? json_dumps(json,
			      JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY)
		    : NULL;
}

static int append(struct api_call *call, int status, const char *object,
	int64_t change, struct err *err)
{
	const struct api_request *request = &call->request;
	char *before = print(call->audit_before);
	char *after = print(call->audit_after);
	struct audit_entry entry = {
		.time_ms = trust_now_ms(request->parts->trust),
		.user = call->identity.name,
		.via = trust_how_name(call->identity.how),
		.credential = call->identity.credential[0]
			? call->identity.credential
			: NULL,
		.address = request->who.address,
		.request = request->id,
		.method = call->method,
		.operation = request->route->operation,
		.object = object,
		.status = status,
		.change = change,
		.before = before,
		.after = after,
	};
	int failed =
		audit_append(trust_audit(request->parts->trust), &entry, err);
	free(before);
	free(after);
	return failed;
}

/* The one that the first edit has become; NULL: it is none of them. */
static const json_t *change_of(
	const json_t *changes, const struct config_edit *edit)
{
	const json_t *change;
	size_t i;
	json_array_foreach((json_t *)changes, i, change)
	{
		const char *kind, *id, *operation;
		if (!json_unpack((json_t *)change, "{ss, ss, ss}", "kind",
			    &kind, "id", &id, "operation", &operation) &&
			!strcmp(kind, config_kind_name(edit->kind)) &&
			!strcmp(edit->id ? edit->id : "create",
				edit->id ? id : operation))
			return change;
	}
	return NULL;
}

void api_answers_as(struct api_request *request, int status, const char *place)
{
	struct api_call *call = api_call_of(request);
	call->answers_as = status;
	snprintf(call->answers_at, sizeof call->answers_at, "%s", place);
}

/* What is answered is the object, as a rule. */
static int key_done(
	struct api_call *call, int status, const char *object, struct err *err)
{
	char place[420] = "";
	if (call->witnessed)
		snprintf(place, sizeof place, "/api/v1/%s", object);
	return api_key_done(&call->request, status, place, err);
}

/* Where the change leads to if it is kept, which is the next that happens. */
static int record(struct config_witness *witness, const json_t *changes,
	uint64_t number, struct err *err)
{
	struct api_call *call = container_of(witness, struct api_call, witness);
	const struct config_edit *first = call->witnessed;
	char object[400] = "config";
	const json_t *change = first ? change_of(changes, first) : NULL;
	const char *id = change
		? json_string_value(json_object_get(change, "id"))
		: NULL;
	if (first)
		snprintf(object, sizeof object, "%ss/%s",
			config_kind_name(first->kind),
			id		    ? id
				: first->id ? first->id
					    : "");
	api_audit(&call->request, object,
		json_incref(json_object_get(change, "before")),
		json_incref(json_object_get(change, "after")));
	int status = !strcmp(call->method, "DELETE") ? 204
		: first && !first->id		     ? 201
						     : 200;
	int failed = append(call, status, object, (int64_t)number, err);
	call->audited = !failed;
	return failed ? failed : key_done(call, status, object, err);
}

struct config_witness *api_witness(
	struct api_request *request, const struct config_edit *first)
{
	struct api_call *call = api_call_of(request);
	call->witness.record = record;
	call->witnessed = first;
	return &call->witness;
}

/* What nobody asked for is no record: strangers could fill the log with it. */
void api_guard_record(struct api_call *call)
{
	const struct api_request *request = &call->request;
	struct err err = {0};
	if (!changes_something(call) || request->dry_run ||
		(call->audited && call->answer.status < 300) ||
		request->who.role == API_PUBLIC ||
		request->route->flags & API_UNAUDITED)
		return;
	if (append(call, call->answer.status,
		    call->audit_object ? call->audit_object : call->uri, 0,
		    &err))
		log_error("audit", "failed", "%s: %s", request->id, err.text);
}
