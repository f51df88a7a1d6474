/* SPDX-License-Identifier: Apache-2.0 */
/*
 * External snapshots that have served their time: each goes by a job, one after the
 * other, between runs. See schedules.h, invariant 6.
 */
#include "blockcore/base/co.h"
#include "blockcore/base/log.h"
#include "target/control/appliance/appliance.h"
#include "target/control/config/object_edits.h"
#include "target/control/config/volume_source.h"
#include "target/control/jobs/snapshot_merge.h"
#include "target/control/schedule/schedules.h"
#include "target/control/snapshots/snapshot_records.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_NS (250ull * 1000 * 1000)

/* -- what is waited for ----------------------------------------------------------- */

struct schedule_follow *schedule_follow_of(
	struct kept_schedule *schedule, const char *volume)
{
	struct schedule_follow *follow;
	LIST_FOREACH (follow, &schedule->follows, link) {
		if (!strcmp(follow->volume, volume))
			return follow;
	}
	return NULL;
}

void schedule_follow_job(struct kept_schedule *schedule, const char *volume,
	uint64_t id, const char *snapshot)
{
	struct schedule_follow *follow = schedule_follow_of(schedule, volume);
	if (follow && follow->job == id && id)
		return;
	if (!follow) {
		follow = calloc(1, sizeof *follow);
		if (!follow)
			return; /* the next run looks */
		snprintf(follow->volume, sizeof follow->volume, "%s", volume);
		LIST_INSERT_HEAD(&schedule->follows, follow, link);
	}
	follow->job = id;
	snprintf(follow->snapshot, sizeof follow->snapshot, "%s",
		snapshot ? snapshot : "");
}

void schedule_follow_end(struct schedule_follow *follow)
{
	LIST_REMOVE(follow, link);
	json_decref(follow->failed);
	free(follow);
}

void schedule_follows_free(struct kept_schedule *schedule)
{
	struct schedule_follow *follow;
	while ((follow = LIST_FIRST(&schedule->follows)))
		schedule_follow_end(follow);
}

void schedule_follows_forget_failed(struct kept_schedule *schedule)
{
	struct schedule_follow *follow;
	LIST_FOREACH (follow, &schedule->follows, link) {
		json_decref(follow->failed);
		follow->failed = NULL;
	}
}

bool schedule_has_merges(const struct kept_schedule *schedule)
{
	const struct schedule_follow *follow;
	LIST_FOREACH (follow, &schedule->follows, link) {
		if (*follow->snapshot)
			return true;
	}
	return false;
}

/* -- jobs ------------------------------------------------------------------------- */

static const struct kept_job *job_of(
	const struct schedules *schedules, uint64_t id)
{
	return id ? jobs_find(schedules->jobs, id) : NULL;
}

/* The volume is there, and no job is waited for. */
static bool is_due(
	const struct schedules *schedules, const struct schedule_follow *follow)
{
	const struct volume *volume = appliance_find_volume(
		schedules->parts->appliance, follow->volume);
	const struct kept_job *job = job_of(schedules, follow->job);
	return volume && atomic_load(&volume->source) &&
		(!job || kept_job_ended(job));
}

static void note_failed(
	struct schedule_follow *follow, const struct kept_job *job)
{
	char text[ERR_TEXT_BYTES + 80];
	bool cancelled = job->record.state == KEPT_JOB_CANCELLED;
	snprintf(text, sizeof text,
		"job %" PRIu64 " (%s), which was to merge it, %s%s",
		job->record.id, job->record.kind,
		cancelled ? "was cancelled" : "has failed: ",
		cancelled ? "" : job->record.error);
	if (!follow->failed)
		follow->failed = json_object();
	json_object_set_new(
		follow->failed, follow->snapshot, json_string(text));
}

/* One that is not known any more has told nobody. */
void schedule_merge_settle(struct schedules *schedules,
	struct kept_schedule *schedule, const char *volume)
{
	struct schedule_follow *follow = schedule_follow_of(schedule, volume);
	const struct kept_job *job =
		follow ? job_of(schedules, follow->job) : NULL;
	if (!follow || (job && !kept_job_ended(job)))
		return;
	if (job && *follow->snapshot && job->record.state == KEPT_JOB_DONE)
		schedule_tell_gone(
			schedules, schedule, follow->volume, follow->snapshot);
	else if (job && *follow->snapshot)
		note_failed(follow, job);
	follow->job = 0;
	follow->snapshot[0] = '\0';
}

/* A run of another schedule is about to make a snapshot of it, or has just. */
static bool is_wanted(const struct schedules *schedules,
	const struct kept_schedule *but, const char *volume)
{
	const struct kept_schedule *one;
	TAILQ_FOREACH (one, &schedules->list, link) {
		if (one != but && one->running && one->planned &&
			schedule_names(&one->plan, volume))
			return true;
	}
	return false;
}

static bool has_own_job(
	const struct schedules *schedules, const struct schedule *plan)
{
	for (unsigned i = 0; i < plan->volumes; i++) {
		const struct kept_job *job =
			jobs_holder(schedules->jobs, plan->volume[i]);
		if (job && job->record.state == KEPT_JOB_RUNNING &&
			!strcmp(job->record.user, KEPT_JOB_OWN_USER))
			return true;
	}
	return false;
}

void schedule_wait_merges_co(
	struct schedules *schedules, const struct schedule *plan)
{
	while (!schedules_ending(schedules) && has_own_job(schedules, plan))
		schedules_pause_co(schedules, LOOK_NS);
}

/* -- one that is to go ------------------------------------------------------------- */

/* It goes with its files; the volume does not stand on it. */
static int remove_branch_co(struct schedules *schedules,
	const struct config_object *volume, const json_t *snapshot,
	struct err *err)
{
	struct config_outcome outcome;
	json_t *files = NULL;
	char name[SCHEDULE_VOLUME_BYTES], title[256];
	json_t *value = snapshot_without_branch(volume->value,
		source_text(snapshot, "image"), source_text(snapshot, "name"),
		&files, err);
	if (!value)
		return -err->code;
	snprintf(name, sizeof name, "%s", volume->id);
	snprintf(title, sizeof title, "volume %s lost a snapshot", name);
	struct config_edit edit = {.kind = CONFIG_VOLUME,
		.id = name,
		.value = value,
		.generation = volume->generation};
	struct config_change change = {
		.edit = &edit, .edits = 1, .who = "cairnd", .title = title};
	int failed = config_change_co(
		schedules->parts->config, &change, &outcome, err);
	if (!failed) {
		object_emit(schedules->sink, &outcome);
		config_outcome_free(&outcome);
		snapshot_files_remove_co(
			schedules->parts, schedules->loop, name, files);
	}
	json_decref(value);
	json_decref(files);
	return failed;
}

static enum schedule_merge_end begin_merge_co(struct schedules *schedules,
	struct kept_schedule *schedule, const char *volume,
	const json_t *snapshot, struct err *err)
{
	struct snapshot_merge merge;
	uint64_t id = 0;
	int failed = snapshot_merge_find(schedules->jobs, volume,
		source_text(snapshot, "image"), &merge, err);
	if (failed)
		return SCHEDULE_MERGE_STAYS;
	failed = jobs_begin_own_co(
		schedules->jobs, merge.kind, volume, merge.options, &id, err);
	json_decref(merge.options);
	if (failed)
		return SCHEDULE_MERGE_STAYS;
	schedule_follow_job(
		schedule, volume, id, source_text(snapshot, "name"));
	err_set(err, EBUSY, "job %" PRIu64 " (%s) merges it", id, merge.kind);
	return SCHEDULE_MERGE_WAITS;
}

/* True: somebody comes first. */
static bool must_wait(struct schedules *schedules,
	struct kept_schedule *schedule, const char *volume, struct err *err)
{
	const struct kept_job *job = jobs_holder(schedules->jobs, volume);
	if (job)
		err_set(err, EBUSY,
			"job %" PRIu64
			" (%s) has the volume: it goes after that",
			job->record.id, job->record.kind);
	else if (is_wanted(schedules, schedule, volume))
		err_set(err, EBUSY,
			"another schedule runs: it goes after that");
	else
		return false;
	schedule_follow_job(schedule, volume, job ? job->record.id : 0, NULL);
	return true;
}

enum schedule_merge_end schedule_merge_co(struct schedules *schedules,
	struct kept_schedule *schedule, const char *volume,
	const json_t *snapshot, struct err *err)
{
	const struct config_object *object =
		config_find(schedules->parts->config, CONFIG_VOLUME, volume);
	const struct schedule_follow *follow =
		schedule_follow_of(schedule, volume);
	const char *why = follow
		? source_text(follow->failed, source_text(snapshot, "name"))
		: NULL;
	if (why) {
		err_set(err, EIO, "%s", why);
		return SCHEDULE_MERGE_STAYS;
	}
	if (must_wait(schedules, schedule, volume, err))
		return SCHEDULE_MERGE_WAITS;
	if (!object ||
		!snapshot_is_branch(
			object->value, source_text(snapshot, "image")))
		return begin_merge_co(
			schedules, schedule, volume, snapshot, err);
	return remove_branch_co(schedules, object, snapshot, err)
		? SCHEDULE_MERGE_STAYS
		: SCHEDULE_MERGE_GONE;
}

/* -- going on ---------------------------------------------------------------------- */

void schedule_follow_step_co(struct schedules *schedules,
	struct kept_schedule *schedule, const struct schedule *plan)
{
	struct err ignored = {0};
	const struct zone *zone = kept_schedule_zone(schedule, plan, &ignored);
	for (unsigned i = 0; zone && i < plan->volumes; i++) {
		const struct schedule_follow *follow =
			schedule_follow_of(schedule, plan->volume[i]);
		if (!follow || schedules_ending(schedules) ||
			!is_due(schedules, follow))
			continue;
		kept_schedule_prune_co(
			schedules, schedule, plan, zone, plan->volume[i]);
	}
}

struct following {
	struct schedules *schedules;
	struct kept_schedule *schedule;
	struct schedule plan; /* the document may change meanwhile */
};

static void follow_co(void *argument)
{
	struct following *following = argument;
	struct schedules *schedules = following->schedules;
	struct kept_schedule *schedule = following->schedule;
	struct err err = {0};
	schedule_follow_step_co(schedules, schedule, &following->plan);
	if (schedule_store_save(schedules, &schedule->record, &err))
		log_warning("api", "schedule", "schedule %s cannot be kept: %s",
			schedule->record.name, err.text);
	free(following);
	schedule->following = false;
	schedules_left(schedules);
}

static void begin(struct schedules *schedules, struct kept_schedule *schedule,
	const struct schedule *plan)
{
	struct following *following = malloc(sizeof *following);
	if (!following)
		return; /* at the next look */
	*following = (struct following){
		.schedules = schedules, .schedule = schedule, .plan = *plan};
	schedule->following = true;
	schedules->running++;
	if (co_start(follow_co, following))
		return;
	schedule->following = false;
	schedules->running--;
	free(following);
}

/* What was under way when the daemon ended goes on. */
static void look_first(
	struct kept_schedule *schedule, const struct schedule *plan)
{
	if (schedule->looked)
		return;
	schedule->looked = true;
	for (unsigned i = 0; plan->external && i < plan->volumes; i++)
		schedule_follow_job(schedule, plan->volume[i], 0, NULL);
}

void schedule_follow_look(struct schedules *schedules,
	struct kept_schedule *schedule, const struct schedule *plan)
{
	struct schedule_follow *follow, *next;
	bool due = false;
	if (schedule->running || schedule->following ||
		schedules_ending(schedules))
		return;
	look_first(schedule, plan);
	for (follow = LIST_FIRST(&schedule->follows); follow; follow = next) {
		next = LIST_NEXT(follow, link);
		if (!schedule_names(plan, follow->volume))
			schedule_follow_end(follow);
		else
			due |= is_due(schedules, follow) &&
				!is_wanted(schedules, schedule, follow->volume);
	}
	if (due)
		begin(schedules, schedule, plan);
}
