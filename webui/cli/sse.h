/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-sent events (HTML, 9.2.6) from a stream of bytes in pieces of any size.
 *
 * Invariant: an event is at most SSE_MAX_BYTES; a longer one is left out and
 * counted, and the stream goes on.
 */
#ifndef WEBUI_CLI_SSE_H
#define WEBUI_CLI_SSE_H

#include <stdbool.h>
#include <stddef.h>

#define SSE_MAX_BYTES 65536u

struct sse {
	void (*event)(void *argument, const char *id, const char *type,
		const char *data);
	void *argument;
	size_t line_bytes, data_bytes;
	bool cr, too_long;
	unsigned left_out;
	char id[128], type[64];
	char line[SSE_MAX_BYTES], data[SSE_MAX_BYTES];
};

void sse_feed(struct sse *sse, const char *bytes, size_t count);

#endif
