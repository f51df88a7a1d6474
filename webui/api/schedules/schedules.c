/* SPDX-License-Identifier: Apache-2.0 */
/* See schedules.h: which schedules are due. */
#include "webui/api/schedules/schedules.h"

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "target/control/config/config.h"
#include "target/control/config/json_doc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The clock may have been set, the configuration changed. */
#define LOOK_MS 2000
#define NS_PER_MS 1000000ull

const char *const schedule_result_names[SCHEDULE_RESULTS] = {
	"never", "done", "failed"};

/* -- what there is -------------------------------------------------------------- */

static struct api_schedule *find(
	const struct api_schedules *schedules, const char *name)
{
	struct api_schedule *one;
	TAILQ_FOREACH (one, &schedules->list, link) {
		if (!strcmp(one->record.name, name))
			return one;
	}
	return NULL;
}

struct api_schedule *api_schedule_of(
	struct api_schedules *schedules, const char *name)
{
	struct api_schedule *one = find(schedules, name);
	if (one)
		return one;
	one = calloc(1, sizeof *one);
	if (!one)
		return NULL;
	snprintf(one->record.name, sizeof one->record.name, "%s", name);
	TAILQ_INSERT_TAIL(&schedules->list, one, link);
	return one;
}

static void free_schedule(
	struct api_schedules *schedules, struct api_schedule *one)
{
	TAILQ_REMOVE(&schedules->list, one, link);
	json_decref(one->record.kept);
	zone_free(one->zone);
	free(one);
}

bool api_schedule_plan(const struct api_schedules *schedules, const char *name,
	struct schedule *plan)
{
	struct err err = {0};
	const struct config_object *object = config_find(
		schedules->api->parts.config, CONFIG_SCHEDULE, name);
	struct doc *node = object ? json_to_doc(object->value, &err) : NULL;
	bool well = node && !schedule_read(node, plan, &err);
	doc_free(node);
	return well;
}

const struct zone *api_schedule_zone(struct api_schedule *schedule,
	const struct schedule *plan, struct err *err)
{
	if (schedule->zone && !strcmp(schedule->zone_name, plan->zone))
		return schedule->zone;
	struct zone *zone = zone_open(plan->zone, err);
	if (!zone)
		return NULL;
	zone_free(schedule->zone);
	schedule->zone = zone;
	snprintf(schedule->zone_name, sizeof schedule->zone_name, "%s",
		plan->zone);
	return zone;
}

/* What was due before it was made or changed so is not; and the clock may have been
 * set back. */
static int64_t done_until(const struct api_schedules *schedules,
	const struct api_schedule *schedule)
{
	const struct config_object *object =
		config_find(schedules->api->parts.config, CONFIG_SCHEDULE,
			schedule->record.name);
	int64_t changed = object ? object->changed_ms / 1000 : 0;
	int64_t until =
		schedule->record.due > changed ? schedule->record.due : changed;
	int64_t now = api_now_ms() / 1000;
	return until < now ? until : now;
}

int64_t api_schedule_next(struct api_schedules *schedules,
	struct api_schedule *schedule, const struct schedule *plan,
	struct err *err)
{
	const struct zone *zone =
		plan->enabled ? api_schedule_zone(schedule, plan, err) : NULL;
	return zone ? schedule_next(&plan->times, zone,
			      done_until(schedules, schedule))
		    : 0;
}

/* -- looking -------------------------------------------------------------------- */

struct start {
	struct api_schedules *schedules;
	char name[SCHEDULE_NAME_BYTES];
};

static void start_co(void *argument)
{
	struct start *start = argument;
	struct err err = {0};
	/* A failure is in the record, the log and an event. */
	api_schedule_run_co(start->schedules, start->name, "the clock", &err);
	free(start);
}

static void skip(struct api_schedules *schedules, struct api_schedule *schedule)
{
	schedule->record.due = api_now_ms() / 1000;
	log_warning("api", "schedule_skipped",
		"schedule %s is due, but its last run is under way: it is left "
		"out",
		schedule->record.name);
	api_emit(schedules->api, "schedules", "schedule_skipped",
		json_pack("{ss, ss}", "schedule", schedule->record.name,
			"reason", "its last run is under way"));
}

static void begin(
	struct api_schedules *schedules, struct api_schedule *schedule)
{
	struct start *start = malloc(sizeof *start);
	if (!start)
		return; /* at the next look */
	start->schedules = schedules;
	snprintf(start->name, sizeof start->name, "%s", schedule->record.name);
	if (!co_start(start_co, start))
		free(start);
}

/* Milliseconds until it is due; it is started if it is. */
static int64_t look_at(struct api_schedules *schedules, const char *name)
{
	struct schedule plan;
	struct err err = {0};
	struct api_schedule *schedule = api_schedule_of(schedules, name);
	if (!schedule || !api_schedule_plan(schedules, name, &plan))
		return LOOK_MS;
	int64_t next = api_schedule_next(schedules, schedule, &plan, &err);
	int64_t left = next * 1000 - api_now_ms();
	if (!next || left > 0)
		return next ? left : LOOK_MS;
	if (schedule->running)
		skip(schedules, schedule);
	else
		begin(schedules, schedule);
	return LOOK_MS;
}

void api_schedules_forget_gone(struct api_schedules *schedules)
{
	struct api_schedule *one, *next;
	uint64_t generation = config_generation(schedules->api->parts.config);
	if (generation == schedules->generation)
		return;
	schedules->generation = generation;
	TAILQ_FOREACH_SAFE (one, &schedules->list, link, next) {
		if (one->running ||
			config_find(schedules->api->parts.config,
				CONFIG_SCHEDULE, one->record.name))
			continue;
		schedule_store_forget(schedules, one->record.name);
		free_schedule(schedules, one);
	}
}

/* A run that begins here goes on in another turn; what it does first may change the
 * list, so names are taken before. */
static void look(struct api_schedules *schedules)
{
	const struct config *config = schedules->api->parts.config;
	const struct config_object *one = NULL;
	json_t *names = json_array(), *name;
	int64_t wait_ms = LOOK_MS;
	size_t i;
	api_schedules_forget_gone(schedules);
	while ((one = config_next(config, CONFIG_SCHEDULE, one)))
		json_array_append_new(names, json_string(one->id));
	json_array_foreach(names, i, name)
	{
		int64_t left = look_at(schedules, json_string_value(name));
		wait_ms = left < wait_ms ? left : wait_ms;
	}
	json_decref(names);
	if (!schedules->closing)
		loop_timer_set(schedules->api->loop, &schedules->timer,
			(uint64_t)(wait_ms > 0 ? wait_ms : 1) * NS_PER_MS);
}

static void expired(struct loop_timer *timer)
{
	look(container_of(timer, struct api_schedules, timer));
}

/* -- life ------------------------------------------------------------------------ */

static void free_all(struct api_schedules *schedules)
{
	while (!TAILQ_EMPTY(&schedules->list))
		free_schedule(schedules, TAILQ_FIRST(&schedules->list));
	free(schedules);
}

struct api_schedules *api_schedules_new(struct api *api, struct err *err)
{
	struct api_schedules *schedules = calloc(1, sizeof *schedules);
	if (!schedules) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	schedules->api = api;
	schedules->timer.expired = expired;
	schedules->generation = UINT64_MAX;
	TAILQ_INIT(&schedules->list);
	if (schedule_store_load(schedules, err)) {
		free_all(schedules);
		return NULL;
	}
	if (api->parts.config) /* else there is no appliance, as in some tests */
		loop_timer_set(api->loop, &schedules->timer, NS_PER_MS);
	return schedules;
}

void api_schedules_stop_co(struct api_schedules *schedules)
{
	if (!schedules)
		return;
	schedules->closing = true;
	loop_timer_clear(schedules->api->loop, &schedules->timer);
	if (schedules->running) {
		schedules->closer = co_self();
		co_yield ();
	}
	free_all(schedules);
}
