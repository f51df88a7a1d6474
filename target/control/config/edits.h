/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Edits become a document to be checked: the whole one that would be, or, at a cost
 * that does not grow with what there is, only the part that they can matter to.
 *
 * The part has the edited objects and, as they are,
 *	- who defines a key that one of these defines or uses (names that must be there,
 *	  names, UUIDs and LUNs that must not);
 *	- who uses a key that goes with a deleted object;
 *	- who defines what those use, and so on down.
 *
 * Invariant: reading the part gives the error that reading the whole would give, or
 * none if that gives none: all others were checked before, against objects that say
 * what they said then. A change of names is left to the whole.
 */
#ifndef TARGET_CONTROL_CONFIG_EDITS_H
#define TARGET_CONTROL_CONFIG_EDITS_H

#include "blockcore/base/doc.h"
#include "target/control/appliance/appliance.h"
#include "target/control/config/objects.h"

/* An object of the document, kind by kind in its order. */
struct config_slot {
	enum config_kind kind;
	struct config_object *object; /* what it is now; NULL: it is new */
	json_t *value; /* what it would be; borrowed */
	unsigned position; /* in its list of the whole document */
	bool edited;
};
struct config_slots {
	bool part;
	struct config_slot *slot;
	unsigned count;
	struct config_object **gone; /* by edits, kind by kind */
	unsigned gones;
};

/* 0, or -errno with *err: -ENOENT, an object to be changed is not there. Freed in
 * either case by edits_free. */
int edits_list(struct config_objects *objects,
	const struct appliance *appliance, const struct config_change *change,
	struct config_slots *slots, struct err *err);
void edits_free(struct config_slots *slots);

/* Their document as a tree without places. NULL with *err. */
struct doc *edits_document(const struct config_slots *slots, struct err *err);
/* Where a pointer and a text name a position in a part, they get that of the whole. */
void edits_relocate(const struct config_slots *slots, struct err *err);

#endif
