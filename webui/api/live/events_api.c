/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET events: a page as JSON, or a stream for who accepts text/event-stream.
 */
#include "webui/api/server/events.h"
#include "webui/api/server/stream.h"

#include <stdlib.h>
#include <string.h>

/* "": 0, which is no event's. */
static bool parse_id(const char *text, uint64_t *id)
{
	char *end;
	*id = 0;
	if (!text)
		return true;
	*id = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end;
}

static bool read_topics(struct api_request *request, unsigned *topics)
{
	char unknown[32];
	if (api_events_topics(api_query(request, "topics"), topics, unknown))
		return true;
	api_problem(request, "syntax", "there is no topic \"%s\"", unknown);
	api_problem_add(request, "allowed", api_events_topic_names());
	return false;
}

static void stream_co(struct api_request *request, unsigned topics)
{
	uint64_t id;
	const char *last = api_header(request, "Last-Event-ID");
	if (!last)
		last = api_query(request, "after");
	if (!parse_id(last, &id))
		api_problem(request, "syntax",
			"Last-Event-ID is the number of an event");
	else
		api_stream_answer(request, topics, id);
}

static void add_items(struct api_request *request, json_t *items,
	unsigned topics, uint64_t after, uint64_t limit)
{
	const struct api_events *events = request->api->events;
	uint64_t newest = api_events_newest(events);
	uint64_t id = after + 1;
	if (id < api_events_oldest(events))
		id = api_events_oldest(events);
	for (; id <= newest && json_array_size(items) < limit; id++) {
		const struct api_event *event = api_events_get(events, id);
		if (event && event->role >= request->who.role &&
			api_events_topic(event) & topics)
			json_array_append_new(items,
				json_loadb(event->text, event->bytes, 0, NULL));
	}
}

/* The cursor of this list is the number of its last event, so that a client can go
 * on with a stream from there. */
static json_t *next_of(json_t *items, uint64_t limit)
{
	size_t count = json_array_size(items);
	json_t *last = count ? json_array_get(items, count - 1) : NULL;
	return count < limit ? json_null()
			     : json_incref(json_object_get(last, "id"));
}

static void events_co(struct api_request *request)
{
	uint64_t after, limit;
	unsigned topics;
	if (!read_topics(request, &topics))
		return;
	if (api_accepts(request, "text/event-stream")) {
		stream_co(request, topics);
		return;
	}
	if (!api_query_uint(request, "limit", 1, 1000, 100, &limit))
		return;
	if (!parse_id(api_query(request, "after"), &after)) {
		api_problem(
			request, "syntax", "after is the number of an event");
		return;
	}
	json_t *items = json_array();
	add_items(request, items, topics, after, limit);
	json_t *next = next_of(items, limit);
	api_answer(request, 200,
		json_pack("{so, so}", "items", items, "next", next));
}

const struct api_route api_events_routes[] = {
	{"listEvents", "GET", "/api/v1/events", API_VIEWER, API_PAGED, "topics",
		.handle_co = events_co},
	{0},
};
