/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of an HTTP/1.1 server, read strictly and in pieces of any size. A pure
 * parser: it knows no socket.
 *
 * Invariants
 *  1. What could be read in two ways is refused: no folded lines, no bare LF, no
 *     Content-Length beside Transfer-Encoding, no second, other Content-Length, no
 *     body whose end only the end of the connection would show (it might be cut).
 *  2. Status line and headers are at most REPLY_MAX_HEAD bytes; the body goes to a
 *     sink piece by piece and is bounded by whoever keeps it.
 *  3. After an error or the end nothing more is taken.
 */
#ifndef WEBUI_CLI_REPLY_H
#define WEBUI_CLI_REPLY_H

#include "blockcore/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define REPLY_MAX_HEAD 65536u
#define REPLY_MAX_LINE 8192u

/* Takes a piece of the body. 0, or -errno to stop with *err set. */
typedef int (*reply_sink)(
	void *argument, const void *data, size_t bytes, struct err *err);

enum reply_state {
	REPLY_STATUS,
	REPLY_HEADER,
	REPLY_BODY, /* of a known length */
	REPLY_CHUNK_SIZE,
	REPLY_CHUNK,
	REPLY_CHUNK_END,
	REPLY_TRAILER,
	REPLY_DONE,
	REPLY_BROKEN,
};

/* Fields are there once the head was read (state >= REPLY_BODY). */
struct reply {
	enum reply_state state;
	bool bodiless; /* the request was HEAD */
	int status;
	bool has_length, chunked, closes;
	uint64_t length; /* bytes still to come of body or chunk */
	char etag[128], type[128], location[256], cookie[512];
	uint64_t retry_after_s;
	reply_sink sink;
	void *argument;
	size_t head_bytes, line_bytes;
	char line[REPLY_MAX_LINE];
};

void reply_begin(struct reply *reply, reply_sink sink, void *argument);
/* Takes bytes as they came. Returns how many were used (fewer than given only at
 * the end of the answer), or -errno with *err. */
ssize_t reply_feed(
	struct reply *reply, const void *data, size_t bytes, struct err *err);

#endif
