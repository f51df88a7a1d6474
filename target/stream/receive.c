/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receiving half of a stream: into the lane's buffer or the owner's place.
 */
#include "target/stream/state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define RECEIVE_LARGE_BYTES 8192u
#define RECEIVE_SHY_BYTES 4096u

size_t receive_kept_bytes(const struct stream *stream)
{
	return stream->in_end - stream->in_start;
}

static uint8_t *kept_data(const struct stream *stream)
{
	uint8_t *base = stream->in ? stream->in->data : stream->spill;

	return base ? base + stream->in_start : NULL;
}

void receive_forget(struct stream *stream)
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
		receive_forget(stream);
		return true;
	}
	if (receive_kept_bytes(stream) && data >= kept_data(stream) &&
		data < kept_data(stream) + receive_kept_bytes(stream)) {
		stream->in_start = stream->in_end - (uint32_t)bytes;
		return true;
	}
	receive_forget(stream);
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
			if (taken >= RECEIVE_LARGE_BYTES)
				stream->eager_bytes = RECEIVE_SHY_BYTES;
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
		state_break(stream, ENOMEM);
}

/* Bytes to read into the lane's buffer. Small commands come by the dozen and are
 * read so; of large data as little as possible is read there, as it would have to
 * be copied. The stream learns which of the two its peer is doing: it becomes shy
 * when it had to copy much, and bold again while reads come back full. */
static size_t room(const struct stream *stream, size_t kept)
{
	size_t all = STREAM_RECEIVE_BYTES - kept;

	if (kept >= stream->eager_bytes / 2)
		return all;
	return stream->eager_bytes - kept < all ? stream->eager_bytes - kept
						: all;
}

static void grow_bold(struct stream *stream, size_t got, size_t room_bytes)
{
	if (got < room_bytes || stream->eager_bytes == STREAM_RECEIVE_BYTES)
		return;
	stream->eager_bytes *= 2;
}

void receive_some(struct stream *stream)
{
	uint8_t *scratch = stream->home->scratch;
	size_t kept = receive_kept_bytes(stream), placed = 0;
	struct iovec iov[2] = {
		{.iov_base = stream->into, .iov_len = stream->into_left},
		{.iov_base = scratch + kept,
			.iov_len = STREAM_RECEIVE_BYTES - kept},
	};
	ssize_t got;

	iov[1].iov_len = room(stream, kept);
	if (stream->into_left)
		got = readv(stream->fd, iov, 2);
	else
		got = recv(stream->fd, iov[1].iov_base, iov[1].iov_len, 0);
	if (state_would_block(got))
		return;
	if (got <= 0) {
		state_break(stream, got < 0 ? errno : 0);
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
	grow_bold(stream, (size_t)got - placed, iov[1].iov_len);
	show(stream, scratch, kept + (size_t)got - placed);
}

/* The peer's last bytes, read to be thrown away, until it closes too. */
void receive_drain(struct stream *stream)
{
	ssize_t got = recv(
		stream->fd, stream->home->scratch, STREAM_RECEIVE_BYTES, 0);

	if (!state_would_block(got) && got <= 0)
		state_break(stream, got < 0 ? errno : 0);
}

void receive_show_kept(struct stream *stream)
{
	show(stream, kept_data(stream), receive_kept_bytes(stream));
}
