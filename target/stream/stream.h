/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte stream over a connected socket on one lane: many commands per recv,
 * payload straight to its place, one gathered send per turn.
 *
 * Receiving: bytes arrive in a buffer that the stream has only while bytes wait
 * in it (an idle connection costs no buffer). `received` is shown all of them
 * and says how many it took; it may instead ask, with stream_receive_into, that
 * the next n bytes be put into a place of its own: what is buffered is copied,
 * the rest read straight from the socket.
 *
 * Sending: chunks are queued and go out in LOOP_SEND, gathered over chunks, at
 * most STREAM_SEND_BYTES per call; each chunk is told when its last byte has
 * been handed to the kernel.
 *
 * Invariants
 *  1. No callback runs inside a call made by the owner of the stream.
 *  2. Chunks and the data they point to live until `sent`; after an error or
 *     stream_close each queued chunk gets `sent` with ok = false.
 *  3. Back-pressure: stream_pause stops reading; the peer's window does the rest.
 *  4. After `closed` (end of file, error) the owner calls stream_close. It may do
 *     so inside a callback; the stream's memory then lives until that returns.
 *  5. Bytes are read into one buffer of the lane; a stream has memory of its own
 *     only for what its owner has not taken yet.
 */
#ifndef TARGET_STREAM_STREAM_H
#define TARGET_STREAM_STREAM_H

#include "blockcore/base/buf.h"
#include "blockcore/block.h"

#include <sys/queue.h>
#include <sys/uio.h>

#define STREAM_SEND_BYTES (1u << 20)
#define STREAM_CHUNK_SLICES 4u

struct stream;
struct stream_lane;

struct stream_chunk {
	struct iovec slice[STREAM_CHUNK_SLICES];
	uint32_t slices;
	void (*sent)(struct stream_chunk *chunk, bool ok);
	STAILQ_ENTRY(stream_chunk) link;
};

struct stream_events {
	/* Returns the bytes taken, 0..bytes; what is left is shown again with
	 * more behind it. The buffer holds at least STREAM_RECEIVE_BYTES. */
	size_t (*received)(
		struct stream *stream, const uint8_t *data, size_t bytes);
	/* The place given to stream_receive_into is full. */
	void (*filled)(struct stream *stream);
	/* The peer has gone (error 0: end of file) or the socket failed. */
	void (*closed)(struct stream *stream, int error);
};
#define STREAM_RECEIVE_BYTES (128u << 10)

struct stream {
	const struct stream_events *events;
	struct block_lane *lane;
	int fd;
	bool paused, dirty, closing;
	/* private to stream.c from here on */
	bool waiting, broken, finishing, shut, resumed;
	struct stream_lane *home;
	struct loop_watch watch;
	struct loop_timer timer;
	struct buf *in; /* what was read and not taken; NULL: nothing, or ... */
	uint8_t *spill; /* ... from the heap, when the pool was dry */
	uint32_t in_start, in_end;
	uint32_t eager_bytes; /* read ahead into the lane's buffer */
	uint8_t *into;
	size_t into_left;
	STAILQ_HEAD(, stream_chunk) out;
	size_t out_skip, out_bytes;
	TAILQ_ENTRY(stream) link;
};

/* By each server that uses streams on the lane, on its thread, before its first
 * stream; stopped as often. 0 or -errno with *err. */
int stream_lane_start(struct block_lane *lane, struct err *err);
void stream_lane_stop(struct block_lane *lane);

/* Takes the socket over (made non-blocking, TCP_NODELAY). 0 or -errno. */
int stream_open(struct stream *stream, struct block_lane *lane, int fd,
	const struct stream_events *events);
/* Queued chunks are told; the socket is closed. No callback comes after it. */
void stream_close(struct stream *stream);
/* Takes nothing more from the peer, sends what is queued, says goodbye (FIN) and
 * waits for the peer's, so that no reset overtakes the last answer; at most
 * `after_ns` in all. `closed` comes then. */
void stream_finish(struct stream *stream, uint64_t after_ns);

void stream_receive_into(struct stream *stream, void *place, size_t bytes);
void stream_send(struct stream *stream, struct stream_chunk *chunk);
/* Bytes queued and not yet handed to the kernel. */
size_t stream_unsent_bytes(const struct stream *stream);
void stream_pause(struct stream *stream);
void stream_resume(struct stream *stream);

#endif
