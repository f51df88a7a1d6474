/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of one lane. The lane has one buffer that all its streams read into,
 * so it stays in the cache; the dirty list holds the streams that have to send
 * or to show left-over bytes before the loop sleeps.
 */
#include "target/stream/state.h"

#include "blockcore/base/list.h"

#include <assert.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A lane belongs to one thread, and so does this list of them (one entry but in
 * tests). Looked through when a stream is opened, never per command. */
static _Thread_local LIST_HEAD(, stream_lane) lanes;

/* -- the loop -------------------------------------------------------------- */

static void watch_ready(struct loop_watch *watch, unsigned events)
{
	struct stream *stream = container_of(watch, struct stream, watch);

	if (events & LOOP_WRITABLE) {
		stream->waiting = false;
		state_update_interest(stream);
		state_mark_dirty(stream);
	}
	if (!(events & LOOP_READABLE) || stream->broken)
		return;
	if (stream->finishing)
		receive_drain(stream);
	else if (!stream->paused)
		receive_some(stream);
}

static struct stream *next_dirty(struct stream_lane *home)
{
	struct stream *stream = TAILQ_FIRST(&home->dirty);

	if (stream)
		state_unmark_dirty(stream);
	return stream;
}

/* LOOP_REAP: what was left over when a stream was paused. */
static bool show_hook(struct loop_hook *hook)
{
	struct stream_lane *home = container_of(hook, struct stream_lane, show);
	unsigned left = home->dirty_streams;
	struct stream *stream;

	while (left-- && (stream = next_dirty(home))) {
		state_mark_dirty(stream);
		if (!stream->resumed || stream->paused || stream->broken)
			continue;
		stream->resumed = false;
		if (receive_kept_bytes(stream) && !stream->finishing)
			receive_show_kept(stream);
	}
	return false;
}

/* LOOP_SEND: each stream that was dirty at the start gets one call. */
static bool send_hook(struct loop_hook *hook)
{
	struct stream_lane *home = container_of(hook, struct stream_lane, send);
	unsigned left = home->dirty_streams;
	struct stream *stream;

	while (left-- && (stream = next_dirty(home))) {
		bool more = false;

		if (stream->out_bytes && !stream->waiting && !stream->broken)
			more = send_some(stream);
		if (stream->closing)
			continue;
		send_goodbye(stream);
		if (more || (stream->resumed && !stream->paused))
			state_mark_dirty(stream);
	}
	return !TAILQ_EMPTY(&home->dirty);
}

static void timer_expired(struct loop_timer *timer)
{
	state_break(container_of(timer, struct stream, timer), ETIMEDOUT);
}

/* -- the door -------------------------------------------------------------- */

static struct stream_lane *find_home(const struct block_lane *lane)
{
	struct stream_lane *home;

	LIST_FOREACH (home, &lanes, link) {
		if (home->lane == lane)
			return home;
	}
	return NULL;
}

static struct stream_lane *make_home(struct block_lane *lane)
{
	struct stream_lane *home = calloc(1, sizeof *home);

	if (home)
		home->scratch = malloc(STREAM_RECEIVE_BYTES);
	if (!home || !home->scratch) {
		free(home);
		return NULL;
	}
	home->lane = lane;
	TAILQ_INIT(&home->dirty);
	home->show.run = show_hook;
	home->send.run = send_hook;
	loop_hook_add(lane->loop, LOOP_REAP, &home->show);
	loop_hook_add(lane->loop, LOOP_SEND, &home->send);
	LIST_INSERT_HEAD(&lanes, home, link);
	return home;
}

int stream_lane_start(struct block_lane *lane, struct err *err)
{
	struct stream_lane *home = find_home(lane);

	if (!home)
		home = make_home(lane);
	if (!home)
		return err_set(err, ENOMEM, "no memory for a lane's streams");
	home->users++;
	return 0;
}

void stream_lane_stop(struct block_lane *lane)
{
	struct stream_lane *home = find_home(lane);

	assert(home && home->users);
	if (--home->users)
		return;
	assert(home->streams == 0);
	loop_hook_remove(lane->loop, LOOP_REAP, &home->show);
	loop_hook_remove(lane->loop, LOOP_SEND, &home->send);
	LIST_REMOVE(home, link);
	free(home->scratch);
	free(home);
}

int stream_open(struct stream *stream, struct block_lane *lane, int fd,
	const struct stream_events *events)
{
	int one = 1, flags = fcntl(fd, F_GETFL), result;

	memset(stream, 0, sizeof *stream);
	stream->events = events;
	stream->lane = lane;
	stream->home = find_home(lane);
	stream->fd = fd;
	stream->eager_bytes = STREAM_RECEIVE_BYTES;
	assert(stream->home);
	STAILQ_INIT(&stream->out);
	stream->timer.expired = timer_expired;
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	/* Fails on sockets that are not TCP: nothing is lost there. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	stream->watch.ready = watch_ready;
	stream->watch.fd = fd;
	stream->watch.interest = LOOP_READABLE;
	result = loop_watch(lane->loop, &stream->watch);
	if (result == 0)
		stream->home->streams++;
	return result;
}

void stream_close(struct stream *stream)
{
	struct stream_chunk *chunk;

	assert(!stream->closing);
	state_unmark_dirty(stream);
	stream->closing = true;
	stream->into_left = 0;
	loop_timer_clear(stream->lane->loop, &stream->timer);
	loop_unwatch(stream->lane->loop, &stream->watch);
	close(stream->fd);
	stream->home->streams--;
	receive_forget(stream);
	while ((chunk = STAILQ_FIRST(&stream->out))) {
		STAILQ_REMOVE_HEAD(&stream->out, link);
		chunk->sent(chunk, false);
	}
	stream->out_bytes = 0;
}

void stream_finish(struct stream *stream, uint64_t after_ns)
{
	if (stream->finishing || stream->broken || stream->closing)
		return;
	stream->finishing = true;
	stream->into_left = 0;
	loop_timer_set(stream->lane->loop, &stream->timer, after_ns);
	state_update_interest(stream);
	state_mark_dirty(stream);
}

void stream_receive_into(struct stream *stream, void *place, size_t bytes)
{
	assert(stream->into_left == 0 && bytes > 0);
	stream->into = place;
	stream->into_left = bytes;
}

void stream_send(struct stream *stream, struct stream_chunk *chunk)
{
	assert(!stream->closing);
	STAILQ_INSERT_TAIL(&stream->out, chunk, link);
	stream->out_bytes += send_chunk_bytes(chunk);
	state_mark_dirty(stream);
}

size_t stream_unsent_bytes(const struct stream *stream)
{
	return stream->out_bytes;
}

void stream_pause(struct stream *stream)
{
	stream->paused = true;
	state_update_interest(stream);
}

void stream_resume(struct stream *stream)
{
	if (!stream->paused || stream->closing)
		return;
	stream->paused = false;
	state_update_interest(stream);
	if (receive_kept_bytes(stream)) {
		stream->resumed = true;
		state_mark_dirty(stream);
	}
}
