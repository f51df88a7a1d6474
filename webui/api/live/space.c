/* SPDX-License-Identifier: Apache-2.0 */
/* Space that volumes take up; see space.h. */
#include "webui/api/live/space.h"

#include "blockcore/base/list.h"
#include "target/control/appliance/appliance_space.h"
#include "target/volume/view.h"
#include "webui/api/live/live.h"
#include "webui/api/server/private.h"

#include <errno.h>

/* {"bytes": N, "asked": ns}; bytes is absent if nobody knows. */
static bool known(const json_t *entry, uint64_t *bytes)
{
	const json_t *value = json_object_get(entry, "bytes");
	if (!value)
		return false;
	*bytes = (uint64_t)json_integer_value(value);
	return true;
}

static void keep(struct api *api, const char *volume, const uint64_t *bytes)
{
	json_t *entry =
		json_pack("{sI}", "asked", (json_int_t)loop_now_ns(api->loop));
	if (bytes)
		json_object_set_new(
			entry, "bytes", json_integer((json_int_t)*bytes));
	if (json_object_size(api->space) >= SPACE_MAX)
		json_object_clear(api->space);
	json_object_set_new(api->space, volume, entry);
}

bool api_space_co(struct api *api, const char *volume, uint64_t *bytes)
{
	const json_t *entry = json_object_get(api->space, volume);
	uint64_t asked =
		(uint64_t)json_integer_value(json_object_get(entry, "asked"));
	struct volume *found =
		appliance_find_volume(api->parts.appliance, volume);
	if (!found)
		return false;
	if (entry && loop_now_ns(api->loop) - asked < SPACE_FRESH_NS)
		return known(entry, bytes);
	struct ring_space space;
	int failed = volume_space_co(found, &space);
	if (failed == -EBUSY)
		return known(json_object_get(api->space, volume), bytes);
	if (!failed)
		*bytes = space.used_bytes;
	keep(api, volume, failed ? NULL : bytes);
	return !failed;
}

/* Names first: volumes may come and go while one is asked. */
static json_t *names_of(const struct appliance *appliance)
{
	json_t *names = json_array();
	const struct volume *volume;
	const void *at = NULL;
	while ((volume = appliance_next_volume(appliance, &at)))
		json_array_append_new(
			names, json_string(volume->settings.name));
	return names;
}

void api_space_print_co(struct exposition *exposition, struct api *api)
{
	json_t *names = names_of(api->parts.appliance), *name;
	size_t i;
	exposition_family(exposition, "cairn_volume_allocated_bytes",
		EXPOSITION_GAUGE, "Space in use below");
	json_array_foreach(names, i, name)
	{
		const struct exposition_label labels[] = {
			{"volume", json_string_value(name)}, {NULL, NULL}};
		uint64_t bytes;
		if (api_space_co(api, json_string_value(name), &bytes))
			exposition_count(exposition, labels, bytes);
	}
	json_decref(names);
}

/* -- file systems that run full --------------------------------------------- */

/* As many as an event has room for. */
#define NAMES_MAX 128u

static json_t *names_on(
	const struct api *api, const struct appliance_file_system *fs)
{
	json_t *names = json_array();
	const struct volume *volume;
	const void *at = NULL;
	while ((volume = appliance_next_volume(api->parts.appliance, &at))) {
		if (appliance_grows_on(volume, fs) &&
			json_array_size(names) < NAMES_MAX)
			json_array_append_new(
				names, json_string(volume->settings.name));
	}
	return names;
}

static json_t *file_system_json(
	const struct api *api, const struct appliance_file_system *fs)
{
	return json_pack("{so, sI, sI, si, si, sb}", "file_system",
		live_text(fs->name), "total_bytes", (json_int_t)fs->total_bytes,
		"free_bytes", (json_int_t)fs->free_bytes, "used_percent",
		(int)appliance_file_system_percent(fs), "threshold_percent",
		(int)api->parts.settings->space_threshold_percent, "reached",
		fs->reached);
}

json_t *api_space_json(const struct api *api, const struct volume *volume)
{
	const struct appliance_file_system *fs =
		appliance_file_system_of(api->parts.appliance, volume);
	return fs ? file_system_json(api, fs) : NULL;
}

static void threshold_crossed(struct appliance_space_watcher *watcher,
	const struct appliance_file_system *fs)
{
	struct api *api = container_of(watcher, struct api, space_watcher);
	json_t *data = file_system_json(api, fs);
	json_object_set_new(data, "volumes", names_on(api, fs));
	api_emit(
		api, "volumes", fs->reached ? "space_low" : "space_back", data);
}

/* Tests of the transport have no appliance. */
void api_space_watch(struct api *api, bool on)
{
	api->space_watcher.changed = threshold_crossed;
	if (api->parts.appliance)
		appliance_watch_space(
			api->parts.appliance, on ? &api->space_watcher : NULL);
}
