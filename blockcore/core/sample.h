/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a timed request (BLOCK_TIMED, times.h) has with it on its way: which drivers
 * it is in and since when.
 *
 *	timed request --> sample --> times of each driver, as it leaves it
 *
 * Invariants
 *  1. A request that is not timed pays one test of a flag on its way into a driver
 *     and one on its way back; no clock is read for it.
 *  2. Nothing is allocated: samples are the lane's own and few. Without one left a
 *     request goes on untimed (the flag is cleared).
 *  3. The lane's thread only.
 */
#ifndef BLOCKCORE_CORE_SAMPLE_H
#define BLOCKCORE_CORE_SAMPLE_H

#include "blockcore/core/core.h"

void block_samples_init(struct block_samples *samples);

/* Of requests with BLOCK_TIMED only, in this order. Takes a sample, or clears the
 * flag. */
void block_sample_begin(struct block_request *request);
/* It enters `driver`, which stands at request->position. */
void block_sample_enter(
	struct block_request *request, struct block_driver *driver);
/* All at that position and below is done. */
void block_sample_leave(
	struct block_request *request, unsigned position, bool in_back);
/* All is done, or it was never sent; clears the flag. */
void block_sample_end(struct block_request *request);

#endif
