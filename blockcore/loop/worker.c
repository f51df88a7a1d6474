/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker pool: one queue, one lock, one condition. Threads are started when
 * a job is queued and nobody is idle, up to the limit, and stay.
 */
#include "blockcore/worker.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "blockcore/base/list.h"
#include "blockcore/base/thread.h"

#define WORKER_THREADS_MAX 64

struct worker_pool {
	pthread_mutex_t lock; /* all below */
	pthread_cond_t queued_or_ending;
	STAILQ_HEAD(, loop_job) jobs;
	unsigned waiting; /* jobs in the list */
	unsigned idle; /* threads in pthread_cond_wait */
	unsigned running; /* threads that were started */
	unsigned limit;
	bool ending;
	pthread_t threads[WORKER_THREADS_MAX];
};

static void job_done(struct loop_message *message)
{
	struct loop_job *job = container_of(message, struct loop_job, message);
	job->done(job);
}

static void job_run(struct loop_job *job)
{
	bool wanted = job->done;
	job->work(job);
	if (!wanted)
		return; /* `job` may be gone */
	job->message.run = job_done;
	loop_post(job->loop, &job->message);
}

/* The next job, NULL at the end. */
static struct loop_job *pool_take(struct worker_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	while (STAILQ_EMPTY(&pool->jobs) && !pool->ending) {
		pool->idle++;
		pthread_cond_wait(&pool->queued_or_ending, &pool->lock);
		pool->idle--;
	}
	struct loop_job *job = STAILQ_FIRST(&pool->jobs);
	if (job) {
		STAILQ_REMOVE_HEAD(&pool->jobs, link);
		pool->waiting--;
	}
	pthread_mutex_unlock(&pool->lock);
	return job;
}

static void *worker_main(void *arg)
{
	struct worker_pool *pool = arg;
	struct loop_job *job;
	while ((job = pool_take(pool)))
		job_run(job);
	return NULL;
}

/* Locked. A failure is no error while another thread runs. */
static int pool_start_thread(struct worker_pool *pool)
{
	int failed = thread_start(
		&pool->threads[pool->running], NULL, worker_main, pool);
	if (!failed)
		pool->running++;
	return failed;
}

struct worker_pool *worker_pool_new(unsigned threads, struct err *err)
{
	assert(threads >= 1 && threads <= WORKER_THREADS_MAX);
	struct worker_pool *pool = calloc(1, sizeof *pool);
	if (!pool) {
		err_set(err, ENOMEM, "no memory for the worker pool");
		return NULL;
	}
	STAILQ_INIT(&pool->jobs);
	pool->limit = threads;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->queued_or_ending, NULL);
	pthread_mutex_lock(&pool->lock);
	int failed = pool_start_thread(pool);
	pthread_mutex_unlock(&pool->lock);
	if (failed) {
		err_set(err, failed,
			"no worker thread can be started (%s): raise the limit "
			"of tasks of this service or container",
			strerror(failed));
		worker_pool_free(pool);
		return NULL;
	}
	return pool;
}

void worker_pool_free(struct worker_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	assert(STAILQ_EMPTY(&pool->jobs));
	pool->ending = true;
	pthread_cond_broadcast(&pool->queued_or_ending);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->running; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->queued_or_ending);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

void worker_pool_submit(struct worker_pool *pool, struct loop_job *job)
{
	pthread_mutex_lock(&pool->lock);
	STAILQ_INSERT_TAIL(&pool->jobs, job, link);
	pool->waiting++;
	if (pool->idle < pool->waiting && pool->running < pool->limit)
		(void)pool_start_thread(pool);
	pthread_cond_signal(&pool->queued_or_ending);
	pthread_mutex_unlock(&pool->lock);
}

/* -- the pool that all loops of the process share ---------------------------- */

static struct {
	pthread_mutex_t lock;
	struct worker_pool *pool;
	unsigned users;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct worker_pool *worker_pool_shared_get(struct err *err)
{
	pthread_mutex_lock(&shared.lock);
	if (!shared.pool)
		shared.pool = worker_pool_new(WORKER_THREADS_DEFAULT, err);
	struct worker_pool *pool = shared.pool;
	if (pool)
		shared.users++;
	pthread_mutex_unlock(&shared.lock);
	return pool;
}

void worker_pool_shared_put(void)
{
	pthread_mutex_lock(&shared.lock);
	if (--shared.users == 0) {
		worker_pool_free(shared.pool);
		shared.pool = NULL;
	}
	pthread_mutex_unlock(&shared.lock);
}
