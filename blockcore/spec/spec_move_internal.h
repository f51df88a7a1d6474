/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of spec_move share: spec_move_begin.c its life, spec_move_listener.c its
 * listener, spec_move_run.c chunks, spec_move_pivot.c the end; spec_carry.c what is
 * different where it is to go on after a restart.
 */
#ifndef BLOCKCORE_SPEC_SPEC_MOVE_INTERNAL_H
#define BLOCKCORE_SPEC_SPEC_MOVE_INTERNAL_H

#include "blockcore/core/core.h"
#include "blockcore/format/format.h"
#include "blockcore/listener/follow.h"
#include "blockcore/spec/spec_chunk.h"
#include "blockcore/spec_move.h"

/* What counts is below a mirror after a pivot, and what counted is its leg. */
enum spec_exchange {
	SPEC_EXCHANGE, /* before the new document is printed */
	SPEC_EXCHANGE_BACK, /* that was not kept */
	SPEC_EXCHANGED /* it was, and the gate is about to open */
};

/* A chunk under way: a coroutine of its own. */
struct spec_move_chunk {
	struct spec_chunk part;
	struct spec_move *move;
	bool busy;
};

struct spec_move {
	enum spec_move_kind kind;
	struct block_core *core;
	struct block_lane *lane; /* control */
	struct block_source *source, *target; /* references */
	/* What the job is for: `source`, or one that stands on it. A reference. */
	struct block_source *root;
	struct job *owner;
	const char *job;
	struct block_driver *bottom; /* the source's, at the start */
	struct block_format *format; /* COMMIT, PULL: the bottom's */
	struct follow *follow; /* the generation's; NULL: detached */
	/* Instead of that one, of a COPY that is carried (spec_carry.c). */
	struct mirror *mirror;
	struct spec_resync *resync;
	bool stays; /* the mirror, when the job ends: for one after a restart */
	/* The listener that leaves at the pivot: that of `follow`, a mirror. */
	const struct block_driver *through;
	/* Listeners that go with the image stay with the old bottom; and what has to be
	 * done behind the gate, and back if the document cannot be kept. NULL: none. */
	void (*exchange_co)(struct spec_move *move, enum spec_exchange step);
	/* Whether the target has all that hosts were told is done; NULL: `follow`
	 * knows. Behind the gate, too. */
	int (*ready)(const struct spec_move *move, struct err *err);
	struct block_claim claim; /* of a COPY's target */
	bool claimed, reclaimed; /* reclaimed: the format's backing, to write */
	bool zero; /* the target held zeroes only at the start */
	bool keep_zeroes, cancelled, unsafe;
	/* REBASE, STREAM: the format knows of the target; the target's name, then that
	 * of what was. */
	bool reaches;
	struct format_name name;
	uint64_t bytes;
	/* COMMIT of what hosts write to: what is before it has left the image. */
	uint64_t left;
	struct spec_chunk leaving; /* its turn only */
	bool is_leaving;
	/* the run's */
	struct spec_move_chunk chunk[SPEC_MOVE_CHUNKS];
	struct co *waiter;
	uint64_t next,
		ended; /* started up to; bytes ended since the last step */
	int error;
	struct err *err;
};

/* The source stays on its image, which is changed. */
static inline bool spec_move_stays(const struct spec_move *move)
{
	return move->kind != SPEC_MOVE_COPY && move->kind != SPEC_MOVE_COMMIT;
}

/* What it has moved it takes out of the image, as hosts write to that. */
static inline bool spec_move_leaves(const struct spec_move *move)
{
	return move->kind == SPEC_MOVE_COMMIT && move->source == move->root &&
		move->format->kind->backing_leave_co;
}

/* At an exchange it stays with the image that becomes the leg. */
static inline bool spec_move_leaves_behind(
	const struct spec_move *move, const struct block_driver *listener)
{
	return move->exchange_co && listener->kind->anchor == BLOCK_IMAGE;
}

/* -EBUSY if others show what is to go. */
int spec_move_check_views(const struct spec_move *move, struct err *err);

/* COMMIT of an image below others: the one above it names what they come to stand on. */
int spec_move_rename_co(struct spec_move *move, struct err *err);

/* STREAM, of an image that `source` shows: what it is to stand on, in that file; borrowed,
 * NULL with *err. */
struct block_source *spec_move_base(
	struct block_source *source, const char *path, struct err *err);
/* Whether an image between it and `base` holds what is at `offset`, or ends before that,
 * so that zeroes are shown. *bytes: how far to look, then how far it is so. -ETIMEDOUT:
 * one of them does not answer. */
int spec_move_find_held_co(const struct block_source *source,
	const struct block_source *base, uint64_t offset, uint64_t *bytes,
	bool *held);

/* `fresh`, which is open, is the first of the back part from here on; when that fails it
 * is closed. */
int spec_move_attach_co(
	struct spec_move *move, struct block_driver *fresh, struct err *err);
/* The same with one that follows; move->follow. */
int spec_move_follow_co(struct spec_move *move, struct err *err);
/* Publishes a generation without the listener, beside which old requests end. */
void spec_move_detach_co(struct spec_move *move);

/* -- spec_carry.c ---------------------------------------------------------- */

/* The mirror that the source has for this job already, which goes on; another's goes. */
void spec_carry_find_co(
	struct spec_move *move, const struct spec_move_setup *setup);
/* The target is open. 0 without move->mirror: it is not carried. */
int spec_carry_begin_co(struct spec_move *move,
	const struct spec_move_setup *setup, struct err *err);
/* As spec_move_run_co. */
int spec_carry_run_co(struct spec_move *move,
	int (*step_co)(void *argument, uint64_t reached, uint64_t bytes),
	void *argument, struct err *err);
/* Before the mirror goes. False: it must not. */
bool spec_carry_disown_co(struct spec_move *move);
/* A mirror of a job that will not be goes. */
void spec_carry_forget_co(struct block_source *source);

#endif
