/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/api/server/events.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PER_SECOND (1u << 20)

static const struct {
	const char *name;
	enum api_role role;
} topics[] = {
	{"stats", API_VIEWER}, /* EVENTS_STATS */
	{"volumes", API_VIEWER},
	{"schedules", API_VIEWER},
	{"hosts", API_VIEWER},
	{"targets", API_VIEWER},
	{"exports", API_VIEWER},
	{"sessions", API_VIEWER}, /* logins and logouts of hosts */
	{"logins", API_VIEWER}, /* refused ones */
	{"changes", API_VIEWER}, /* of the whole configuration */
	{"jobs", API_VIEWER},
	{"system", API_VIEWER},
	{"trust", API_ADMIN}, /* users, tokens, sign-ins */
	{"audit", API_ADMIN},
};
#define TOPICS (sizeof topics / sizeof *topics)

struct api_events {
	uint64_t first; /* the number that the first one gets */
	uint64_t next;
	struct api_event event[EVENTS_KEPT]; /* at id % EVENTS_KEPT */
};

struct api_events *api_events_new(int64_t now_ms)
{
	struct api_events *self = calloc(1, sizeof *self);
	if (self)
		self->first = self->next =
			(uint64_t)(now_ms / 1000) * PER_SECOND + 1;
	return self;
}

void api_events_free(struct api_events *self)
{
	for (unsigned i = 0; self && i < EVENTS_KEPT; i++)
		free(self->event[i].text);
	free(self);
}

static size_t find_topic(const char *name, size_t bytes)
{
	size_t i = 0;
	while (i < TOPICS &&
		(strlen(topics[i].name) != bytes ||
			memcmp(topics[i].name, name, bytes) != 0))
		i++;
	return i;
}

static char *print(
	uint64_t id, const char *topic, const char *type, json_t *data)
{
	char number[24];
	snprintf(number, sizeof number, "%" PRIu64, id);
	json_t *event = json_pack("{ss, so, ss, ss, sO?}", "id", number, "time",
		api_time_now(), "topic", topic, "type", type, "data", data);
	char *text = json_dumps(event, JSON_COMPACT);
	json_decref(event);
	return text;
}

void api_events_add(struct api_events *self, const char *topic,
	const char *type, json_t *data)
{
	uint64_t id = self->next;
	size_t kind = find_topic(topic, strlen(topic));
	struct api_event *event = &self->event[id % EVENTS_KEPT];
	char *text = print(id, topic, type, data);
	if (text && strlen(text) > EVENTS_MAX_BYTES) {
		free(text);
		text = print(id, topic, type, NULL);
	}
	json_decref(data);
	if (!text)
		return;
	self->next++;
	free(event->text);
	*event = (struct api_event){.id = id,
		.topic = kind < TOPICS ? topics[kind].name : "",
		.role = kind < TOPICS ? topics[kind].role : API_ADMIN,
		.text = text,
		.bytes = strlen(text)};
}

uint64_t api_events_newest(const struct api_events *self)
{
	return self->next - 1;
}

uint64_t api_events_oldest(const struct api_events *self)
{
	if (self->next - self->first > EVENTS_KEPT)
		return self->next - EVENTS_KEPT;
	return self->next == self->first ? self->first - 1 : self->first;
}

const struct api_event *api_events_get(
	const struct api_events *self, uint64_t id)
{
	const struct api_event *event = &self->event[id % EVENTS_KEPT];
	return event->text && event->id == id ? event : NULL;
}

/* -- topics ----------------------------------------------------------------- */

bool api_events_topics(const char *list, unsigned *set, char unknown[32])
{
	*set = ((1u << TOPICS) - 1) & ~EVENTS_STATS;
	if (!list)
		return true;
	*set = 0;
	while (*list) {
		size_t bytes = strcspn(list, ",");
		size_t kind = find_topic(list, bytes);
		if (kind == TOPICS) {
			snprintf(unknown, 32, "%.*s", (int)bytes, list);
			return false;
		}
		*set |= 1u << kind;
		list += bytes + (list[bytes] == ',');
	}
	return true;
}

unsigned api_events_topic(const struct api_event *event)
{
	size_t kind = find_topic(event->topic, strlen(event->topic));
	return kind < TOPICS ? 1u << kind : 0;
}

json_t *api_events_topic_names(void)
{
	json_t *names = json_array();
	for (size_t i = 0; i < TOPICS; i++)
		json_array_append_new(names, json_string(topics[i].name));
	return names;
}
