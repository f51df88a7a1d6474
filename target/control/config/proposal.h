/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A proposal: the document that would be, checked whole, with its objects by id,
 * compared with those that are.
 */
#ifndef TARGET_CONTROL_CONFIG_PROPOSAL_H
#define TARGET_CONTROL_CONFIG_PROPOSAL_H

#include "target/control/config/objects.h"
#include "target/control/document.h"

struct config_item {
	enum config_kind kind;
	char *id;
	json_t *value; /* borrowed from the proposal's document; no secrets */
	const struct config_object *present; /* NULL: it is new */
	bool changes;
};

struct config_proposal {
	struct document *document; /* NULL once it was applied */
	json_t *json;
	json_t *ids[CONFIG_KINDS]; /* id -> true */
	struct config_item *item; /* in order, kind by kind */
	unsigned items;
	struct config_object **gone; /* present objects that it does not have */
	unsigned gones;
};

/* Reads `root` (taken over). 0, or -errno with *err; freed in either case by
 * proposal_free. */
int proposal_read(struct config_proposal *proposal, struct doc *root,
	const struct config_objects *objects, const struct settings *settings,
	struct err *err);
void proposal_free(struct config_proposal *proposal);

/* True if it is what is there already. */
bool proposal_is_empty(const struct config_proposal *proposal);
/* [{kind, id, operation, before, after}], a new reference. */
json_t *proposal_changes(const struct config_proposal *proposal);

/* The document with these edits as a tree without places: what `change` would make
 * of the objects. NULL with *err (-ENOENT: an object to be changed is not there). */
struct doc *proposal_edit(const struct config_objects *objects,
	const struct config_change *change, struct err *err);
/* The document of the objects, a new reference. */
json_t *proposal_document(const struct config_objects *objects);

#endif
