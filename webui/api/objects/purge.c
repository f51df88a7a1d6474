/* SPDX-License-Identifier: Apache-2.0 */
/* Files of volumes that are deleted; see purge.h. */
#include "webui/api/objects/purge.h"

#include "blockcore/base/log.h"
#include "target/control/appliance/volume_files.h"
#include "webui/api/objects/objects.h"
#include "webui/api/server/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- the files of a stack, and of snapshots that it went back from ---------------------------------------------------- */

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

static json_t *files_of(const json_t *volume)
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

bool purge_is_same_file(
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

/* False: it goes. True: it stays, and why. */
static bool stays(const struct daemon_parts *parts, const char *name,
	const json_t *file, char why[128])
{
	const char *path = path_of(file);
	const char *user = appliance_file_user(parts->appliance, name, path);
	*why = '\0';
	if (!*path || *path == '/' || strstr(path, ".."))
		snprintf(why, 128, "outside of the data directory");
	else if (user)
		snprintf(why, 128, "volume %.63s uses it", user);
	else if (!json_is_true(json_object_get(file, "made")))
		snprintf(why, 128, "a backing that was there before");
	return *why;
}

/* -- saying it ---------------------------------------------------------------- */

static char *explain(
	struct api_request *request, const char *name, const json_t *files)
{
	char *text = NULL, *rest = NULL, why[128];
	size_t bytes, rest_bytes, i;
	unsigned gone = 0;
	const json_t *file;
	FILE *out = open_memstream(&text, &bytes);
	FILE *kept = open_memstream(&rest, &rest_bytes);
	if (!out || !kept)
		abort();
	fputs("hosts lose it", out);
	json_array_foreach(files, i, file)
	{
		if (stays(request->parts, name, file, why))
			fprintf(kept, "; %s stays: %s", path_of(file), why);
		else
			fprintf(out, "%s%s",
				gone++ ? ", " : "; its data are gone: removes ",
				path_of(file));
	}
	fclose(kept);
	fputs(rest, out);
	fclose(out);
	free(rest);
	return text;
}

void purge_explain(
	struct api_request *request, const char *name, const json_t *volume)
{
	json_t *plan = api_call_of(request)->answer.json;
	char object[OBJECT_ID_BYTES + 8];
	json_t *item;
	size_t i;
	snprintf(object, sizeof object, "volume %s", name);
	json_array_foreach(json_object_get(plan, "impact"), i, item)
	{
		const char *of =
			json_string_value(json_object_get(item, "object"));
		if (!of || strcmp(of, object) != 0)
			continue;
		json_t *files = files_of(volume);
		char *text = explain(request, name, files);
		json_object_set_new(item, "text", json_string(text));
		free(text);
		json_decref(files);
	}
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

static void purge_one_co(
	struct api_request *request, const char *name, const json_t *file)
{
	char why[128];
	const char *path = path_of(file);
	if (stays(request->parts, name, file, why))
		log_info("api", "purge", "volume %s: %s stays: %s", name, path,
			why);
	else
		remove_co(request->parts, request->api->loop, name, path);
}

void purge_image_co(const struct daemon_parts *parts, struct loop *loop,
	const char *name, const char *path)
{
	char why[128];
	json_t *file = json_pack("{ss, sb}", "path", path, "made", 1);
	if (stays(parts, "", file, why))
		log_info("api", "purge", "volume %s: %s stays: %s", name, path,
			why);
	else
		remove_co(parts, loop, name, path);
	json_decref(file);
}

void purge_files_co(
	struct api_request *request, const char *name, const json_t *volume)
{
	json_t *files = files_of(volume);
	json_t *file;
	size_t i;
	json_array_foreach(files, i, file)
	{
		purge_one_co(request, name, file);
	}
	json_decref(files);
}
