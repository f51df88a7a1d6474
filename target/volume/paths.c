/* SPDX-License-Identifier: Apache-2.0 */
/* See paths.h. */
#include "target/volume/paths.h"

#include "target/volume/drain.h"

#include <errno.h>
#include <stdlib.h>

#define ATTENTION_ACCESS_STATE 0x2a06 /* asymmetric access state changed */

/* Immutable. A group that is not in it is optimized and was never anything else. */
struct volume_paths {
	uint64_t changes;
	unsigned count;
	struct volume_path path[];
};

static struct volume_paths *paths_of(const struct volume *volume)
{
	return atomic_load_explicit(
		&((struct volume *)volume)->paths, memory_order_acquire);
}

static struct volume_path *paths_find(
	struct volume_paths *paths, uint16_t group)
{
	for (unsigned i = 0; paths && i < paths->count; i++)
		if (paths->path[i].group == group)
			return &paths->path[i];
	return NULL;
}

struct volume_path volume_path_get(const struct volume *volume, uint16_t group)
{
	const struct volume_path *known = paths_find(paths_of(volume), group);

	return known ? *known : (struct volume_path){.group = group};
}

uint64_t volume_path_changes(const struct volume *volume)
{
	const struct volume_paths *paths = paths_of(volume);

	return paths ? paths->changes : 0;
}

/* -- changing --------------------------------------------------------------- */

/* `old` with another state of `group`; NULL without memory. */
static struct volume_paths *paths_with(const struct volume_paths *old,
	uint16_t group, enum volume_path_state state)
{
	unsigned count = old ? old->count : 0;
	struct volume_path *path;
	struct volume_paths *paths =
		calloc(1, sizeof *paths + (count + 1) * sizeof *paths->path);

	if (!paths)
		return NULL;
	paths->changes = (old ? old->changes : 0) + 1;
	paths->count = count;
	for (unsigned i = 0; i < count; i++)
		paths->path[i] = old->path[i];
	path = paths_find(paths, group);
	if (!path)
		path = &paths->path[paths->count++];
	*path = (struct volume_path){group, (uint8_t)state, true};
	return paths;
}

static bool paths_limit(const struct volume_paths *paths)
{
	for (unsigned i = 0; i < paths->count; i++)
		if (paths->path[i].state > VOLUME_PATH_NON_OPTIMIZED)
			return true;
	return false;
}

static void path_tell(struct volume_nexus *nexus, void *argument)
{
	(void)argument;
	volume_nexus_attend(nexus, ATTENTION_ACCESS_STATE);
}

/* Whoever is told by the broadcast finds the new state; after it nobody reads the old
 * table. */
static void paths_publish_co(struct volume *volume, struct volume_paths *paths)
{
	struct volume_paths *old = atomic_exchange(&volume->paths, paths);

	if (paths_limit(paths))
		atomic_fetch_or(&volume->flags, VOLUME_PATHS_LIMITED);
	else
		atomic_fetch_and(
			&volume->flags, ~(unsigned)VOLUME_PATHS_LIMITED);
	volume_tell_co(volume, path_tell, NULL);
	free(old);
}

static int path_change_co(
	struct volume *volume, uint16_t group, enum volume_path_state state)
{
	struct volume_paths *old = paths_of(volume), *paths;

	if (volume_path_get(volume, group).state == state)
		return 0;
	if (old && old->count == VOLUME_PATHS_MOST && !paths_find(old, group))
		return -ENOSPC;
	paths = paths_with(old, group, state);
	if (!paths)
		return -ENOMEM;
	paths_publish_co(volume, paths);
	return 0;
}

int volume_path_set_co(
	struct volume *volume, uint16_t group, enum volume_path_state state)
{
	int result;

	co_mutex_lock_co(&volume->changing);
	result = path_change_co(volume, group, state);
	co_mutex_unlock(&volume->changing);
	return result;
}

/* -- groups ----------------------------------------------------------------- */

static bool group_known(const uint16_t *group, unsigned count, uint16_t wanted)
{
	for (unsigned i = 0; i < count; i++)
		if (group[i] == wanted)
			return true;
	return false;
}

unsigned volume_path_groups(const struct access_table *table,
	const struct access_target *target, uint16_t own,
	uint16_t group[VOLUME_PATHS_MOST])
{
	struct access_portal *const *portal =
		target->portals ? target->portal : table->portal;
	unsigned portals = target->portals ? target->portals : table->portals;
	unsigned count = 1;

	group[0] = own;
	for (unsigned i = 0; i < portals && count < VOLUME_PATHS_MOST; i++)
		if (!group_known(group, count, portal[i]->group))
			group[count++] = portal[i]->group;
	return count;
}
