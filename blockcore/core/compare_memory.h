/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for COMPARE_AND_WRITE: what was read, and the vectors of the write.
 *
 * Invariants
 *  1. It is taken before the range is locked: nobody waits for memory with a
 *     lock in his hands, which a write that holds memory may wait for.
 *  2. Each lane has a reserve that nothing else uses: when hosts' data fill the
 *     pool, one after the other still goes on.
 *  3. Who waits is served in order.
 */
#ifndef BLOCKCORE_CORE_COMPARE_MEMORY_H
#define BLOCKCORE_CORE_COMPARE_MEMORY_H

#include "blockcore/base/buf.h"
#include "blockcore/block.h"

/* Behind the data, in one piece of memory. */
struct compare {
	struct buf *buf; /* NULL: the lane's reserve */
	uint8_t *data; /* length_bytes, aligned to 4 KiB */
	struct iovec read;
	struct iovec write[]; /* request->iov_count */
};

/* The lane's. */
struct compare_memory {
	struct buf_pool *pool;
	struct block_request_list starving;
	struct buf_waiter waiter;
	uint8_t *reserve;
	bool reserve_taken;
	void (*go)(struct block_request *request, struct compare *compare);
};

/* 0 or -ENOMEM. `go` is called for whoever asked, once there is memory. */
int compare_memory_init(struct compare_memory *memory, struct buf_pool *pool,
	void (*go)(struct block_request *request, struct compare *compare));
/* Nobody has or waits for memory. */
void compare_memory_fini(struct compare_memory *memory);

/* Calls `go`, perhaps at once; a request that is cancelled before that completes
 * with -ECANCELED. */
void compare_memory_get(
	struct compare_memory *memory, struct block_request *request);
void compare_memory_put(struct compare_memory *memory, struct compare *compare);

#endif
