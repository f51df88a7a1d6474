/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Problems (RFC 9457): the kinds there are, with cause and cure for the page that
 * their type names, and how an error of the floors below becomes one.
 */
#include "blockcore/base/log.h"
#include "webui/api/server/private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* clang-format off */
const struct api_problem_kind api_problem_kinds[] = {
{"syntax", "The request cannot be read", 400,
	"The path, the query, a header or the JSON of the body is not well formed, or a query parameter is not one that this operation has.",
	"Read the detail: it names the place. Bodies are strict JSON (RFC 8259) without duplicate members, at most 64 levels deep."},
{"unauthenticated", "Who are you?", 401,
	"The request carries no valid session, token or certificate, or the one it carries has expired or was revoked.",
	"Sign in (POST /api/v1/login), send Authorization: Bearer TOKEN, or use the unix socket as root."},
{"forbidden", "This role may not do that", 403,
	"Your user or token has a role that this operation does not accept.",
	"Ask an administrator to do it, or for a role that may. The contract says which role each operation needs (x-cairn-role)."},
{"origin", "The request comes from another site", 403,
	"A change that is authorised by a cookie must come from the panel's own pages: Origin or Sec-Fetch-Site say it does not, or X-CSRF-Token is missing or wrong.",
	"Scripts use a bearer token. Pages send the csrf_token of their login in X-CSRF-Token."},
{"not-found", "There is no such thing", 404,
	"Nothing has this name or number, or the path is none of the contract.",
	"List what there is; names are case-sensitive and percent-encoded in paths."},
{"method", "This cannot be done here", 405,
	"The path exists but not with this method.",
	"The header Allow says which methods it has."},
{"conflict", "Something stands in the way", 409,
	"What you ask for is well formed but cannot be done as things are: the object exists already, is in use, or holds others.",
	"The detail says what stands in the way, often with links to it. Remove that first, or ask for cascade where it is offered."},
{"storage", "The storage does not play along", 409,
	"A file or device that the volume stands on is missing, locked, full or fails.",
	"Read the detail and the log of the daemon, repair the storage, then try again (or POST .../repair)."},
{"stale", "It has changed meanwhile", 412,
	"If-Match names a version that is not the present one: somebody else changed the object since you read it.",
	"Read it again, look at what changed, and send your change with the new ETag."},
{"too-large", "The body is too large", 413,
	"Bodies may have 1 MiB (16 MiB for a whole configuration).",
	"Send less; large data does not go through this interface."},
{"media-type", "Unknown kind of body", 415,
	"The body is not JSON, or does not say so.",
	"Send Content-Type: application/json."},
{"invalid", "The values do not fit", 422,
	"The body is JSON but not what this operation takes: a member is unknown, missing, of the wrong type or out of range.",
	"errors[] has the JSON Pointer of each member and, where it is a choice, what is allowed."},
{"key-reused", "This key stands for another request", 422,
	"An Idempotency-Key may be repeated only with the same request.",
	"Make a new key for each new request; repeat a key only to repeat the very same request."},
{"match-required", "If-Match is missing", 428,
	"Changing or deleting an object needs the version that you saw, so that two people do not undo each other's work.",
	"Send If-Match with the ETag of the object, or * to change it whatever it is now."},
{"limited", "Too many requests", 429,
	"Too many attempts or too much waiting work from you.",
	"Wait as long as Retry-After says."},
{"internal", "That is a bug", 500,
	"The daemon met something that it should have met earlier. The log has a line with this request's number.",
	"Please report it, with the support bundle."},
{"busy", "Not now", 503,
	"The daemon is stopping, has too many requests at once, or a deadline passed before anything was changed.",
	"Try again after Retry-After seconds."},
{"full", "There is no room", 507,
	"The file system under the volume or the state directory is full.",
	"Free space or add some, then try again."},
{NULL, NULL, 0, NULL, NULL},
};
/* clang-format on */

static const struct {
	int code;
	const char *name;
} codes[] = {
	{EINVAL, "invalid"},
	{ERANGE, "invalid"},
	{ENAMETOOLONG, "invalid"},
	{ENOENT, "not-found"},
	{EEXIST, "conflict"},
	{EALREADY, "conflict"},
	{EBUSY, "conflict"},
	{ENOTEMPTY, "conflict"},
	{EMLINK, "conflict"}, /* as many images above each other as may be */
	{EOPNOTSUPP, "conflict"},
	{ENODATA, "conflict"}, /* a backup that keeps no moment */
	{ENOTSUP, "conflict"},
	{EISDIR, "storage"},
	{ENOTDIR, "storage"},
	{EROFS, "storage"},
	{ETXTBSY, "storage"},
	{EIO, "storage"},
	{ENODEV, "storage"},
	{ENXIO, "storage"},
	{ESTALE, "stale"},
	{EACCES, "forbidden"},
	{EPERM, "forbidden"},
	{EAGAIN, "limited"},
	{ENOSPC, "full"},
	{EDQUOT, "full"},
	{ETIMEDOUT, "busy"},
	{ESHUTDOWN, "busy"},
	{ECANCELED, "busy"},
	{EFBIG, "invalid"},
	{ELOOP, "invalid"},
	{EMLINK, "conflict"},
};

const struct api_problem_kind *api_problem_find(const char *name)
{
	const struct api_problem_kind *kind = api_problem_kinds;
	while (kind->name && strcmp(kind->name, name))
		kind++;
	return kind->name ? kind : NULL;
}

static const struct api_problem_kind *kind_of_code(int code)
{
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		if (codes[i].code == code)
			return api_problem_find(codes[i].name);
	}
	return api_problem_find("internal");
}

#define VOLUME "/api/v1/volumes/{name}"

static json_t *one_error(const char *pointer, const char *detail, json_t *more)
{
	json_t *error =
		json_pack("{ss, ss}", "pointer", pointer, "detail", detail);
	if (more)
		json_object_set_new(error, "allowed", more);
	json_t *list = json_array();
	json_array_append_new(list, error);
	return list;
}

/* Texts of errors may carry bytes of files: what is no UTF-8 is replaced. */
static void make_utf8(char *text)
{
	json_t *probe = json_string(text);
	if (probe) {
		json_decref(probe);
		return;
	}
	for (; *text; text++) {
		if ((unsigned char)*text >= 0x80)
			*text = '?';
	}
}

static void answer_problem(struct api_request *request,
	const struct api_problem_kind *kind, char *detail, const char *pointer,
	json_t *allowed)
{
	char type[64];
	snprintf(type, sizeof type, "/problems/%s", kind->name);
	make_utf8(detail);
	json_t *body = json_pack("{ss, ss, si, ss, ss}", "type", type, "title",
		kind->title, "status", kind->status, "detail", detail,
		"instance", request->id);
	if (pointer)
		json_object_set_new(
			body, "errors", one_error(pointer, detail, allowed));
	api_call_of(request)->answer.type = "application/problem+json";
	api_call_of(request)->answer.etag[0] = '\0';
	if ((kind->status == 429 || kind->status == 503) &&
		!api_answer_has(request, "Retry-After"))
		api_set_header(request, "Retry-After", "5");
	api_answer(request, kind->status, body);
}

void api_problem(
	struct api_request *request, const char *name, const char *format, ...)
{
	const struct api_problem_kind *kind = api_problem_find(name);
	char detail[ERR_TEXT_BYTES];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(detail, sizeof detail, format, arguments);
	va_end(arguments);
	if (!kind)
		kind = api_problem_find("internal");
	answer_problem(request, kind, detail, NULL, NULL);
}

void api_problem_at(struct api_request *request, const char *pointer,
	json_t *allowed, const char *format, ...)
{
	char detail[ERR_TEXT_BYTES];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(detail, sizeof detail, format, arguments);
	va_end(arguments);
	answer_problem(
		request, api_problem_find("invalid"), detail, pointer, allowed);
}

void api_problem_add(
	struct api_request *request, const char *member, json_t *json)
{
	json_object_set_new(api_call_of(request)->answer.json, member, json);
}

/* A name as the body would have it: numbers, true and false are no texts. */
static json_t *allowed_value(const char *name)
{
	json_t *value = json_loads(name, JSON_DECODE_ANY, NULL);
	return value && !json_is_null(value) ? value : json_string(name);
}

/* NULL: it is no choice. */
static json_t *allowed_of(const struct err *err)
{
	json_t *list = err_allowed(err, 0) ? json_array() : NULL;
	const char *name;
	for (unsigned i = 0; list && (name = err_allowed(err, i)); i++)
		json_array_append_new(list, allowed_value(name));
	return list;
}

bool api_hold_job(const struct api *api, const char *volume, json_t *held_by)
{
	uint64_t id = api->jobs ? jobs_holder_id(api->jobs, volume) : 0;
	char text[32];
	snprintf(text, sizeof text, "job %" PRIu64, id);
	return id && !json_array_append_new(held_by, json_string(text));
}

/* A job that has the volume to itself stands in the way of what the volume refuses. */
static void name_holder(struct api_request *request, const struct err *err)
{
	json_t *held_by = json_array();
	if (err->code == EBUSY &&
		!strncmp(request->route->path, VOLUME, sizeof VOLUME - 1) &&
		api_hold_job(
			request->api, api_parameter(request, "name"), held_by))
		api_problem_add(request, "held_by", json_incref(held_by));
	json_decref(held_by);
}

void api_fail(struct api_request *request, const struct err *err)
{
	const struct api_problem_kind *kind = kind_of_code(err->code);
	char detail[ERR_TEXT_BYTES];
	snprintf(detail, sizeof detail, "%s", err->text);
	if (kind->status == 500)
		log_error("api", "internal", "%s %s: error %d: %s", request->id,
			request->route->operation, err->code, err->text);
	bool points = *err->pointer || kind->status == 422;
	answer_problem(request, kind, detail, points ? err->pointer : NULL,
		points ? allowed_of(err) : NULL);
	name_holder(request, err);
}
