/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The latest events, as they are sent: a ring of 4,096.
 *
 * Invariants
 *  1. Numbers only grow, over restarts too: the first of a start is its second
 *     since 1970, times 2^20.
 *  2. An event is printed once, when it happens: {"id", "time", "topic", "type",
 *     "data"}; one that is larger than 16 KiB loses its data. So the ring is
 *     bounded.
 *  3. Who may read a topic stands in one table; one that is not in it is for
 *     admins.
 */
#ifndef WEBUI_API_SERVER_EVENTS_H
#define WEBUI_API_SERVER_EVENTS_H

#include "webui/api/handler.h"

#define EVENTS_KEPT 4096u
#define EVENTS_MAX_BYTES (16u << 10)

struct api_event {
	uint64_t id;
	const char *topic; /* of the table */
	enum api_role role; /* who may read it */
	char *text; /* one line of JSON, without a line feed */
	size_t bytes;
};

struct api_events;

struct api_events *api_events_new(int64_t now_ms);
void api_events_free(struct api_events *events);

/* Takes `data` over. */
void api_events_add(struct api_events *events, const char *topic,
	const char *type, json_t *data);

/* Numbers of the oldest that is kept and of the newest; both are "none yet" of
 * this start if there is none. */
uint64_t api_events_oldest(const struct api_events *events);
uint64_t api_events_newest(const struct api_events *events);
/* The event of that number, NULL if it is not kept. */
const struct api_event *api_events_get(
	const struct api_events *events, uint64_t id);

/* A set of topics as bits. */
#define EVENTS_STATS 1u /* live figures: never kept */
/* "volumes,jobs"; NULL: all but stats. False: *unknown has the wrong one. */
bool api_events_topics(const char *list, unsigned *set, char unknown[32]);
unsigned api_events_topic(const struct api_event *event);
/* All names, for messages. */
json_t *api_events_topic_names(void);

#endif
