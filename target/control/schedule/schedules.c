/* SPDX-License-Identifier: Apache-2.0 */
/* Which schedules are due, and their life; see schedules.h. */
#include "target/control/schedule/schedules.h"

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "target/control/config/config.h"
#include "target/control/config/json_doc.h"
#include "target/control/unix_time.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The clock may have been set. */
#define LOOK_MS 1000
/* So late it is more than a busy machine. */
#define MISSED_S 60
#define MISSED_MOST 9999u
#define NS_PER_MS 1000000ull

const char *const schedule_result_names[SCHEDULE_RESULTS] = {
	"never", "done", "failed"};

/* -- what there is -------------------------------------------------------------- */

static struct kept_schedule *find(
	const struct schedules *schedules, const char *name)
{
	struct kept_schedule *one;
	TAILQ_FOREACH (one, &schedules->list, link) {
		if (!strcmp(one->record.name, name))
			return one;
	}
	return NULL;
}

struct kept_schedule *kept_schedule_of(
	struct schedules *schedules, const char *name)
{
	struct kept_schedule *one = find(schedules, name);
	if (one)
		return one;
	one = calloc(1, sizeof *one);
	if (!one)
		return NULL;
	snprintf(one->record.name, sizeof one->record.name, "%s", name);
	LIST_INIT(&one->follows);
	TAILQ_INSERT_TAIL(&schedules->list, one, link);
	return one;
}

static void free_schedule(
	struct schedules *schedules, struct kept_schedule *one)
{
	TAILQ_REMOVE(&schedules->list, one, link);
	schedule_follows_free(one);
	json_decref(one->record.kept);
	zone_free(one->zone);
	free(one);
}

static bool read_plan(
	const struct schedules *schedules, struct kept_schedule *schedule)
{
	struct err err = {0};
	const struct config_object *object =
		config_find(schedules->parts->config, CONFIG_SCHEDULE,
			schedule->record.name);
	struct doc *node = object ? json_to_doc(object->value, &err) : NULL;
	bool well = node && !schedule_read(node, &schedule->plan, &err);
	doc_free(node);
	return well;
}

const struct schedule *kept_schedule_plan(
	struct schedules *schedules, struct kept_schedule *schedule)
{
	if (!schedule->planned)
		schedule->planned = read_plan(schedules, schedule);
	return schedule->planned ? &schedule->plan : NULL;
}

const struct zone *kept_schedule_zone(struct kept_schedule *schedule,
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

/* What was due before it was made or changed so is not. If the clock has been set back
 * behind that, it is what the clock showed when that was noticed, or the last run. */
static int64_t done_until(
	const struct schedules *schedules, struct kept_schedule *schedule)
{
	const struct config_object *object =
		config_find(schedules->parts->config, CONFIG_SCHEDULE,
			schedule->record.name);
	int64_t changed = object ? object->changed_ms / 1000 : 0;
	int64_t due = schedule->record.due, now = unix_now_ms() / 1000;
	if (due <= now && changed <= now) {
		schedule->set_back = 0;
		return due > changed ? due : changed;
	}
	if (!schedule->set_back || schedule->set_back > now)
		schedule->set_back = now;
	if (due <= now && due > schedule->set_back)
		schedule->set_back = due;
	return schedule->set_back;
}

int64_t kept_schedule_next(struct schedules *schedules,
	struct kept_schedule *schedule, const struct schedule *plan,
	struct err *err)
{
	const struct zone *zone =
		plan->enabled ? kept_schedule_zone(schedule, plan, err) : NULL;
	return zone ? schedule_next(&plan->times, zone,
			      done_until(schedules, schedule))
		    : 0;
}

/* -- looking -------------------------------------------------------------------- */

struct start {
	struct schedules *schedules;
	char name[SCHEDULE_NAME_BYTES];
};

static void start_co(void *argument)
{
	struct start *start = argument;
	struct err err = {0};
	/* A failure is in the record, the log and an event. */
	kept_schedule_run_co(start->schedules, start->name, NULL, &err);
	free(start);
}

static void skip(struct schedules *schedules, struct kept_schedule *schedule)
{
	schedule->record.due = unix_now_ms() / 1000;
	log_warning("api", "schedule_skipped",
		"schedule %s is due, but its last run is under way: it is left "
		"out",
		schedule->record.name);
	event_sink_emit(schedules->sink, "schedules", "schedule_skipped",
		json_pack("{ss, ss}", "schedule", schedule->record.name,
			"reason", "its last run is under way"));
}

static void begin(struct schedules *schedules, struct kept_schedule *schedule)
{
	struct start *start = malloc(sizeof *start);
	if (!start)
		return; /* at the next look */
	start->schedules = schedules;
	snprintf(start->name, sizeof start->name, "%s", schedule->record.name);
	if (!co_start(start_co, start))
		free(start);
}

/* How many runs were due from `first` on until now. */
static unsigned count_due(struct kept_schedule *schedule,
	const struct schedule *plan, int64_t first, int64_t now)
{
	struct err ignored = {0};
	const struct zone *zone = kept_schedule_zone(schedule, plan, &ignored);
	unsigned count = 0;
	for (; zone && first <= now && count < MISSED_MOST; count++)
		first = schedule_next(&plan->times, zone, first);
	return count;
}

/* Says so if it comes late: nobody was there, or the clock was set. */
static void tell_missed(struct schedules *schedules,
	struct kept_schedule *schedule, const struct schedule *plan,
	int64_t first)
{
	int64_t now = unix_now_ms() / 1000;
	unsigned count = count_due(schedule, plan, first, now);
	if (now - first < MISSED_S)
		return;
	json_t *since = unix_time_json(first * 1000);
	log_warning("api", "schedule_missed",
		"schedule %s was due at %s, and %u times since then in all: "
		"the "
		"daemon did not run, or the clock was set. It runs once, now",
		plan->name, json_string_value(since), count);
	event_sink_emit(schedules->sink, "schedules", "schedule_missed",
		json_pack("{ss, so, si}", "schedule", plan->name, "since",
			since, "count", (int)count));
}

/* Milliseconds until it is due; it is started if it is. */
static int64_t look_at(struct schedules *schedules, const char *name)
{
	struct err err = {0};
	struct kept_schedule *schedule = kept_schedule_of(schedules, name);
	const struct schedule *plan =
		schedule ? kept_schedule_plan(schedules, schedule) : NULL;
	if (plan)
		schedule_follow_look(schedules, schedule, plan);
	int64_t next =
		plan ? kept_schedule_next(schedules, schedule, plan, &err) : 0;
	int64_t left = next * 1000 - unix_now_ms();
	if (!next)
		return LOOK_MS;
	if (left > 0)
		return left;
	if (schedule->running)
		skip(schedules, schedule);
	else if (!kept_schedule_ran_just_now(schedule)) {
		tell_missed(schedules, schedule, plan, next);
		begin(schedules, schedule);
	}
	return LOOK_MS;
}

/* While a volume waits for a job, that is looked at. */
static int64_t look_again_ms(struct schedules *schedules, const char *name)
{
	int64_t left = look_at(schedules, name);
	const struct kept_schedule *schedule = find(schedules, name);
	bool waits = schedule && !LIST_EMPTY(&schedule->follows);
	return waits && left > LOOK_MS ? LOOK_MS : left;
}

/* A run that begins here goes on in another turn; what it does first may change the
 * list, so names are taken before. */
static void look(struct schedules *schedules)
{
	const struct config *config = schedules->parts->config;
	const struct config_object *one = NULL;
	json_t *names = json_array(), *name;
	int64_t wait_ms = LOOK_MS;
	size_t i;
	while ((one = config_next(config, CONFIG_SCHEDULE, one)))
		json_array_append_new(names, json_string(one->id));
	json_array_foreach(names, i, name)
	{
		int64_t left =
			look_again_ms(schedules, json_string_value(name));
		wait_ms = left < wait_ms ? left : wait_ms;
	}
	json_decref(names);
	if (!schedules->closing)
		loop_timer_set(schedules->loop, &schedules->timer,
			(uint64_t)(wait_ms > 0 ? wait_ms : 1) * NS_PER_MS);
}

static void expired(struct loop_timer *timer)
{
	look(container_of(timer, struct schedules, timer));
}

void schedules_forget_gone(struct schedules *schedules)
{
	struct kept_schedule *one, *next;
	TAILQ_FOREACH_SAFE (one, &schedules->list, link, next) {
		if (config_find(schedules->parts->config, CONFIG_SCHEDULE,
			    one->record.name))
			continue;
		schedule_store_forget(schedules, one->record.name);
		if (!one->running && !one->following)
			free_schedule(schedules, one);
	}
}

/* What there is now is looked at in a turn of its own. */
static void config_changed(struct config_watcher *watcher)
{
	struct schedules *schedules =
		container_of(watcher, struct schedules, watcher);
	struct kept_schedule *one;
	schedules_forget_gone(schedules);
	TAILQ_FOREACH (one, &schedules->list, link)
		one->planned = false;
	if (!schedules->closing)
		loop_timer_set(schedules->loop, &schedules->timer, NS_PER_MS);
}

bool schedules_ending(const struct schedules *schedules)
{
	return schedules->ending;
}

void schedules_left(struct schedules *schedules)
{
	schedules->running--;
	schedules_forget_gone(schedules);
	if (!schedules->running && schedules->closer) {
		struct co *closer = schedules->closer;
		schedules->closer = NULL;
		co_resume(closer);
	}
}

/* -- life ------------------------------------------------------------------------ */

static void free_all(struct schedules *schedules)
{
	while (!TAILQ_EMPTY(&schedules->list))
		free_schedule(schedules, TAILQ_FIRST(&schedules->list));
	free(schedules);
}

struct schedules *schedules_new(struct jobs *jobs, struct err *err)
{
	struct schedules *schedules = calloc(1, sizeof *schedules);
	if (!schedules) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	schedules->parts = jobs->parts;
	schedules->loop = jobs->loop;
	schedules->sink = jobs->sink;
	schedules->jobs = jobs;
	schedules->timer.expired = expired;
	schedules->watcher.changed = config_changed;
	TAILQ_INIT(&schedules->list);
	LIST_INIT(&schedules->pauses);
	if (schedule_store_load(schedules, err)) {
		free_all(schedules);
		return NULL;
	}
	if (jobs->parts->config) { /* else there is no appliance, as in some tests */
		config_watch(jobs->parts->config, &schedules->watcher);
		loop_timer_set(jobs->loop, &schedules->timer, NS_PER_MS);
	}
	return schedules;
}

void schedules_end(struct schedules *schedules)
{
	schedules->ending = true;
}

void schedules_stop_co(struct schedules *schedules)
{
	if (!schedules)
		return;
	schedules->ending = schedules->closing = true;
	if (schedules->parts->config)
		config_watch(schedules->parts->config, NULL);
	loop_timer_clear(schedules->loop, &schedules->timer);
	schedules_hurry(schedules);
	if (schedules->running) {
		schedules->closer = co_self();
		co_yield ();
	}
	free_all(schedules);
}
