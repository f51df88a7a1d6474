/* SPDX-License-Identifier: Apache-2.0 */
/* The space of volumes, by file system; see the header. */
#include "target/control/appliance/appliance_space.h"

#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "target/control/appliance/appliance_parts.h"
#include "target/volume/view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_EVERY_NS 10000000000ull
#define LOOK_SPACING_NS 1000000000ull
#define BACK_POINTS 5u /* of percent */
#define UUID_BYTES 16u

/* -- file systems ----------------------------------------------------------- */

static struct appliance_file_system *find_file_system(
	const struct appliance *appliance, uint64_t id)
{
	struct appliance_file_system *fs;
	TAILQ_FOREACH (fs, &appliance->space.file_systems, link) {
		if (fs->id == id)
			return fs;
	}
	return NULL;
}

/* Without memory for a new one its volumes are not warned of this time. */
static void note_file_system(
	struct appliance *appliance, const struct ring_space *space)
{
	struct appliance_file_system *fs =
		find_file_system(appliance, space->file_system);
	if (!fs) {
		fs = calloc(1, sizeof *fs);
		if (!fs)
			return;
		fs->id = space->file_system;
		TAILQ_INSERT_TAIL(&appliance->space.file_systems, fs, link);
	}
	memcpy(fs->name, space->name, sizeof fs->name);
	fs->total_bytes = space->total_bytes;
	fs->free_bytes = space->free_bytes;
}

static void drop_file_systems(struct appliance *appliance, bool all)
{
	struct appliance_file_system *fs, *next;
	TAILQ_FOREACH_SAFE (fs, &appliance->space.file_systems, link, next) {
		if (fs->in_use && !all)
			continue;
		TAILQ_REMOVE(&appliance->space.file_systems, fs, link);
		free(fs);
	}
}

/* Those that no volume lies on any more go. */
static void sweep(struct appliance *appliance)
{
	struct appliance_file_system *fs;
	struct appliance_volume *v;
	TAILQ_FOREACH (fs, &appliance->space.file_systems, link)
		fs->in_use = false;
	TAILQ_FOREACH (v, &appliance->volumes, link) {
		fs = find_file_system(appliance, v->volume->space.file_system);
		if (fs)
			fs->in_use = true;
	}
	drop_file_systems(appliance, false);
}

const struct appliance_file_system *appliance_next_file_system(
	const struct appliance *appliance,
	const struct appliance_file_system *last)
{
	return last ? TAILQ_NEXT(last, link)
		    : TAILQ_FIRST(&appliance->space.file_systems);
}

const struct appliance_file_system *appliance_file_system_of(
	const struct appliance *appliance, const struct volume *volume)
{
	return find_file_system(appliance, volume->space.file_system);
}

bool appliance_grows_on(
	const struct volume *volume, const struct appliance_file_system *fs)
{
	struct block_info info = {0};
	struct volume_room room;
	if (volume->space.file_system != fs->id)
		return false;
	volume_info(volume, block_core_lane(volume->core, 0), &info);
	volume_space_get(&volume->space, &room);
	return volume->settings.thin || room.used_bytes < info.size_bytes;
}

unsigned appliance_file_system_percent(const struct appliance_file_system *fs)
{
	uint64_t used = fs->total_bytes - fs->free_bytes;
	uint64_t part = fs->total_bytes / 100;
	return part ? (unsigned)(used / part > 100 ? 100 : used / part) : 0;
}

/* -- judging ---------------------------------------------------------------- */

/* "db01, db02 and 3 more": as much as fits. */
static void print_names(const struct appliance *appliance,
	const struct appliance_file_system *fs, char *out, size_t size)
{
	const struct appliance_volume *v;
	size_t used = 0;
	unsigned more = 0;
	*out = '\0';
	TAILQ_FOREACH (v, &appliance->volumes, link) {
		if (!appliance_grows_on(v->volume, fs))
			continue;
		if (used + strlen(v->settings.name) + 32 > size)
			more++;
		else
			used += (size_t)snprintf(out + used, size - used,
				"%s%s", used ? ", " : "", v->settings.name);
	}
	if (more)
		snprintf(out + used, size - used, " and %u more", more);
}

static void report(const struct appliance *appliance,
	const struct appliance_file_system *fs)
{
	char object[sizeof fs->name + 16], names[512];
	unsigned percent = appliance_file_system_percent(fs);
	unsigned long long left = fs->free_bytes >> 20;
	snprintf(object, sizeof object, "file system %s", fs->name);
	print_names(appliance, fs, names, sizeof names);
	if (fs->reached)
		log_warning(object, "runs full",
			"%u %% in use, %llu MiB left; volumes that grow there: "
			"%s; make room or move some of them",
			percent, left, names);
	else
		log_info(object, "has room", "%u %% in use, %llu MiB left",
			percent, left);
}

static unsigned percent_back(unsigned threshold)
{
	return threshold < 2 * BACK_POINTS ? threshold / 2
					   : threshold - BACK_POINTS;
}

static bool judge(const struct appliance_file_system *fs, unsigned threshold)
{
	uint64_t used = fs->total_bytes - fs->free_bytes;
	unsigned percent = fs->reached ? percent_back(threshold) : threshold;
	uint64_t border = volume_space_share(fs->total_bytes, percent);
	return threshold && (fs->reached ? used > border : used >= border);
}

static void judge_all(struct appliance *appliance)
{
	struct appliance_space_watcher *watcher = appliance->space.watcher;
	struct appliance_file_system *fs;
	struct appliance_volume *v;
	TAILQ_FOREACH (fs, &appliance->space.file_systems, link) {
		bool reached =
			judge(fs, appliance->space.watch.threshold_percent);
		if (reached == fs->reached)
			continue;
		fs->reached = reached;
		report(appliance, fs);
		if (watcher)
			watcher->changed(watcher, fs);
	}
	TAILQ_FOREACH (v, &appliance->volumes, link) {
		fs = find_file_system(appliance, v->volume->space.file_system);
		volume_note_threshold(v->volume, fs && fs->reached);
	}
}

/* -- looking ---------------------------------------------------------------- */

static void ask_co(struct appliance *appliance, const uint8_t *uuid)
{
	struct appliance_volume *v =
		map_find(&appliance->uuids, uuid, UUID_BYTES);
	struct ring_space space;
	if (!v)
		return;
	int failed = volume_space_co(v->volume, &space);
	v = map_find(&appliance->uuids, uuid, UUID_BYTES);
	if (!v || failed == -EBUSY)
		return;
	v->volume->space.asked = true;
	volume_space_note(&v->volume->space, failed ? NULL : &space);
	if (!failed && space.file_system)
		note_file_system(appliance, &space);
}

/* The UUIDs of all volumes, or of those not asked yet; NULL without memory. */
static uint8_t *list_uuids(
	const struct appliance *appliance, bool all, unsigned *count)
{
	const struct appliance_volume *v;
	unsigned most = 0;
	TAILQ_FOREACH (v, &appliance->volumes, link)
		most += all || !v->volume->space.asked;
	uint8_t *uuids = malloc((size_t)most * UUID_BYTES + 1);
	*count = 0;
	if (!uuids)
		return NULL;
	TAILQ_FOREACH (v, &appliance->volumes, link) {
		if (all || !v->volume->space.asked)
			memcpy(uuids + (size_t)(*count)++ * UUID_BYTES,
				v->settings.uuid, UUID_BYTES);
	}
	return uuids;
}

/* When all are to be looked at again, from `now`. */
static uint64_t until_all(const struct appliance_space *self, uint64_t now)
{
	uint64_t due = self->looked_at_all_ns + LOOK_EVERY_NS;
	return self->looked_at_all_ns && due > now ? due - now : 0;
}

static void look_later(struct appliance *appliance)
{
	struct appliance_space *self = &appliance->space;
	uint64_t now = loop_now_ns(appliance_loop(appliance));
	uint64_t after = until_all(self, now);
	if (after < LOOK_SPACING_NS || self->again ||
		atomic_load(&self->watch.asked))
		after = LOOK_SPACING_NS;
	self->again = false;
	self->looked_ns = now;
	if (!TAILQ_EMPTY(&appliance->volumes))
		loop_timer_set(appliance_loop(appliance), &self->timer, after);
}

/* At all volumes when that is due, or when a host was refused on any of them. */
static void look_co(void *argument)
{
	struct appliance *appliance = argument;
	struct appliance_space *self = &appliance->space;
	struct loop *loop = appliance_loop(appliance);
	bool all = atomic_exchange(&self->watch.asked, false) ||
		!until_all(self, loop_now_ns(loop));
	unsigned count;
	uint8_t *uuids = list_uuids(appliance, all, &count);
	for (unsigned i = 0; i < count && !appliance->closing; i++)
		ask_co(appliance, uuids + (size_t)i * UUID_BYTES);
	free(uuids);
	if (!appliance->closing) {
		sweep(appliance);
		judge_all(appliance);
	}
	self->looking = false;
	if (all)
		self->looked_at_all_ns = loop_now_ns(loop);
	if (!appliance->closing)
		look_later(appliance);
	appliance_coroutine_ended(appliance);
}

static void timer_expired(struct loop_timer *timer)
{
	struct appliance *appliance =
		container_of(timer, struct appliance, space.timer);
	appliance->space.looking = true;
	appliance->coroutines++;
	if (co_start(look_co, appliance))
		return;
	appliance->space.looking = false;
	appliance->coroutines--;
	look_later(appliance);
}

void appliance_look_soon(struct appliance *appliance)
{
	struct appliance_space *self = &appliance->space;
	uint64_t now = loop_now_ns(appliance_loop(appliance));
	uint64_t due = self->looked_ns + LOOK_SPACING_NS;
	if (appliance->closing)
		return;
	self->again = self->looking;
	if (!self->looking)
		loop_timer_set(appliance_loop(appliance), &self->timer,
			due > now && self->looked_ns ? due - now : 0);
}

static void look_soon(struct loop_message *message)
{
	appliance_look_soon(
		container_of(message, struct appliance, space.watch.look_soon));
}

/* -- life ------------------------------------------------------------------- */

void appliance_watch_space(
	struct appliance *appliance, struct appliance_space_watcher *watcher)
{
	appliance->space.watcher = watcher;
}

void appliance_space_open(struct appliance *appliance)
{
	struct appliance_space *self = &appliance->space;
	TAILQ_INIT(&self->file_systems);
	self->timer.expired = timer_expired;
	self->watch.threshold_percent =
		appliance->world.settings->space_threshold_percent;
	self->watch.loop = appliance_loop(appliance);
	self->watch.look_soon.run = look_soon;
}

void appliance_space_close(struct appliance *appliance)
{
	loop_timer_clear(appliance_loop(appliance), &appliance->space.timer);
}

void appliance_space_free(struct appliance *appliance)
{
	drop_file_systems(appliance, true);
}
