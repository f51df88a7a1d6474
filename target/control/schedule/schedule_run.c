/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of a schedule. What it needs is on the heap, as stacks of coroutines are
 * small, and copied: the document may change meanwhile.
 */
#include "target/control/schedule/schedules.h"

#include "blockcore/base/log.h"
#include "blockcore/spec.h"
#include "target/control/appliance/appliance.h"
#include "target/control/config/volume_source.h"
#include "target/control/own_audit.h"
#include "target/control/snapshots/snapshot_moment.h"
#include "target/control/unix_time.h"
#include "target/volume/volume.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLLOWING_NS (100ull * 1000 * 1000)

struct run {
	struct schedules *schedules;
	struct kept_schedule *schedule;
	struct schedule plan;
	struct block_source *source[SCHEDULE_VOLUMES]; /* with references */
	bool owned[SCHEDULE_VOLUMES]; /* there is a row of this run */
	bool made[SCHEDULE_VOLUMES];
	bool by_hand;
	json_t *placement; /* of external ones; NULL: none is said */
	int64_t instant;
	struct err err; /* the first that went wrong */
};

/* -- making --------------------------------------------------------------------- */

static int take_source(struct run *run, unsigned i, struct err *err)
{
	const char *name = run->plan.volume[i];
	struct volume *volume =
		appliance_find_volume(run->schedules->parts->appliance, name);
	struct block_source *source =
		volume ? atomic_load(&volume->source) : NULL;
	if (!volume)
		return err_set(err, ENOENT, "there is no volume \"%s\"", name);
	if (!source)
		return err_set(err, ENODEV, "volume %s is offline: %s", name,
			volume->offline_reason);
	block_source_get(source);
	run->source[i] = source;
	if (run->owned[i]) /* it is tried again */
		return 0;
	int failed = schedule_own_add(run->schedules, run->plan.name, name,
		run->schedule->record.snapshot, run->instant, err);
	run->owned[i] = !failed;
	return failed;
}

static void let_go_co(struct run *run, unsigned i)
{
	struct block_source *source = run->source[i];
	run->source[i] = NULL;
	if (source)
		block_source_put_co(source);
}

static bool again_co(struct run *run, struct schedule_tries *tries, int failed,
	struct err *err)
{
	tries->by_hand = run->by_hand;
	return failed &&
		kept_schedule_again_co(
			run->schedules, run->plan.name, tries, failed, err);
}

/* What this run has said is its own, and an earlier one has not. */
static void disown(struct run *run, unsigned i)
{
	if (!run->owned[i])
		return;
	schedule_own_remove(run->schedules, run->plan.name, run->plan.volume[i],
		run->schedule->record.snapshot);
	run->owned[i] = false;
}

static void tell_made(struct run *run, unsigned i)
{
	char object[2 * SCHEDULE_STAMP_BYTES + 32];
	const char *volume = run->plan.volume[i];
	const char *snapshot = run->schedule->record.snapshot;
	run->schedule->record.made++;
	run->made[i] = true;
	snprintf(object, sizeof object, "volumes/%s/snapshots/%s", volume,
		snapshot);
	if (!run->plan.external) /* else with the change */
		own_audit_note(
			run->schedules->parts->trust, "createSnapshot", object);
	event_sink_emit(run->schedules->sink, "volumes", "snapshot_created",
		json_pack("{ss, ss, ss}", "volume", volume, "snapshot",
			snapshot, "schedule", run->plan.name));
}

static void remember(struct run *run, const char *volume, struct err *err)
{
	if (run->err.code)
		return;
	run->err = *err;
	if (volume)
		err_wrap(&run->err, "volume %s", volume);
}

static int take_moment(
	struct run *run, struct snapshot_moment *moment, struct err *err)
{
	const struct config *config = run->schedules->parts->config;
	for (unsigned i = 0; i < run->plan.volumes; i++) {
		const struct config_object *volume =
			config_find(config, CONFIG_VOLUME, run->plan.volume[i]);
		int failed = volume
			? take_source(run, i, err)
			: err_set(err, ENOENT, "there is no volume \"%s\"",
				  run->plan.volume[i]);
		if (failed)
			return failed;
		snapshot_moment_add(moment, volume, run->source[i],
			run->schedule->record.snapshot);
	}
	return 0;
}

/* New images over some of the volumes, which have been taken. */
static int try_external_co(
	struct run *run, unsigned first, unsigned count, struct err *err)
{
	const struct schedule_moment moment = {.plan = &run->plan,
		.placement = run->placement,
		.snapshot = run->schedule->record.snapshot,
		.instant = run->instant,
		.source = run->source,
		.first = first,
		.count = count};
	return schedule_external_make_co(run->schedules, &moment, err);
}

static int try_external_group_co(struct run *run, struct err *err)
{
	int failed = 0;
	for (unsigned i = 0; i < run->plan.volumes && !failed; i++)
		failed = take_source(run, i, err);
	if (!failed)
		failed = try_external_co(run, 0, run->plan.volumes, err);
	for (unsigned i = 0; i < run->plan.volumes; i++)
		let_go_co(run, i);
	return failed;
}

static int try_group_co(struct run *run, struct err *err)
{
	struct snapshot_moment moment;
	int failed = snapshot_moment_begin(&moment, run->schedules->parts, err);
	if (!failed)
		failed = take_moment(run, &moment, err);
	if (!failed)
		failed = snapshot_moment_make_co(
			&moment, run->schedule->record.snapshot, err);
	snapshot_moment_end_co(&moment);
	for (unsigned i = 0; i < run->plan.volumes; i++)
		let_go_co(run, i);
	return failed;
}

static void make_group_co(struct run *run)
{
	struct err err = {0};
	struct schedule_tries tries = {0};
	int failed;
	do
		failed = run->plan.external ? try_external_group_co(run, &err)
					    : try_group_co(run, &err);
	while (again_co(run, &tries, failed, &err));
	for (unsigned i = 0; i < run->plan.volumes; i++) {
		if (failed)
			disown(run, i);
		else
			tell_made(run, i);
	}
	if (failed)
		remember(run, NULL, &err);
}

static int try_one_co(struct run *run, unsigned i, struct err *err)
{
	int failed = take_source(run, i, err);
	if (!failed && run->plan.external)
		failed = try_external_co(run, i, 1, err);
	else if (!failed)
		failed = spec_snapshot_create_co(run->source[i],
			run->schedule->record.snapshot, SPEC_GATE_DEADLINE_NS,
			err);
	let_go_co(run, i);
	return failed;
}

static void make_one_co(struct run *run, unsigned i)
{
	struct err err = {0};
	struct schedule_tries tries = {0};
	int failed;
	do
		failed = try_one_co(run, i, &err);
	while (again_co(run, &tries, failed, &err));
	if (!failed) {
		tell_made(run, i);
		return;
	}
	disown(run, i);
	remember(run, run->plan.volume[i], &err);
}

static void make_all_co(struct run *run)
{
	if (!run->by_hand)
		schedule_wait_merges_co(run->schedules, &run->plan);
	if (run->plan.group && run->plan.volumes > 1) {
		make_group_co(run);
		return;
	}
	for (unsigned i = 0; i < run->plan.volumes; i++) {
		if (!run->made[i] && !schedules_ending(run->schedules))
			make_one_co(run, i);
	}
}

/* -- the whole -------------------------------------------------------------------- */

static void begin(struct run *run)
{
	struct schedule_record *record = &run->schedule->record;
	record->ran_ms = unix_now_ms();
	record->ended_ms = 0;
	run->instant = record->ran_ms / 1000;
	record->due = run->instant;
	record->made = record->deleted = 0;
	record->text[0] = '\0';
	if (!record->kept)
		record->kept = json_array();
	schedule_follows_forget_failed(run->schedule);
	schedule_stamp(&run->plan, run->instant, record->snapshot);
}

/* What stayed of volumes that are none of this schedule any more. */
static void forget_others(struct run *run)
{
	json_t *kept = run->schedule->record.kept;
	for (size_t i = json_array_size(kept); i-- > 0;) {
		const char *volume =
			source_text(json_array_get(kept, i), "volume");
		if (!volume || !schedule_names(&run->plan, volume))
			json_array_remove(kept, i);
	}
}

static void prune_all_co(struct run *run)
{
	struct err err = {0};
	const struct zone *zone =
		kept_schedule_zone(run->schedule, &run->plan, &err);
	if (!zone) {
		remember(run, NULL, &err);
		return;
	}
	while (run->schedule->following) /* it would be at the same */
		schedules_pause_co(run->schedules, FOLLOWING_NS);
	forget_others(run);
	for (unsigned i = 0; i < run->plan.volumes; i++) {
		if (!schedules_ending(run->schedules))
			kept_schedule_prune_co(run->schedules, run->schedule,
				&run->plan, zone, run->plan.volume[i]);
	}
}

static void tell_end(struct run *run, const char *who)
{
	const struct schedule_record *record = &run->schedule->record;
	bool failed = run->err.code;
	char object[SCHEDULE_NAME_BYTES + 16];
	snprintf(object, sizeof object, "schedules/%s", record->name);
	own_audit_note(run->schedules->parts->trust,
		failed ? "failSchedule" : "runSchedule", object);
	if (failed)
		log_warning("api", "schedule_failed", "schedule %s: %s",
			record->name, record->text);
	else
		log_info("api", "schedule_done",
			"schedule %s, by %s: snapshot %s of %u volumes, %u "
			"deleted",
			record->name, who, record->snapshot, record->made,
			record->deleted);
	event_sink_emit(run->schedules->sink, "schedules",
		failed ? "schedule_failed" : "schedule_done",
		json_pack("{ss, ss, si, si, ss*}", "schedule", record->name,
			"snapshot", record->snapshot, "made", (int)record->made,
			"deleted", (int)record->deleted, "reason",
			failed ? record->text : NULL));
}

static void end(struct run *run, const char *who)
{
	struct schedule_record *record = &run->schedule->record;
	struct err err = {0};
	record->ended_ms = unix_now_ms();
	record->result = run->err.code ? SCHEDULE_FAILED : SCHEDULE_DONE;
	snprintf(record->text, sizeof record->text, "%.*s",
		(int)sizeof record->text - 1, run->err.text);
	if (schedule_store_save(run->schedules, record, &err))
		log_warning("api", "schedule", "schedule %s cannot be kept: %s",
			record->name, err.text);
	tell_end(run, who);
}

/* On the disk, or above each other. */
static bool lacks_room(const struct run *run)
{
	return run->err.code == ENOSPC || run->err.code == EMLINK;
}

/* External ones go by jobs: until the first has gone, if nobody waits for the answer. */
static void wait_room_co(struct run *run)
{
	while (lacks_room(run) && !run->by_hand &&
		!run->schedule->record.deleted &&
		schedule_has_merges(run->schedule) &&
		!schedules_ending(run->schedules)) {
		schedules_pause_co(run->schedules, FOLLOWING_NS);
		schedule_follow_step_co(
			run->schedules, run->schedule, &run->plan);
	}
}

/* There was no room; some has come by what went. */
static bool has_room_now(const struct run *run)
{
	return lacks_room(run) && run->schedule->record.deleted &&
		!schedules_ending(run->schedules);
}

static int run_co(struct run *run, const char *who, struct err *err)
{
	struct err ignored = {0};
	begin(run);
	/* Not to be done twice, should the daemon die meanwhile. */
	schedule_store_save(run->schedules, &run->schedule->record, &ignored);
	make_all_co(run);
	prune_all_co(run);
	wait_room_co(run);
	if (has_room_now(run)) {
		run->err = (struct err){0};
		make_all_co(run);
		prune_all_co(run);
	}
	end(run, who);
	if (run->err.code)
		*err = run->err;
	return run->err.code ? -run->err.code : 0;
}

bool kept_schedule_ran_just_now(const struct kept_schedule *schedule)
{
	return schedule->record.ran_ms / 1000 == unix_now_ms() / 1000;
}

static int may_run(struct schedules *schedules, struct kept_schedule *schedule,
	const char *name, struct err *err)
{
	if (!schedule)
		return err_set(err, ENOMEM, "out of memory");
	if (!kept_schedule_plan(schedules, schedule))
		return err_set(
			err, ENOENT, "there is no schedule \"%s\"", name);
	if (kept_schedule_ran_just_now(schedule))
		return err_set(err, EBUSY,
			"schedule %s has run in this second, by which its "
			"snapshots are called: run it again in the next",
			name);
	return 0;
}

/* A new reference. */
static json_t *placement_of(const struct schedules *schedules, const char *name)
{
	const struct config_object *object =
		config_find(schedules->parts->config, CONFIG_SCHEDULE, name);
	return object ? json_incref(json_object_get(object->value, "placement"))
		      : NULL;
}

int kept_schedule_run_co(struct schedules *schedules, const char *name,
	const char *who, struct err *err)
{
	struct kept_schedule *schedule = kept_schedule_of(schedules, name);
	int failed = may_run(schedules, schedule, name, err);
	if (failed)
		return failed;
	struct run *run = calloc(1, sizeof *run);
	if (!run)
		return err_set(err, ENOMEM, "out of memory");
	run->schedules = schedules;
	run->schedule = schedule;
	run->plan = schedule->plan;
	run->by_hand = who != NULL;
	run->placement = placement_of(schedules, name);
	schedule->running = true;
	schedules->running++;
	failed = run_co(run, who ? who : "the clock", err);
	schedule->running = false;
	json_decref(run->placement);
	free(run);
	schedules_left(schedules);
	return failed;
}
