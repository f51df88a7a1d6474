/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replacing a source's generation by another, under I/O.
 *
 * Invariants
 *  1. The caller holds source->change and is a coroutine on the control lane.
 *  2. Nothing slow happens while a gate is closed but the waiting for requests,
 *     for at most the deadline, and `durable_co`.
 *  3. A change happens as a whole or not at all; where it does not, `next` is
 *     discarded and the drivers that were to leave stay.
 */
#ifndef BLOCKCORE_CORE_CHANGE_H
#define BLOCKCORE_CORE_CHANGE_H

#include "blockcore/core/core.h"

struct block_change {
	struct block_source *source;
	struct block_stack *next; /* NULL: the source closes */
	/* Requests of the old back part end before new ones enter it. */
	bool gate;
	bool content_changed;
	uint64_t deadline_ns; /* of the gate */
	/* Behind the closed gate; non-zero abandons. May change what drivers
	 * of `next` show. Optional. */
	int (*durable_co)(void *argument, struct err *err);
	void *argument;
};

/* 0 or -errno, -ETIMEDOUT with a text that names what is still in flight.
 * After a gate, the drivers that left the back part are closed on return. */
int block_change_co(struct block_change *change, struct err *err);

#endif
