/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lanes under a stack_rig: threads with plain loops (stack_threads.c) or the
 * simulator (stack_sim.c).
 */
#ifndef TESTS_LIB_STACK_LANES_H
#define TESTS_LIB_STACK_LANES_H

#include "blockcore/block.h"

#include <stdbool.h>
#include <stdint.h>

struct stack_rig;
struct stack_rig_setup;
struct sim;

struct stack_lanes_ops {
	/* Makes rig->world, rig->core and its lanes, started. */
	void (*start)(
		struct stack_rig *rig, const struct stack_rig_setup *setup);
	/* Until `finish` is called on lane 0. */
	void (*run)(struct stack_rig *rig);
	void (*finish)(struct stack_rig *rig);
	/* Undoes `start`. */
	void (*stop)(struct stack_rig *rig);
};

struct stack_rig_text;

struct stack_rig {
	struct block_core *core;
	struct ring_world *world;
	const struct stack_lanes_ops *ops;
	bool simulated;
	unsigned lanes;
	char folder[128]; /* the data directory */
	struct block_core_watcher watcher;
	unsigned failures; /* drivers that said they failed */
	unsigned sources; /* made */
	struct stack_rig_text *texts;
	void *lanes_private; /* of ops */
};

struct stack_rig_setup {
	const char *world; /* "io_uring", "threads" or "simulated" */
	unsigned lanes;
	size_t pool_bytes; /* per lane, 0: 8 MiB */
	uint64_t seed; /* of the simulator */
	/* The simulator's files: alignment of direct I/O (0: 512), and what their
	 * file system lacks. */
	uint32_t direct_align_bytes;
	bool no_punch, no_zero_range;
	/* The simulator: a world of the caller's making, if not NULL. */
	struct ring_world *(*existing_world)(void *existing, struct sim *sim);
	void *existing;
};

#endif
