/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a schedule has made and does not keep any more goes, oldest first.
 */
#include "target/control/schedule/schedules.h"

#include "blockcore/base/log.h"
#include "blockcore/spec.h"
#include "target/control/appliance/appliance.h"
#include "target/control/config/volume_source.h"
#include "target/control/own_audit.h"
#include "target/control/snapshots/snapshot_locks.h"
#include "target/control/snapshots/snapshot_read.h"
#include "target/control/snapshots/snapshot_users.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The schedule's own of a volume that are there, newest first. */
struct own {
	const char *name; /* of an item */
	const json_t *snapshot;
	int64_t made;
};

struct pruning {
	struct schedules *schedules;
	struct kept_schedule *schedule;
	const char *volume;
	struct block_source *source;
	struct own *own;
	int64_t *made;
	uint8_t *wanted;
	unsigned count;
	json_t *before; /* what stayed the last time */
	bool waits; /* something does, for a job or a run */
};

static int newer(const void *one, const void *other)
{
	const struct own *a = one, *b = other;
	return a->made == b->made ? 0 : a->made < b->made ? 1 : -1;
}

static int list_own(struct pruning *p, const json_t *items, const json_t *rows)
{
	size_t all = json_array_size(items), i;
	json_t *one;
	p->own = calloc(all + 1, sizeof *p->own);
	p->made = calloc(all + 1, sizeof *p->made);
	p->wanted = calloc(all + 1, sizeof *p->wanted);
	if (!p->own || !p->made || !p->wanted)
		return -ENOMEM;
	json_array_foreach(items, i, one)
	{
		const char *name = source_text(one, "name");
		const json_t *made = name ? json_object_get(rows, name) : NULL;
		if (made)
			p->own[p->count++] = (struct own){
				name, one, json_integer_value(made)};
	}
	qsort(p->own, p->count, sizeof *p->own, newer);
	for (i = 0; i < p->count; i++)
		p->made[i] = p->own[i].made;
	return 0;
}

/* Why the same stayed before; NULL: it is new. */
static const char *reason_before(const struct pruning *p, const char *snapshot)
{
	const json_t *one;
	size_t i;
	json_array_foreach(p->before, i, one)
	{
		if (!strcmp(source_text(one, "snapshot"), snapshot))
			return source_text(one, "reason");
	}
	return NULL;
}

static void list_kept(
	struct pruning *p, const char *snapshot, const char *reason)
{
	json_t *kept = p->schedule->record.kept;
	if (json_array_size(kept) < SCHEDULE_KEPT_TOLD)
		json_array_append_new(kept,
			json_pack("{ss, ss, ss}", "volume", p->volume,
				"snapshot", snapshot, "reason", reason));
}

/* Told once, as long as the reason is the same. */
static void keep(struct pruning *p, const char *snapshot, const char *reason)
{
	const char *before = reason_before(p, snapshot);
	list_kept(p, snapshot, reason);
	log_info("api", "schedule_kept",
		"schedule %s keeps %s of volume %s: %s",
		p->schedule->record.name, snapshot, p->volume, reason);
	if (!before || strcmp(before, reason) != 0)
		event_sink_emit(p->schedules->sink, "schedules",
			"schedule_kept",
			json_pack("{ss, ss, ss, ss}", "schedule",
				p->schedule->record.name, "volume", p->volume,
				"snapshot", snapshot, "reason", reason));
}

/* 0: nothing is in its way. */
static int check(struct pruning *p, const struct own *own, struct err *err)
{
	const struct daemon_parts *parts = p->schedules->parts;
	const struct config_object *volume =
		config_find(parts->config, CONFIG_VOLUME, p->volume);
	if (!volume)
		return err_set(err, ENOENT, "the volume has gone");
	const char *image = source_text(own->snapshot, "image");
	json_t *holders =
		snapshot_users(parts->config, p->volume, own->snapshot);
	const char *first = json_string_value(json_array_get(holders, 0));
	if (!image)
		image = snapshot_image(
			json_object_get(volume->value, "source"));
	int failed = first
		? err_set(err, EBUSY, "%s shows it or stands on it", first)
		: snapshot_lock_check(parts, image, own->name, err);
	json_decref(holders);
	return failed;
}

void schedule_tell_gone(struct schedules *schedules,
	struct kept_schedule *schedule, const char *volume,
	const char *snapshot)
{
	char object[512];
	schedule->record.deleted++;
	schedule_own_remove(schedules, schedule->record.name, volume, snapshot);
	snprintf(object, sizeof object, "volumes/%s/snapshots/%s", volume,
		snapshot);
	own_audit_note(schedules->parts->trust, "deleteSnapshot", object);
	event_sink_emit(schedules->sink, "volumes", "snapshot_deleted",
		json_pack("{ss, ss, ss}", "volume", volume, "snapshot",
			snapshot, "schedule", schedule->record.name));
}

static enum schedule_merge_end try_delete_co(
	struct pruning *p, const struct own *own, struct err *err)
{
	if (check(p, own, err))
		return SCHEDULE_MERGE_STAYS;
	if (snapshot_is_external(own->snapshot))
		return schedule_merge_co(p->schedules, p->schedule, p->volume,
			own->snapshot, err);
	return spec_snapshot_delete_co(p->source, own->name, err)
		? SCHEDULE_MERGE_STAYS
		: SCHEDULE_MERGE_GONE;
}

static void delete_one_co(struct pruning *p, const struct own *own)
{
	struct err err = {0};
	switch (try_delete_co(p, own, &err)) {
	case SCHEDULE_MERGE_GONE:
		schedule_tell_gone(
			p->schedules, p->schedule, p->volume, own->name);
		break;
	case SCHEDULE_MERGE_WAITS:
		p->waits = true;
		list_kept(p, own->name, err.text);
		break;
	case SCHEDULE_MERGE_STAYS: keep(p, own->name, err.text); break;
	}
}

static void prune_co(struct pruning *p, const struct schedule *plan,
	const struct zone *zone, const json_t *items, const json_t *rows)
{
	if (list_own(p, items, rows)) {
		log_warning("api", "schedule", "out of memory");
		return;
	}
	schedule_retain(&plan->keep, zone, p->made, p->count, p->wanted);
	for (unsigned i = p->count;
		i-- > 0 && !schedules_ending(p->schedules);) {
		if (!p->wanted[i])
			delete_one_co(p, &p->own[i]);
	}
}

/* What is said of the volume anew. */
static json_t *take_kept(json_t *kept, const char *volume)
{
	json_t *taken = json_array();
	for (size_t i = json_array_size(kept); i-- > 0;) {
		json_t *one = json_array_get(kept, i);
		const char *of = source_text(one, "volume");
		if (!of || strcmp(of, volume) != 0)
			continue;
		json_array_append(taken, one);
		json_array_remove(kept, i);
	}
	return taken;
}

/* Of both kinds; NULL with *err. */
static json_t *list_co(const struct pruning *p, struct err *err)
{
	json_t *items = snapshot_read_co(p->source, err);
	const struct config_object *volume = config_find(
		p->schedules->parts->config, CONFIG_VOLUME, p->volume);
	json_t *external =
		items && volume ? schedule_external_items(volume) : NULL;
	json_array_extend(items, external);
	json_decref(external);
	return items;
}

/* Nothing is left that waits for a job. */
static void end_follow(struct pruning *p)
{
	struct schedule_follow *follow =
		schedule_follow_of(p->schedule, p->volume);
	if (follow && !follow->job && !p->waits)
		schedule_follow_end(follow);
}

void kept_schedule_prune_co(struct schedules *schedules,
	struct kept_schedule *schedule, const struct schedule *plan,
	const struct zone *zone, const char *volume)
{
	struct err err = {0};
	struct volume *running =
		appliance_find_volume(schedules->parts->appliance, volume);
	struct pruning p = {.schedules = schedules,
		.schedule = schedule,
		.volume = volume,
		.source = running ? atomic_load(&running->source) : NULL};
	if (!p.source)
		return; /* offline: the run has said so */
	block_source_get(p.source);
	if (!schedule->record.kept)
		schedule->record.kept = json_array();
	schedule_merge_settle(schedules, schedule, volume);
	p.before = take_kept(schedule->record.kept, volume);
	json_t *items = list_co(&p, &err);
	json_t *rows = items
		? schedule_own_list(schedules, plan->name, volume, &err)
		: NULL;
	if (rows)
		prune_co(&p, plan, zone, items, rows);
	else
		log_warning("api", "schedule", "schedule %s, volume %s: %s",
			plan->name, volume, err.text);
	end_follow(&p);
	free(p.own);
	free(p.made);
	free(p.wanted);
	json_decref(p.before);
	json_decref(items);
	json_decref(rows);
	block_source_put_co(p.source);
}
