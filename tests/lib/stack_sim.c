/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated lanes: loops of one simulation, whose seed decides in which order they
 * run, over simulated files.
 *
 * Invariant: when a test body ends nothing is left to happen, or stopping would
 * not come to an end.
 */
#include "tests/lib/stack_sim.h"

#include <stdlib.h>

#include "blockcore/base/wall.h"
#include "tests/lib/check.h"

struct simulated {
	struct sim *sim;
	struct loop *loop[BLOCK_MAX_LANES];
	bool finished;
};

struct sim *stack_sim(struct stack_rig *rig)
{
	struct simulated *simulated = rig->lanes_private;

	CHECK(rig->simulated);
	return simulated->sim;
}

static void start_lanes(struct stack_rig *rig, size_t pool_bytes)
{
	struct simulated *simulated = rig->lanes_private;
	struct err err = {0};
	unsigned i;

	rig->core = block_core_new(rig->world, rig->lanes, "data", &err);
	CHECK(rig->core != NULL);
	block_core_watch(rig->core, &rig->watcher);
	for (i = 0; i < rig->lanes; i++) {
		simulated->loop[i] = sim_loop_new(simulated->sim);
		if (block_lane_start(
			    rig->core, i, simulated->loop[i], pool_bytes, &err))
			check_fail(__FILE__, __LINE__, "%s", err.text);
	}
}

static void sim_start(
	struct stack_rig *rig, const struct stack_rig_setup *setup)
{
	static const struct timespec always = {.tv_sec = 1700000000};
	struct simulated *simulated = calloc(1, sizeof *simulated);
	struct sim_world_options options = {
		.direct_align_bytes = setup->direct_align_bytes
			? setup->direct_align_bytes
			: 512,
		.no_punch = setup->no_punch,
		.no_zero_range = setup->no_zero_range};

	CHECK(simulated != NULL);
	rig->lanes_private = simulated;
	wall_set(&always);
	simulated->sim = sim_new(setup->seed);
	rig->world = setup->existing_world
		? setup->existing_world(setup->existing, simulated->sim)
		: sim_world_new(simulated->sim, &options);
	start_lanes(rig, setup->pool_bytes);
}

static void sim_run_body(struct stack_rig *rig)
{
	struct simulated *simulated = rig->lanes_private;

	simulated->finished = false;
	if (!sim_run_until(simulated->sim, &simulated->finished))
		check_fail(__FILE__, __LINE__,
			"all is idle and the test has not ended");
	sim_run(simulated->sim);
}

static void sim_finish(struct stack_rig *rig)
{
	struct simulated *simulated = rig->lanes_private;

	simulated->finished = true;
}

static void sim_stop(struct stack_rig *rig)
{
	struct simulated *simulated = rig->lanes_private;
	unsigned i;

	for (i = 0; i < rig->lanes; i++) {
		block_lane_stop(block_core_lane(rig->core, i));
		sim_loop_free(simulated->loop[i]);
	}
	block_core_free(rig->core);
	ring_world_free(rig->world);
	sim_free(simulated->sim);
	wall_set(NULL);
	free(simulated);
}

const struct stack_lanes_ops stack_sim_ops = {
	.start = sim_start,
	.run = sim_run_body,
	.finish = sim_finish,
	.stop = sim_stop,
};
