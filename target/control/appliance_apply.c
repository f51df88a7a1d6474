/* SPDX-License-Identifier: Apache-2.0 */
/* A document is put in force; see appliance.h. */
#include "target/control/appliance_parts.h"

#include "blockcore/base/log.h"
#include "target/control/live_change.h"

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
};

/* Sessions let go of the old table when they have seen the new one; then nobody
 * can come to its volumes any more. */
static void bury_co(void *argument)
{
	struct burial *burial = argument;
	struct appliance *appliance = burial->appliance;
	struct appliance_volume *v;
	while (burial->table && atomic_load(&burial->table->references) > 1)
		loop_sleep_co(appliance_loop(appliance), BURY_MS * NS_PER_MS);
	access_put(burial->table);
	while ((v = TAILQ_FIRST(&burial->volumes))) {
		TAILQ_REMOVE(&burial->volumes, v, link);
		appliance_volume_free_co(v);
	}
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
	struct running *running; /* one per volume that changes as it runs */
	unsigned runnings, begun;
	struct burial *burial;
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
	TAILQ_FOREACH_SAFE (v, &appliance->volumes, link, after) {
		if (!v->wanted) {
			appliance_unlist_volume(appliance, v);
			TAILQ_INSERT_TAIL(&apply->gone, v, link);
		}
		v->wanted = false;
	}
}

/* A mistake with its place: what finds it may not know the document. */
static int refuse_volume(const struct document_volume *volume,
	const struct err *why, struct err *err)
{
	const struct doc *at = volume->source;
	const char *place = strstr(why->text, at->file);
	if (!place || place[strlen(at->file)] != ':')
		return doc_error(at, err, why->code, "volume %s: %s",
			volume->settings.name, why->text);
	if (err)
		*err = *why;
	return err_wrap(err, "volume %s", volume->settings.name);
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
	int failed = appliance_volume_prepare_co(v, &why);
	if (!failed)
		return 0;
	/* -EINVAL: a mistake in the document that only opening finds. */
	if (!apply->order->restores &&
		(apply->order->strict || failed == -EINVAL))
		return refuse_volume(wanted, &why, err);
	if (!v->hopeless)
		appliance_volume_fail_co(v, why.text);
	return 0;
}

/* A file can be open once only: the old ones are closed before the new ones are
 * opened. */
static int prepare_co(struct apply *apply, struct err *err)
{
	struct appliance_volume *v;
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

static int check_swaps(struct apply *apply, struct err *err)
{
	unsigned swaps = 0;
	for (unsigned i = 0; i < apply->runnings; i++)
		swaps += live_change_swaps(apply->running[i].change);
	return swaps <= 1
		? 0
		: err_set(err, EOPNOTSUPP,
			  "%u volumes would get other content in one change: "
			  "swap one at a time",
			  swaps);
}

static int begin_running_co(struct apply *apply, struct err *err)
{
	int failed = check_swaps(apply, err);
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

/* Durable, behind the closed gate if a bottom is swapped. */
static int keep_co(struct apply *apply, struct err *err)
{
	const struct appliance_order *order = apply->order;
	for (unsigned i = 0; i < apply->runnings; i++) {
		if (live_change_swaps(apply->running[i].change))
			return live_change_swap_co(apply->running[i].change,
				order->keep_co, order->argument, err);
	}
	return order->keep_co ? order->keep_co(order->argument, err) : 0;
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
	while (apply->begun)
		live_change_undo_co(apply->running[--apply->begun].change);
	while ((v = TAILQ_FIRST(&apply->fresh))) {
		TAILQ_REMOVE(&apply->fresh, v, link);
		appliance_volume_free_co(v);
	}
	while ((v = TAILQ_FIRST(&apply->gone))) {
		TAILQ_REMOVE(&apply->gone, v, link);
		appliance_list_volume(apply->appliance, v);
		if (!v->hopeless)
			appliance_retry_co(v);
	}
}

static void publish(struct apply *apply)
{
	struct appliance *appliance = apply->appliance;
	struct appliance_volume *v;
	for (unsigned i = 0; i < apply->runnings; i++)
		appliance_volume_take_source(
			apply->running[i].volume, apply->running[i].wanted);
	while ((v = TAILQ_FIRST(&apply->fresh))) {
		TAILQ_REMOVE(&apply->fresh, v, link);
		appliance_volume_publish(v);
		appliance_list_volume(appliance, v);
	}
	apply->burial->appliance = appliance;
	apply->burial->table = appliance->table;
	TAILQ_INIT(&apply->burial->volumes);
	TAILQ_CONCAT(&apply->burial->volumes, &apply->gone, link);
	appliance->table = document_take_table(apply->document, apply->volume);
	iscsi_server_publish(appliance->world.server, appliance->table);
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
	plan(apply);
	int failed = prepare_co(apply, err);
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
	end_running(apply);
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
