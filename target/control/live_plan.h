/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan of a live change: its steps as values. Pure; no source is touched.
 */
#ifndef TARGET_CONTROL_LIVE_PLAN_H
#define TARGET_CONTROL_LIVE_PLAN_H

#include "target/control/live_change.h"

/* Each listener twice (detach, attach), the order, the bottom. */
#define LIVE_MAX_STEPS (2u * BLOCK_MAX_DRIVERS + 4u)

struct live_step {
	enum live_step_kind kind;
	char name[BLOCK_NAME_BYTES], type[BLOCK_NAME_BYTES];
	/* ATTACH, DETACH: the listener; CONFIGURE: options; REORDER: names;
	 * SWAP: the bottom. NULL where there is none. */
	json_t *before, *after;
	uint64_t bytes_before, bytes_after; /* RESIZE */
};

struct live_change {
	struct live_step step[LIVE_MAX_STEPS];
	unsigned steps;
	unsigned done; /* steps that undo must take back */
	json_t *order; /* names of listeners as it was, top first */
	struct block_source *source;
};

#endif
