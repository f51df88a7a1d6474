/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One change of the configuration, put together edit by edit, and what is told of it
 * when it is done. For whoever changes objects: handlers of REST, schedules.
 *
 * Control thread.
 */
#ifndef TARGET_CONTROL_CONFIG_OBJECT_EDITS_H
#define TARGET_CONTROL_CONFIG_OBJECT_EDITS_H

#include "target/control/config/config.h"
#include "target/control/event_sink.h"

#define OBJECT_ID_BYTES 320u
#define OBJECT_MAX_EDITS 512u

/* The edits of one change, with the values that they own. */
struct object_edits {
	struct config_edit edit[OBJECT_MAX_EDITS];
	unsigned count;
	bool full; /* one did not fit */
};

/* `id` NULL: a new one; `value` NULL: it goes, else taken over. */
void object_edit(struct object_edits *edits, enum config_kind kind,
	const char *id, json_t *value);
/* The same of an object that must be as it is now: one that others change before this
 * change has its turn is left alone (-EBUSY). */
void object_edit_of(struct object_edits *edits,
	const struct config_object *object, json_t *value);
/* Frees one that came from calloc, with all that was put in. */
void object_edits_free(struct object_edits *edits);

/* Tells who listens what has changed: "volume_updated" ... */
void object_emit(struct event_sink *sink, const struct config_outcome *outcome);
/* Of a change that was refused: what is not there may be what a path names, which is
 * ENOENT; here it is what a value names: storage is missing (ENODEV), or a reference is
 * wrong (EINVAL). */
void object_sort_error(struct err *err);

#endif
