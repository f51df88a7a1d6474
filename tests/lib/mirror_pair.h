/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source with a mirror, and its leg beside it, for tests of both.
 */
#ifndef TESTS_LIB_MIRROR_PAIR_H
#define TESTS_LIB_MIRROR_PAIR_H

#include "blockcore/job.h"
#include "tests/lib/stack_rig.h"

#define PAIR_BLOCK 4096u
#define PAIR_GRANULE (64u << 10)
#define PAIR_BYTES (1u << 20)
#define PAIR_MEM "protocol: {type: mem, size: 1M, max_size: 4M}"

/* source-1, the leg, beside source-2, which is the one in use; faults in both. */
struct mirror_pair {
	struct stack_rig *rig;
	struct block_source *leg, *source;
};

/* `options` more of the mirror 'm', each with ", " before it. */
struct mirror_pair mirror_pair_co(struct stack_rig *rig, const char *options);
void mirror_pair_end_co(struct mirror_pair *pair);

/* A source with a mirror, which opens also where its leg cannot. */
struct mirror_pair pair_degraded_co(
	struct stack_rig *rig, const char *document);

int pair_transfer_co(struct mirror_pair *pair, enum block_opcode op,
	uint64_t offset, uint64_t length, void *data);
/* PAIR_BLOCK bytes that tell their seed. */
int pair_write_co(struct mirror_pair *pair, uint64_t offset, unsigned seed);

/* Again while the gate is late: the machine is loaded. */
void pair_attach_co(struct mirror_pair *pair, const char *listener);
void pair_detach_co(struct mirror_pair *pair);

/* A rule of the fault 'f' of the leg or of the source; none any more. */
void pair_fault_co(
	struct mirror_pair *pair, struct block_source *at, const char *rule);
void pair_clear_co(struct mirror_pair *pair);

void pair_expect_state(struct mirror_pair *pair, const char *state);
/* Bytes that the leg lacks. */
uint64_t pair_behind(struct mirror_pair *pair);
bool pair_is_equal_co(struct mirror_pair *pair);

/* The job resync; its end, which returns how many bytes it has copied (`text` NULL: any
 * error). */
struct job *pair_job_co(struct mirror_pair *pair);
uint64_t pair_job_end_co(
	struct job *job, enum job_state state, const char *text);
/* Both: in sync. */
uint64_t pair_resync_co(struct mirror_pair *pair);

#endif
