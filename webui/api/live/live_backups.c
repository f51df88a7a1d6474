/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor looks for backups that have lost their moment: an image that changed
 * otherwise, a target that failed or was not there at the start.
 */
#include "blockcore/spec.h"
#include "target/control/appliance/appliance.h"
#include "target/control/config/config.h"
#include "target/volume/volume.h"
#include "webui/api/server/check.h"
#include "webui/api/server/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct counted {
	const char *volume; /* that is looked at */
	unsigned all, broken;
	char first[300]; /* the first that is broken */
};

static bool is_backup(const json_t *listener)
{
	const char *type = json_string_value(json_object_get(listener, "type"));
	return type && !strcmp(type, "backup");
}

/* Most have none, and are not asked what runs. */
static bool has_backup(const json_t *source)
{
	const json_t *one;
	size_t i;
	json_array_foreach(json_object_get(source, "listeners"), i, one)
	{
		if (is_backup(one))
			return true;
	}
	return false;
}

static json_t *running(struct block_source *source)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	if (!out)
		return NULL;
	spec_print(source, true, out);
	json_t *json = fclose(out) ? NULL : json_loadb(text, bytes, 0, NULL);
	free(text);
	return json;
}

static void count_backups(struct counted *counted, const json_t *source)
{
	const json_t *one;
	size_t i;
	json_array_foreach(json_object_get(source, "listeners"), i, one)
	{
		const json_t *status = json_object_get(one, "status");
		const char *name =
			json_string_value(json_object_get(one, "name"));
		const char *why =
			json_string_value(json_object_get(status, "broken"));
		if (!is_backup(one))
			continue;
		counted->all++;
		if (why && !counted->broken++)
			snprintf(counted->first, sizeof counted->first,
				"backup %.63s of volume %.63s is broken: "
				"%.130s",
				name ? name : "", counted->volume, why);
	}
}

static void count_all(const struct api *api, struct counted *counted)
{
	const struct config_object *object = NULL;
	while ((object = config_next(
			api->parts.config, CONFIG_VOLUME, object))) {
		const struct volume *volume =
			appliance_find_volume(api->parts.appliance, object->id);
		struct block_source *source =
			volume ? atomic_load(&volume->source) : NULL;
		if (!source ||
			!has_backup(json_object_get(object->value, "source")))
			continue;
		json_t *json = running(source);
		counted->volume = object->id;
		count_backups(counted, json_object_get(json, "source"));
		json_decref(json);
	}
}

static void check_backups(const struct api *api, struct check_finding *finding)
{
	struct counted counted = {0};
	count_all(api, &counted);
	if (!counted.all)
		check_find(
			finding, CHECK_SKIPPED, "", "no volume has a backup");
	else if (counted.broken)
		check_find(finding, CHECK_FAILED,
			"detach it, and attach it again for a new moment",
			"%s (%u of %u are broken)", counted.first,
			counted.broken, counted.all);
	else
		check_find(finding, CHECK_OK, "", "no backup of %u is broken",
			counted.all);
}

const struct api_check live_backup_checks[] = {
	{"backups", "Backups", check_backups},
	{0},
};
