/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: the appliance document as objects that are changed one by
 * one, or as a whole, while everything runs.
 *
 *	edits or document --propose--> the document that would be, checked: whole,
 *		or as much of it as the edits can matter to (edits.h)
 *		--compare--> what changes, and what hosts would notice
 *		--apply--> appliance.h, with our commit as its `keep`
 *
 * An object has a kind, an id that names it (volumes, hosts and portals: their
 * name; targets: their IQN; exports: a number that no other one ever gets), the
 * members that a document has for it, and a generation that rises with each change.
 *
 * Invariants
 *  1. Control lane; one change at a time, others wait. All of a change happens or
 *     nothing: checked, prepared, made durable in one transaction, published.
 *  2. What is kept of an object is what was written, without secrets; a secret that
 *     is left null is the one that is kept.
 *  3. The history has the latest CONFIG_HISTORY changes, each with what was before
 *     and after, so that going back to one is a change like any other. It has no
 *     secrets and no data: those stay as they are.
 *  4. A change of an object costs what it touches, not what there is: 1,000 volumes
 *     make it no slower than one. A whole document costs what it has.
 *  5. Values that functions hand out are borrowed and valid until the caller
 *     yields, unless it says otherwise.
 */
#ifndef TARGET_CONTROL_CONFIG_CONFIG_H
#define TARGET_CONTROL_CONFIG_CONFIG_H

#include "target/control/appliance/appliance.h"
#include "target/control/config/object.h"

struct config;

/* The appliance, state and settings outlive it. NULL with *err. Reads what is
 * kept; nothing is applied yet. */
struct config *config_open(const struct appliance_world *world,
	struct appliance *appliance, struct err *err);
void config_close(struct config *config);

/* Puts in force what is kept; what cannot be opened is offline. */
int config_restore_co(struct config *config, struct err *err);

/* -- looking ---------------------------------------------------------------- */

/* NULL: there is none. Names of targets are folded. */
const struct config_object *config_find(
	const struct config *config, enum config_kind kind, const char *id);
/* The export at that target and LUN, NULL if there is none, or several for different
 * hosts, of which *count says how many. */
const struct config_object *config_find_export(const struct config *config,
	const char *iqn, unsigned lun, unsigned *count);
/* The objects of that kind that name another one, in time that does not grow with the
 * others: `key` is that one's (keys.h: "h:web1"). *cursor starts as NULL; NULL ends. Of
 * targets, whose names may be short, some may mean another one. */
struct config_link;
const struct config_object *config_next_user(const struct config *config,
	enum config_kind kind, const char *key,
	const struct config_link **cursor);
/* In the order of the document; NULL begins and ends. */
const struct config_object *config_next(const struct config *config,
	enum config_kind kind, const struct config_object *after);
/* The whole document, without secrets: a new reference, NULL without memory. */
json_t *config_document(const struct config *config);
/* Rises with every change. */
uint64_t config_generation(const struct config *config);

/* Told after each change, of which the objects say already what is; on the control lane,
 * within the change: it must not wait, nor begin another. */
struct config_watcher {
	void (*changed)(struct config_watcher *watcher);
};
/* One watcher at a time; NULL: nobody any more. */
void config_watch(struct config *config, struct config_watcher *watcher);

/* -- changing --------------------------------------------------------------- */

/* 0, or -errno with *err and everything as before: EINVAL, ENOENT (a reference),
 * EEXIST, EBUSY (also of an edit's generation) with pointers relative to the first
 * edit's value. */
int config_change_co(struct config *config, const struct config_change *change,
	struct config_outcome *outcome, struct err *err);

/* The whole document: what it does not have goes. Takes `root` over, whose file
 * name stands in errors. `strict`: what cannot be opened refuses it. */
struct config_whole {
	struct doc *root;
	const char *who, *title;
	struct config_witness *witness; /* NULL: nobody */
	bool dry_run, strict, held; /* as config_change has it */
};
int config_replace_co(struct config *config, const struct config_whole *whole,
	struct config_outcome *outcome, struct err *err);

/* Waits for its turn: from hold to release nobody else changes the configuration, so
 * that a value can be made from what there is and no change of others gets lost. The
 * changes in between say that it is held. */
void config_hold_co(struct config *config);
void config_release(struct config *config);

/* -- what has changed by itself --------------------------------------------- */

/* A job makes a volume's source stand on something else (job.h, job_keeper): while held, and without waiting: keeps, with its record in the history, that the
 * volume of the one edit has another source, which it runs on already or will at
 * once. 0: durable, and the objects say so; else -errno and all is as before. */
int config_keep_moved(struct config *config, const struct config_change *change,
	struct config_outcome *outcome, struct err *err);

/* -- the history ------------------------------------------------------------ */

/* Numbers fall: the entries below `before` (0: from the newest), at most `limit`:
 * [{number, time, who, title, changes: [...]}], a new reference. */
int config_history(struct config *config, uint64_t before, unsigned limit,
	json_t **list, struct err *err);
/* One entry; -ENOENT. */
int config_history_entry(struct config *config, uint64_t number, json_t **entry,
	struct err *err);
/* Everything as it was right after that change, but for the order of what came back
 * since and for secrets, which no history has: a host that has lost its own refuses
 * it, and so does a value that this version does not take any more. `how` says who does
 * it, with which witness, whether it is a dry run, and held. */
int config_history_restore_co(struct config *config, uint64_t number,
	const struct config_change *how, struct config_outcome *outcome,
	struct err *err);

#endif
