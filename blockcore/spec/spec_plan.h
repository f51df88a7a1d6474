/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drivers of a generation to come, and what may be done to them: shared by the
 * changes (spec_change.c) and their rehearsals (spec_rehearse.c), so that both refuse
 * the same. Nothing here waits or touches a running stack.
 */
#ifndef BLOCKCORE_SPEC_SPEC_PLAN_H
#define BLOCKCORE_SPEC_SPEC_PLAN_H

#include "blockcore/core/change.h"
#include "blockcore/kind.h"
#include "blockcore/spec.h"

/* Top first. */
struct spec_plan {
	struct block_source *source;
	unsigned count;
	struct block_driver *driver[BLOCK_MAX_DRIVERS + 1];
	struct block_driver *fresh; /* opened for it, NULL: none */
	struct block_change change;
};

/* As the source is now. */
void spec_plan_fill(struct spec_plan *plan, struct block_source *source);

/* A listener that is to come: its kind, its name and where it would stand. */
struct spec_newcomer {
	const struct block_kind *kind;
	char name[BLOCK_NAME_BYTES];
	unsigned place;
};
/* `below`: as in spec_attach_co. 0, or -errno with *err. */
int spec_plan_place(const struct spec_plan *plan, const struct doc *listener,
	const char *below, struct spec_newcomer *newcomer, struct err *err);
void spec_plan_insert(
	struct spec_plan *plan, struct block_driver *driver, unsigned place);

/* Takes that listener out, if it may go. */
int spec_plan_detach(struct spec_plan *plan, const char *name, struct err *err);
int spec_plan_reorder(
	struct spec_plan *plan, const struct doc *names, struct err *err);

/* Whether the bottom, or the size, may become another one now. */
int spec_plan_check_swap(const struct spec_plan *plan,
	const struct spec_swap *swap, struct err *err);
int spec_check_resize(
	struct block_source *source, uint64_t bytes, struct err *err);

#endif
