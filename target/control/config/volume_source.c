/* SPDX-License-Identifier: Apache-2.0 */
/* See volume_source.h. */
#include "target/control/config/volume_source.h"

#include "blockcore/kind.h"

#include <stdio.h>
#include <string.h>

const char *source_text(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

size_t source_find_named(const json_t *listeners, const char *name)
{
	size_t i;
	for (i = 0; i < json_array_size(listeners); i++) {
		const char *other =
			source_text(json_array_get(listeners, i), "name");
		if (other && !strcmp(other, name))
			break;
	}
	return i;
}

void source_name_listener(const json_t *listeners, json_t *one)
{
	const char *type = source_text(one, "type");
	char name[BLOCK_NAME_BYTES];
	if (!type || json_object_get(one, "name"))
		return;
	snprintf(name, sizeof name, "%s", type);
	for (unsigned n = 2;
		source_find_named(listeners, name) < json_array_size(listeners);
		n++)
		snprintf(name, sizeof name, "%.50s-%u", type, n);
	json_object_set_new(one, "name", json_string(name));
}

json_t *source_copy(const struct config_object *object)
{
	json_t *source =
		json_deep_copy(json_object_get(object->value, "source"));
	json_t *listeners = json_object_get(source, "listeners");
	json_t *one;
	size_t i;
	if (!json_is_array(listeners)) {
		json_object_set_new(source, "listeners", json_array());
		return source;
	}
	json_array_foreach(listeners, i, one)
	{
		source_name_listener(listeners, one);
	}
	return source;
}

size_t source_find(const json_t *source, const char *name)
{
	return source_find_named(json_object_get(source, "listeners"), name);
}

size_t source_count(const json_t *source)
{
	return json_array_size(json_object_get(source, "listeners"));
}

json_t *source_listener(const json_t *source, size_t index)
{
	return json_array_get(json_object_get(source, "listeners"), index);
}

/* Where the core would put it: at the top of its band. */
static size_t place_of(const json_t *listeners, const json_t *listener)
{
	const char *type = source_text(listener, "type");
	const struct block_kind *kind =
		type ? block_kind_find(BLOCK_LISTENER, type) : NULL;
	size_t i;
	for (i = 0; kind && i < json_array_size(listeners); i++) {
		const char *other =
			source_text(json_array_get(listeners, i), "type");
		const struct block_kind *above =
			other ? block_kind_find(BLOCK_LISTENER, other) : NULL;
		if (!above || above->band >= kind->band)
			break;
	}
	return kind ? i : 0;
}

size_t source_insert(json_t *source, json_t *listener)
{
	json_t *listeners = json_object_get(source, "listeners");
	size_t place = place_of(listeners, listener);
	json_array_insert_new(listeners, place, listener);
	return place;
}
