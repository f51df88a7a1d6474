/* SPDX-License-Identifier: Apache-2.0 */
/* A document is put in force; see appliance.h. */
#include "target/control/appliance/appliance_parts.h"

#include "blockcore/base/log.h"
#include "target/control/appliance/table_change.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BURY_MS 20u

/* -- burying ---------------------------------------------------------------- */

/* What a publication has put out of force. */
struct burial {
	struct appliance *appliance;
	struct access_table *table; /* a reference */
	struct appliance_volume_list volumes;
	TAILQ_ENTRY(burial) link;
};

/* Sessions let go of the old table when they have seen the new one; then nobody
 * can come to its volumes any more: if all burials before it are done too, as a
 * session may hold a still older table, which had them as well. */
static void bury_co(void *argument)
{
	struct burial *burial = argument;
	struct appliance *appliance = burial->appliance;
	struct appliance_volume *v;
	while (TAILQ_FIRST(&appliance->burials) != burial ||
		(burial->table && atomic_load(&burial->table->references) > 1))
		loop_sleep_co(appliance_loop(appliance), BURY_MS * NS_PER_MS);
	access_put(burial->table);
	while ((v = TAILQ_FIRST(&burial->volumes))) {
		TAILQ_REMOVE(&burial->volumes, v, link);
		appliance_volume_free_co(v);
	}
	TAILQ_REMOVE(&appliance->burials, burial, link);
	free(burial);
	appliance_coroutine_ended(appliance);
}

/* -- one apply -------------------------------------------------------------- */

struct apply {
	struct appliance *appliance;
	struct document *document;
	const struct appliance_order *order;
	struct volume **volume; /* one per volume of the document */
	struct appliance_volume_list fresh, gone;
	bool other_volumes; /* one comes, goes or gets another source */
	struct running *running; /* one per volume that changes as it runs */
	unsigned runnings, begun;
	struct burial *burial;
	struct appliance_portals portals; /* as they will be */
	struct access_table *table; /* of a part: made before it is kept */
	struct appliance_made *made; /* to be kept with it */
};

/* A volume whose source changes while hosts go on. */
struct running {
	struct appliance_volume *volume;
	const struct document_volume *wanted;
	struct live_change *change;
};

static bool add_running(struct apply *apply, struct appliance_volume *v,
	const struct document_volume *wanted)
{
	struct running *running = &apply->running[apply->runnings];
	running->volume = v;
	running->wanted = wanted;
	running->change = appliance_volume_plan(v, wanted);
	if (!running->change)
		return false;
	apply->runnings++;
	return true;
}

/* What is not wanted goes. */
static void give_up(struct apply *apply, struct appliance_volume *v)
{
	if (v && !v->wanted) {
		appliance_unlist_volume(apply->appliance, v);
		TAILQ_INSERT_TAIL(&apply->gone, v, link);
	}
	if (v)
		v->wanted = false;
}

/* Of a part: what it says, and what runs under a name or a UUID of its volumes. */
static void give_up_part(struct apply *apply)
{
	const struct appliance *appliance = apply->appliance;
	const struct document_part *part = apply->document->part;
	for (unsigned i = 0; i < apply->document->volumes; i++) {
		const struct volume_settings *s =
			&apply->document->volume[i].settings;
		struct appliance_volume *named =
			map_find_text(&appliance->names, s->name);
		struct appliance_volume *same =
			map_find(&appliance->uuids, s->uuid, 16);
		give_up(apply, named);
		if (same != named)
			give_up(apply, same);
	}
	for (unsigned i = 0; i < part->gone_volumes; i++)
		give_up(apply,
			map_find_text(&appliance->names, part->gone_volume[i]));
}

/* Running volumes that the document wants as they are stay; the others are moved
 * to `gone`. */
static void plan(struct apply *apply)
{
	struct appliance *appliance = apply->appliance;
	struct appliance_volume *v, *after;
	for (unsigned i = 0; i < apply->document->volumes; i++) {
		const struct document_volume *wanted =
			&apply->document->volume[i];
		v = map_find(&appliance->uuids, wanted->settings.uuid, 16);
		if (!v)
			continue;
		v->wanted = appliance_volume_equals(v, wanted) ||
			(appliance_volume_may_run_on(v, wanted) &&
				add_running(apply, v, wanted));
		if (v->wanted)
			apply->volume[i] = v->volume;
	}
	if (apply->document->part) {
		give_up_part(apply);
		return;
	}
	TAILQ_FOREACH_SAFE (v, &appliance->volumes, link, after)
		give_up(apply, v);
}

static int prepare_one_co(struct apply *apply, unsigned i, struct err *err)
{
	const struct document_volume *wanted = &apply->document->volume[i];
	const struct appliance_world *world = &apply->appliance->world;
	struct err why = {0};
	struct appliance_volume *v =
		appliance_volume_new_co(world->core, world->state, wanted, err);
	if (!v)
		return -EINVAL;
	apply->volume[i] = v->volume;
	TAILQ_INSERT_TAIL(&apply->fresh, v, link);
	int failed = appliance_volume_prepare_co(
		v, apply->order->restores || !apply->order->strict, &why);
	if (!failed)
		return 0;
	if (why.code == EBUSY)
		appliance_name_holder(apply->appliance, v->settings.name,
			v->source_json, &why);
	/* -EINVAL: a mistake in the document that only opening finds. */
	if (!apply->order->restores &&
		(apply->order->strict || failed == -EINVAL))
		return appliance_refuse_volume(wanted, &why, err);
	if (!v->hopeless)
		appliance_volume_fail_co(v, why.text);
	return 0;
}

/* A file can be open once only: the old ones are closed before the new ones are
 * opened. */
static int prepare_co(struct apply *apply, struct err *err)
{
	struct appliance_volume *v;
	TAILQ_FOREACH (v, &apply->gone, link) {
		int failed = appliance_check_free(
			apply->appliance, apply->document, v, err);
		if (failed)
			return failed;
	}
	TAILQ_FOREACH (v, &apply->gone, link)
		volume_offline_co(v->volume, "it is being changed");
	for (unsigned i = 0; i < apply->document->volumes; i++) {
		if (apply->volume[i])
			continue;
		int failed = prepare_one_co(apply, i, err);
		if (failed)
			return failed;
	}
	return 0;
}

/* -- volumes that run on ---------------------------------------------------- */

static int begin_running_co(struct apply *apply, struct err *err)
{
	struct appliance_swaps swaps = {0};
	for (unsigned i = 0; i < apply->runnings; i++)
		appliance_count_swaps(&swaps, apply->running[i].change);
	int failed = appliance_check_swaps(&swaps, err);
	for (; !failed && apply->begun < apply->runnings; apply->begun++) {
		struct running *running = &apply->running[apply->begun];
		failed = live_change_begin_co(running->change,
			atomic_load(&running->volume->volume->source), err);
		if (failed)
			return err_wrap(err, "volume %s",
				running->wanted->settings.name);
	}
	return failed;
}

/* What those make that are open, new or as they run. */
static int list_made(struct apply *apply, struct err *err)
{
	const struct appliance_volume *v;
	int failed = 0;
	apply->made =
		appliance_made_new(apply->document->volumes + apply->runnings);
	if (!apply->made)
		return err_set(err, ENOMEM, "out of memory");
	for (unsigned i = 0; !failed && i < apply->runnings; i++)
		failed = appliance_made_add(apply->made,
			apply->running[i].volume,
			apply->running[i].wanted->source, err);
	TAILQ_FOREACH (v, &apply->fresh, link) {
		if (!failed && v->prepared)
			failed = appliance_made_add(apply->made, v, NULL, err);
	}
	return failed;
}

static int keep_made_co(void *argument, struct err *err)
{
	struct apply *apply = argument;
	const struct appliance_order *order = apply->order;
	struct appliance_volume *v;
	int failed = order->keep_co(order->argument, apply->made, err);
	if (failed)
		return failed;
	for (unsigned i = 0; i < apply->runnings; i++)
		appliance_made_kept(apply->made, apply->running[i].volume);
	TAILQ_FOREACH (v, &apply->fresh, link)
		appliance_made_kept(apply->made, v);
	return 0;
}

/* Durable, behind the closed gate if a bottom is swapped. */
static int swap_co(struct apply *apply, struct err *err)
{
	bool keeps = apply->order->keep_co;
	struct live_change *change[SPEC_GROUP_MOST];
	unsigned swaps = 0;
	for (unsigned i = 0; i < apply->runnings; i++) {
		if (live_change_swaps(apply->running[i].change))
			change[swaps++] = apply->running[i].change;
	}
	if (swaps > 1)
		return live_changes_overlay_co(
			change, swaps, keeps ? keep_made_co : NULL, apply, err);
	if (swaps)
		return live_change_swap_co(
			change[0], keeps ? keep_made_co : NULL, apply, err);
	return keeps ? keep_made_co(apply, err) : 0;
}

static int keep_co(struct apply *apply, struct err *err)
{
	int failed = apply->order->keep_co ? list_made(apply, err) : 0;
	return failed ? failed : swap_co(apply, err);
}

static void end_running(struct apply *apply)
{
	for (unsigned i = 0; i < apply->runnings; i++)
		live_change_free(apply->running[i].change);
	free(apply->running);
}

/* Everything as before. */
static void refuse_co(struct apply *apply)
{
	struct appliance_volume *v;
	appliance_portals_undo(&apply->portals);
	while (apply->begun)
		live_change_undo_co(apply->running[--apply->begun].change);
	while ((v = TAILQ_FIRST(&apply->fresh))) {
		TAILQ_REMOVE(&apply->fresh, v, link);
		appliance_volume_free_co(v);
	}
	while ((v = TAILQ_FIRST(&apply->gone))) {
		TAILQ_REMOVE(&apply->gone, v, link);
		appliance_list_volume(apply->appliance, v);
		if (!v->hopeless && !appliance_volume_online(v))
			appliance_retry_co(apply->appliance, v);
	}
}

/* Volumes made anew under their names, where hosts see them. */
static unsigned list_swaps(const struct apply *apply, struct table_swap *swap)
{
	unsigned count = 0;
	const struct appliance_volume *v;
	TAILQ_FOREACH (v, &apply->gone, link) {
		const struct document_volume *wanted =
			document_find_volume(apply->document, v->settings.name);
		if (wanted)
			swap[count++] = (struct table_swap){v->volume,
				apply->volume[wanted -
					apply->document->volume]};
	}
	return count;
}

/* The table is made while all can still be refused. */
static int make_table(struct apply *apply, struct err *err)
{
	if (!apply->document->part)
		return 0;
	struct table_swap *swap =
		calloc(apply->document->volumes + 1, sizeof *swap);
	if (swap) {
		struct table_change change = {.table = apply->appliance->table,
			.document = apply->document,
			.volume = apply->volume,
			.volumes = swap,
			.volume_swaps = list_swaps(apply, swap)};
		apply->table = table_change(&change);
	}
	free(swap);
	return apply->table ? 0 : err_set(err, ENOMEM, "out of memory");
}

static void publish(struct apply *apply)
{
	struct appliance *appliance = apply->appliance;
	struct appliance_volume *v;
	for (unsigned i = 0; i < apply->runnings; i++) {
		v = apply->running[i].volume;
		appliance_volume_take(v, apply->running[i].wanted);
		appliance_note_files(appliance, v);
	}
	while ((v = TAILQ_FIRST(&apply->fresh))) {
		TAILQ_REMOVE(&apply->fresh, v, link);
		appliance_volume_publish(v);
		appliance_list_volume(appliance, v);
	}
	apply->burial->appliance = appliance;
	apply->burial->table = appliance->table;
	TAILQ_INIT(&apply->burial->volumes);
	TAILQ_CONCAT(&apply->burial->volumes, &apply->gone, link);
	TAILQ_INSERT_TAIL(&appliance->burials, apply->burial, link);
	appliance->table = apply->table
		? apply->table
		: document_take_table(apply->document, apply->volume);
	apply->table = NULL;
	iscsi_server_publish(appliance->world.server, appliance->table);
	appliance_portals_commit(&appliance->portals, &apply->portals);
}

static void bury(struct apply *apply)
{
	struct burial *burial = apply->burial;
	apply->burial = NULL;
	apply->appliance->coroutines++;
	if (!co_start(bury_co, burial))
		bury_co(burial); /* no memory for another: we wait ourselves */
}

static int run_co(struct apply *apply, struct err *err)
{
	const struct appliance *appliance = apply->appliance;
	int failed = appliance_portals_prepare(appliance->world.server,
		&appliance->portals, apply->document, apply->order->restores,
		&apply->portals, err);
	if (failed)
		return failed;
	plan(apply);
	failed = prepare_co(apply, err);
	apply->other_volumes = apply->runnings || !TAILQ_EMPTY(&apply->fresh) ||
		!TAILQ_EMPTY(&apply->gone);
	if (!failed)
		failed = make_table(apply, err);
	if (!failed)
		failed = begin_running_co(apply, err);
	if (!failed)
		failed = keep_co(apply, err);
	if (failed) {
		refuse_co(apply);
		return failed;
	}
	publish(apply);
	bury(apply);
	return 0;
}

static int apply_co(struct apply *apply, struct err *err)
{
	unsigned volumes = apply->document->volumes;
	int failed = -ENOMEM;
	TAILQ_INIT(&apply->fresh);
	TAILQ_INIT(&apply->gone);
	apply->volume = calloc(volumes + 1, sizeof *apply->volume);
	apply->running = calloc(volumes + 1, sizeof *apply->running);
	apply->burial = calloc(1, sizeof *apply->burial);
	if (apply->volume && apply->running && apply->burial)
		failed = run_co(apply, err);
	else
		err_set(err, ENOMEM, "out of memory");
	appliance_retry_soon(apply->appliance);
	if (apply->other_volumes)
		appliance_look_soon(apply->appliance);
	end_running(apply);
	access_put(apply->table);
	appliance_made_free(apply->made);
	free(apply->burial);
	free(apply->volume);
	return failed;
}

int appliance_apply_co(struct appliance *appliance,
	const struct appliance_order *order, struct err *err)
{
	struct apply apply = {.appliance = appliance,
		.document = order->document,
		.order = order};
	co_mutex_lock_co(&appliance->applying);
	int failed = apply_co(&apply, err);
	co_mutex_unlock(&appliance->applying);
	document_free(order->document);
	return failed;
}
