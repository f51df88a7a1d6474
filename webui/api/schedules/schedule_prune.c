/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a schedule has made and does not keep any more goes, oldest first.
 */
#include "webui/api/schedules/schedules.h"

#include "blockcore/base/log.h"
#include "blockcore/spec.h"
#include "target/control/own_audit.h"
#include "webui/api/objects/snapshot_locks.h"
#include "webui/api/objects/snapshots.h"

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
	struct api_schedules *schedules;
	struct api_schedule *schedule;
	const char *volume;
	struct block_source *source;
	struct own *own;
	int64_t *made;
	uint8_t *wanted;
	unsigned count;
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

static void keep(struct pruning *p, const char *snapshot, const char *reason)
{
	json_t *kept = p->schedule->record.kept;
	if (json_array_size(kept) < SCHEDULE_KEPT_TOLD)
		json_array_append_new(kept,
			json_pack("{ss, ss, ss}", "volume", p->volume,
				"snapshot", snapshot, "reason", reason));
	log_info("api", "schedule_kept",
		"schedule %s keeps %s of volume %s: %s",
		p->schedule->record.name, snapshot, p->volume, reason);
}

/* 0: nothing is in its way. */
static int check(struct pruning *p, const struct own *own, struct err *err)
{
	const struct daemon_parts *parts = &p->schedules->api->parts;
	const struct config_object *volume =
		config_find(parts->config, CONFIG_VOLUME, p->volume);
	if (!volume)
		return err_set(err, ENOENT, "the volume has gone");
	json_t *holders =
		snapshot_users(parts->config, p->volume, own->snapshot);
	const char *first = json_string_value(json_array_get(holders, 0));
	int failed = first
		? err_set(err, EBUSY, "%s shows it or stands on it", first)
		: snapshot_lock_check(parts,
			  snapshot_image(
				  json_object_get(volume->value, "source")),
			  own->name, err);
	json_decref(holders);
	return failed;
}

static void delete_one_co(struct pruning *p, const struct own *own)
{
	struct err err = {0};
	char object[512];
	struct api *api = p->schedules->api;
	int failed = check(p, own, &err);
	if (!failed)
		failed = spec_snapshot_delete_co(p->source, own->name, &err);
	if (failed) {
		keep(p, own->name, err.text);
		return;
	}
	p->schedule->record.deleted++;
	schedule_own_remove(
		p->schedules, p->schedule->record.name, p->volume, own->name);
	snprintf(object, sizeof object, "volumes/%s/snapshots/%s", p->volume,
		own->name);
	own_audit_note(api->parts.trust, "deleteSnapshot", object);
	api_emit(api, "volumes", "snapshot_deleted",
		json_pack("{ss, ss, ss}", "volume", p->volume, "snapshot",
			own->name, "schedule", p->schedule->record.name));
}

static void prune_co(struct pruning *p, const struct schedule *plan,
	const struct zone *zone, const json_t *items, const json_t *rows)
{
	if (list_own(p, items, rows)) {
		log_warning("api", "schedule", "out of memory");
		return;
	}
	schedule_retain(&plan->keep, zone, p->made, p->count, p->wanted);
	for (unsigned i = p->count; i-- > 0 && !p->schedules->closing;) {
		if (!p->wanted[i])
			delete_one_co(p, &p->own[i]);
	}
}

void api_schedule_prune_co(struct api_schedules *schedules,
	struct api_schedule *schedule, const struct schedule *plan,
	const struct zone *zone, const char *volume)
{
	struct err err = {0};
	struct volume *running =
		appliance_find_volume(schedules->api->parts.appliance, volume);
	struct pruning p = {.schedules = schedules,
		.schedule = schedule,
		.volume = volume,
		.source = running ? atomic_load(&running->source) : NULL};
	if (!p.source)
		return; /* offline: the run has said so */
	block_source_get(p.source);
	json_t *items = snapshot_read_co(p.source, &err);
	json_t *rows = items
		? schedule_own_list(schedules, plan->name, volume, &err)
		: NULL;
	if (rows)
		prune_co(&p, plan, zone, items, rows);
	else
		log_warning("api", "schedule", "schedule %s, volume %s: %s",
			plan->name, volume, err.text);
	free(p.own);
	free(p.made);
	free(p.wanted);
	json_decref(items);
	json_decref(rows);
	block_source_put_co(p.source);
}
