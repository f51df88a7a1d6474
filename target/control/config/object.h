/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this folder speak of: objects, edits, changes. The rules that
 * they keep stand in config.h.
 */
#ifndef TARGET_CONTROL_CONFIG_OBJECT_H
#define TARGET_CONTROL_CONFIG_OBJECT_H

#include "blockcore/base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_HISTORY 100u

enum config_kind {
	CONFIG_VOLUME,
	CONFIG_HOST,
	CONFIG_TARGET,
	CONFIG_EXPORT,
	CONFIG_PORTAL,
	CONFIG_SCHEDULE, /* kinds are kept as numbers: a new one comes last */
	CONFIG_KINDS
};
/* "volume"; "volumes" in a document. */
const char *config_kind_name(enum config_kind kind);
const char *config_kind_list(enum config_kind kind);

struct config_edit {
	enum config_kind kind;
	const char *id; /* NULL: an object that is not there yet */
	json_t *value; /* borrowed; NULL: it goes */
	/* The object's that the value was made from, if another change must not get
	 * lost by this one; 0: any. */
	uint64_t generation;
	/* A JSON Pointer, borrowed: where the value stands in what was asked for, as
	 * errors have it; NULL: the first one's is all of it, others' is nowhere. */
	const char *at;
};

struct config_link;
struct config_object {
	enum config_kind kind;
	char *id;
	uint64_t generation; /* 1.. */
	int64_t created_ms, changed_ms; /* since 1970 */
	json_t *value;
	unsigned position; /* in its list of the document */
	uint64_t order; /* rises with the position; as it is kept */
	struct config_link *link; /* its keys: objects.h */
	unsigned links;
	/* While a change is worked out (proposal.h): what happens to it, and
	 * whether it has been listed. */
	const struct config_edit *edit;
	bool listed;
};

/* Writes down, with a statement of its own, that a change is made, in the transaction
 * that keeps the change: both are kept or neither. `number` is the history's. An error
 * refuses the change. */
struct config_witness {
	int (*record)(struct config_witness *witness, const json_t *changes,
		uint64_t number, struct err *err);
};

struct config_change {
	const struct config_edit *edit;
	unsigned edits;
	struct config_witness *witness; /* NULL: nobody */
	const char *who; /* "root", "apply": for the history */
	const char *title; /* "volume db01 resized" */
	bool dry_run; /* nothing is touched */
	/* It is the caller's turn already (config_hold_co), and stays it. */
	bool held;
	/* The whole document is read, checked and compared, not only what the
	 * edits touch. The answer is the same: that is what tests ask it for. */
	bool whole;
	/* {NAME: UUID}: what volumes are that come back; NULL: none does. */
	json_t *identities;
};

/* What changed, or would. To be freed by config_outcome_free. */
struct config_outcome {
	json_t *changes; /* [{kind, id, operation, before, after}] */
	json_t *impact; /* [{object, effect, text, sessions, parked_ms_max?}] */
	uint64_t number; /* in the history; 0: none, as nothing changed */
};
void config_outcome_free(struct config_outcome *outcome);

#endif
