/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Range locks: order between overlapping changes of a tracked source, shared by
 * all lanes. See range_lock.c.
 */
#ifndef BLOCKCORE_CORE_RANGE_LOCK_H
#define BLOCKCORE_CORE_RANGE_LOCK_H

#include "blockcore/block.h"

#define RANGE_LOCK_SHARD_BYTES (16u << 20)

struct range_lock_table;

/* NULL: no memory. */
struct range_lock_table *range_lock_table_new(void);
/* No lock is held or waited for. NULL is fine. */
void range_lock_table_free(struct range_lock_table *table);

/* At the top of the back part: takes the locks of a change, waiting for its
 * turn, then calls `go`. What is larger than a shard goes on in pieces, each
 * under its own lock. */
void range_lock_enter(struct block_request *request,
	void (*go)(struct block_request *request));
/* When it leaves the back part. */
void range_lock_release(struct block_request *request);

#endif
