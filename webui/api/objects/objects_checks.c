/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor looks at listeners that have failed.
 */
#include "webui/api/objects/objects_source.h"
#include "webui/api/server/check.h"
#include "webui/api/server/private.h"

#include <string.h>

struct count {
	unsigned all, failed;
	char first[160]; /* that has failed, in words */
};

static void look_at(
	const char *volume, const json_t *listener, struct count *count)
{
	const json_t *status = json_object_get(listener, "status");
	const char *name = source_text(listener, "name");
	const char *type = source_text(listener, "type");
	count->all++;
	if (!json_is_true(json_object_get(status, "failed")))
		return;
	if (!count->failed++)
		snprintf(count->first, sizeof count->first,
			"%.32s %.63s of %.63s", type ? type : "",
			name ? name : "", volume);
}

/* What runs is printed only for volumes that have any: that takes a while. */
static void look_at_all(const struct api *api, struct count *count)
{
	const struct config_object *volume = NULL;
	while ((volume = config_next(
			api->parts.config, CONFIG_VOLUME, volume))) {
		const json_t *source = json_object_get(volume->value, "source");
		json_t *one, *running;
		size_t i;
		if (!json_array_size(json_object_get(source, "listeners")))
			continue;
		running = source_running_json(
			api->parts.appliance, volume->id, true);
		json_array_foreach(
			json_object_get(json_object_get(running, "source"),
				"listeners"),
			i, one) look_at(volume->id, one, count);
		json_decref(running);
	}
}

static void check_listeners(
	const struct api *api, struct check_finding *finding)
{
	struct count count = {0};
	look_at_all(api, &count);
	if (count.failed)
		check_find(finding, CHECK_FAILED,
			"see it with cairn source show VOLUME; put right what "
			"it needs, then detach and attach it",
			"%s has failed (%u of %u listeners)", count.first,
			count.failed, count.all);
	else
		check_find(finding, CHECK_OK, "", "all %u listeners work",
			count.all);
}

const struct api_check object_checks[] = {
	{"listeners", "Listeners", check_listeners},
	{0},
};
