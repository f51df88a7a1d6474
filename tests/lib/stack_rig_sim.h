/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated lanes under a stack_rig; see stack_rig_lanes.h.
 */
#ifndef TESTS_LIB_STACK_RIG_SIM_H
#define TESTS_LIB_STACK_RIG_SIM_H

#include "tests/lib/stack_rig.h"

void stack_rig_sim_run(struct stack_rig *rig);
void stack_rig_sim_finish(struct stack_rig *rig);
void stack_rig_sim_stop(struct stack_rig *rig);

#endif
