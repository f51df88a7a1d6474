/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated lanes; not there yet.
 */
#include "tests/lib/stack_sim.h"

#include "tests/lib/check.h"

static void sim_start(
	struct stack_rig *rig, const struct stack_rig_setup *setup)
{
	(void)rig;
	(void)setup;
	check_fail(__FILE__, __LINE__, "no simulator yet");
}

const struct stack_lanes_ops stack_sim_ops = {.start = sim_start};
