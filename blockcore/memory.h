/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What formats keep in memory of the tables of their images: one bound for all of
 * them, whatever each may take for itself.
 *
 * Invariants
 *  1. Above the bound, whoever keeps most is asked to give some back, and only it:
 *     an image that keeps less than its share (the bound, by the number of images)
 *     loses nothing to a larger one.
 *  2. What cannot be given back (in use, or not written yet) stays: the bound is
 *     exceeded by that at most, and by what comes in while some goes.
 *  3. Only the control lane counts; figures can be read there.
 *
 * And of what listeners cache: one more bound, for all of them. Each takes all of its
 * memory when it is opened, or gets none.
 */
#ifndef BLOCKCORE_MEMORY_H
#define BLOCKCORE_MEMORY_H

#include "blockcore/base/err.h"
#include "blockcore/block.h"

#define BLOCK_MEMORY_BYTES (512ull << 20) /* unless said otherwise */

struct block_memory_user {
	/* Keep so many bytes at most, soon: nothing waits for it. Control lane. */
	void (*shrink)(struct block_memory_user *user, uint64_t bytes);
	/* the core's */
	uint64_t bytes;
	struct block_core *core; /* NULL: has not joined */
	LIST_ENTRY(block_memory_user) link;
};

void block_memory_join(struct block_core *core, struct block_memory_user *user);
/* With all that it has counted. One that has not joined: nothing happens. */
void block_memory_leave(struct block_memory_user *user);
/* More of it, or less; 0: more of it can be given back now. May call somebody's
 * `shrink`. */
void block_memory_add(struct block_memory_user *user, int64_t bytes);
/* There is no room for more. */
bool block_memory_is_full(const struct block_core *core);

struct block_memory {
	LIST_HEAD(, block_memory_user) users;
	uint64_t limit_bytes, used_bytes;
};
/* Another bound, before there is a source. */
void block_memory_limit(struct block_core *core, uint64_t bytes);
/* As it is now; the core's. */
const struct block_memory *block_memory_of(const struct block_core *core);

#define BLOCK_CACHE_BYTES (1ull << 30) /* unless said otherwise */
struct block_caches {
	uint64_t limit_bytes, used_bytes;
};
/* -EBUSY with a text that says what is left. */
int block_cache_take(struct block_core *core, uint64_t bytes, struct err *err);
void block_cache_give(struct block_core *core, uint64_t bytes);
/* Another bound, before there is a source. */
void block_cache_limit(struct block_core *core, uint64_t bytes);
/* As they are now; the core's. */
const struct block_caches *block_caches_of(const struct block_core *core);

#endif
