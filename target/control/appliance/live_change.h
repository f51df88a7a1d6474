/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A running source becomes what its new document says, by the smallest list of
 * steps, while hosts go on.
 *
 *	listeners   gone: detach; new: attach; other live options: configure; other
 *		    options: detach and attach; then the order, if it is another
 *	bottom	    the same but for its size: resize; a new image over the same
 *		    bottom and listeners: a snapshot (spec_overlay_co), the only
 *		    step; a new image over one further down: back to a snapshot
 *		    (spec_back_co); any other difference: swap
 *
 *	plan --begin--> all steps but the swap --swap--> durable, behind the gate
 *	     --undo---> the inverse of what was done, in reverse
 *
 * Invariants
 *  1. Control lane, in a coroutine; one change of a source at a time.
 *  2. A swap of the bottom, as a snapshot is one, is the last step and is made durable while the gate is
 *     closed: no acknowledged write can be on a bottom that a restart forgets.
 *  3. A file gets smaller last of all, when nothing else can be refused; then it
 *     is made durable. Documents are compared by values, not by spellings.
 *  4. After undo the source is as it was, but for what listeners remember.
 */
#ifndef TARGET_CONTROL_APPLIANCE_LIVE_CHANGE_H
#define TARGET_CONTROL_APPLIANCE_LIVE_CHANGE_H

#include "blockcore/spec.h"

#include <jansson.h>

struct live_change;

enum live_step_kind {
	LIVE_DETACH,
	LIVE_ATTACH,
	LIVE_CONFIGURE,
	LIVE_REORDER,
	LIVE_RESIZE, /* larger */
	LIVE_SHRINK, /* a file; also where it is not known to be larger */
	LIVE_SWAP,
	LIVE_OVERLAY,
	LIVE_BACK, /* to a snapshot: a new image over an old one */
};

/* The steps from one source document to another; both were checked. NULL without
 * memory. */
struct live_change *live_change_plan(const json_t *from, const json_t *to);
void live_change_free(struct live_change *change);

/* For people: "attach listener limit (throttle)" for step 0, 1 ...; of a snapshot
 * where each listener goes, as far as it fits; false: no more. *kind says what it is. */
bool live_change_describe(const struct live_change *change, unsigned step,
	enum live_step_kind *kind, char *text, size_t bytes);
/* Of an external snapshot: {listener: head|image|both|drop}, of all; a new reference.
 * NULL: it is none. */
json_t *live_change_placement(const struct live_change *change);
bool live_change_swaps(const struct live_change *change);
/* Hosts wait at the gate for a moment. */
bool live_change_parks(const struct live_change *change);

/* Whether the steps would be refused, as far as spec_rehearse can tell. */
int live_change_rehearse_co(const struct live_change *change,
	struct block_source *source, struct err *err);
/* All steps but the swap. On failure what was done is undone. */
int live_change_begin_co(struct live_change *change,
	struct block_source *source, struct err *err);
/* The swap, snapshot or smaller size; `durable_co` is spec_swap's. */
int live_change_swap_co(struct live_change *change,
	int (*durable_co)(void *argument, struct err *err), void *argument,
	struct err *err);
/* Whether it is a snapshot in a new image: several such changes can be made at once. */
bool live_change_is_overlay(const struct live_change *change);
/* The snapshots of all, at one moment, in place of live_change_swap_co. */
int live_changes_overlay_co(struct live_change *const *change, unsigned count,
	int (*durable_co)(void *argument, struct err *err), void *argument,
	struct err *err);
void live_change_undo_co(struct live_change *change);

#endif
