/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of the listener cache: blocks by their number, in a fixed amount of memory,
 * shared by all lanes.
 *
 * What stays is decided by S3-FIFO (Yang et al., SOSP 2023): a block comes into a small
 * queue (a tenth of the entries); one that was read again by the time it reaches its
 * end goes on to the main queue, all others leave, and are remembered by number alone.
 * One that comes back while it is remembered goes to the main queue at once. In the main
 * queue a block that was read since goes round again. So one pass over everything (a
 * scan, a backup) throws out nothing of what is read again and again.
 *
 * Who reads below in order to keep it takes a ticket first, who changes a block says so
 * before and afterwards; a ticket from before either end of a change keeps nothing.
 *
 * Invariants
 *  1. A block that is found has what was below when it was last read or written, of all
 *     changes that have ended, and none after one that has begun.
 *  2. A shard's mutex covers its entries, its queues and its change counts; a block is in
 *     one shard, and is copied with the mutex held. Never two mutexes at a time.
 *  3. All memory is allocated by cache_store_new and cache_store_resize.
 */
#ifndef BLOCKCORE_LISTENER_CACHE_STORE_H
#define BLOCKCORE_LISTENER_CACHE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct cache_store;

/* NULL: out of memory. `block_bytes` a power of two, at most `bytes`. */
struct cache_store *cache_store_new(uint64_t bytes, uint32_t block_bytes);
void cache_store_free(struct cache_store *store);

/* Another size, while lanes use it: what was kept is forgotten, changes on their way
 * are not. False: out of memory, nothing has changed. */
bool cache_store_resize(struct cache_store *store, uint64_t bytes);

/* Bytes of memory that one with these takes up, beside the blocks. */
uint64_t cache_store_overhead(uint64_t bytes, uint32_t block_bytes);

/* Copies the block into the list from `skip` bytes on. False: it is not there. */
bool cache_store_find(struct cache_store *store, uint64_t block,
	uint64_t offset_in_block, uint64_t bytes, const struct iovec *iov,
	unsigned count, uint64_t skip);

/* Of a block, for cache_store_keep: what changes were seen of it. */
uint64_t cache_store_ticket(struct cache_store *store, uint64_t block);
/* Copies the block from the list, unless it was changed since the ticket. True: it is
 * kept. */
bool cache_store_keep(struct cache_store *store, uint64_t block,
	uint64_t ticket, const struct iovec *iov, unsigned count,
	uint64_t skip);

/* Blocks first to last are about to be changed below: they are not found any more, and
 * nobody keeps what was read before the end. Each begin has one end. */
void cache_store_change_begin(
	struct cache_store *store, uint64_t first, uint64_t last);
void cache_store_change_end(
	struct cache_store *store, uint64_t first, uint64_t last);

struct cache_store_figures {
	uint64_t entries, used, kept, evicted;
};
void cache_store_figures(
	struct cache_store *store, struct cache_store_figures *figures);

#endif
