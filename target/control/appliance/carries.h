/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What jobs that copy a volume need to go on after a restart (job.h, carry_co): kept as
 * the volume's blob "carry", and the map that it names, in the data directory.
 *
 * Invariant: a map goes after it is durable that nobody needs it; one of which nobody
 * says that he needs it goes at the next start.
 *
 * Control thread.
 */
#ifndef TARGET_CONTROL_APPLIANCE_CARRIES_H
#define TARGET_CONTROL_APPLIANCE_CARRIES_H

#include "blockcore/block.h"

#define CARRIES_MAP_BYTES 64u

struct state;

/* Durable. -errno with *err: there is no such volume, it cannot be kept. */
int carries_keep(struct state *state, const char *volume, const char *carry,
	struct err *err);
/* *carry is to be freed; NULL: there is none. */
int carries_find(
	struct state *state, const char *volume, char **carry, struct err *err);
/* Durable, or in the transaction that is under way; `map`: which may go now, of
 * CARRIES_MAP_BYTES, "": none. */
int carries_end(
	struct state *state, const char *volume, char *map, struct err *err);
void carries_remove(struct block_core *core, const char *map);
/* At the start: maps that nobody needs go. */
void carries_sweep(struct block_core *core, struct state *state);

#endif
