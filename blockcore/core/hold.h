/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that a listener holds for a time: one queue per lane, ordered by
 * deadline, with one timer.
 *
 * Invariants
 *  1. Of two requests with the same deadline, the one that came first goes first.
 *  2. A request that is cancelled leaves the queue and completes with
 *     -ECANCELED.
 *  3. The deadline stands in a frame of the request, so nothing is allocated.
 */
#ifndef BLOCKCORE_CORE_HOLD_H
#define BLOCKCORE_CORE_HOLD_H

#include "blockcore/base/counter.h"
#include "blockcore/block.h"

struct hold_queue {
	struct block_lane *lane;
	struct loop_timer timer;
	struct block_request_list list;
	struct counter held; /* now */
	void (*go)(struct block_request *request);
};

/* `go` gets a request whose time has come: block_pass, for instance. */
void hold_init(struct hold_queue *queue, struct block_lane *lane,
	void (*go)(struct block_request *request));
/* It must be empty. */
void hold_fini(struct hold_queue *queue);
/* From submit, or from a frame that returns false. */
void hold_add(struct hold_queue *queue, struct block_request *request,
	uint64_t after_ns);
/* All go now. */
void hold_release(struct hold_queue *queue);

#endif
