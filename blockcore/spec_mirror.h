/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the jobs resync and pivot do with the listener mirror (listener/mirror.h). The
 * leg gets what it lacks while hosts use the source; the mirror stays where it is
 * meanwhile:
 *
 *	begin	the mirror is found; a leg that has failed is opened anew
 *	run	granule after granule that the leg lacks, several at a time, each with
 *		its range locked, until it lacks nothing
 *	end	the mirror may go again
 *
 * Invariants
 *  1. What counts is below the mirror; a leg that fails costs the job only.
 *  2. Whatever happens, what the leg lacks is known: the next run goes on there.
 *
 * Control lane, in coroutines.
 */
#ifndef BLOCKCORE_SPEC_MIRROR_H
#define BLOCKCORE_SPEC_MIRROR_H

#include "blockcore/block.h"

struct spec_resync;

/* `name`: of the mirror, NULL: there is only one. 0, or -errno with *err: there is none
 * (-ENOENT), a job is at work through it (-EBUSY), its leg cannot be opened. */
int spec_resync_begin_co(struct block_source *source, const char *name,
	struct spec_resync **resync, struct err *err);
/* Bytes that the leg lacks. */
uint64_t spec_resync_bytes(const struct spec_resync *resync);
/* After each chunk `step_co`, with what has been copied since the last call; what it
 * returns ends the run when it is not 0. 0: the leg has everything, and that is
 * flushed. */
int spec_resync_run_co(struct spec_resync *resync,
	int (*step_co)(void *argument, uint64_t bytes), void *argument,
	struct err *err);
/* The run ends with -ECANCELED soon. */
void spec_resync_cancel(struct spec_resync *resync);
void spec_resync_end_co(struct spec_resync *resync);

/* The source stands on the leg from here on, which is in sync; durable behind the gate
 * by who keeps documents (job.h), whom `owner` is told. What was below the mirror, with
 * the listeners that go with the image (fault, cache, verify), is its leg then; or, if it
 * `ends`, the mirror is gone and what was below it is closed. Tries again while hosts' requests take longer than the gate's
 * deadline. -EAGAIN: the leg lacks something; -EBUSY: it has a name of its own, or
 * another job is at work. */
struct job;
int spec_mirror_pivot_co(struct block_source *source, const char *name,
	bool ends, struct job *owner, struct err *err);

#endif
