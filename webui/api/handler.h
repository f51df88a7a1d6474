/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a resource is served. A file of handlers (objects_volumes.c, ...) exports
 * one array of rows that routes.c lists; each row is one operation of
 * openapi.yaml. A test holds both equal.
 *
 *	request --route--> identity, role, cookie's origin --> body and query
 *		--> If-Match --> Idempotency-Key --> handle_co --> answer
 *
 * Invariants
 *  1. Deny by default: what no row names is 404, a method that no row has 405, a
 *     query parameter that the row does not name 400 (so "dryrun" changes
 *     nothing); a row without a role is for admins.
 *  2. handle_co runs in a coroutine on the control lane and ends with exactly one
 *     answer. It is called only when everything before it was well: what the row
 *     says of role, body, query and If-Match has been checked.
 *  3. Stacks of coroutines are small: bodies are parsed before and answers are
 *     printed after, on the loop's own stack.
 *  4. The client may be gone at any time; a handler does not see that.
 *  5. Nothing here blocks: what does belongs on the worker pool (loop_work_co).
 */
#ifndef WEBUI_API_HANDLER_H
#define WEBUI_API_HANDLER_H

#include "blockcore/base/err.h"
#include "target/control/config/object.h"
#include "target/control/daemon.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct api;
struct api_request;

enum api_role { API_ADMIN, API_OPERATOR, API_VIEWER, API_PUBLIC };

enum api_route_flag {
	API_NEEDS_MATCH = 1, /* If-Match must be there (428) */
	API_DRY_RUN = 2, /* takes ?dryRun=true */
	API_IDEMPOTENT = 4, /* takes Idempotency-Key */
	API_PAGED = 8, /* takes ?limit= and ?after= */
	API_BODY = 16, /* a JSON body must be there (400) */
	API_BODY_MAY = 32, /* a JSON body may be there */
	API_LARGE = 64, /* of up to 16 MiB rather than 1 MiB */
	API_YAML = 128, /* or a YAML body: request->text, body is NULL */
	API_UNAUDITED = 256, /* a mutation that leaves no audit record */
	API_BY_CONFIG =
		512, /* all that it does is one change of the configuration */
	API_PASSWORD = 1024, /* its body has a password */
};

struct api_route {
	const char *operation; /* operationId; NULL ends an array */
	const char *method; /* "GET" (also serves HEAD), "POST", ... */
	const char *path; /* "/api/v1/volumes/{name}" */
	enum api_role role;
	unsigned flags;
	const char *query; /* names of more parameters: "wait state" */
	void (*handle_co)(struct api_request *request);
};

#define API_MAX_PARAMETERS 4u
#define API_MAX_QUERY 16u

struct api_pair {
	const char *name, *value;
};

/* Who asks; becomes struct trust_identity, with the same members. */
struct api_identity {
	char name[64]; /* "root" at the socket; "" for nobody */
	enum api_role role; /* API_PUBLIC: nobody */
	char address[64]; /* "192.0.2.7", "unix" */
};

/* What a handler may read; all of it lives until handle_co returns. */
struct api_request {
	struct api *api;
	const struct daemon_parts *parts;
	const struct api_route *route;
	char id[24]; /* also in the log, the audit and problems */
	struct api_identity who;
	struct api_pair
		parameter[API_MAX_PARAMETERS]; /* of the path, decoded */
	unsigned parameters;
	struct api_pair query[API_MAX_QUERY]; /* decoded */
	unsigned queries;
	json_t *body; /* NULL: none */
	const char *text; /* the body as it came, NUL-terminated */
	size_t text_bytes;
	bool dry_run;
	const char *if_match; /* NULL: none */
};

/* -- reading ---------------------------------------------------------------- */

/* A parameter of the path; the row's template has it. */
const char *api_parameter(const struct api_request *request, const char *name);
/* A query parameter, NULL if it was not given. */
const char *api_query(const struct api_request *request, const char *name);
/* A number of the query. False if it is none or out of range: the problem is then
 * answered. */
bool api_query_uint(struct api_request *request, const char *name, uint64_t min,
	uint64_t max, uint64_t fallback, uint64_t *out);
bool api_query_bool(struct api_request *request, const char *name,
	bool fallback, bool *out);
/* A header of the request, NULL if it was not given. */
const char *api_header(const struct api_request *request, const char *name);
/* True if Accept names `type` before JSON ("application/yaml"). */
bool api_accepts(const struct api_request *request, const char *type);

/* True if If-Match allows a change of what has this tag (without quotes). False:
 * 412 is answered. */
bool api_match(struct api_request *request, const char *tag);

/* For a change of what is there: waits until nobody else changes the configuration, so
 * that a value can be made of what it says now, and If-Match means what it will replace.
 * To be called before looking; again it does nothing. Its end: the change
 * (object_change_co), or that of the handler. Never while something waits that others
 * would have to change first. */
void api_turn_co(struct api_request *request);
bool api_in_turn(const struct api_request *request);
void api_turn_end(struct api_request *request);

/* -- answering: exactly one, `json` is taken over (NULL: out of memory, 500) - */

void api_answer(struct api_request *request, int status, json_t *json);
void api_answer_created(
	struct api_request *request, const char *location, json_t *json);
/* The same with a member of `json` that nobody may see again: an answer that is kept
 * for Idempotency-Key has null there. `secret` lives for ever. */
void api_answer_created_once(struct api_request *request, const char *location,
	json_t *json, const char *secret);
void api_answer_empty(struct api_request *request); /* 204 */
/* 202, Location: where the job is. */
void api_answer_job(
	struct api_request *request, const char *location, json_t *json);
/* Any other content; `text` was allocated and is taken over. */
void api_answer_text(struct api_request *request, int status, const char *type,
	char *text, size_t bytes);
/* Content that lives for ever (embedded). */
void api_answer_static(struct api_request *request, const char *type,
	const void *data, size_t bytes);

/* The status of err->code (one table), its text and, if it has one, its pointer. */
void api_fail(struct api_request *request, const struct err *err);
/* `name` is a row of problem.c, which has the status. */
void api_problem(struct api_request *request, const char *name,
	const char *format, ...) __attribute__((format(printf, 3, 4)));
/* 422 about one member of the body. `allowed` may be NULL; it is taken over. */
void api_problem_at(struct api_request *request, const char *pointer,
	json_t *allowed, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Adds a member to the problem that was just answered ("held_by": [...]). */
void api_problem_add(
	struct api_request *request, const char *member, json_t *json);
/* Adds the job that has the volume to itself, if there is one, to what holds it. */
bool api_hold_job(const struct api *api, const char *volume, json_t *held_by);

/* Before the answer. Values are copied; what could break a header is refused. */
void api_set_etag(struct api_request *request, const char *tag);
void api_set_header(
	struct api_request *request, const char *name, const char *value);

/* -- lists ------------------------------------------------------------------ */

/* One page: begin, offer items in ascending order (strcmp) of keys, answer.
 *
 *	struct api_page page;
 *	if (!api_page_begin(request, &page))
 *		return;
 *	for (...)
 *		if (api_page_wants(&page, name))
 *			api_page_add(&page, name, json);
 *	api_page_answer(request, &page);
 */
struct api_page {
	unsigned limit;
	bool more;
	char after[512], last[512];
	json_t *items;
};
bool api_page_begin(struct api_request *request, struct api_page *page);
bool api_page_wants(struct api_page *page, const char *key);
void api_page_add(struct api_page *page, const char *key, json_t *item);
void api_page_answer(struct api_request *request, struct api_page *page);
/* The same from a whole list, in any order, whose items have `key` as text. The
 * list is taken over. */
void api_answer_list(
	struct api_request *request, json_t *items, const char *key);

/* -- what others hear ------------------------------------------------------- */

/* The audit record of a mutation names what was changed and how; without this
 * call it has only the operation. References are taken over; NULL is fine. Not for
 * secrets. */
void api_audit(struct api_request *request, const char *object, json_t *before,
	json_t *after);
/* For a change of the configuration, of which `first` (NULL: all of it) is the first
 * edit: its audit record is written in the change's own transaction, so that neither
 * is there without the other. Valid as long as the request. */
struct config_witness *api_witness(
	struct api_request *request, const struct config_edit *first);
/* In the transaction that makes durable what a request with an Idempotency-Key has asked
 * for, so that it is not done again: the status of its answer, and the path that shows
 * the same ("": none does; "PATH#NAME": but for a member that nobody may see again).
 * Status 0: it was not done after all. Changes of the configuration do it by themselves. Does
 * nothing without a key; 0 or -errno. */
int api_key_done(struct api_request *request, int status, const char *place,
	struct err *err);
/* Of such a change, beforehand: it is answered with that status and what `place` shows,
 * rather than with the object of its first edit. */
void api_answers_as(struct api_request *request, int status, const char *place);

/* An event: topic ("volumes", "jobs", "sessions", "audit", ...), type
 * ("volume_online") and its members, taken over. Control thread. */
void api_emit(
	struct api *api, const char *topic, const char *type, json_t *data);

int64_t api_now_ms(void); /* since 1970 */
/* Now, or any time, as RFC 3339 in UTC. */
json_t *api_time_now(void);
json_t *api_time(int64_t unix_ms);

#endif
