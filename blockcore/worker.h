/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool of threads for what computes or blocks: opens, key derivation,
 * decompression, and all disk I/O where io_uring is forbidden.
 *
 * Invariants
 *  1. Never more than the given number of threads; one is started at once, so
 *     that no job is ever without one, the others when there is work for them.
 *  2. Jobs start in the order of submission; nothing is allocated for a job and
 *     the queue has no limit: whoever submits bounds what it has out.
 *  3. `done` runs on the job's loop, as a posted message, after `work` returned.
 *  4. Signals are blocked in the threads: they belong to the main thread.
 */
#ifndef BLOCKCORE_WORKER_H
#define BLOCKCORE_WORKER_H

#include "blockcore/base/err.h"
#include "blockcore/loop.h"

#define WORKER_THREADS_DEFAULT 4

struct worker_pool;

/* `threads` 1 to 64. NULL with *err if not even one can be started. */
struct worker_pool *worker_pool_new(unsigned threads, struct err *err);

/* Ends and joins the threads. Nothing may be queued or running. */
void worker_pool_free(struct worker_pool *pool);

/* The one pool that all real loops of a process share: made by the first get,
 * ended by the last put. From any thread. */
struct worker_pool *worker_pool_shared_get(struct err *err);
void worker_pool_shared_put(void);

/* From any thread. `job->work` and `job->loop` are set; `job->done` may be NULL
 * if nobody wants to know: then `job` may be gone as soon as `work` says so to
 * somebody. What loop_ops.work of a real loop calls. */
void worker_pool_submit(struct worker_pool *pool, struct loop_job *job);

#endif
