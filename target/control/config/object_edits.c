/* SPDX-License-Identifier: Apache-2.0 */
/* See object_edits.h. */
#include "target/control/config/object_edits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void object_edit(struct object_edits *edits, enum config_kind kind,
	const char *id, json_t *value)
{
	if (edits->count == OBJECT_MAX_EDITS) {
		edits->full = true;
		json_decref(value);
		return;
	}
	char *copy = id ? strdup(id) : NULL;
	edits->full |= id && !copy;
	edits->edit[edits->count++] =
		(struct config_edit){.kind = kind, .id = copy, .value = value};
}

void object_edit_of(struct object_edits *edits,
	const struct config_object *object, json_t *value)
{
	unsigned at = edits->count;
	object_edit(edits, object->kind, object->id, value);
	if (!edits->full)
		edits->edit[at].generation = object->generation;
}

void object_edits_free(struct object_edits *edits)
{
	for (unsigned i = 0; i < edits->count; i++) {
		free((char *)edits->edit[i].id);
		json_decref(edits->edit[i].value);
	}
	free(edits);
}

/* -- what came of it ----------------------------------------------------------- */

void object_emit(struct event_sink *sink, const struct config_outcome *outcome)
{
	json_t *change;
	size_t i;
	json_array_foreach(outcome->changes, i, change)
	{
		const char *kind, *id, *operation;
		char topic[32], type[64];
		if (json_unpack(change, "{ss, ss, ss}", "kind", &kind, "id",
			    &id, "operation", &operation))
			continue;
		snprintf(topic, sizeof topic, "%ss", kind);
		snprintf(type, sizeof type, "%s_%sd", kind, operation);
		event_sink_emit(sink, topic, type, json_pack("{ss}", "id", id));
	}
}

/* True if opening found it missing, which names the whole source of a volume. */
static bool is_storage(const char *pointer)
{
	if (!strncmp(pointer, "/volumes/", 9))
		pointer += 9 + strcspn(pointer + 9, "/");
	return !strcmp(pointer, "/source");
}

void object_sort_error(struct err *err)
{
	bool reference = *err->pointer && !is_storage(err->pointer);
	if (err->code == ENOENT)
		err->code = reference ? EINVAL : ENODEV;
}
