/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener follow: a job that copies a source while hosts use it puts it on top
 * of the back part. Whatever hosts change in what the job has copied is done in the
 * target, too, before they are answered.
 *
 *	host's change --gate, range lock--> follow --> below
 *				   (done)   follow --> target	if copied already
 *	job's COPY    --gate, range lock--> follow: the job's coroutine goes on, and
 *				   reads below, writes to the target
 *
 * Invariants
 *  1. The source is tracked: of a change and a COPY that overlap one has ended when
 *     the other comes here. So what is not copied yet needs no attention: the COPY
 *     to come reads it.
 *  2. `frontier` is raised under the range lock of the COPY that raises it, before
 *     it reads, and never falls.
 *  3. The source is what counts: a target that fails never fails a host's change.
 *     The job sees `error` and gives up.
 *  4. What was done in the target since follow_forget is marked before its range is
 *     free again: what is not marked was there before a flush that came after that.
 */
#ifndef BLOCKCORE_LISTENER_FOLLOW_H
#define BLOCKCORE_LISTENER_FOLLOW_H

#include "blockcore/kind.h"

#include <stdatomic.h>

/* Marks: of ranges that far apart one stands for all. */
#define FOLLOW_MARK_BYTES (64u << 10)
#define FOLLOW_MARKS 4096u

struct follow {
	struct block_driver driver;
	/* Set before it is opened, with a reference then. NULL: nothing to do. */
	struct block_source *target;
	_Atomic uint64_t frontier; /* bytes: below it COPYs have begun */
	_Atomic int error; /* the target's first, 0: none */
	_Atomic bool stopped; /* the job has given up */
	_Atomic uint64_t changed[FOLLOW_MARKS / 64];
};

/* Control lane. Nothing is marked. */
void follow_forget(struct follow *follow);
/* Whether something in the range, which is not empty and at most FOLLOW_MARKS marks, may
 * be changed since then; nobody is changing it now. */
bool follow_is_changed(
	struct follow *follow, uint64_t offset_bytes, uint64_t length_bytes);

#endif
