/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A proposal: the document that would be, or the part of it that edits touch
 * (edits.h), checked, with its objects by id, compared with those that are.
 *
 * Ids are the names of volumes, hosts and portals and the IQNs of targets. An export has none
 * in a document: it has a number of its own for as long as it lives, which is never
 * given again. Edits say which one they mean; an export of a whole document is the
 * one at its target and LUN that has a host in common with it, else a new one.
 */
#ifndef TARGET_CONTROL_CONFIG_PROPOSAL_H
#define TARGET_CONTROL_CONFIG_PROPOSAL_H

#include "target/control/config/edits.h"
#include "target/control/document/document.h"

struct config_item {
	enum config_kind kind;
	char *id;
	json_t *value; /* borrowed from the proposal's document; no secrets */
	struct config_object *present; /* NULL: it is new */
	bool changes;
	uint64_t order; /* of the object that it will be */
};

struct config_proposal {
	struct document *document; /* NULL once it was applied */
	struct document_part part; /* the document's, if it is one */
	json_t *json;
	json_t *ids[CONFIG_KINDS]; /* id -> true */
	struct config_item *item; /* in order, kind by kind */
	unsigned items;
	struct config_object **gone; /* present objects that it does not have */
	unsigned gones;
	uint64_t next_export;
};

/* Reads `root` (taken over), which is the document of `slots`; NULL: one that came
 * as a whole. 0, or -errno with *err; freed in either case by proposal_free. */
int proposal_read(struct config_proposal *proposal, struct doc *root,
	const struct config_objects *objects, const struct config_slots *slots,
	const struct settings *settings, struct err *err);
void proposal_free(struct config_proposal *proposal);

/* True if it is what is there already. */
bool proposal_is_empty(const struct config_proposal *proposal);
/* [{kind, id, operation, before, after}], a new reference. */
json_t *proposal_changes(const struct config_proposal *proposal);

/* It was applied at `when_ms`: the objects as it has them. False without memory, and
 * then only half of it. */
bool proposal_take(const struct config_proposal *proposal, bool part,
	int64_t when_ms, struct config_objects *objects);

/* The document of the objects, a new reference. */
json_t *proposal_document(const struct config_objects *objects);

#endif
