/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What jobs that move content share: they begin, run and step alike.
 */
#ifndef BLOCKCORE_JOBS_MOVING_H
#define BLOCKCORE_JOBS_MOVING_H

#include "blockcore/job.h"
#include "blockcore/spec_move.h"

/* Runs the whole move, then `end_co` (pivot or settle). A cursor of the job is 0 before
 * it has begun, and then 1 + the bytes that a restart need not move again: what has been
 * flushed, if it stays right without the job (spec_move_lasts); else it stays 1. `cursor`
 * is that of an earlier run. */
int moving_run_co(struct job *job, struct spec_move *move, uint64_t cursor,
	int (*end_co)(struct spec_move *move, struct err *err),
	struct err *err);

/* -ENOSPC if what `space_co` (job_kind's) says does not fit. Before the move begins, as
 * that makes files. */
int moving_check_space_co(struct job *job,
	int (*space_co)(struct block_core *core, struct block_source *source,
		const void *options, struct job_space *space, struct err *err),
	struct err *err);
/* The same after a restart, of a move to a target of its own, which has begun: only what
 * is not in there yet needs room. */
int moving_check_rest_co(
	struct spec_move *move, const struct doc *target, struct err *err);

#endif
