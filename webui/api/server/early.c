/* SPDX-License-Identifier: Apache-2.0 */
/* Problems in place of libevent's own pages; see early.h. */
#include "webui/api/server/early.h"

#include "blockcore/base/log.h"
#include "webui/api/server/private.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_MAX_BYTES 1024u
#define PAGE_TYPE "\r\nContent-Type: text/html\r\n"
#define PAGE_END "</BODY></HTML>\n"

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

static void write_problem(struct api *api, struct evbuffer *output, int status)
{
	char id[24];
	char *body = make_body(api, &status, id);
	if (!body)
		return; /* then the page must do */
	/* A plain bufferevent keeps its front frozen. */
	if (evbuffer_drain(output, evbuffer_get_length(output))) {
		evbuffer_unfreeze(output, 1);
		evbuffer_drain(output, evbuffer_get_length(output));
		evbuffer_freeze(output, 1);
	}
	evbuffer_add_printf(output,
		"HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\n"
		"Content-Length: %zu\r\nCache-Control: no-store\r\n"
		"X-Content-Type-Options: nosniff\r\nX-Request-Id: %s\r\n"
		"%sConnection: close\r\n\r\n%s\n",
		status, api_status_phrase(status), strlen(body) + 1, id,
		status == 503 ? "Retry-After: 5\r\n" : "", body);
	free(body);
	api_counters_add(&api->counters, "request", status, 0);
	log_debug("api", "request", "%s: refused unseen: %d", id, status);
}

static void written(
	struct evbuffer *output, const struct evbuffer_cb_info *info, void *api)
{
	char text[PAGE_MAX_BYTES + 1];
	size_t bytes = evbuffer_get_length(output);
	/* Headers come line by line, the page as a whole, then. */
	if (info->n_added < sizeof PAGE_END || bytes > PAGE_MAX_BYTES)
		return;
	ev_ssize_t got = evbuffer_copyout(output, text, bytes);
	text[got > 0 ? got : 0] = '\0';
	int status = status_of(text);
	if (status)
		write_problem(api, output, status);
}

void api_early_watch(struct api *api, struct bufferevent *bev)
{
	evbuffer_add_cb(bufferevent_get_output(bev), written, api);
}

struct bufferevent *api_early_accept(struct event_base *base, void *api)
{
	/* As evhttp makes them itself: it closes the socket. */
	struct bufferevent *bev = bufferevent_socket_new(base, -1, 0);
	if (bev)
		api_early_watch(api, bev);
	return bev;
}
