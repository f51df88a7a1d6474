/* SPDX-License-Identifier: Apache-2.0 */
/* See volume_purge.h. */
#include "target/control/appliance/volume_purge.h"

#include "blockcore/base/log.h"
#include "blockcore/loop.h"
#include "blockcore/spec.h"
#include "target/control/appliance/appliance.h"
#include "target/control/appliance/volume_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- what there is ------------------------------------------------------------ */

/* Adds {path, made}, once. */
static bool add_file(
	json_t *protocol, const char *path, bool backing, void *files)
{
	const json_t *one;
	size_t i;
	json_array_foreach((json_t *)files, i, one)
	{
		const char *known =
			json_string_value(json_object_get(one, "path"));
		if (known && !strcmp(known, path))
			return true;
	}
	return !json_array_append_new(files,
		json_pack("{ss, sb}", "path", path, "made",
			!backing || json_object_get(protocol, "size")));
}

json_t *volume_purge_files(const json_t *volume)
{
	json_t *files = json_array(), *one;
	size_t i;
	volume_files_each(
		json_object_get(volume, "source"), false, add_file, files);
	json_array_foreach(json_object_get(volume, "snapshots"), i, one)
	{
		volume_files_each(
			json_object_get(one, "source"), false, add_file, files);
	}
	return files;
}

static const char *path_of(const json_t *file)
{
	return json_string_value(json_object_get(file, "path"));
}

/* -- what goes ---------------------------------------------------------------- */

bool volume_purge_is_same(
	const struct block_core *core, const char *one, const char *other)
{
	char whole[4096];
	struct stat a, b;
	if (!strcmp(one, other))
		return true;
	block_core_path(core, one, whole, sizeof whole);
	if (stat(whole, &a))
		return false;
	block_core_path(core, other, whole, sizeof whole);
	return !stat(whole, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool volume_purge_stays(const struct daemon_parts *parts, const char *name,
	const json_t *file, char why[VOLUME_PURGE_WHY_BYTES])
{
	const char *path = path_of(file);
	const char *user = appliance_file_user(parts->appliance, name, path);
	*why = '\0';
	if (!*path || *path == '/' || strstr(path, ".."))
		snprintf(why, VOLUME_PURGE_WHY_BYTES,
			"outside of the data directory");
	else if (user)
		snprintf(why, VOLUME_PURGE_WHY_BYTES, "volume %.63s uses it",
			user);
	else if (!json_is_true(json_object_get(file, "made")))
		snprintf(why, VOLUME_PURGE_WHY_BYTES,
			"a backing that was there before");
	return *why;
}

/* -- doing it ----------------------------------------------------------------- */

static int let_go(void *fd)
{
	close(*(int *)fd);
	return 0;
}

/* The name goes here, before another volume can take it; what the file held is freed
 * by the last close, which may take long and is left to the worker pool. */
static void remove_co(const struct daemon_parts *parts, struct loop *loop,
	const char *name, const char *path)
{
	char whole[4096];
	block_core_path(parts->core, path, whole, sizeof whole);
	int fd = open(whole, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (unlink(whole) && errno != ENOENT)
		log_error("api", "purge", "%s: %s", whole, strerror(errno));
	else
		log_info(
			"api", "purge", "volume %s: %s is removed", name, path);
	if (fd >= 0)
		loop_work_co(loop, let_go, &fd);
}

static void purge_one_co(const struct daemon_parts *parts, struct loop *loop,
	const char *name, const json_t *file)
{
	char why[VOLUME_PURGE_WHY_BYTES];
	const char *path = path_of(file);
	if (volume_purge_stays(parts, name, file, why))
		log_info("api", "purge", "volume %s: %s stays: %s", name, path,
			why);
	else
		remove_co(parts, loop, name, path);
}

void volume_purge_image_co(const struct daemon_parts *parts, struct loop *loop,
	const char *name, const char *path)
{
	char why[VOLUME_PURGE_WHY_BYTES];
	json_t *file = json_pack("{ss, sb}", "path", path, "made", 1);
	if (volume_purge_stays(parts, "", file, why))
		log_info("api", "purge", "volume %s: %s stays: %s", name, path,
			why);
	else
		remove_co(parts, loop, name, path);
	json_decref(file);
}

void volume_purge_co(const struct daemon_parts *parts, struct loop *loop,
	const char *name, const json_t *volume)
{
	json_t *files = volume_purge_files(volume);
	json_t *file;
	size_t i;
	json_array_foreach(files, i, file)
	{
		purge_one_co(parts, loop, name, file);
	}
	json_decref(files);
}
