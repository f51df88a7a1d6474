/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /metrics: what this server counts of itself, then volumes, sessions and
 * threads (live_metrics.c).
 */
#include "webui/api/live/live_metrics.h"
#include "webui/api/live/space.h"
#include "webui/api/server/connection.h"
#include "webui/api/server/private.h"
#include "webui/api/server/stream.h"

#include <stdio.h>

static void write_requests(
	struct exposition *x, const struct api_counters *c, bool seconds)
{
	for (unsigned i = 0; i < c->counts; i++) {
		char status[8];
		snprintf(status, sizeof status, "%d", c->count[i].status);
		struct exposition_label labels[] = {
			{"operation", c->count[i].operation},
			{"status", status}, {NULL, NULL}};
		if (seconds)
			exposition_value(
				x, labels, (double)c->count[i].us / 1e6);
		else
			exposition_count(x, labels, c->count[i].requests);
	}
}

static void write_all_requests(struct exposition *x, struct api *api)
{
	exposition_family(x, "cairn_http_requests", EXPOSITION_COUNTER,
		"requests that were answered, by operation and status");
	write_requests(x, &api->counters, false);
	exposition_family(x, "cairn_http_request_seconds", EXPOSITION_COUNTER,
		"time from the last byte of requests to their answers");
	write_requests(x, &api->counters, true);
	exposition_family(x, "cairn_http_requests_running", EXPOSITION_GAUGE,
		"requests that are not answered yet, this one among them");
	exposition_count(x, NULL, api->running);
}

static void write_server(struct exposition *x, struct api *api)
{
	static const struct exposition_label build[] = {
		{"version", CAIRN_VERSION}, {NULL, NULL}};
	const struct {
		const char *name;
		enum exposition_type type;
		uint64_t value;
		const char *help;
	} figures[] = {
		{"cairn_start_time_seconds", EXPOSITION_GAUGE,
			(uint64_t)api->started_ms / 1000,
			"when it started, in seconds since 1970"},
		{"cairn_auth_failures", EXPOSITION_COUNTER,
			api->counters.auth_failures,
			"requests of this interface that were refused as "
			"nobody's"},
		{"cairn_http_connections", EXPOSITION_GAUGE,
			api_connections_open(api->connections),
			"connections over TLS"},
		{"cairn_http_connections_closed", EXPOSITION_COUNTER,
			api_connections_closed(api->connections),
			"connections that a limit closed"},
		{"cairn_event_streams", EXPOSITION_GAUGE,
			api_streams_open(api->streams),
			"clients that listen to events"},
		{"cairn_event_streams_dropped", EXPOSITION_COUNTER,
			api_streams_dropped(api->streams),
			"clients that were dropped because they did not read"},
	};
	exposition_family(
		x, "cairn_build", EXPOSITION_INFO, "which cairnd this is");
	exposition_count(x, build, 1);
	for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
		exposition_family(
			x, figures[i].name, figures[i].type, figures[i].help);
		exposition_count(x, NULL, figures[i].value);
	}
}

static void metrics_co(struct api_request *request)
{
	const char *accept = api_header(request, "Accept");
	char *text = NULL;
	size_t bytes = 0;
	struct exposition x = {.out = open_memstream(&text, &bytes)};
	/* The older format only for who wants it and not the other. */
	x.open_metrics = !accept ||
		parse_accept(accept, "application/openmetrics-text") >=
			parse_accept(accept, "text/plain");
	if (!x.out) {
		api_problem(request, "busy", "out of memory");
		return;
	}
	write_server(&x, request->api);
	write_all_requests(&x, request->api);
	live_metrics_print_co(&x, request->parts);
	api_space_print_co(&x, request->api);
	exposition_end(&x);
	fclose(x.out);
	api_answer_text(request, 200,
		x.open_metrics ? EXPOSITION_OPEN_METRICS : EXPOSITION_TEXT,
		text, bytes);
}

const struct api_route api_metrics_routes[] = {
	{"getMetrics", "GET", "/metrics", API_VIEWER, .handle_co = metrics_co},
	{0},
};
