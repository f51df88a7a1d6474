/* SPDX-License-Identifier: Apache-2.0 */
/* See audit_events.h. */
#include "webui/api/live/audit_events.h"

#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "target/control/trust/audit.h"
#include "webui/api/server/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 64u /* in a turn */

struct audit_events {
	struct api *api;
	struct loop_timer soon;
	int64_t last; /* number of the newest that was told */
	struct log_limit refused;
};

static struct audit *audit_of(const struct audit_events *self)
{
	return trust_audit(self->api->parts.trust);
}

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static bool is_of_trust(const char *operation, const char *object)
{
	static const char *const objects[] = {"users/", "tokens/",
		"certificate", "bootstrap-token", "/api/v1/users",
		"/api/v1/tokens", "/api/v1/certificate", "/api/v1/login"};
	static const char *const operations[] = {"setup", "signIn", "signOut"};
	for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
		if (begins(object, objects[i]))
			return true;
	for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
		if (!strcmp(operation, operations[i]))
			return true;
	return false;
}

static const char *text_of(const json_t *record, const char *member)
{
	const char *text = json_string_value(json_object_get(record, member));
	return text ? text : "";
}

/* False: it is one refusal too many. */
static bool ration(struct audit_events *self, bool refused, json_t *data)
{
	uint32_t untold;
	if (!refused)
		return true;
	if (!log_limit_pass(&self->refused, &untold))
		return false;
	if (untold)
		json_object_set_new(data, "untold", json_integer(untold));
	return true;
}

static void tell(void *argument, int64_t number, const char *line)
{
	struct audit_events *self = argument;
	json_t *record = json_loads(line, 0, NULL);
	bool refused =
		json_integer_value(json_object_get(record, "status")) >= 400;
	json_t *data = json_pack("{sI, ss, sO*, sO*, ss, sO*, sO*, ss}",
		"number", (json_int_t)number, "user", text_of(record, "user"),
		"via", json_object_get(record, "via"), "address",
		json_object_get(record, "address"), "operation",
		text_of(record, "operation"), "object",
		json_object_get(record, "object"), "change",
		json_object_get(record, "change"), "result",
		refused ? "refused" : "ok");
	self->last = number;
	if (data && ration(self, refused, data)) {
		if (is_of_trust(text_of(record, "operation"),
			    text_of(record, "object")))
			api_emit(self->api, "trust",
				refused ? "refused" : "succeeded",
				json_incref(data));
		api_emit(self->api, "audit", "recorded", json_incref(data));
	}
	json_decref(data);
	json_decref(record);
}

static void tell_new(struct loop_timer *timer)
{
	struct audit_events *self =
		container_of(timer, struct audit_events, soon);
	struct err err = {0};
	int told =
		audit_read(audit_of(self), self->last, BATCH, tell, self, &err);
	if (told < 0)
		log_error("audit", "events", "%s", err.text);
	if (told == (int)BATCH)
		loop_timer_set(self->api->loop, timer, 0);
}

static void kept(void *argument)
{
	struct audit_events *self = argument;
	loop_timer_set(self->api->loop, &self->soon, 0);
}

static void take_number(void *argument, int64_t number, const char *line)
{
	(void)line;
	*(int64_t *)argument = number;
}

struct audit_events *audit_events_new(struct api *api, struct err *err)
{
	struct audit_events *self = calloc(1, sizeof *self);
	if (!self) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	self->api = api;
	self->soon.expired = tell_new;
	if (audit_read_back(audit_of(self), INT64_MAX, 1, take_number,
		    &self->last, err) < 0) {
		free(self);
		return NULL;
	}
	audit_watch(audit_of(self), kept, self);
	return self;
}

void audit_events_free(struct audit_events *self)
{
	if (!self)
		return;
	audit_watch(audit_of(self), NULL, NULL);
	loop_timer_clear(self->api->loop, &self->soon);
	free(self);
}
