/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of one lane. The lane has one buffer that all its streams read into,
 * so it stays in the cache; the dirty list holds the streams that have to send
 * or to show left-over bytes before the loop sleeps.
 *
 * Invariants
 *  1. A stream is on the dirty list if and only if `dirty`.
 *  2. `into_left` > 0 implies that nothing is kept in `in` or `spill`.
 *  3. After stream_close no list, timer or watch knows the stream.
 */
#include "target/stream/stream.h"

#include "blockcore/base/list.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GATHER_SLICES 1024 /* = IOV_MAX of Linux */

TAILQ_HEAD(stream_list, stream);

struct stream_lane {
	struct block_lane *lane;
	struct loop_hook show, send;
	struct stream_list dirty;
	unsigned users, streams, dirty_streams;
	struct iovec gather[GATHER_SLICES];
	uint8_t *scratch; /* STREAM_RECEIVE_BYTES */
	LIST_ENTRY(stream_lane) link;
};

/* A lane belongs to one thread, and so does this list of them (one entry but in
 * tests). Looked through when a stream is opened, never per command. */
static _Thread_local LIST_HEAD(, stream_lane) lanes;

/* -- the dirty list -------------------------------------------------------- */

static void mark_dirty(struct stream *stream)
{
	if (stream->dirty || stream->closing)
		return;
	stream->dirty = true;
	stream->home->dirty_streams++;
	TAILQ_INSERT_TAIL(&stream->home->dirty, stream, link);
}

static void unmark_dirty(struct stream *stream)
{
	if (!stream->dirty)
		return;
	stream->dirty = false;
	stream->home->dirty_streams--;
	TAILQ_REMOVE(&stream->home->dirty, stream, link);
}

static void update_interest(struct stream *stream)
{
	unsigned interest = 0;

	if (!stream->broken && (!stream->paused || stream->finishing))
		interest |= LOOP_READABLE;
	if (!stream->broken && stream->waiting)
		interest |= LOOP_WRITABLE;
	if (interest == stream->watch.interest)
		return;
	stream->watch.interest = interest;
	loop_watch(stream->lane->loop, &stream->watch);
}

/* Tells the owner once that the stream is over. */
static void break_stream(struct stream *stream, int error)
{
	if (stream->broken || stream->closing)
		return;
	stream->broken = true;
	stream->into_left = 0;
	update_interest(stream);
	loop_timer_clear(stream->lane->loop, &stream->timer);
	stream->events->closed(stream, error);
}

/* -- receiving ------------------------------------------------------------- */

static size_t kept_bytes(const struct stream *stream)
{
	return stream->in_end - stream->in_start;
}

static uint8_t *kept_data(const struct stream *stream)
{
	uint8_t *base = stream->in ? stream->in->data : stream->spill;

	return base ? base + stream->in_start : NULL;
}

static void forget_kept(struct stream *stream)
{
	if (stream->in)
		buf_put(stream->in);
	free(stream->spill);
	stream->in = NULL;
	stream->spill = NULL;
	stream->in_start = stream->in_end = 0;
}

/* Keeps `bytes` that the owner has not taken; false: no memory. Bytes that were
 * kept before stay where they are. */
static bool keep(struct stream *stream, const uint8_t *data, size_t bytes)
{
	uint8_t *place;

	if (bytes == 0) {
		forget_kept(stream);
		return true;
	}
	if (kept_bytes(stream) && data >= kept_data(stream) &&
		data < kept_data(stream) + kept_bytes(stream)) {
		stream->in_start = stream->in_end - (uint32_t)bytes;
		return true;
	}
	forget_kept(stream);
	stream->in = buf_get(stream->lane->pool, (uint32_t)bytes);
	/* They have left the socket, so they must go somewhere; at most
	 * STREAM_RECEIVE_BYTES for each connection. */
	if (!stream->in)
		stream->spill = malloc(bytes);
	place = stream->in ? stream->in->data : stream->spill;
	if (!place)
		return false;
	memcpy(place, data, bytes);
	stream->in_end = (uint32_t)bytes;
	return true;
}

/* Part of the owner's place that is full now. */
static void advance_into(struct stream *stream, size_t bytes)
{
	stream->into += bytes;
	stream->into_left -= bytes;
	if (stream->into_left == 0)
		stream->events->filled(stream);
}

/* Shows bytes to the owner until it wants no more, keeps the rest. */
static void show(struct stream *stream, const uint8_t *data, size_t bytes)
{
	while (bytes && !stream->closing && !stream->broken &&
		!stream->finishing) {
		size_t taken;

		if (stream->into_left) {
			taken = bytes < stream->into_left ? bytes
							  : stream->into_left;
			memcpy(stream->into, data, taken);
			data += taken;
			bytes -= taken;
			advance_into(stream, taken);
			continue;
		}
		if (stream->paused)
			break;
		taken = stream->events->received(stream, data, bytes);
		assert(taken <= bytes);
		data += taken;
		bytes -= taken;
		if (!stream->into_left)
			break;
	}
	if (stream->closing)
		return;
	if (stream->broken || stream->finishing)
		bytes = 0;
	if (!keep(stream, data, bytes))
		break_stream(stream, ENOMEM);
}

static bool would_block(ssize_t result)
{
	return result < 0 &&
		(errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

static void read_some(struct stream *stream)
{
	uint8_t *scratch = stream->home->scratch;
	size_t kept = kept_bytes(stream), placed = 0;
	struct iovec iov[2] = {
		{.iov_base = stream->into, .iov_len = stream->into_left},
		{.iov_base = scratch + kept,
			.iov_len = STREAM_RECEIVE_BYTES - kept},
	};
	ssize_t got;

	if (stream->into_left)
		got = readv(stream->fd, iov, 2);
	else
		got = recv(stream->fd, iov[1].iov_base, iov[1].iov_len, 0);
	if (would_block(got))
		return;
	if (got <= 0) {
		break_stream(stream, got < 0 ? errno : 0);
		return;
	}
	if (kept)
		memcpy(scratch, kept_data(stream), kept);
	if (stream->into_left) {
		placed = (size_t)got < stream->into_left ? (size_t)got
							 : stream->into_left;
		advance_into(stream, placed);
		if (stream->closing)
			return;
	}
	show(stream, scratch, kept + (size_t)got - placed);
}

/* The peer's last bytes, read to be thrown away, until it closes too. */
static void drain(struct stream *stream)
{
	ssize_t got = recv(
		stream->fd, stream->home->scratch, STREAM_RECEIVE_BYTES, 0);

	if (!would_block(got) && got <= 0)
		break_stream(stream, got < 0 ? errno : 0);
}

/* -- sending --------------------------------------------------------------- */

/* Slices for one call; *bytes: how much they are. */
static unsigned gather(
	const struct stream *stream, struct iovec *iov, size_t *bytes)
{
	size_t skip = stream->out_skip;
	const struct stream_chunk *chunk;
	unsigned count = 0;

	*bytes = 0;

	STAILQ_FOREACH (chunk, &stream->out, link) {
		for (unsigned i = 0; i < chunk->slices; i++) {
			size_t length = chunk->slice[i].iov_len;

			if (skip >= length) {
				skip -= length;
				continue;
			}
			if (count == GATHER_SLICES ||
				*bytes >= STREAM_SEND_BYTES)
				return count;
			iov[count].iov_base =
				(uint8_t *)chunk->slice[i].iov_base + skip;
			iov[count++].iov_len = length - skip;
			*bytes += length - skip;
			skip = 0;
		}
	}
	return count;
}

static size_t chunk_bytes(const struct stream_chunk *chunk)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < chunk->slices; i++)
		bytes += chunk->slice[i].iov_len;
	return bytes;
}

/* Tells the owner of each chunk that has gone whole. */
static void sent_bytes(struct stream *stream, size_t bytes)
{
	struct stream_chunk *chunk;

	stream->out_bytes -= bytes;
	stream->out_skip += bytes;
	while (!stream->closing && (chunk = STAILQ_FIRST(&stream->out))) {
		size_t length = chunk_bytes(chunk);

		if (stream->out_skip < length)
			return;
		stream->out_skip -= length;
		STAILQ_REMOVE_HEAD(&stream->out, link);
		chunk->sent(chunk, true);
	}
}

/* One call's worth. True: the kernel took all of it and there is more. */
static bool send_some(struct stream *stream)
{
	struct iovec *iov = stream->home->gather;
	struct msghdr message = {.msg_iov = iov};
	size_t bytes;
	ssize_t sent;

	message.msg_iovlen = gather(stream, iov, &bytes);
	sent = sendmsg(stream->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0 && !would_block(sent)) {
		break_stream(stream, errno);
		return false;
	}
	if (sent > 0)
		sent_bytes(stream, (size_t)sent);
	if (stream->closing || stream->broken)
		return false;
	stream->waiting = sent < 0 || (size_t)sent < bytes;
	update_interest(stream);
	return stream->out_bytes && !stream->waiting;
}

/* All is sent and the owner wants to end: our half is closed. */
static void say_goodbye(struct stream *stream)
{
	if (!stream->finishing || stream->shut || stream->out_bytes)
		return;
	stream->shut = true;
	shutdown(stream->fd, SHUT_WR);
}

/* -- the loop -------------------------------------------------------------- */

static void watch_ready(struct loop_watch *watch, unsigned events)
{
	struct stream *stream = container_of(watch, struct stream, watch);

	if (events & LOOP_WRITABLE) {
		stream->waiting = false;
		update_interest(stream);
		mark_dirty(stream);
	}
	if (!(events & LOOP_READABLE) || stream->broken)
		return;
	if (stream->finishing)
		drain(stream);
	else if (!stream->paused)
		read_some(stream);
}

static struct stream *next_dirty(struct stream_lane *home)
{
	struct stream *stream = TAILQ_FIRST(&home->dirty);

	if (stream)
		unmark_dirty(stream);
	return stream;
}

/* LOOP_REAP: what was left over when a stream was paused. */
static bool show_hook(struct loop_hook *hook)
{
	struct stream_lane *home = container_of(hook, struct stream_lane, show);
	unsigned left = home->dirty_streams;
	struct stream *stream;

	while (left-- && (stream = next_dirty(home))) {
		mark_dirty(stream);
		if (!stream->resumed || stream->paused || stream->broken)
			continue;
		stream->resumed = false;
		if (kept_bytes(stream) && !stream->finishing)
			show(stream, kept_data(stream), kept_bytes(stream));
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
		say_goodbye(stream);
		if (more || (stream->resumed && !stream->paused))
			mark_dirty(stream);
	}
	return !TAILQ_EMPTY(&home->dirty);
}

static void timer_expired(struct loop_timer *timer)
{
	break_stream(container_of(timer, struct stream, timer), ETIMEDOUT);
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
	unmark_dirty(stream);
	stream->closing = true;
	stream->into_left = 0;
	loop_timer_clear(stream->lane->loop, &stream->timer);
	loop_unwatch(stream->lane->loop, &stream->watch);
	close(stream->fd);
	stream->home->streams--;
	forget_kept(stream);
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
	update_interest(stream);
	mark_dirty(stream);
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
	stream->out_bytes += chunk_bytes(chunk);
	mark_dirty(stream);
}

size_t stream_unsent_bytes(const struct stream *stream)
{
	return stream->out_bytes;
}

void stream_pause(struct stream *stream)
{
	stream->paused = true;
	update_interest(stream);
}

void stream_resume(struct stream *stream)
{
	if (!stream->paused || stream->closing)
		return;
	stream->paused = false;
	update_interest(stream);
	if (kept_bytes(stream)) {
		stream->resumed = true;
		mark_dirty(stream);
	}
}
