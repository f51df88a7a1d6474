/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lanes under a stack_rig: threads with plain loops, or the simulator.
 */
#ifndef TESTS_LIB_STACK_RIG_LANES_H
#define TESTS_LIB_STACK_RIG_LANES_H

#include "tests/lib/stack_rig.h"

struct stack_rig_text {
	struct doc *doc;
	struct stack_rig_text *next;
};

void stack_rig_lanes_start(
	struct stack_rig *rig, const struct stack_rig_setup *setup);
void stack_rig_lanes_simulate(
	struct stack_rig *rig, const struct stack_rig_setup *setup);
/* Until stack_rig_lanes_finish is called on lane 0. */
void stack_rig_lanes_run(struct stack_rig *rig);
void stack_rig_lanes_finish(struct stack_rig *rig);
void stack_rig_lanes_stop(struct stack_rig *rig);

#endif
