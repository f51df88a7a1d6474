/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header.
 */
#include "tests/lib/power_cut.h"

#include "tests/lib/sim_world.h"
#include "tests/lib/stack_sim.h"

#include <stdlib.h>

void power_cut_take(struct power_cut *cut, struct stack_rig *rig, uint64_t seed,
	uint64_t point, const struct sector_model *model)
{
	cut->sim = sim_new(seed << 32 ^ point << 2);
	cut->world = sim_world_after_cut(rig->world, cut->sim);
	cut->model = model ? sector_model_copy(model) : NULL;
	cut->point = point;
}

/* The world that a cut has left goes on in the simulation of the rig. */
static struct ring_world *take_world(void *argument, struct sim *sim)
{
	struct power_cut *cut = argument;

	sim_world_of(cut->world)->sim = sim;
	return cut->world;
}

void power_cut_reopen(struct power_cut *cut,
	void (*body_co)(struct stack_rig *rig, void *argument), void *argument)
{
	struct stack_rig_setup setup = {.world = "simulated",
		.lanes = 1,
		.pool_bytes = 1u << 20,
		.seed = cut->point,
		.existing_world = take_world,
		.existing = cut};

	stack_rig_test(&setup, body_co, argument);
	sim_free(cut->sim);
	if (cut->model)
		sector_model_free(cut->model);
}

void power_cut_forget(struct power_cut *cut)
{
	ring_world_free(cut->world);
	sim_free(cut->sim);
	if (cut->model)
		sector_model_free(cut->model);
}

bool power_cut_sectors_hold_co(const struct sector_model *model,
	struct stack_rig *rig, struct block_source *source, uint64_t bytes)
{
	uint8_t *data = calloc(1, bytes);

	CHECK(data != NULL);
	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_READ, 0, 0, bytes, data),
		0);
	uint32_t sector = sector_model_check_cut(
		model, 0, (uint32_t)(bytes / SECTOR_BYTES), data);
	if (sector != UINT32_MAX)
		sector_model_explain(
			model, sector, data + sector * SECTOR_BYTES);
	free(data);
	return sector == UINT32_MAX;
}
