/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where those who keep the daemon's books tell what has happened: the face implements
 * it, and hands it to whoever lies below.
 *
 * Control thread only. The sink outlives everything that was given it.
 */
#ifndef TARGET_CONTROL_EVENT_SINK_H
#define TARGET_CONTROL_EVENT_SINK_H

#include <jansson.h>

struct event_sink {
	/* An event: topic ("volumes", "jobs", "schedules"), type ("volume_updated") and
	 * its members, taken over (NULL: no memory, which the sink bears). Must neither
	 * wait nor call back. */
	void (*emit)(struct event_sink *sink, const char *topic,
		const char *type, json_t *data);
};

/* `data` is taken over. */
static inline void event_sink_emit(struct event_sink *sink, const char *topic,
	const char *type, json_t *data)
{
	sink->emit(sink, topic, type, data);
}

#endif
