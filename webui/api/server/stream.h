/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Those who listen to events (text/event-stream): at most 32, each with its own
 * topics and place in the ring.
 *
 * Invariants
 *  1. An event is never sent from where it happens but from a message of the loop,
 *     with all others of that turn.
 *  2. At most half of 64 KiB waits in memory for one of them, the rest in the ring.
 *     Who has not read for a second and is 64 KiB behind is dropped, and so is who
 *     takes nothing for a minute; he comes back with Last-Event-ID.
 *  3. Ticks run only while somebody listens: a comment every 15 s, figures (topic
 *     stats) every second while somebody wants them. Figures are not kept and have
 *     no number.
 */
#ifndef WEBUI_API_SERVER_STREAM_H
#define WEBUI_API_SERVER_STREAM_H

#include "webui/api/server/private.h"

#define STREAMS_MAX 32u
#define STREAM_MAX_BYTES (64u << 10)

struct api_streams *api_streams_new(struct api *api);
/* All connections are closed. NULL is fine. */
void api_streams_free(struct api_streams *streams);
unsigned api_streams_open(const struct api_streams *streams);
unsigned long api_streams_dropped(const struct api_streams *streams);

/* In a handler, as its answer: events of `topics` from the one after `last_id` on
 * (0: from now on). */
void api_stream_answer(
	struct api_request *request, unsigned topics, uint64_t last_id);

/* There is news. */
void api_streams_wake(struct api_streams *streams);

#endif
