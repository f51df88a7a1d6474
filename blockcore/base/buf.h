/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data buffers: contiguous, 4 KiB aligned, in classes of powers of two from
 * 4 KiB to 4 MiB, cut from one region per pool so that a ring can register
 * them with the kernel once.
 *
 * Invariants
 *  1. One thread: a pool belongs to its reactor. References are plain integers.
 *  2. A pool never hands out more than `budget_bytes`. NULL is back-pressure,
 *     not an error: register a waiter and go on when called.
 *  3. Buffers hold bytes of earlier users: whoever shows a buffer to a host
 *     has written all of what is shown.
 *  4. The kernel may still be writing to a buffer whose user has gone: the last
 *     reference is dropped only in a completion.
 */
#ifndef BLOCKCORE_BASE_BUF_H
#define BLOCKCORE_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define BUF_MIN_BYTES 4096u
#define BUF_MAX_BYTES (4u << 20)
#define BUF_CLASSES 11

struct buf_pool;

struct buf {
	uint8_t *data; /* aligned to 4 KiB */
	uint32_t capacity; /* bytes: a power of two */
	uint32_t refs;
	struct buf_pool *pool;
	SLIST_ENTRY(buf) link; /* the pool's, while free */
};

/* Called once, in order of registration, from buf_put's caller's next
 * buf_pool_wake, when memory may be there again. */
struct buf_waiter {
	void (*ready)(struct buf_waiter *waiter);
	TAILQ_ENTRY(buf_waiter) link;
	int queued;
};

/* The region is reserved (not touched) at once; NULL without address space. */
struct buf_pool *buf_pool_new(size_t budget_bytes);
/* Every buffer must be back. */
void buf_pool_free(struct buf_pool *pool);

/* The whole region, for registration with a ring. */
void buf_pool_region(const struct buf_pool *pool, void **base, size_t *bytes);

/* A buffer of at least `bytes` (1 to BUF_MAX_BYTES) with one reference. */
struct buf *buf_get(struct buf_pool *pool, uint32_t bytes);
void buf_ref(struct buf *buf);
void buf_put(struct buf *buf);

/* Out-of-buffer back-pressure; waking happens in buf_pool_wake, which the
 * reactor calls once per turn, so never inside buf_put. */
void buf_wait(struct buf_pool *pool, struct buf_waiter *waiter);
void buf_wait_cancel(struct buf_pool *pool, struct buf_waiter *waiter);
void buf_pool_wake(struct buf_pool *pool);

size_t buf_pool_used_bytes(const struct buf_pool *pool);

#endif
