/* SPDX-License-Identifier: Apache-2.0 */
/* What faults are in a volume's source; see faults.h. */
#include "blockcore/spec.h"
#include "target/control/config/json_doc.h"
#include "webui/api/live/faults.h"
#include "webui/api/objects/objects_source.h"
#include "webui/api/server/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_ours(const json_t *listener)
{
	const char *type = json_string_value(json_object_get(listener, "type"));
	const char *name = json_string_value(json_object_get(listener, "name"));
	return type && name && !strcmp(type, "fault") &&
		!strcmp(name, API_FAULT_LISTENER);
}

static json_t *find_listener(const json_t *source)
{
	json_t *one;
	size_t i;
	json_array_foreach(json_object_get(source, "listeners"), i, one)
	{
		if (is_ours(one))
			return one;
	}
	return NULL;
}

json_t *api_fault_rules(const struct config_object *volume)
{
	return json_object_get(
		find_listener(json_object_get(volume->value, "source")),
		"rules");
}

/* The volume's value with this source, which is taken over. */
static json_t *value_of(const struct config_object *volume, json_t *source)
{
	json_t *value = json_copy(volume->value);
	if (!source_count(source))
		json_object_del(source, "listeners");
	json_object_set_new(value, "source", source);
	return value;
}

json_t *api_fault_with(const struct config_object *volume, json_t *rule)
{
	json_t *source = source_copy(volume);
	json_t *listener = find_listener(source);
	if (!listener) {
		listener = json_pack("{ss, ss, s[]}", "type", "fault", "name",
			API_FAULT_LISTENER, "rules");
		source_insert(source, listener);
	}
	json_array_append_new(json_object_get(listener, "rules"), rule);
	return value_of(volume, source);
}

static bool has_id(const json_t *rule, const char *id)
{
	const char *name = json_string_value(json_object_get(rule, "name"));
	return !id || (name && !strcmp(name, id));
}

json_t *api_fault_without(const struct config_object *volume, const char *id)
{
	json_t *source = source_copy(volume);
	json_t *listener = find_listener(source);
	json_t *rules = json_object_get(listener, "rules");
	size_t before = json_array_size(rules);
	for (size_t i = before; i-- > 0;) {
		if (has_id(json_array_get(rules, i), id))
			json_array_remove(rules, i);
	}
	if (json_array_size(rules) == before) {
		json_decref(source);
		return NULL;
	}
	if (!json_array_size(rules))
		json_array_remove(json_object_get(source, "listeners"),
			source_find(source, API_FAULT_LISTENER));
	return value_of(volume, source);
}

/* Not an error if there is nothing to let go. */
void api_fault_release_co(struct api *api, const char *volume, const char *id)
{
	struct volume *found =
		appliance_find_volume(api->parts.appliance, volume);
	struct block_source *source =
		found ? atomic_load(&found->source) : NULL;
	json_t *name = json_pack("{ss}", "name", id);
	struct doc *arguments = name ? json_to_doc(name, NULL) : NULL;
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	if (source && arguments && out) {
		block_source_get(source);
		spec_command_co(source, API_FAULT_LISTENER, "release",
			arguments, out, NULL);
		block_source_put_co(source);
	}
	if (out)
		fclose(out);
	free(text);
	doc_free(arguments);
	json_decref(name);
}
