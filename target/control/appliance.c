/* SPDX-License-Identifier: Apache-2.0 */
/* From documents to running volumes; see the header. */
#include "target/control/appliance.h"

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "target/control/appliance_volume.h"

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
	bool restores; /* what was stored: nothing is refused, or kept again */
	bool strict; /* what is new must be there */
	struct volume **volume; /* one per volume of the document */
	struct appliance_volume_list fresh, gone;
	struct burial *burial;
};

static bool is_wanted(const struct apply *apply, const struct volume *volume)
{
	for (unsigned i = 0; i < apply->document->volumes; i++) {
		if (apply->volume[i] == volume)
			return true;
	}
	return false;
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
		if (v && appliance_volume_equals(v, wanted))
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
	if (!apply->restores && (apply->strict || failed == -EINVAL))
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

/* Everything as before. */
static void refuse_co(struct apply *apply)
{
	struct appliance_volume *v;
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

static int apply_co(struct apply *apply, struct err *err)
{
	struct document *document = apply->document;
	TAILQ_INIT(&apply->fresh);
	TAILQ_INIT(&apply->gone);
	apply->volume = calloc(document->volumes + 1, sizeof *apply->volume);
	apply->burial = calloc(1, sizeof *apply->burial);
	int failed = -ENOMEM;
	if (apply->volume && apply->burial) {
		plan(apply);
		failed = prepare_co(apply, err);
		if (!failed && !apply->restores)
			failed = document_save(
				document, apply->appliance->world.state, err);
		if (failed) {
			refuse_co(apply);
		} else {
			publish(apply);
			bury(apply);
		}
	} else {
		err_set(err, ENOMEM, "out of memory");
	}
	apply->appliance->retry_ms = RETRY_FIRST_MS;
	watch_offline(apply->appliance);
	free(apply->burial);
	free(apply->volume);
	return failed;
}

int appliance_apply_co(struct appliance *appliance, struct document *document,
	bool strict, struct err *err)
{
	const struct appliance_world *world = &appliance->world;
	struct apply apply = {
		.appliance = appliance, .document = document, .strict = strict};
	co_mutex_lock_co(&appliance->applying);
	int failed = document_identify(document, world->state, err);
	if (!failed)
		failed = document_find_secrets(
			document, world->state, world->secrets_directory, err);
	if (!failed)
		failed = apply_co(&apply, err);
	co_mutex_unlock(&appliance->applying);
	document_free(document);
	return failed;
}

/* -- what was stored -------------------------------------------------------- */

/* The stored document, an empty one if there is none. */
static struct doc *load_stored(struct state *state, struct err *err)
{
	char *json;
	if (state_load_document(state, &json, err))
		return NULL;
	struct doc *tree = doc_parse("stored document", json ? json : "",
		json ? strlen(json) : 0, err);
	free(json);
	return tree;
}

int appliance_restore_co(struct appliance *appliance, struct err *err)
{
	const struct appliance_world *world = &appliance->world;
	struct doc *tree = load_stored(world->state, err);
	if (!tree)
		return -EINVAL;
	struct document *document = document_read(tree, world->settings, err);
	if (!document)
		return err_wrap(err,
			"the stored document does not fit the "
			"settings; apply another");
	struct apply apply = {
		.appliance = appliance, .document = document, .restores = true};
	co_mutex_lock_co(&appliance->applying);
	int failed = document_identify(document, world->state, err);
	if (!failed) {
		document_find_stored_secrets(
			document, world->state, world->secrets_directory);
		failed = apply_co(&apply, err);
	}
	co_mutex_unlock(&appliance->applying);
	document_free(document);
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
