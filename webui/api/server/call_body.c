/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of a request: its size, its type, JSON that is no deeper than what
 * stacks of coroutines take.
 */
#include "webui/api/server/private.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define JSON_MAX_DEPTH 64u

/* Bounded: the parser itself stops at 2048. */
static unsigned depth_of(const json_t *json)
{
	unsigned deepest = 0, depth;
	const char *key;
	json_t *child;
	size_t i;
	if (json_is_array(json)) {
		json_array_foreach(json, i, child)
		{
			depth = depth_of(child);
			deepest = depth > deepest ? depth : deepest;
		}
	} else if (json_is_object(json)) {
		json_object_foreach((json_t *)json, key, child)
		{
			depth = depth_of(child);
			deepest = depth > deepest ? depth : deepest;
		}
	} else {
		return 0;
	}
	return deepest + 1;
}

/* RFC 7493 2.2: beyond it others would read another number than we do. */
#define MOST_EXACT ((json_int_t)1 << 53)

/* Behind the check of depth. */
static bool is_exact(const json_t *json)
{
	const char *key;
	json_t *child;
	size_t i;
	json_array_foreach(json, i, child)
	{
		if (!is_exact(child))
			return false;
	}
	json_object_foreach((json_t *)json, key, child)
	{
		if (!is_exact(child))
			return false;
	}
	json_int_t value = json_integer_value(json);
	return value < MOST_EXACT && value > -MOST_EXACT;
}

/* What is wrong, without the text that stands there: it may be a secret. */
static int without_text(const char *text)
{
	const char *quoted = strstr(text, " near '");
	return quoted ? (int)(quoted - text) : (int)strlen(text);
}

static bool parse_json(struct api_request *request)
{
	json_error_t error;
	request->body = json_loadb(request->text, request->text_bytes,
		JSON_REJECT_DUPLICATES, &error);
	if (!request->body) {
		api_problem(request, "syntax",
			"the body, line %d, column %d: %.*s", error.line,
			error.column, without_text(error.text), error.text);
		return false;
	}
	if (depth_of(request->body) > JSON_MAX_DEPTH) {
		api_problem(request, "syntax",
			"the body is more than %u levels deep", JSON_MAX_DEPTH);
		return false;
	}
	if (!is_exact(request->body)) {
		api_problem(request, "syntax",
			"the body has a number above 9007199254740991, which "
			"JSON does not hold exactly; sizes may be texts such "
			"as \"16PiB\"");
		return false;
	}
	return true;
}

static bool is_type(const char *header, const char *type)
{
	size_t bytes = strlen(type);
	return header && !strncasecmp(header, type, bytes) &&
		(!header[bytes] || header[bytes] == ';' ||
			header[bytes] == ' ');
}

static bool take_text(struct api_call *call, size_t bytes)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(call->http);
	char *text = malloc(bytes + 1);
	if (!text) {
		api_problem(&call->request, "busy", "out of memory");
		return false;
	}
	evbuffer_remove(in, text, bytes);
	text[bytes] = '\0';
	call->text = text;
	call->request.text = text;
	call->request.text_bytes = bytes;
	return true;
}

bool api_call_read_body(struct api_call *call)
{
	struct api_request *request = &call->request;
	unsigned flags = request->route->flags;
	size_t bytes = evbuffer_get_length(
		evhttp_request_get_input_buffer(call->http));
	size_t most = flags & API_LARGE ? API_MAX_LARGE_BODY_BYTES
					: API_MAX_BODY_BYTES;
	if (!bytes && !(flags & API_BODY))
		return true;
	if (!(flags & (API_BODY | API_BODY_MAY))) {
		api_problem(request, "syntax", "%s takes no body",
			request->route->operation);
		return false;
	}
	if (bytes > most) {
		api_problem(request, "too-large",
			"the body has %zu bytes; %zu are allowed", bytes, most);
		return false;
	}
	const char *type = api_header(request, "Content-Type");
	bool yaml = flags & API_YAML && is_type(type, "application/yaml");
	bool json = is_type(type, "application/json") ||
		is_type(type, "application/merge-patch+json");
	if (!yaml && !json) {
		api_problem(request, "media-type",
			"Content-Type is %s; application/json%s is expected",
			type ? type : "missing",
			flags & API_YAML ? " or application/yaml" : "");
		return false;
	}
	if (!take_text(call, bytes))
		return false;
	return yaml || parse_json(request);
}
