/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data buffers: contiguous, 4 KiB aligned, in classes of powers of two from
 * 4 KiB to 8 MiB, cut from one region per pool so that a ring can register
 * them with the kernel once.
 *
 * Design: a buddy system. The region is taken 8 MiB at a time, from its start;
 * a block is halved until it fits, and halves that are both free become one
 * again, so a free 8 MiB can be broken up but never for good. As halving and
 * joining on every command would cost more than the command, each class keeps a
 * short list of blocks that came back and are handed out again as they are; only
 * when a get finds nothing are those lists (at most 11 * 64 blocks, so bounded
 * work) joined and the get tried once more. What fragmentation is left comes
 * from buffers in use: a get may fail though their sum is below the budget, and
 * that ends when they come back. Who holds buffers for long (a cache) therefore
 * has a pool of its own.
 *
 * Invariants
 *  1. One thread: a pool belongs to its reactor. References are plain integers.
 *  2. A pool never hands out more than `budget_bytes`. NULL is back-pressure,
 *     not an error: register a waiter and go on when called. (A get larger than
 *     the budget can never succeed.)
 *  3. Buffers hold bytes of earlier users: whoever shows a buffer to a host
 *     has written all of what is shown.
 *  4. The kernel may still be writing to a buffer whose user has gone: the last
 *     reference is dropped only in a completion.
 *  5. Nobody waits for ever for a large buffer while others turn over small ones:
 *     who has been refused BUF_PATIENCE times in a row claims 8 MiB. What comes
 *     back there is kept for it, and as much of the budget, until it has its
 *     buffer; one claim at a time, which ends if it leads to nothing.
 *  6. Under AddressSanitizer the bytes of a free buffer are poisoned.
 */
#ifndef BLOCKCORE_BASE_BUF_H
#define BLOCKCORE_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define BUF_MIN_BYTES 4096u
#define BUF_MAX_BYTES (8u << 20)
#define BUF_CLASSES 12
#define BUF_PATIENCE 64u
#define BUF_CLAIM_TRIES 4096u

struct buf_pool;

struct buf {
	uint8_t *data; /* aligned to 4 KiB */
	uint32_t capacity; /* bytes: a power of two */
	uint32_t refs;
	struct buf_pool *pool;
	LIST_ENTRY(buf) link; /* the pool's, while free */
	uint8_t class; /* capacity is 4 KiB << class */
	uint8_t joinable; /* the pool's: free and not on a short list */
};

/* Called once, in order of registration, from the reactor's next buf_pool_wake
 * after a buffer came back, when memory may be there again. May register itself
 * anew; that is for the next turn. */
struct buf_waiter {
	void (*ready)(struct buf_waiter *waiter);
	TAILQ_ENTRY(buf_waiter) link;
	int queued; /* zero these before the first use */
	unsigned refused; /* in a row; the pool's */
};

/* The region is reserved (not touched) at once; NULL without address space. */
struct buf_pool *buf_pool_new(size_t budget_bytes);
/* Every buffer must be back and every waiter gone. */
void buf_pool_free(struct buf_pool *pool);

/* The whole region, for registration with a ring. */
void buf_pool_region(const struct buf_pool *pool, void **base, size_t *bytes);

/* A buffer of at least `bytes` (1 to BUF_MAX_BYTES) with one reference. */
struct buf *buf_get(struct buf_pool *pool, uint32_t bytes);
/* The same; if there is none the waiter is registered, and may come to claim. */
struct buf *buf_get_or_wait(
	struct buf_pool *pool, uint32_t bytes, struct buf_waiter *waiter);
void buf_ref(struct buf *buf);
void buf_put(struct buf *buf);

/* Out-of-buffer back-pressure; waking happens in buf_pool_wake, which the
 * reactor calls once per turn, so never inside buf_put. Registering or
 * cancelling twice does nothing. A buffer may also come back later in the turn
 * than that call: what buf_pool_notify named is then set, and the reactor does
 * not sleep before it has called again. */
void buf_wait(struct buf_pool *pool, struct buf_waiter *waiter);
void buf_wait_cancel(struct buf_pool *pool, struct buf_waiter *waiter);
void buf_pool_wake(struct buf_pool *pool);
void buf_pool_notify(struct buf_pool *pool, bool *wake_wanted);

/* The capacities of all buffers that are out. */
size_t buf_pool_used_bytes(const struct buf_pool *pool);

#endif
