/* SPDX-License-Identifier: Apache-2.0 */
/* From documents to running volumes; see the header. */
#include "target/control/appliance/appliance_parts.h"

#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "blockcore/kind.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* From the first to the last in doubling steps. Soon at first: after kill -9 the
 * kernel may hold the files of the last run, and their locks, a moment longer. */
#define RETRY_FIRST_MS 50u
#define RETRY_LAST_MS 5000u

static void set_waiting(
	struct appliance *appliance, struct appliance_volume *v, bool waiting)
{
	if (waiting != v->waiting)
		appliance->waiting += waiting ? 1 : -1;
	v->waiting = waiting;
}

/* It may have come online, or gone. */
static void note_waiting(
	struct appliance *appliance, struct appliance_volume *v)
{
	set_waiting(appliance, v, !appliance_volume_online(v) && !v->hopeless);
}

/* -- what is told ------------------------------------------------------------ */

static void tell(struct appliance *appliance, const struct appliance_volume *v,
	const char *what, const char *text, const char *cure)
{
	struct appliance_notice_watcher *watcher = appliance->notices;
	if (watcher)
		watcher->noticed(watcher,
			&(struct appliance_notice){.volume = v->settings.name,
				.kind = "volume",
				.what = what,
				.text = text,
				.cure = cure});
}

static void tell_if_offline(
	struct appliance *appliance, const struct appliance_volume *v)
{
	if (!appliance_volume_online(v))
		tell(appliance, v, "offline", v->volume->offline_reason,
			v->hopeless
				? NULL
				: "put right what stands there: it is tried "
				  "again every 5 s");
}

/* For every volume that shows what the driver does; false: nobody has listened. */
static bool notice(struct appliance *appliance,
	const struct block_driver *driver, const char *what, const char *text)
{
	struct appliance_notice_watcher *watcher = appliance->notices;
	struct appliance_volume *v;
	bool heard = false;
	TAILQ_FOREACH (v, &appliance->volumes, link) {
		struct block_source *source = atomic_load(&v->volume->source);
		if (!watcher || !source || !block_source_holds(source, driver))
			continue;
		heard = true;
		watcher->noticed(watcher,
			&(struct appliance_notice){
				.volume = v->volume->settings.name,
				.layer = driver->name,
				.kind = driver->kind->name,
				.what = what,
				.text = text});
	}
	return heard;
}

static void tell_driver(struct block_driver *driver, void *appliance)
{
	if (!driver->notice.heard)
		driver->notice.heard = notice(appliance, driver,
			driver->notice.what, driver->notice.text);
}

/* What its layers said as they opened, before it was listed or anybody listened. */
static void tell_unheard(
	struct appliance *appliance, const struct appliance_volume *v)
{
	struct block_source *source = atomic_load(&v->volume->source);
	if (source)
		block_source_notices(source, tell_driver, appliance);
}

void appliance_tell_now(struct appliance *appliance)
{
	const struct appliance_volume *v;
	TAILQ_FOREACH (v, &appliance->volumes, link) {
		tell_if_offline(appliance, v);
		tell_unheard(appliance, v);
	}
}

void appliance_watch_notices(
	struct appliance *appliance, struct appliance_notice_watcher *watcher)
{
	appliance->notices = watcher;
}

/* -- who is listed ------------------------------------------------------------ */

/* Without memory for its names it would run and could not be found: that ends the
 * process, as a restart finds everything again. */
void appliance_list_volume(
	struct appliance *appliance, struct appliance_volume *v)
{
	v->volume->space.watch = &appliance->space.watch;
	TAILQ_INSERT_TAIL(&appliance->volumes, v, link);
	if (map_put_text(&appliance->names, v->settings.name, v) ||
		map_put(&appliance->uuids, v->settings.uuid, 16, v))
		abort();
	note_waiting(appliance, v);
	tell_if_offline(appliance, v);
	tell_unheard(appliance, v);
	appliance_note_files(appliance, v);
}

void appliance_unlist_volume(
	struct appliance *appliance, struct appliance_volume *v)
{
	TAILQ_REMOVE(&appliance->volumes, v, link);
	map_remove_text(&appliance->names, v->settings.name);
	map_remove(&appliance->uuids, v->settings.uuid, 16);
	set_waiting(appliance, v, false);
	appliance_forget_files(appliance, v);
}

void appliance_coroutine_ended(struct appliance *appliance)
{
	struct co *closer = appliance->closer;
	if (--appliance->coroutines || !closer)
		return;
	appliance->closer = NULL;
	co_resume(closer);
}

/* -- trying again ----------------------------------------------------------- */

bool appliance_retry_co(struct appliance *appliance, struct appliance_volume *v)
{
	char object[BLOCK_NAME_BYTES + 8];
	struct err err = {0};
	if (appliance_volume_prepare_co(v, true, &err)) {
		if (appliance_volume_fail_co(v, err.text))
			tell_if_offline(appliance, v);
		note_waiting(appliance, v);
		return false;
	}
	appliance_volume_publish(v);
	note_waiting(appliance, v);
	appliance_forget_files(appliance, v); /* other files, perhaps */
	appliance_note_files(appliance, v);
	snprintf(object, sizeof object, "volume %s", v->settings.name);
	log_info(object, "online", "it is there again");
	tell(appliance, v, "online", "it is there again", NULL);
	tell_unheard(appliance, v);
	return true;
}

static bool has_closed(const struct appliance_portals *portals)
{
	for (unsigned i = 0; i < portals->count; i++) {
		if (!portals->portal[i].socket)
			return true;
	}
	return false;
}

static void arm(struct appliance *appliance)
{
	loop_timer_set(appliance_loop(appliance), &appliance->retry,
		appliance->retry_ms * NS_PER_MS);
}

/* Arms the timer if a portal or a volume is worth trying. */
static void watch_offline(struct appliance *appliance)
{
	if (appliance->waiting || has_closed(&appliance->portals))
		arm(appliance);
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
	if (!appliance->closing)
		appliance_portals_retry(
			appliance->world.server, &appliance->portals);
	TAILQ_FOREACH (v, &appliance->volumes, link) {
		if (!appliance->closing && v->waiting)
			appliance_retry_co(appliance, v);
	}
	if (!appliance->closing)
		retry_later(appliance);
	co_mutex_unlock(&appliance->applying);
	appliance_coroutine_ended(appliance);
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

void appliance_retry_soon(struct appliance *appliance)
{
	appliance->retry_ms = RETRY_FIRST_MS;
	watch_offline(appliance);
}

/* -- portals ---------------------------------------------------------------- */

const char *appliance_portal_why(
	const struct appliance *appliance, const char *name)
{
	const struct appliance_portal *portal =
		appliance_portals_find(&appliance->portals, name);
	return portal && !portal->socket ? portal->why : NULL;
}

int appliance_portal_open_co(struct appliance *appliance, const char *name,
	bool looks, struct err *err)
{
	co_mutex_lock_co(&appliance->applying);
	const struct appliance_portal *portal =
		appliance_portals_find(&appliance->portals, name);
	int failed = portal ? 0 : -ENOENT;
	if (portal && !portal->socket && looks)
		failed = iscsi_portal_try(portal->as, err);
	else if (portal && !appliance->closing)
		appliance_portals_retry(
			appliance->world.server, &appliance->portals);
	if (portal && !portal->socket && !looks)
		failed = err_set(err, EBUSY, "%s", portal->why);
	co_mutex_unlock(&appliance->applying);
	if (!failed || failed == -ENOENT)
		return failed;
	err->code = EBUSY; /* of this machine, not of the request */
	return -EBUSY;
}

/* -- failure under load ----------------------------------------------------- */

static void driver_noticed(struct block_core_watcher *watcher,
	struct block_driver *driver, const char *what, const char *text)
{
	driver->notice.heard =
		notice(container_of(watcher, struct appliance, watcher), driver,
			what, text);
}

/* Acknowledged data may be lost: told to every volume that shows it. */
static void driver_failed(struct block_core_watcher *watcher,
	struct block_driver *driver, int error, const char *text)
{
	struct appliance *appliance =
		container_of(watcher, struct appliance, watcher);
	struct appliance_volume *v;
	char why[sizeof driver->failure.text + 64];
	snprintf(why, sizeof why, "%s (%s)", text,
		strerror(error < 0 ? -error : error));
	TAILQ_FOREACH (v, &appliance->volumes, link) {
		struct block_source *source = atomic_load(&v->volume->source);
		if (source && block_source_holds(source, driver))
			volume_failed(v->volume, why);
	}
	notice(appliance, driver, "failed", why);
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
	TAILQ_INIT(&appliance->burials);
	co_mutex_init(&appliance->applying);
	appliance->retry.expired = retry_expired;
	appliance_space_open(appliance);
	appliance->watcher.driver_failed = driver_failed;
	appliance->watcher.driver_noticed = driver_noticed;
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
	const struct appliance_volume *v =
		map_find_text(&appliance->names, name);
	return v ? v->volume : NULL;
}

struct appliance_made *appliance_source_made(struct appliance *appliance,
	const struct document_volume *wanted, struct err *err)
{
	const struct appliance_volume *v =
		map_find_text(&appliance->names, wanted->settings.name);
	struct appliance_made *made = appliance_made_new(1);
	if (!made)
		err_set(err, ENOMEM, "out of memory");
	if (made && v && appliance_made_add(made, v, wanted->source, err)) {
		appliance_made_free(made);
		return NULL;
	}
	return made;
}

void appliance_source_moved(struct appliance *appliance,
	const struct document_volume *wanted, struct appliance_made *made)
{
	struct appliance_volume *v =
		map_find_text(&appliance->names, wanted->settings.name);
	if (v) {
		appliance_made_kept(made, v);
		appliance_volume_take(v, wanted);
		appliance_note_files(appliance, v);
	}
	appliance_made_free(made);
}

void appliance_source_settled(struct appliance *appliance, const char *name)
{
	struct appliance_volume *v = map_find_text(&appliance->names, name);
	if (v)
		appliance_note_files(appliance, v);
}

const char *appliance_name_of(
	const struct appliance *appliance, const uint8_t uuid[16])
{
	const struct appliance_volume *v =
		map_find(&appliance->uuids, uuid, 16);
	return v ? v->settings.name : NULL;
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
	loop_timer_clear(appliance_loop(appliance), &appliance->retry);
	appliance_space_close(appliance);
	if (appliance->coroutines) {
		appliance->closer = co_self();
		co_yield ();
	}
	access_put(appliance->table);
	appliance_portals_free(&appliance->portals);
	while ((v = TAILQ_FIRST(&appliance->volumes))) {
		appliance_unlist_volume(appliance, v);
		appliance_volume_free_co(v);
	}
	appliance_space_free(appliance);
	map_free(&appliance->names);
	map_free(&appliance->uuids);
	map_free(&appliance->files);
	block_core_watch(appliance->world.core, NULL);
	free(appliance);
}
