/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much room a volume has to grow, and when its file system runs full.
 *
 * A thin volume promises hosts more than lies below it: its file grows as they
 * write, and so do the others on the same file system. So there is one threshold
 * for all of them, a percentage of the file system that is in use. Who asks is the
 * control lane (appliance_space.h): every ten seconds, soon after a host was refused
 * because nothing was left, and for volumes that are new or have another source. What it heard last stands here, for every lane
 * to read.
 *
 *	             threshold reached
 *	room  ------------------------->  runs full: operator and hosts are told, once
 *	      <-------------------------
 *	          some percent below it: armed again
 *
 * Invariants
 *  1. No request of a host asks a file system: what lanes read are a few atomics,
 *     each written by the control lane alone. Two of them may be of two answers.
 *  2. A lane that asks for a look posts one message at most until that look begins.
 */
#ifndef TARGET_VOLUME_SPACE_H
#define TARGET_VOLUME_SPACE_H

#include "blockcore/loop.h"
#include "blockcore/ring.h"

#include <stdatomic.h>

/* Who looks after the space of volumes; outlives them. */
struct volume_space_watch {
	unsigned threshold_percent; /* in use; 0: none. Fixed */
	struct loop *loop; /* the control lane's */
	struct loop_message look_soon; /* a host was refused: look now */
	atomic_bool asked; /* it is on its way; cleared when the look begins */
};

struct volume_space {
	struct volume_space_watch *watch; /* NULL: nobody looks. Fixed */
	/* As heard last, see struct ring_space; total 0: nobody knows. */
	_Atomic uint64_t used_bytes, total_bytes, free_bytes;
	atomic_bool reached; /* the threshold, and not armed again yet */
	/* Hosts were told, but with SITUA none of them knows yet. */
	atomic_bool owed;
	uint64_t file_system; /* control lane; 0: nobody knows */
	bool told; /* control lane: hosts, since it was reached */
	bool asked; /* control lane: since it has its source */
};

/* All zeroes: nobody knows. */
struct volume_room {
	uint64_t used_bytes; /* by the volume */
	uint64_t total_bytes, free_bytes; /* of its file system */
	unsigned threshold_percent; /* 0: none */
	bool reached;
};

/* Control lane. `space` NULL: nobody knows any more. */
void volume_space_note(
	struct volume_space *self, const struct ring_space *space);
/* Any lane. */
void volume_space_get(
	const struct volume_space *self, struct volume_room *room);
/* A host was refused because nothing is left. Any lane. */
void volume_space_short(struct volume_space *self);

/* So many bytes of `total` are `percent` of it; no overflow. */
uint64_t volume_space_share(uint64_t total_bytes, unsigned percent);

#endif
