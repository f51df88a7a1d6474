/* SPDX-License-Identifier: Apache-2.0 */
/* Problems in place of libevent's own pages; see early.h. */
#include "webui/api/server/early.h"

#include "blockcore/base/log.h"
#include "webui/api/server/linger.h"
#include "webui/api/server/private.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PAGE_MAX_BYTES 1024u
#define PAGE_TYPE "\r\nContent-Type: text/html\r\n"
#define PAGE_END "</BODY></HTML>\n"
#define EARLY_PLAIN 0 /* no status of libevent's */

static const struct {
	int status; /* libevent's */
	const char *name, *detail;
} refusals[] = {
	{400, "syntax",
		"the request line, a header or the framing of the body is not "
		"well formed (RFC 9112)"},
	{413, "too-large",
		"the headers or the body have too many bytes, or a chunk of it "
		"does not say how many"},
	{417, "syntax", "Expect has only 100-continue"},
	{503, "busy", "out of memory"},
	{EARLY_PLAIN, "syntax",
		"http was spoken where https is: ask for https://"},
};

/* Its status; 0: it is no page of libevent's. */
static int status_of(const char *text)
{
	size_t bytes = strlen(text), end = sizeof PAGE_END - 1;
	if (strncmp(text, "HTTP/1.", 7) != 0 || !strstr(text, PAGE_TYPE) ||
		bytes < end || strcmp(text + bytes - end, PAGE_END) != 0)
		return 0;
	return atoi(text + strcspn(text, " "));
}

static char *make_body(struct api *api, int *status, char id[24])
{
	const struct api_problem_kind *kind = api_problem_find("syntax");
	const char *detail = "the request cannot be read";
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		if (refusals[i].status != *status)
			continue;
		kind = api_problem_find(refusals[i].name);
		detail = refusals[i].detail;
	}
	api_make_id(api, id);
	*status = kind->status;
	char type[64];
	snprintf(type, sizeof type, "/problems/%s", kind->name);
	json_t *problem = json_pack("{ss, ss, si, ss, ss}", "type", type,
		"title", kind->title, "status", kind->status, "detail", detail,
		"instance", id);
	char *text = json_dumps(problem, JSON_COMPACT);
	json_decref(problem);
	return text;
}

static char *print_problem(struct api *api, int status)
{
	char id[24], *text = NULL;
	char *body = make_body(api, &status, id);
	if (body &&
		asprintf(&text,
			"HTTP/1.1 %d %s\r\n"
			"Content-Type: application/problem+json\r\n"
			"Content-Length: %zu\r\nCache-Control: no-store\r\n"
			"X-Content-Type-Options: nosniff\r\n"
			"X-Request-Id: %s\r\n%sConnection: close\r\n\r\n%s\n",
			status, api_status_phrase(status), strlen(body) + 1, id,
			status == 503 ? "Retry-After: 5\r\n" : "", body) < 0)
		text = NULL;
	free(body);
	if (text) {
		api_counters_add(&api->counters, "request", status, 0);
		log_debug(
			"api", "request", "%s: refused unseen: %d", id, status);
	}
	return text;
}

static void write_problem(struct api *api, struct evbuffer *output, int status)
{
	char *text = print_problem(api, status);
	if (!text)
		return; /* then the page must do */
	/* A plain bufferevent keeps its front frozen. */
	if (evbuffer_drain(output, evbuffer_get_length(output))) {
		evbuffer_unfreeze(output, 1);
		evbuffer_drain(output, evbuffer_get_length(output));
		evbuffer_freeze(output, 1);
	}
	evbuffer_add(output, text, strlen(text));
	free(text);
}

static void hold(struct api_early *early)
{
	linger_hold(
		early->api->lingers, SSL_get_fd(early->ssl), &early->linger);
}

/* True: it was a page, and is a problem now. */
static bool replace(struct api *api, struct evbuffer *output,
	const struct evbuffer_cb_info *info)
{
	char text[PAGE_MAX_BYTES + 1];
	size_t bytes = evbuffer_get_length(output);
	/* Headers come line by line, the page as a whole, then. */
	if (info->n_added < sizeof PAGE_END || bytes > PAGE_MAX_BYTES)
		return false;
	ev_ssize_t got = evbuffer_copyout(output, text, bytes);
	text[got > 0 ? got : 0] = '\0';
	int status = status_of(text);
	if (status)
		write_problem(api, output, status);
	return status;
}

static void written(struct evbuffer *output,
	const struct evbuffer_cb_info *info, void *argument)
{
	struct api_early *early = argument;
	if (replace(early->api, output, info))
		hold(early);
}

static void written_local(
	struct evbuffer *output, const struct evbuffer_cb_info *info, void *api)
{
	replace(api, output, info);
}

void api_early_watch(struct api_early *early, struct bufferevent *bev)
{
	evbuffer_add_cb(bufferevent_get_output(bev), written, early);
}

struct bufferevent *api_early_accept(struct event_base *base, void *api)
{
	/* As evhttp makes them itself: it closes the socket. */
	struct bufferevent *bev = bufferevent_socket_new(base, -1, 0);
	if (bev)
		evbuffer_add_cb(
			bufferevent_get_output(bev), written_local, api);
	return bev;
}

void api_early_handshake(struct api_early *early, int where, int result)
{
	bool failed = where & SSL_CB_EXIT && result <= 0;
	if (!failed || early->linger ||
		ERR_GET_REASON(ERR_peek_last_error()) != SSL_R_HTTP_REQUEST)
		return;
	char *text = print_problem(early->api, EARLY_PLAIN);
	hold(early);
	if (text && early->linger)
		send(SSL_get_fd(early->ssl), text, strlen(text),
			MSG_NOSIGNAL | MSG_DONTWAIT);
	free(text);
}
