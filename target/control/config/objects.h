/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects in memory: lists in the order of the document, found by id, and by the
 * keys (keys.h) that they define and use.
 *
 * Invariants
 *  1. `order` rises along a list and may have gaps: it is what is kept of the
 *     position, and an object that goes moves no other one.
 *  2. The links of an object are those of its value.
 */
#ifndef TARGET_CONTROL_CONFIG_OBJECTS_H
#define TARGET_CONTROL_CONFIG_OBJECTS_H

#include "blockcore/base/map.h"
#include "target/control/config/object.h"

#include <sys/queue.h>

TAILQ_HEAD(config_links, config_link);
struct config_key {
	struct config_links definers, users;
	char text[];
};
struct config_link {
	struct config_object *object;
	struct config_key *key;
	bool defines;
	TAILQ_ENTRY(config_link) next; /* in the key's list */
};

struct config_objects {
	struct config_list {
		struct config_object **item; /* by position */
		unsigned count, room;
		struct map ids; /* -> object */
	} list[CONFIG_KINDS];
	struct map keys; /* -> config_key */
	const char *authority; /* of names; the settings' */
	uint64_t next_export; /* id of the next export that is made */
};

void objects_init(struct config_objects *objects, const char *authority);
void objects_free(struct config_objects *objects);

struct config_object *objects_find(const struct config_objects *objects,
	enum config_kind kind, const char *id);
/* NULL: nobody defines or uses it. */
const struct config_key *objects_key(
	const struct config_objects *objects, const char *key);

/* At the end of its list; copies the id, takes a reference of the value. NULL
 * without memory. */
struct config_object *objects_add(struct config_objects *objects,
	enum config_kind kind, const char *id, json_t *value);
/* Another value, of which a reference is taken. False without memory. */
bool objects_set(struct config_objects *objects, struct config_object *object,
	json_t *value);
void objects_remove(
	struct config_objects *objects, struct config_object *object);

/* The order of an object behind the last one. */
uint64_t objects_next_order(
	const struct config_objects *objects, enum config_kind kind);

#endif
