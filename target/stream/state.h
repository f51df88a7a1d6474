/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a stream share: the lane's part, and what each calls of the
 * others.
 *
 * Invariants
 *  1. A stream is on the dirty list if and only if `dirty`.
 *  2. `into_left` > 0 implies that nothing is kept in `in` or `spill`.
 *  3. After stream_close no list, timer or watch knows the stream.
 */
#ifndef TARGET_STREAM_STATE_H
#define TARGET_STREAM_STATE_H

#include "target/stream/stream.h"

#include <errno.h>

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

/* -- state.c ---------------------------------------------------------------- */

/* Has the lane look at it before it sleeps. */
void state_mark_dirty(struct stream *stream);
void state_unmark_dirty(struct stream *stream);
/* Tells the loop what the stream waits for now. */
void state_update_interest(struct stream *stream);
/* Tells the owner, once, that the stream is over. */
void state_break(struct stream *stream, int error);

/* A system call that is to be tried again later. */
static inline bool state_would_block(ssize_t result)
{
	return result < 0 &&
		(errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

/* -- receive.c ------------------------------------------------------------- */

/* What was read and not taken. */
size_t receive_kept_bytes(const struct stream *stream);
void receive_forget(struct stream *stream);
/* Shows the kept bytes to the owner. */
void receive_show_kept(struct stream *stream);
/* The socket is readable. */
void receive_some(struct stream *stream);
/* The same while finishing: what comes is thrown away, until the peer closes. */
void receive_drain(struct stream *stream);

/* -- send.c ---------------------------------------------------------------- */

size_t send_chunk_bytes(const struct stream_chunk *chunk);
/* One call's worth. True: the kernel took all of it and there is more. */
bool send_some(struct stream *stream);
/* Once all is sent and the owner wants to end: our half is closed. */
void send_goodbye(struct stream *stream);

#endif
