/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving the content of a source while hosts use it: what the jobs copy, migrate,
 * commit and flatten have in common.
 *
 *	begin	a listener of the job's own goes on top of the back part (follow.h),
 *		and the source takes range locks
 *	run	chunk after chunk, several at a time, each with its range locked
 *	pivot	the source stands on the target from here on: a swap of same content,
 *		flushed and durable behind the gate
 *	end	the listener is gone
 *
 * Kinds
 *	COPY	all that the source shows, into another source
 *	COMMIT	what the source's own image holds, into its backing file, which is
 *		the target
 *	REBASE	where another backing file, the target, shows something else: what the
 *		image shows, up into it, so that it can stand on that one
 *	PULL	what the backing file shows, up into the source's image, so that
 *		the image can do without
 *	STREAM	what the images between hold, up into the source's image, so that it can
 *		stand on one further down
 * Of COMMIT, PULL and STREAM the image may also be one that the source stands on (external
 * snapshots): then nobody writes to it, and those above come to stand on the result.
 *
 * Invariants
 *  1. Until the pivot is durable the source is what counts; a target that fails
 *     costs the job only. After it, the target holds every change that a host was
 *     told is done.
 *  2. Hosts wait for nothing but for a chunk (SPEC_MOVE_CHUNK_BYTES) where they
 *     overlap it, for the target where it is behind them, and for the pivot's gate.
 *  3. While it is at work nobody else may swap the bottom, take a snapshot, or change
 *     the size (-EBUSY, spec_check_job).
 *
 * Control lane, in coroutines.
 */
#ifndef BLOCKCORE_SPEC_MOVE_H
#define BLOCKCORE_SPEC_MOVE_H

#include "blockcore/base/doc.h"
#include "blockcore/job.h"

#define SPEC_MOVE_CHUNKS 4u /* at a time */
/* So that all of them together are what a job may still move when it has been told to
 * stop (job.h). */
#define SPEC_MOVE_CHUNK_BYTES (JOB_CHUNK_BYTES / SPEC_MOVE_CHUNKS)

enum spec_move_kind {
	SPEC_MOVE_COPY,
	SPEC_MOVE_COMMIT,
	SPEC_MOVE_PULL,
	SPEC_MOVE_REBASE,
	SPEC_MOVE_STREAM
};

struct spec_move;

struct spec_move_setup {
	enum spec_move_kind kind;
	struct block_source *source;
	struct job *owner; /* told to who keeps documents */
	const char *job; /* its kind, for messages */
	const struct doc *target; /* COPY, REBASE: a source's document */
	bool unsafe; /* REBASE: nothing is run, whatever the image shows then */
	/* COMMIT, PULL, STREAM: the file of the image, which the source shows or stands
	 * on; NULL: the one it shows. */
	const char *image;
	const char *
		base; /* STREAM: the file of the image that it comes to stand on */
	/* COPY: what is in the target may be overwritten; else it must read as
	 * zeroes. */
	bool overwrite;
	/* COPY: of an earlier run, before a restart, what is in the target is its own. */
	bool again;
	/* COPY: what hosts have changed is known after a restart, if who keeps documents
	 * keeps that (job.h) and there is room for a map. */
	bool carries;
	bool pivots; /* the source is to stand on something else in the end */
	bool keep_zeroes; /* COPY: blocks of zeroes are written as data */
};
/* What such a move would write, and the room there is: of its kind, source, target, image
 * and base. */
int spec_move_space_co(const struct spec_move_setup *setup,
	struct job_space *space, struct err *err);
/* Of a COPY that has begun: what is in its target already needs no room any more. */
int spec_move_rest_co(struct spec_move *move, const struct doc *target,
	struct job_space *space, struct err *err);
/* 0, or -errno with everything as before. */
int spec_move_begin_co(const struct spec_move_setup *setup,
	struct spec_move **move, struct err *err);
/* Before the run: who keeps documents is told what it will spoil. */
int spec_move_warn_co(struct spec_move *move, struct err *err);
/* Bytes that run goes through. */
uint64_t spec_move_bytes(const struct spec_move *move);
/* Of these, what an earlier run has moved and this one need not (a COPY that is carried;
 * else 0). */
uint64_t spec_move_there(const struct spec_move *move);
/* What has been moved, and secured, stays right without the job: nobody changes what it
 * was read from (COPY, COMMIT), or a change stays where it was moved to (PULL, STREAM,
 * REBASE), or in what is left (COMMIT of what hosts write to). */
bool spec_move_lasts(const struct spec_move *move);
/* Where something has been moved already the image itself tells, at no cost: so a restart
 * runs from 0 and moves nothing twice (PULL, STREAM, COMMIT of what hosts write to). */
bool spec_move_looks_again(const struct spec_move *move);

/* From `from` to the end. After each chunk: `step_co` with what all chunks that have
 * ended reach up to without a gap, and how much has been done since the last call;
 * what it returns ends the run when it is not 0. */
int spec_move_run_co(struct spec_move *move, uint64_t from,
	int (*step_co)(void *argument, uint64_t reached, uint64_t bytes),
	void *argument, struct err *err);
/* The run ends with -ECANCELED soon. */
void spec_move_cancel(struct spec_move *move);
/* What is in the target is durable; control lane. */
int spec_move_flush_co(struct spec_move *move, struct err *err);
/* The same, and what all chunks up to `reached` have moved need not be moved again after
 * a restart: of a COMMIT of what hosts write to, the image has it no longer. */
int spec_move_secure_co(
	struct spec_move *move, uint64_t reached, struct err *err);

/* After a whole run. COPY: the source stands on the target. COMMIT: on what was its
 * backing file. PULL: its image has no backing file any more, REBASE, STREAM: another one. Tries again while
 * hosts' requests take longer than the deadline. */
int spec_move_pivot_co(struct spec_move *move, struct err *err);
/* Without a pivot: what the target holds is a copy of one point in time, which is
 * now, durable. COPY only. */
int spec_move_settle_co(struct spec_move *move, struct err *err);

/* The program ends: what is in the source for the sake of a restart stays there when the
 * move ends, as hosts may still write. */
void spec_move_leave(struct spec_move *move);
/* Whatever has happened: everything of the move's own goes. */
void spec_move_end_co(struct spec_move *move);

#endif
