/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests on real files: a loop, a world, a ring and a folder of its own, made
 * before each test and removed after it; and operations that are waited for.
 *
 * The folder is made in $TMPDIR, or /var/tmp: there file systems usually have
 * direct I/O, which /tmp in memory may lack.
 */
#ifndef TESTS_LIB_RING_RIG_H
#define TESTS_LIB_RING_RIG_H

#include "blockcore/ring.h"

#define RING_RIG_OPEN_MAX 8u

struct ring_rig {
	struct loop *loop;
	struct ring_world *world;
	struct ring *ring;
	char folder[128];
	char path[160]; /* of a file "disk" in it, not made */
	struct loop_timer watchdog;
	uint32_t waiting; /* operations that are out */
	/* Open files: a test that fails leaves them to ring_rig_free. */
	struct ring_file *open[RING_RIG_OPEN_MAX];
};

/* One operation of a test; `op` is filled by the test, `done` by the rig. */
struct ring_rig_op {
	struct ring_op op;
	struct iovec single;
	struct ring_rig *rig;
};

/* Fails the test if it cannot. `world` as for ring_world_real. */
struct ring_rig *ring_rig_new(const char *world);
/* Closes what is open, and removes the files in the folder as well. */
void ring_rig_free(struct ring_rig *rig);

/* Opens rig->path; fails the test if it cannot. */
struct ring_file *ring_rig_open(
	struct ring_rig *rig, unsigned flags, uint64_t create_bytes);
/* Closes it without a word to the ring. */
void ring_rig_close_only(struct ring_rig *rig, struct ring_file *file);
/* Forgets and closes it. */
void ring_rig_close(struct ring_rig *rig, struct ring_file *file);

/* Queues without waiting. */
void ring_rig_queue(struct ring_rig *rig, struct ring_rig_op *op);
/* Runs the loop until all that was queued is done. */
void ring_rig_wait(struct ring_rig *rig);

/* Queue, wait, and the result. */
int32_t ring_rig_transfer(struct ring_rig *rig, struct ring_file *file,
	enum ring_opcode opcode, void *data, uint64_t bytes, uint64_t offset);
int32_t ring_rig_range(struct ring_rig *rig, struct ring_file *file,
	enum ring_opcode opcode, uint64_t bytes, uint64_t offset);

/* Memory of 4 KiB alignment that can be told from other memory: byte i of it is
 * a function of `seed` and i. Freed with free(). */
uint8_t *ring_rig_pattern(size_t bytes, unsigned seed);

#endif
