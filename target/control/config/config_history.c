/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The history, and the way back: what is in force now, with the latest changes taken
 * back one after the other, is a document like any other; see config.h.
 */
#include "target/control/config/config.h"

#include "blockcore/base/list.h"
#include "target/control/config/config_parts.h"
#include "target/control/config/json_doc.h"
#include "target/control/config/keys.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int config_history(struct config *config, uint64_t before, unsigned limit,
	json_t **list, struct err *err)
{
	return store_history(config->world.state, before, limit, list, err);
}

int config_history_entry(
	struct config *config, uint64_t number, json_t **entry, struct err *err)
{
	return store_history_entry(config->world.state, number, entry, err);
}

/* Takes one change of an entry back in {kind: {id: value}}, and notes the identity of
 * a volume that comes back. False: it is of a kind that we do not know. */
static bool take_back(json_t *objects, json_t *identities, const json_t *change)
{
	json_t *uuid = json_object_get(change, "uuid");
	const char *kind = json_string_value(json_object_get(change, "kind"));
	const char *id = json_string_value(json_object_get(change, "id"));
	json_t *before = json_object_get(change, "before");
	json_t *list = json_object_get(objects, kind ? kind : "");
	if (!list || !id)
		return false;
	if (uuid)
		json_object_set(identities, id, uuid);
	if (json_is_object(before))
		json_object_set(list, id, before);
	else
		json_object_del(list, id);
	return true;
}

/* All changes after `number`, of entries from the newest on. 0, or the number of the
 * one that cannot be taken back. */
static uint64_t take_all_back(json_t *objects, json_t *identities,
	const json_t *entries, uint64_t number)
{
	json_t *entry, *one;
	size_t i, k;
	json_array_foreach(entries, i, entry)
	{
		uint64_t at = (uint64_t)json_integer_value(
			json_object_get(entry, "number"));
		if (at <= number)
			break;
		json_array_foreach(json_object_get(entry, "changes"), k, one)
		{
			if (!take_back(objects, identities, one))
				return at;
		}
	}
	return 0;
}

static json_t *objects_by_id(const struct config *config)
{
	json_t *all = json_object();
	for (int kind = 0; kind < CONFIG_KINDS; kind++) {
		const struct config_list *list = &config->objects.list[kind];
		json_t *map = json_object();
		for (unsigned i = 0; i < list->count; i++)
			json_object_set(
				map, list->item[i]->id, list->item[i]->value);
		json_object_set_new(all, config_kind_name(kind), map);
	}
	return all;
}

/* Volumes in the order that a document wants: what one stands on is further up. */
struct ordering {
	struct key_visitor visitor;
	json_t *volumes; /* by name */
	json_t *placed; /* names */
	json_t *array;
	unsigned depth;
};
#define MAX_DEPTH 16u /* volumes that stand on each other; the stack is small */

static void place_volume(struct ordering *ordering, const char *name)
{
	json_t *value = json_object_get(ordering->volumes, name);
	if (!value || json_object_get(ordering->placed, name) ||
		ordering->depth >= MAX_DEPTH)
		return;
	json_object_set_new(ordering->placed, name, json_true());
	ordering->depth++;
	keys_each(CONFIG_VOLUME, value, "", &ordering->visitor);
	ordering->depth--;
	json_array_append(ordering->array, value);
}

static void place_used(
	struct key_visitor *visitor, const char *key, bool defines)
{
	struct ordering *ordering =
		container_of(visitor, struct ordering, visitor);
	if (!defines && !strncmp(key, "v:", 2))
		place_volume(ordering, key + 2);
}

static json_t *volumes_of(json_t *volumes)
{
	struct ordering ordering = {.visitor = {.key = place_used},
		.volumes = volumes,
		.placed = json_object(),
		.array = json_array()};
	const char *name;
	json_t *value;
	json_object_foreach(volumes, name, value)
	{
		(void)value;
		place_volume(&ordering, name);
	}
	json_decref(ordering.placed);
	return ordering.array;
}

static json_t *values_of(json_t *map)
{
	json_t *array = json_array(), *value;
	const char *id;
	json_object_foreach(map, id, value)
	{
		(void)id;
		json_array_append(array, value);
	}
	return array;
}

static json_t *document_of(const json_t *objects)
{
	json_t *document = json_object();
	for (int kind = 0; kind < CONFIG_KINDS; kind++) {
		json_t *map = json_object_get(objects, config_kind_name(kind));
		json_object_set_new(document, config_kind_list(kind),
			kind == CONFIG_VOLUME ? volumes_of(map)
					      : values_of(map));
	}
	return document;
}

/* The document as it was right after change `number`. */
static int document_at(struct config *config, uint64_t number,
	json_t **document, json_t *identities, struct err *err)
{
	json_t *entry, *entries;
	int failed = config_history_entry(config, number, &entry, err);
	if (failed)
		return failed;
	json_decref(entry);
	failed = config_history(config, 0, CONFIG_HISTORY, &entries, err);
	json_t *objects = objects_by_id(config);
	uint64_t strange = failed
		? 0
		: take_all_back(objects, identities, entries, number);
	if (strange)
		failed = err_set(err, EINVAL,
			"there is no way back to change %" PRIu64
			": change %" PRIu64
			" is of a kind that this version does not know",
			number, strange);
	if (!failed)
		*document = document_of(objects);
	json_decref(objects);
	json_decref(entries);
	return failed;
}

/* Where in a document it stands says nothing to who has sent none; and it is there,
 * the change that was named. */
static int refuse_restore(uint64_t number, struct err *err)
{
	struct err why = *err;
	return err_set(err, why.code == ENOENT ? EINVAL : why.code,
		"there is no way back to change %" PRIu64 ": %.400s", number,
		why.text);
}

int config_history_restore_co(struct config *config, uint64_t number,
	const struct config_change *how, struct config_outcome *outcome,
	struct err *err)
{
	char title[64];
	json_t *document = NULL;
	*outcome = (struct config_outcome){0};
	snprintf(title, sizeof title, "back to change %" PRIu64, number);
	struct config_change change = {.who = how->who,
		.title = title,
		.witness = how->witness,
		.identities = json_object(),
		.dry_run = how->dry_run};
	config_turn_co(config, how->held);
	int failed =
		document_at(config, number, &document, change.identities, err);
	struct doc *root = failed ? NULL : json_to_doc(document, err);
	json_decref(document);
	if (root)
		failed = config_propose_co(
			config, root, NULL, &change, true, outcome, err);
	else if (!failed)
		failed = -ENOMEM;
	if (root && failed && err)
		failed = refuse_restore(number, err);
	json_decref(change.identities);
	config_turn_end(config, how->held);
	return failed;
}
