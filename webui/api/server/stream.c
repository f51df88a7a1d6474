/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/api/server/stream.h"

#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "webui/api/server/events.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000ull
#define COMMENT_TICKS 15u
#define STUCK_NS NS_PER_S
#define SILENT_S 60 /* nothing went out for so long */
#define UNREAD_BYTES 4096u /* what a client may send us while it listens */

struct stream {
	struct api_streams *all;
	struct evhttp_request *http;
	enum api_role role;
	unsigned topics;
	uint64_t last_id; /* the newest that was sent or passed over */
	bool reset; /* what he missed is not kept any more */
	uint64_t drained_ns; /* when nothing waited for him last */
	bool slow; /* he is being dropped */
	char request_id[24];
	LIST_ENTRY(stream) link;
};

struct api_streams {
	struct api *api;
	LIST_HEAD(, stream) list;
	unsigned open;
	unsigned long dropped;
	struct loop_message flush;
	bool flushing; /* posted */
	bool freed; /* once it has run */
	struct loop_timer tick;
	unsigned ticks;
};

static struct bufferevent *bev_of(const struct stream *stream)
{
	return evhttp_connection_get_bufferevent(
		evhttp_request_get_connection(stream->http));
}

/* -- the end of one --------------------------------------------------------- */

static void forget(struct stream *stream)
{
	LIST_REMOVE(stream, link);
	stream->all->open--;
	log_debug("api", "stream", "%s: closed", stream->request_id);
	free(stream);
}

/* The timeout of a connection on which nothing moves tells only that it ends. The
 * request may have lost its connection by then. */
static bool has_stood_still(
	const struct stream *stream, struct evhttp_connection *connection)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(connection);
	uint64_t now = loop_now_ns(stream->all->api->loop);
	return evbuffer_get_length(bufferevent_get_output(bev)) &&
		now - stream->drained_ns >= SILENT_S * NS_PER_S;
}

static void listener_gone(struct evhttp_connection *connection, void *argument)
{
	struct stream *stream = argument;
	stream->all->dropped +=
		stream->slow || has_stood_still(stream, connection);
	api_request_gone(stream->http);
	forget(stream);
}

/* listener_gone runs in it. */
static void drop(struct stream *stream)
{
	stream->slow = true;
	log_debug("api", "stream", "%s: does not read, dropped",
		stream->request_id);
	evhttp_connection_free(evhttp_request_get_connection(stream->http));
}

static void drained(struct evhttp_connection *connection, void *argument)
{
	struct stream *stream = argument;
	(void)connection;
	stream->drained_ns = loop_now_ns(stream->all->api->loop);
	if (stream->last_id < api_events_newest(stream->all->api->events))
		api_streams_wake(stream->all);
}

static size_t waiting_bytes(const struct stream *stream)
{
	return evbuffer_get_length(bufferevent_get_output(bev_of(stream)));
}

static void send_buffer(struct stream *stream, struct evbuffer *buffer)
{
	if (!waiting_bytes(stream))
		stream->drained_ns = loop_now_ns(stream->all->api->loop);
	if (evbuffer_get_length(buffer))
		evhttp_send_reply_chunk_with_cb(
			stream->http, buffer, drained, stream);
}

/* -- what is sent ----------------------------------------------------------- */

static void add_event(struct evbuffer *out, const struct api_event *event)
{
	evbuffer_add_printf(out,
		"id: %" PRIu64 "\nevent: %s\ndata: ", event->id, event->topic);
	evbuffer_add(out, event->text, event->bytes);
	evbuffer_add(out, "\n\n", 2);
}

static void add_reset(struct evbuffer *out, struct stream *stream)
{
	uint64_t newest = api_events_newest(stream->all->api->events);
	evbuffer_add_printf(out,
		"id: %" PRIu64 "\nevent: reset\ndata: {\"newest\":\"%" PRIu64
		"\"}\n\n",
		newest, newest);
	stream->last_id = newest;
	stream->reset = false;
}

static bool is_wanted(
	const struct stream *stream, const struct api_event *event)
{
	return event && event->role >= stream->role &&
		api_events_topic(event) & stream->topics;
}

static void add_news(struct evbuffer *out, struct stream *stream)
{
	struct api_events *events = stream->all->api->events;
	uint64_t newest = api_events_newest(events);
	if (stream->last_id < newest &&
		stream->last_id + 1 < api_events_oldest(events))
		stream->reset = true;
	if (stream->reset)
		add_reset(out, stream);
	for (; stream->last_id < newest; stream->last_id++) {
		const struct api_event *event =
			api_events_get(events, stream->last_id + 1);
		if (evbuffer_get_length(out) > STREAM_MAX_BYTES / 2)
			return; /* the rest when this is gone */
		if (is_wanted(stream, event))
			add_event(out, event);
	}
}

/* What he has not read, in our memory and in the ring. */
static size_t behind_bytes(const struct stream *stream)
{
	struct api_events *events = stream->all->api->events;
	size_t bytes = waiting_bytes(stream);
	for (uint64_t id = api_events_newest(events);
		id > stream->last_id && bytes <= STREAM_MAX_BYTES; id--) {
		const struct api_event *event = api_events_get(events, id);
		if (!event)
			break;
		if (is_wanted(stream, event))
			bytes += event->bytes;
	}
	return bytes;
}

/* While something waits for him nothing is added: the ring keeps it. */
static void write_news(struct stream *stream)
{
	uint64_t now = loop_now_ns(stream->all->api->loop);
	if (waiting_bytes(stream)) {
		if (now - stream->drained_ns > STUCK_NS &&
			behind_bytes(stream) > STREAM_MAX_BYTES)
			drop(stream);
		return;
	}
	struct evbuffer *out = evbuffer_new();
	if (!out)
		return;
	add_news(out, stream);
	send_buffer(stream, out);
	evbuffer_free(out);
}

static void flush(struct loop_message *message)
{
	struct api_streams *self =
		container_of(message, struct api_streams, flush);
	struct stream *stream, *next;
	self->flushing = false;
	if (self->freed) {
		free(self);
		return;
	}
	for (stream = LIST_FIRST(&self->list); stream; stream = next) {
		next = LIST_NEXT(stream, link);
		write_news(stream);
	}
}

void api_streams_wake(struct api_streams *self)
{
	if (self->flushing || !self->open)
		return;
	self->flushing = true;
	loop_post(self->api->loop, &self->flush);
}

/* -- ticks ------------------------------------------------------------------ */

static bool wants_stats(const struct api_streams *self)
{
	const struct stream *stream;
	LIST_FOREACH (stream, &self->list, link) {
		if (stream->topics & EVENTS_STATS)
			return true;
	}
	return false;
}

static char *print_stats(struct api *api)
{
	json_t *all = json_object();
	for (const struct api_stats_part *part = api_stats_parts; part->name;
		part++)
		json_object_set_new(all, part->name, part->make(api));
	json_t *event = json_pack("{so, ss, ss, so}", "time", api_time_now(),
		"topic", "stats", "type", "stats", "data", all);
	char *text = json_dumps(event, JSON_COMPACT);
	json_decref(event);
	return text;
}

/* Who is behind gets no figures: there will be newer ones. */
static void tick_one(struct stream *stream, const char *stats, bool comment)
{
	struct evbuffer *out = waiting_bytes(stream) ? NULL : evbuffer_new();
	if (!out)
		return;
	if (stats && stream->topics & EVENTS_STATS)
		evbuffer_add_printf(out, "event: stats\ndata: %s\n\n", stats);
	else if (comment)
		evbuffer_add(out, ":\n\n", 3);
	send_buffer(stream, out);
	evbuffer_free(out);
}

static void set_tick(struct api_streams *self)
{
	uint64_t seconds = wants_stats(self) ? 1 : COMMENT_TICKS;
	if (self->open)
		loop_timer_set(
			self->api->loop, &self->tick, seconds * NS_PER_S);
	self->ticks += (unsigned)seconds;
}

static void tick(struct loop_timer *timer)
{
	struct api_streams *self =
		container_of(timer, struct api_streams, tick);
	struct stream *stream = LIST_FIRST(&self->list), *next;
	bool comment = self->ticks >= COMMENT_TICKS;
	char *stats = wants_stats(self) ? print_stats(self->api) : NULL;
	if (comment)
		self->ticks = 0;
	for (; stream; stream = next) {
		next = LIST_NEXT(stream, link);
		tick_one(stream, stats, comment);
	}
	free(stats);
	set_tick(self);
	api_streams_wake(self); /* for who was slow */
}

/* -- the beginning of one --------------------------------------------------- */

static void set_limits(struct stream *stream)
{
	struct bufferevent *bev = bev_of(stream);
	const struct timeval silent = {.tv_sec = SILENT_S};
	bufferevent_set_timeouts(bev, NULL, &silent);
	bufferevent_setwatermark(bev, EV_READ, 0, UNREAD_BYTES);
}

static void begin(struct api_call *call)
{
	struct stream *stream = call->stream;
	struct api_streams *self = stream->all;
	struct evkeyvalq *headers =
		evhttp_request_get_output_headers(call->http);
	stream->http = call->http;
	memcpy(stream->request_id, call->request.id, sizeof stream->request_id);
	call->http = NULL;
	call->stream = NULL;
	LIST_INSERT_HEAD(&self->list, stream, link);
	self->open++;
	evhttp_connection_set_closecb(
		evhttp_request_get_connection(stream->http), listener_gone,
		stream);
	set_limits(stream);
	evhttp_add_header(headers, "Content-Type", "text/event-stream");
	evhttp_add_header(headers, "Connection", "close");
	evhttp_send_reply_start(stream->http, 200, "OK");
	struct evbuffer *out = evbuffer_new();
	if (out) {
		evbuffer_add_printf(out, "retry: 2000\n\n");
		send_buffer(stream, out);
		evbuffer_free(out);
	}
	set_tick(self);
	api_streams_wake(self);
}

void api_stream_answer(
	struct api_request *request, unsigned topics, uint64_t last_id)
{
	struct api_streams *self = request->api->streams;
	struct api_call *call = api_call_of(request);
	uint64_t newest = api_events_newest(request->api->events);
	struct stream *stream =
		self->open < STREAMS_MAX ? calloc(1, sizeof *stream) : NULL;
	if (!stream) {
		api_problem(request, "busy",
			"there are %u event streams already", self->open);
		return;
	}
	stream->all = self;
	stream->role = request->who.role;
	stream->topics = topics;
	stream->last_id = last_id ? last_id : newest;
	/* A number from another start that we have not reached. */
	stream->reset = last_id > newest;
	call->stream = stream;
	call->answer.status = 200;
	call->answer.stream = begin;
}

/* -- all -------------------------------------------------------------------- */

struct api_streams *api_streams_new(struct api *api)
{
	struct api_streams *self = calloc(1, sizeof *self);
	if (!self)
		return NULL;
	self->api = api;
	self->flush.run = flush;
	self->tick.expired = tick;
	LIST_INIT(&self->list);
	return self;
}

void api_streams_free(struct api_streams *self)
{
	if (!self)
		return;
	loop_timer_clear(self->api->loop, &self->tick);
	if (self->flushing)
		self->freed = true;
	else
		free(self);
}

unsigned api_streams_open(const struct api_streams *self)
{
	return self->open;
}

unsigned long api_streams_dropped(const struct api_streams *self)
{
	return self->dropped;
}
