/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A power cut that is looked at later: what it left of the simulator's disks, and
 * what had been promised then. Part of a larger struct of the test, in a list of
 * its own.
 */
#ifndef TESTS_LIB_POWER_CUT_H
#define TESTS_LIB_POWER_CUT_H

#include "tests/lib/sector_model.h"
#include "tests/lib/stack_rig.h"

struct power_cut {
	struct ring_world *world;
	struct sim *sim;
	struct sector_model *model;
	uint64_t point; /* as sim_world_watch counts them */
};

/* Cuts the power of the rig's world, which goes on as if nothing had been. `model` may
 * be NULL. */
void power_cut_take(struct power_cut *cut, struct stack_rig *rig, uint64_t seed,
	uint64_t point, const struct sector_model *model);

/* Goes on in the world that is left: `body_co` in a rig of one lane over it. Then
 * world, simulation and model are gone. */
void power_cut_reopen(struct power_cut *cut,
	void (*body_co)(struct stack_rig *rig, void *argument), void *argument);

/* It is not looked at: world, simulation and model are gone. */
void power_cut_forget(struct power_cut *cut);

/* In that rig: reads `bytes` of the source and holds them against the model (a cut's).
 * False, and what is wrong on standard error: something is lost or made up. */
bool power_cut_sectors_hold_co(const struct sector_model *model,
	struct stack_rig *rig, struct block_source *source, uint64_t bytes);

#endif
