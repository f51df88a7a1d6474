/* SPDX-License-Identifier: Apache-2.0 */
/* See objects.h. */
#include "target/control/config/objects.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int objects_init(struct config_objects *objects)
{
	memset(objects, 0, sizeof *objects);
	for (int kind = 0; kind < CONFIG_KINDS; kind++) {
		objects->list[kind].index = json_object();
		if (!objects->list[kind].index)
			return -ENOMEM;
	}
	return 0;
}

static void free_object(struct config_object *object)
{
	json_decref(object->value);
	free(object->id);
	free(object);
}

void objects_free(struct config_objects *objects)
{
	for (int kind = 0; kind < CONFIG_KINDS; kind++) {
		struct config_list *list = &objects->list[kind];
		for (unsigned i = 0; i < list->count; i++)
			free_object(list->item[i]);
		free(list->item);
		json_decref(list->index);
	}
}

struct config_object *objects_find(const struct config_objects *objects,
	enum config_kind kind, const char *id)
{
	const json_t *address = json_object_get(objects->list[kind].index, id);
	return address
		? (struct config_object *)(intptr_t)json_integer_value(address)
		: NULL;
}

static int reserve(struct config_list *list)
{
	if (list->count < list->room)
		return 0;
	unsigned room = list->room ? 2 * list->room : 16;
	struct config_object **item =
		realloc(list->item, room * sizeof *list->item);
	if (!item)
		return -ENOMEM;
	list->item = item;
	list->room = room;
	return 0;
}

struct config_object *objects_add(struct config_objects *objects,
	enum config_kind kind, const char *id, json_t *value)
{
	struct config_list *list = &objects->list[kind];
	struct config_object *object = calloc(1, sizeof *object);
	if (!object)
		return NULL;
	object->kind = kind;
	object->id = strdup(id);
	object->value = json_incref(value);
	object->position = list->count;
	if (!object->id || reserve(list) ||
		json_object_set_new(list->index, id,
			json_integer((json_int_t)(intptr_t)object))) {
		free_object(object);
		return NULL;
	}
	list->item[list->count++] = object;
	return object;
}

void objects_remove(
	struct config_objects *objects, struct config_object *object)
{
	struct config_list *list = &objects->list[object->kind];
	json_object_del(list->index, object->id);
	list->count--;
	for (unsigned i = object->position; i < list->count; i++) {
		list->item[i] = list->item[i + 1];
		list->item[i]->position = i;
	}
	free_object(object);
}
