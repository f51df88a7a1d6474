/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests in the simulated world: a simulation, its disks, one loop with a ring;
 * and operations that are waited for. Everything is a function of the seed.
 */
#ifndef TESTS_LIB_SIM_RIG_H
#define TESTS_LIB_SIM_RIG_H

#include "tests/lib/sim_ring.h"

struct sim_rig {
	struct sim *sim;
	struct ring_world *world;
	struct loop *loop;
	struct ring *ring;
	uint32_t waiting; /* operations that are out */
};

/* One operation of a test; `op` is filled by sim_rig_op or the test. */
struct sim_rig_op {
	struct ring_op op;
	struct iovec single;
	struct sim_rig *rig;
	bool ended;
};

struct sim_rig *sim_rig_new(
	uint64_t seed, const struct sim_world_options *options);
/* Runs what is left, then takes all apart. Files must be closed. */
void sim_rig_free(struct sim_rig *rig);

/* Fails the test if it cannot. */
struct ring_file *sim_rig_open(struct sim_rig *rig, const char *path,
	unsigned flags, uint64_t create_bytes);

/* Fills in an operation on one piece of memory (NULL for none). */
void sim_rig_op(struct sim_rig_op *op, struct ring_file *file,
	enum ring_opcode opcode, void *data, uint64_t bytes, uint64_t offset);
/* Queues without waiting. */
void sim_rig_queue(struct sim_rig *rig, struct sim_rig_op *op);
/* Steps until this one, or all, have ended. */
void sim_rig_wait(struct sim_rig *rig, const struct sim_rig_op *op);
void sim_rig_wait_all(struct sim_rig *rig);

/* Queue, wait, and the result. */
int32_t sim_rig_do(struct sim_rig *rig, struct ring_file *file,
	enum ring_opcode opcode, unsigned op_flags, void *data, uint64_t bytes,
	uint64_t offset);

#endif
