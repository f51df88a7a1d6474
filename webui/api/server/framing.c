/* SPDX-License-Identifier: Apache-2.0 */
/* See framing.h. */
#include "webui/api/server/framing.h"

#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

/* tchar of RFC 9110 5.6.2. */
static bool is_token(const char *text)
{
	static const char token[] = "!#$%&'*+-.^_`|~0123456789"
				    "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	return *text && !text[strspn(text, token)];
}

static bool is_number(const char *text)
{
	return *text && !text[strspn(text, "0123456789")];
}

/* Of which the first, the last or all could count. */
static const struct {
	const char *name, *fault;
} single[] = {
	{"Host", "Host stands there twice"},
	{"Content-Length", "Content-Length stands there twice"},
	{"Transfer-Encoding", "Transfer-Encoding stands there twice"},
	{"Content-Type", "Content-Type stands there twice"},
	{"Authorization", "Authorization stands there twice"},
	{"Origin", "Origin stands there twice"},
	{"X-CSRF-Token", "X-CSRF-Token stands there twice"},
	{"Idempotency-Key", "Idempotency-Key stands there twice"},
};
#define SINGLES (sizeof single / sizeof *single)

static const char *names_fault(const struct evkeyvalq *headers)
{
	unsigned count[SINGLES] = {0};
	const struct evkeyval *header;
	TAILQ_FOREACH (header, headers, next) {
		if (!is_token(header->key))
			return "the name of a header is not well formed";
		for (size_t i = 0; i < SINGLES; i++) {
			if (!strcasecmp(header->key, single[i].name) &&
				count[i]++)
				return single[i].fault;
		}
	}
	return NULL;
}

const char *framing_fault(struct evhttp_request *http)
{
	const struct evkeyvalq *headers =
		evhttp_request_get_input_headers(http);
	const char *length = evhttp_find_header(headers, "Content-Length");
	const char *coding = evhttp_find_header(headers, "Transfer-Encoding");
	const char *fault = names_fault(headers);
	if (fault)
		return fault;
	if (coding && strcasecmp(coding, "chunked") != 0)
		return "Transfer-Encoding has only chunked";
	if (coding && length)
		return "Content-Length and Transfer-Encoding exclude each "
		       "other";
	if (length && !is_number(length))
		return "Content-Length is no number of bytes";
	if (!evhttp_find_header(headers, "Host") && http->minor)
		return "Host is missing";
	return NULL;
}

/* Whether a list of words has one. */
static bool lists(const char *list, const char *word)
{
	size_t bytes = strlen(word);
	while (list && *list) {
		list += strspn(list, ", \t");
		size_t length = strcspn(list, ", \t");
		if (length == bytes && !strncasecmp(list, word, bytes))
			return true;
		list += length;
	}
	return false;
}

void framing_is_ours(struct evhttp_request *http)
{
	http->flags &= ~EVHTTP_PROXY_REQUEST;
}

bool framing_is_last(struct evhttp_request *http)
{
	const char *wish = evhttp_find_header(
		evhttp_request_get_input_headers(http), "Connection");
	return lists(wish, "close") ||
		(!http->minor && !lists(wish, "keep-alive"));
}
