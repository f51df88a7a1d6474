/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the real rings share about one operation on its way: the kernel may move
 * less than was asked for, and whoever drives the operation goes on with the rest
 * until all is done or the file ends.
 *
 * Invariants
 *  1. Nothing is allocated: the rest of a scatter list is either a tail of the
 *     caller's array, or the rest of one slice.
 *  2. scratch[0] counts bytes moved, scratch[1] attempts that were repeated.
 */
#ifndef BLOCKCORE_RING_RING_TRANSFER_H
#define BLOCKCORE_RING_RING_TRANSFER_H

#include "blockcore/ring.h"

/* What to ask the kernel for next: `count` slices at `iov`, or if `iov` is NULL
 * the one contiguous piece `single`. */
struct ring_part {
	const struct iovec *iov;
	unsigned count;
	struct iovec single;
	uint64_t offset_bytes;
};

void ring_transfer_start(struct ring_op *op);

/* The part of a READ or WRITE that is still to be moved. */
void ring_transfer_part(const struct ring_op *op, struct ring_part *part);

/* The kernel answered `got` (bytes, 0 or -errno). True: op->result is final.
 * False: go on with the next part. */
bool ring_transfer_step(struct ring_op *op, int64_t got);

/* fallocate(2)'s mode of PUNCH, ZERO_RANGE, ALLOCATE. */
int ring_transfer_fallocate_mode(const struct ring_op *op);

#endif
