/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header.
 */
#include "tests/lib/sim_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/list.h"

struct sim_rig *sim_rig_new(
	uint64_t seed, const struct sim_world_options *options)
{
	struct sim_rig *rig = calloc(1, sizeof *rig);
	assert_non_null(rig);
	rig->sim = sim_new(seed);
	rig->world = sim_world_new(rig->sim, options);
	rig->loop = sim_loop_new(rig->sim);
	assert_int_equal(ring_new(rig->world, rig->loop, &rig->ring, NULL), 0);
	return rig;
}

void sim_rig_free(struct sim_rig *rig)
{
	sim_run(rig->sim);
	ring_free(rig->ring);
	sim_loop_free(rig->loop);
	ring_world_free(rig->world);
	sim_free(rig->sim);
	free(rig);
}

struct ring_file *sim_rig_open(struct sim_rig *rig, const char *path,
	unsigned flags, uint64_t create_bytes)
{
	struct err err = {0};
	struct ring_file *file;
	if (ring_file_open(rig->world, path, flags, create_bytes, &file, &err))
		fail_msg("%s", err.text);
	return file;
}

void sim_rig_op(struct sim_rig_op *op, struct ring_file *file,
	enum ring_opcode opcode, void *data, uint64_t bytes, uint64_t offset)
{
	memset(op, 0, sizeof *op);
	op->single = (struct iovec){data, bytes};
	op->op.opcode = (uint8_t)opcode;
	op->op.file = file;
	op->op.iov = &op->single;
	op->op.iov_count = 1;
	op->op.offset_bytes = offset;
	op->op.length_bytes = bytes;
}

static void rig_done(struct ring_op *ring_op)
{
	struct sim_rig_op *op = container_of(ring_op, struct sim_rig_op, op);
	assert_false(op->ended);
	op->ended = true;
	op->rig->waiting--;
}

void sim_rig_queue(struct sim_rig *rig, struct sim_rig_op *op)
{
	op->rig = rig;
	op->ended = false;
	op->op.done = rig_done;
	rig->waiting++;
	ring_queue(rig->ring, &op->op);
	assert_false(op->ended);
}

void sim_rig_wait(struct sim_rig *rig, const struct sim_rig_op *op)
{
	assert_true(sim_run_until(rig->sim, &op->ended));
}

void sim_rig_wait_all(struct sim_rig *rig)
{
	while (rig->waiting)
		assert_true(sim_step(rig->sim));
}

int32_t sim_rig_do(struct sim_rig *rig, struct ring_file *file,
	enum ring_opcode opcode, unsigned op_flags, void *data, uint64_t bytes,
	uint64_t offset)
{
	struct sim_rig_op op;
	sim_rig_op(&op, file, opcode, data, bytes, offset);
	op.op.flags = (uint8_t)op_flags;
	sim_rig_queue(rig, &op);
	sim_rig_wait(rig, &op);
	return op.op.result;
}
