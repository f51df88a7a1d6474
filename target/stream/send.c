/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sending half of a stream: chunks gathered into one call.
 */
#include "target/stream/state.h"

#include <sys/socket.h>

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

size_t send_chunk_bytes(const struct stream_chunk *chunk)
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
		size_t length = send_chunk_bytes(chunk);

		if (stream->out_skip < length)
			return;
		stream->out_skip -= length;
		STAILQ_REMOVE_HEAD(&stream->out, link);
		chunk->sent(chunk, true);
	}
}

/* One call's worth. True: the kernel took all of it and there is more. */
bool send_some(struct stream *stream)
{
	struct iovec *iov = stream->home->gather;
	struct msghdr message = {.msg_iov = iov};
	size_t bytes;
	ssize_t sent;

	message.msg_iovlen = gather(stream, iov, &bytes);
	sent = sendmsg(stream->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0 && !state_would_block(sent)) {
		state_break(stream, errno);
		return false;
	}
	if (sent > 0)
		sent_bytes(stream, (size_t)sent);
	if (stream->closing || stream->broken)
		return false;
	stream->waiting = sent < 0 || (size_t)sent < bytes;
	state_update_interest(stream);
	return stream->out_bytes && !stream->waiting;
}

/* All is sent and the owner wants to end: our half is closed. */
void send_goodbye(struct stream *stream)
{
	if (!stream->finishing || stream->shut || stream->out_bytes)
		return;
	stream->shut = true;
	shutdown(stream->fd, SHUT_WR);
}
