/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stackful coroutines for the slow path: code that waits in the middle and is
 * still read from top to bottom.
 *
 * Invariants
 *  1. The colour rule: a function that may yield ends in `_co` and is called
 *     only inside a coroutine (asserted by co_yield).
 *  2. A coroutine lives and dies on the thread that started it.
 *  3. No nested loop: nobody runs a coroutine "to its end"; who starts one goes
 *     on when it first yields.
 *  4. Stacks are 64 KiB (four times that under AddressSanitizer, whose frames
 *     are larger), pooled per thread, and known to AddressSanitizer and
 *     ThreadSanitizer. Below each lies a guard of CO_GUARD_BYTES, larger than
 *     any frame of ours (the Makefile's -Wframe-larger-than): an overflow ends
 *     the process and never reaches another stack.
 */
#ifndef BLOCKCORE_BASE_CO_H
#define BLOCKCORE_BASE_CO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define CO_STACK_BYTES (64u << 10)
#define CO_GUARD_BYTES (64u << 10)
#define CO_POOL_MAX 64u /* of each thread; more are given back at their end */

struct co;

/* Runs `entry(arg)` on a stack of its own until it yields or ends. Returns
 * false, having run nothing, if there is no memory for a stack. */
bool co_start(void (*entry)(void *arg), void *arg);

/* The running coroutine, NULL outside of one. */
struct co *co_self(void);

/* Leaves the running coroutine until somebody calls co_resume. */
void co_yield (void);

/* Goes on with `co`, which must have yielded, on its own thread. May be called
 * from plain code and from another coroutine; returns when `co` yields or ends. */
void co_resume(struct co *co);

/* Waits in order; only for coroutines of one thread. Zeroed memory is unlocked
 * once co_mutex_init has run. Unlocking hands the lock to the first waiter and
 * runs it at once, until it yields. */
struct co_waiter {
	struct co *co;
	STAILQ_ENTRY(co_waiter) link;
};
struct co_mutex {
	bool locked;
	STAILQ_HEAD(, co_waiter) waiters;
};
void co_mutex_init(struct co_mutex *mutex);
void co_mutex_lock_co(struct co_mutex *mutex);
void co_mutex_unlock(struct co_mutex *mutex);

/* Gives this thread's pooled stacks back; no coroutine may be alive on it. */
void co_thread_fini(void);
/* Coroutines alive on this thread. */
uint32_t co_alive(void);
/* At most so many alive on this thread from now on: what would be one more fails
 * as if there were no memory for it. 0, as at the start: as many as memory has
 * room for. By it tests show what callers of co_start do then. */
void co_thread_limit(uint32_t most);

#endif
