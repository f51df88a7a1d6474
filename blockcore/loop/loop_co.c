/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two waits of a loop that a coroutine uses directly: for the worker pool,
 * and for the clock. All state lies on the coroutine's own stack, which lives
 * until it is resumed. And coroutines that must be started.
 */
#include <assert.h>

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "blockcore/loop.h"

struct work_wait {
	struct loop_job job;
	struct co *co;
	int (*work)(void *arg);
	void *arg;
	int result;
};

static void work_run(struct loop_job *job)
{
	struct work_wait *wait = container_of(job, struct work_wait, job);
	wait->result = wait->work(wait->arg);
}

static void work_done(struct loop_job *job)
{
	co_resume(container_of(job, struct work_wait, job)->co);
}

int loop_work_co(struct loop *loop, int (*work)(void *arg), void *arg)
{
	struct work_wait wait = {
		.job = {.work = work_run, .done = work_done},
		.co = co_self(),
		.work = work,
		.arg = arg,
	};
	assert(wait.co);
	loop_work(loop, &wait.job);
	co_yield ();
	return wait.result;
}

struct sleep_wait {
	struct loop_timer timer;
	struct co *co;
};

static void sleep_over(struct loop_timer *timer)
{
	co_resume(container_of(timer, struct sleep_wait, timer)->co);
}

void loop_sleep_co(struct loop *loop, uint64_t after_ns)
{
	struct sleep_wait wait = {
		.timer = {.expired = sleep_over},
		.co = co_self(),
	};
	assert(wait.co);
	loop_timer_set(loop, &wait.timer, after_ns);
	co_yield ();
}

/* -- errands ------------------------------------------------------------------ */

static void errand_try(struct loop_errand *errand)
{
	if (!co_start(errand->entry, errand->arg))
		loop_timer_set(errand->loop, &errand->again, LOOP_AGAIN_NS);
}

static void errand_again(struct loop_timer *timer)
{
	errand_try(container_of(timer, struct loop_errand, again));
}

void loop_errand(struct loop *loop, struct loop_errand *errand,
	void (*entry)(void *arg), void *arg)
{
	*errand = (struct loop_errand){.entry = entry,
		.arg = arg,
		.loop = loop,
		.again.expired = errand_again};
	errand_try(errand);
}
