/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source of a volume as its document has it, to be looked at and changed: pure
 * functions over JSON. Control thread.
 *
 * Invariant: a listener without a name is called by its type, the second one TYPE-2,
 * as the running stack calls it. Once one is changed all have their names.
 */
#ifndef TARGET_CONTROL_CONFIG_VOLUME_SOURCE_H
#define TARGET_CONTROL_CONFIG_VOLUME_SOURCE_H

#include "target/control/config/config.h"

/* A copy of its source, with `listeners` and all their names. */
json_t *source_copy(const struct config_object *object);
size_t source_count(const json_t *source); /* listeners */
/* Index of the listener of that name; source_count if there is none. */
size_t source_find(const json_t *source, const char *name);
json_t *source_listener(const json_t *source, size_t index); /* borrowed */
/* The text of a member of any object, NULL if it has none; borrowed. */
const char *source_text(const json_t *object, const char *member);
/* The same as source_find for a list of listeners. */
size_t source_find_named(const json_t *listeners, const char *name);
/* Gives a listener that comes to the list the name it would run under, if it has
 * none. */
void source_name_listener(const json_t *listeners, json_t *one);
/* Puts a listener (taken over) where its kind belongs; its index. */
size_t source_insert(json_t *source, json_t *listener);

#endif
