/* SPDX-License-Identifier: Apache-2.0 */
/* See carries.h. */
#include "target/control/appliance/carries.h"

#include "blockcore/base/log.h"
#include "target/control/database.h"
#include "target/control/state.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CARRY_BLOB "carry"
#define MAP_BEGINS "carry-"
#define MAP_ENDS ".map"

int carries_keep(struct state *state, const char *volume, const char *carry,
	struct err *err)
{
	uint8_t uuid[16];
	int failed = state_find_volume(state, volume, uuid, err);
	if (failed)
		return err_set(err, -failed, "volume %s is not kept", volume);
	return state_save_blob(
		state, uuid, CARRY_BLOB, carry, strlen(carry), err);
}

int carries_find(
	struct state *state, const char *volume, char **carry, struct err *err)
{
	uint8_t uuid[16];
	void *data = NULL;
	size_t bytes = 0;
	*carry = NULL;
	int failed = state_find_volume(state, volume, uuid, err);
	if (failed)
		return failed == -ENOENT ? 0 : failed;
	failed = state_load_blob(state, uuid, CARRY_BLOB, &data, &bytes, err);
	if (failed || !data)
		return failed;
	*carry = strndup(data, bytes);
	free(data);
	return *carry ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* "" if it says none. */
static void map_of(const char *carry, char *map)
{
	json_t *json = json_loads(carry, 0, NULL);
	const char *name = json_string_value(
		json_object_get(json_object_get(json, "listener"), "map"));
	snprintf(map, CARRIES_MAP_BYTES, "%s",
		name && !strchr(name, '/') ? name : "");
	json_decref(json);
}

int carries_end(
	struct state *state, const char *volume, char *map, struct err *err)
{
	uint8_t uuid[16];
	char *carry;
	*map = '\0';
	int failed = carries_find(state, volume, &carry, err);
	if (failed || !carry)
		return failed;
	map_of(carry, map);
	free(carry);
	failed = state_find_volume(state, volume, uuid, err);
	return failed ? failed
		      : state_save_blob(state, uuid, CARRY_BLOB, NULL, 0, err);
}

void carries_remove(struct block_core *core, const char *map)
{
	char path[4096];
	if (!*map)
		return;
	snprintf(path, sizeof path, "%s/%s", block_core_data_directory(core),
		map);
	if (unlink(path) && errno != ENOENT)
		log_warning("jobs", "map", "%s cannot be removed: %s", path,
			strerror(errno));
}

static bool is_map(const char *name)
{
	size_t length = strlen(name), end = strlen(MAP_ENDS);
	return length > end && !strncmp(name, MAP_BEGINS, strlen(MAP_BEGINS)) &&
		!strcmp(name + length - end, MAP_ENDS);
}

/* In doubt it is. */
static bool is_needed(struct state *state, const char *map)
{
	struct statement s;
	struct err err = {0};
	char pattern[CARRIES_MAP_BYTES + 4];
	snprintf(pattern, sizeof pattern, "%%%.*s%%", (int)CARRIES_MAP_BYTES,
		map);
	statement_begin(&s, state_database(state),
		"SELECT 1 FROM blob WHERE kind = '" CARRY_BLOB
		"' AND CAST(data AS TEXT) LIKE ?1");
	statement_text(&s, 1, pattern);
	bool found = statement_row(&s);
	return statement_end(&s, &err) || found;
}

void carries_sweep(struct block_core *core, struct state *state)
{
	DIR *folder = opendir(block_core_data_directory(core));
	const struct dirent *entry;
	while (folder && (entry = readdir(folder))) {
		if (is_map(entry->d_name) && !is_needed(state, entry->d_name))
			carries_remove(core, entry->d_name);
	}
	if (folder)
		closedir(folder);
}
