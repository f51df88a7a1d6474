/* SPDX-License-Identifier: Apache-2.0 */
/* From documents to running volumes; see the header. */
#include "target/control/appliance.h"

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "target/control/appliance_volume.h"
#include "target/control/live_change.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS 1000000ull
/* From the first to the last in doubling steps. Soon at first: after kill -9 the
 * kernel may hold the files of the last run, and their locks, a moment longer. */
#define RETRY_FIRST_MS 50u
#define RETRY_LAST_MS 5000u
#define BURY_MS 20u

struct appliance {
	struct appliance_world world;
	struct appliance_volume_list volumes; /* in force */
	struct access_table *table;
	struct co_mutex applying; /* all below and the list */
	struct loop_timer retry;
	uint32_t retry_ms; /* until the next time */
	struct block_core_watcher watcher;
	unsigned coroutines; /* retry and burials under way */
	struct co *closer; /* waits for their end */
	bool closing;
};

static struct loop *control_loop(const struct appliance *appliance)
{
	return block_core_lane(appliance->world.core, 0)->loop;
}

static struct appliance_volume *find_volume(
	const struct appliance *appliance, const uint8_t *uuid)
{
	struct appliance_volume *v;
	TAILQ_FOREACH (v, &appliance->volumes, link) {
		if (!memcmp(v->settings.uuid, uuid, 16))
			return v;
	}
	return NULL;
}

static void coroutine_ended(struct appliance *appliance)
{
	struct co *closer = appliance->closer;
	if (--appliance->coroutines || !closer)
		return;
	appliance->closer = NULL;
	co_resume(closer);
}

/* -- trying again ----------------------------------------------------------- */

static void retry_one_co(struct appliance_volume *v)
{
	char object[BLOCK_NAME_BYTES + 8];
	struct err err = {0};
	if (appliance_volume_prepare_co(v, &err)) {
		appliance_volume_fail_co(v, err.text);
		return;
	}
	appliance_volume_publish(v);
	snprintf(object, sizeof object, "volume %s", v->settings.name);
	log_info(object, "online", "it is there again");
}

/* Arms the timer if a volume is worth trying. */
static void watch_offline(struct appliance *appliance)
{
	struct appliance_volume *v;
	TAILQ_FOREACH (v, &appliance->volumes, link) {
		if (appliance_volume_online(v) || v->hopeless)
			continue;
		loop_timer_set(control_loop(appliance), &appliance->retry,
			appliance->retry_ms * NS_PER_MS);
		return;
	}
}

static void retry_later(struct appliance *appliance)
{
	appliance->retry_ms *= 2;
	if (appliance->retry_ms > RETRY_LAST_MS)
		appliance->retry_ms = RETRY_LAST_MS;
	watch_offline(appliance);
}

static void retry_co(void *argument)
{
	struct appliance *appliance = argument;
	struct appliance_volume *v;
	co_mutex_lock_co(&appliance->applying);
	TAILQ_FOREACH (v, &appliance->volumes, link) {
		if (!appliance->closing && !appliance_volume_online(v) &&
			!v->hopeless)
			retry_one_co(v);
	}
	if (!appliance->closing)
		retry_later(appliance);
	co_mutex_unlock(&appliance->applying);
	coroutine_ended(appliance);
}

static void retry_expired(struct loop_timer *timer)
{
	struct appliance *appliance =
		container_of(timer, struct appliance, retry);
	appliance->coroutines++;
	if (co_start(retry_co, appliance))
		return;
	appliance->coroutines--;
	watch_offline(appliance);
}

/* -- failure under load ----------------------------------------------------- */

/* Acknowledged data may be lost: told to every volume that shows it. */
static void driver_failed(struct block_core_watcher *watcher,
	struct block_driver *driver, int error, const char *text)
{
	struct appliance *appliance =
		container_of(watcher, struct appliance, watcher);
	struct appliance_volume *v;
	TAILQ_FOREACH (v, &appliance->volumes, link) {
		struct block_source *source = atomic_load(&v->volume->source);
		char object[BLOCK_NAME_BYTES + 8];
		if (!source || !block_source_holds(source, driver))
			continue;
		volume_failed(v->volume);
		snprintf(object, sizeof object, "volume %s", v->settings.name);
		log_error(object, "failed",
			"%s (%s): data that hosts take for written may be "
			"lost; check it, then restart",
			text, strerror(error < 0 ? -error : error));
	}
}

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
		loop_sleep_co(control_loop(appliance), BURY_MS * NS_PER_MS);
	access_put(burial->table);
	while ((v = TAILQ_FIRST(&burial->volumes))) {
		TAILQ_REMOVE(&burial->volumes, v, link);
		appliance_volume_free_co(v);
	}
	free(burial);
	coroutine_ended(appliance);
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

static bool is_wanted(const struct apply *apply, const struct volume *volume)
{
	for (unsigned i = 0; i < apply->document->volumes; i++) {
		if (apply->volume[i] == volume)
			return true;
	}
	return false;
}

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
		v = find_volume(appliance, wanted->settings.uuid);
		if (!v)
			continue;
		if (appliance_volume_equals(v, wanted))
			apply->volume[i] = v->volume;
		else if (appliance_volume_may_run_on(v, wanted) &&
			add_running(apply, v, wanted))
			apply->volume[i] = v->volume;
	}
	TAILQ_FOREACH_SAFE (v, &appliance->volumes, link, after) {
		if (is_wanted(apply, v->volume))
			continue;
		TAILQ_REMOVE(&appliance->volumes, v, link);
		TAILQ_INSERT_TAIL(&apply->gone, v, link);
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
		TAILQ_INSERT_TAIL(&apply->appliance->volumes, v, link);
		if (!v->hopeless)
			retry_one_co(v);
	}
}

static void publish(struct apply *apply)
{
	struct appliance *appliance = apply->appliance;
	struct appliance_volume *v;
	for (unsigned i = 0; i < apply->runnings; i++)
		appliance_volume_take_source(
			apply->running[i].volume, apply->running[i].wanted);
	TAILQ_FOREACH (v, &apply->fresh, link)
		appliance_volume_publish(v);
	TAILQ_CONCAT(&appliance->volumes, &apply->fresh, link);
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
	apply->appliance->retry_ms = RETRY_FIRST_MS;
	watch_offline(apply->appliance);
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

/* -- life ------------------------------------------------------------------- */

struct appliance *appliance_new(
	const struct appliance_world *world, struct err *err)
{
	struct appliance *appliance = calloc(1, sizeof *appliance);
	if (!appliance) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	appliance->world = *world;
	TAILQ_INIT(&appliance->volumes);
	co_mutex_init(&appliance->applying);
	appliance->retry.expired = retry_expired;
	appliance->watcher.driver_failed = driver_failed;
	block_core_watch(world->core, &appliance->watcher);
	return appliance;
}

const struct access_table *appliance_table(const struct appliance *appliance)
{
	return appliance->table;
}

struct volume *appliance_find_volume(
	const struct appliance *appliance, const char *name)
{
	struct appliance_volume *v;
	TAILQ_FOREACH (v, &appliance->volumes, link) {
		if (!strcmp(v->settings.name, name))
			return v->volume;
	}
	return NULL;
}

struct volume *appliance_next_volume(
	const struct appliance *appliance, const void **cursor)
{
	const struct appliance_volume *v = *cursor;
	v = v ? TAILQ_NEXT(v, link) : TAILQ_FIRST(&appliance->volumes);
	*cursor = v;
	return v ? v->volume : NULL;
}

void appliance_close_co(struct appliance *appliance)
{
	struct appliance_volume *v;
	appliance->closing = true;
	loop_timer_clear(control_loop(appliance), &appliance->retry);
	if (appliance->coroutines) {
		appliance->closer = co_self();
		co_yield ();
	}
	access_put(appliance->table);
	while ((v = TAILQ_FIRST(&appliance->volumes))) {
		TAILQ_REMOVE(&appliance->volumes, v, link);
		appliance_volume_free_co(v);
	}
	block_core_watch(appliance->world.core, NULL);
	free(appliance);
}
