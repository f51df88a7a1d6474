/* SPDX-License-Identifier: Apache-2.0 */
/* Space that volumes take up; see space.h. */
#include "webui/api/space.h"

#include "target/control/appliance.h"
#include "target/volume/view.h"
#include "webui/api/private.h"

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
	int failed = volume_allocated_co(found, bytes);
	if (failed == -EBUSY)
		return known(json_object_get(api->space, volume), bytes);
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
