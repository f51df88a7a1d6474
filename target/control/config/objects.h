/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects in memory: lists in the order of the document, found by id.
 */
#ifndef TARGET_CONTROL_CONFIG_OBJECTS_H
#define TARGET_CONTROL_CONFIG_OBJECTS_H

#include "target/control/config/object.h"

struct config_objects {
	struct config_list {
		struct config_object **item; /* by position */
		unsigned count, room;
		json_t *index; /* id -> the object's address */
	} list[CONFIG_KINDS];
};

int objects_init(struct config_objects *objects);
void objects_free(struct config_objects *objects);

struct config_object *objects_find(const struct config_objects *objects,
	enum config_kind kind, const char *id);
/* At the end of its list; copies the id, takes a reference of the value. NULL
 * without memory. */
struct config_object *objects_add(struct config_objects *objects,
	enum config_kind kind, const char *id, json_t *value);
void objects_remove(
	struct config_objects *objects, struct config_object *object);

#endif
