/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated lanes; not there yet.
 */
#include "tests/lib/stack_rig_sim.h"
#include "tests/lib/stack_rig_lanes.h"

void stack_rig_sim_run(struct stack_rig *rig)
{
	(void)rig;
}
void stack_rig_sim_finish(struct stack_rig *rig)
{
	(void)rig;
}
void stack_rig_sim_stop(struct stack_rig *rig)
{
	(void)rig;
}
void stack_rig_lanes_simulate(
	struct stack_rig *rig, const struct stack_rig_setup *setup)
{
	(void)rig;
	(void)setup;
	stack_rig_fail("sim", 0, "none yet");
}
