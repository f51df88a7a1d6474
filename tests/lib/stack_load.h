/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of stacks that change: a load on every lane. Each worker owns every
 * LANES * DEPTH-th block, writes it with a new stamp and reads it back: what a
 * change loses, doubles or misplaces shows at once.
 */
#ifndef TESTS_LIB_STACK_LOAD_H
#define TESTS_LIB_STACK_LOAD_H

#include "tests/lib/stack_rig.h"

#define STACK_LOAD_LANES 3u /* of the rig */
#define STACK_LOAD_DEPTH 4u
#define STACK_LOAD_BYTES (3u << 20) /* what it uses of a source */

struct stack_load_worker {
	struct stack_rig_task task;
	struct block_source *source;
	unsigned index;
	_Atomic bool *stop;
	uint64_t rounds, random;
};

struct stack_load {
	_Atomic bool stop;
	struct stack_load_worker worker[STACK_LOAD_LANES * STACK_LOAD_DEPTH];
};

void stack_load_start(struct stack_load *load, struct stack_rig *rig,
	struct block_source *source);
/* Waits for the workers; the rounds of all, of each at least one. */
uint64_t stack_load_stop_co(struct stack_load *load);

#endif
