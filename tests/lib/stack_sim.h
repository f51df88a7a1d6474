/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes of a stack_rig: loops of the simulator, over simulated files.
 */
#ifndef TESTS_LIB_STACK_SIM_H
#define TESTS_LIB_STACK_SIM_H

#include "tests/lib/sim_ring.h"
#include "tests/lib/stack_lanes.h"

extern const struct stack_lanes_ops stack_sim_ops;

/* The simulation of a simulated rig; its world is rig->world. */
struct sim *stack_sim(struct stack_rig *rig);

#endif
