/* SPDX-License-Identifier: Apache-2.0 */
/* What was proposed is so; see proposal.h. */
#include "target/control/config/proposal.h"

/* What an object has after a change beside its value. */
static void stamp(struct config_object *object, const struct config_item *item,
	int64_t when_ms)
{
	const struct config_object *present = item->present;
	if (item->changes) {
		object->generation = present ? present->generation + 1 : 1;
		object->created_ms = present ? present->created_ms : when_ms;
		object->changed_ms = when_ms;
	} else {
		object->generation = present->generation;
		object->created_ms = present->created_ms;
		object->changed_ms = present->changed_ms;
	}
	object->order = item->order;
}

/* All of them, in their new order. */
static bool take_whole(struct config_objects *objects,
	const struct config_proposal *proposal, int64_t when_ms)
{
	struct config_objects fresh;
	objects_init(&fresh, objects->authority);
	for (unsigned i = 0; i < proposal->items; i++) {
		const struct config_item *item = &proposal->item[i];
		struct config_object *object =
			objects_add(&fresh, item->kind, item->id, item->value);
		if (!object)
			return false;
		stamp(object, item, when_ms);
	}
	objects_free(objects);
	*objects = fresh;
	return true;
}

/* Names stay with a part, and so do places. */
static bool take_part(struct config_objects *objects,
	const struct config_proposal *proposal, int64_t when_ms)
{
	for (unsigned i = 0; i < proposal->gones; i++)
		objects_remove(objects, proposal->gone[i]);
	for (unsigned i = 0; i < proposal->items; i++) {
		const struct config_item *item = &proposal->item[i];
		struct config_object *object = item->present;
		if (!item->changes)
			continue;
		if (!object)
			object = objects_add(
				objects, item->kind, item->id, item->value);
		else if (!objects_set(objects, object, item->value))
			return false;
		if (!object)
			return false;
		stamp(object, item, when_ms);
	}
	return true;
}

bool proposal_take(const struct config_proposal *proposal, bool part,
	int64_t when_ms, struct config_objects *objects)
{
	bool taken = part ? take_part(objects, proposal, when_ms)
			  : take_whole(objects, proposal, when_ms);
	objects->next_export = proposal->next_export;
	return taken;
}
