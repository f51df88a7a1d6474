/* SPDX-License-Identifier: Apache-2.0 */
/* See objects.h. */
#include "target/control/config/objects.h"

#include "blockcore/base/list.h"
#include "target/control/config/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void objects_init(struct config_objects *objects, const char *authority)
{
	*objects = (struct config_objects){
		.authority = authority, .next_export = 1};
}

/* -- keys ------------------------------------------------------------------- */

const struct config_key *objects_key(
	const struct config_objects *objects, const char *key)
{
	return map_find_text(&objects->keys, key);
}

static struct config_key *make_key(
	struct config_objects *objects, const char *text)
{
	struct config_key *key = map_find_text(&objects->keys, text);
	size_t bytes = strlen(text) + 1;
	if (key)
		return key;
	key = calloc(1, sizeof *key + bytes);
	if (!key)
		return NULL;
	memcpy(key->text, text, bytes);
	TAILQ_INIT(&key->definers);
	TAILQ_INIT(&key->users);
	if (!map_put_text(&objects->keys, key->text, key))
		return key;
	free(key);
	return NULL;
}

static struct config_links *links_of(struct config_link *link)
{
	return link->defines ? &link->key->definers : &link->key->users;
}

static void unlink_object(
	struct config_objects *objects, struct config_object *object)
{
	while (object->links) {
		struct config_link *link = &object->link[--object->links];
		struct config_key *key = link->key;
		TAILQ_REMOVE(links_of(link), link, next);
		if (!TAILQ_EMPTY(&key->definers) || !TAILQ_EMPTY(&key->users))
			continue;
		map_remove_text(&objects->keys, key->text);
		free(key);
	}
	free(object->link);
	object->link = NULL;
}

struct counting {
	struct key_visitor visitor;
	unsigned keys;
};

static void count_key(
	struct key_visitor *visitor, const char *key, bool defines)
{
	(void)key;
	(void)defines;
	container_of(visitor, struct counting, visitor)->keys++;
}

struct linking {
	struct key_visitor visitor;
	struct config_objects *objects;
	struct config_object *object;
	bool failed;
};

static void link_key(struct key_visitor *visitor, const char *key, bool defines)
{
	struct linking *linking =
		container_of(visitor, struct linking, visitor);
	struct config_object *object = linking->object;
	struct config_link *link = &object->link[object->links];
	if (linking->failed)
		return;
	*link = (struct config_link){.object = object,
		.key = make_key(linking->objects, key),
		.defines = defines};
	linking->failed = !link->key;
	if (linking->failed)
		return;
	TAILQ_INSERT_TAIL(links_of(link), link, next);
	object->links++;
}

/* False without memory. */
static bool link_object(
	struct config_objects *objects, struct config_object *object)
{
	struct counting counting = {.visitor.key = count_key};
	struct linking linking = {
		.visitor.key = link_key, .objects = objects, .object = object};
	keys_each(object->kind, object->value, objects->authority,
		&counting.visitor);
	object->link = calloc(counting.keys + 1, sizeof *object->link);
	if (!object->link)
		return false;
	keys_each(object->kind, object->value, objects->authority,
		&linking.visitor);
	return !linking.failed;
}

/* -- lists ------------------------------------------------------------------ */

static void free_object(
	struct config_objects *objects, struct config_object *object)
{
	unlink_object(objects, object);
	json_decref(object->value);
	free(object->id);
	free(object);
}

void objects_free(struct config_objects *objects)
{
	for (int kind = 0; kind < CONFIG_KINDS; kind++) {
		struct config_list *list = &objects->list[kind];
		for (unsigned i = 0; i < list->count; i++)
			free_object(objects, list->item[i]);
		free(list->item);
		map_free(&list->ids);
	}
	map_free(&objects->keys);
}

struct config_object *objects_find(const struct config_objects *objects,
	enum config_kind kind, const char *id)
{
	return map_find_text(&objects->list[kind].ids, id);
}

static bool reserve(struct config_list *list)
{
	if (list->count < list->room)
		return true;
	unsigned room = list->room ? 2 * list->room : 16;
	struct config_object **item =
		realloc(list->item, room * sizeof *list->item);
	if (!item)
		return false;
	list->item = item;
	list->room = room;
	return true;
}

uint64_t objects_next_order(
	const struct config_objects *objects, enum config_kind kind)
{
	const struct config_list *list = &objects->list[kind];
	return list->count ? list->item[list->count - 1]->order + 1 : 0;
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
	object->order = objects_next_order(objects, kind);
	if (!object->id || !reserve(list) || !link_object(objects, object) ||
		map_put_text(&list->ids, object->id, object)) {
		free_object(objects, object);
		return NULL;
	}
	list->item[list->count++] = object;
	return object;
}

bool objects_set(struct config_objects *objects, struct config_object *object,
	json_t *value)
{
	json_t *before = object->value;
	object->value = json_incref(value);
	json_decref(before);
	unlink_object(objects, object);
	return link_object(objects, object);
}

void objects_remove(
	struct config_objects *objects, struct config_object *object)
{
	struct config_list *list = &objects->list[object->kind];
	map_remove_text(&list->ids, object->id);
	list->count--;
	for (unsigned i = object->position; i < list->count; i++) {
		list->item[i] = list->item[i + 1];
		list->item[i]->position = i;
	}
	free_object(objects, object);
}
