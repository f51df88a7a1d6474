/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coroutines. One mapping holds guard, stack and, above the stack, the
 * struct co. A stack once made never leaves run(): when its entry function has
 * returned it is pooled, suspended in that loop, and the next co_start only
 * gives it a new function.
 *
 * Every switch goes through switch_stacks(), so that the sanitizers are told in
 * one place.
 */
#include "blockcore/base/co.h"

#include "blockcore/base/asan.h"
#include "blockcore/base/co_context.h"

#include <assert.h>
#include <sys/mman.h>

#ifdef CAIRN_ASAN
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#define STACK_BYTES (CO_STACK_BYTES * 4) /* redzones make frames larger */
#else
#define STACK_BYTES CO_STACK_BYTES
#endif

#ifdef CAIRN_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#define HEAD_BYTES 4096u /* for struct co, above the stack */
#define MAPPING_BYTES (CO_GUARD_BYTES + STACK_BYTES + HEAD_BYTES)

enum co_state { CO_POOLED, CO_RUNNING, CO_YIELDED };

/* A stack as switches see it: a coroutine's or the thread's own. */
struct side {
	struct co_context context;
	const void *stack; /* lowest address; learnt late for the thread's */
	size_t stack_bytes;
	void *fake_stack; /* AddressSanitizer's */
	void *fiber; /* ThreadSanitizer's */
};

struct co {
	struct side side;
	enum co_state state;
	void (*entry)(void *arg); /* NULL: leave run() for good */
	void *arg;
	struct co *resumer; /* who goes on when this yields; NULL: the thread */
	struct co_thread *thread;
	SLIST_ENTRY(co) link; /* while pooled */
};

_Static_assert(sizeof(struct co) <= HEAD_BYTES, "does not fit above the stack");

struct co_thread {
	struct side side;
	struct co *current;
	SLIST_HEAD(, co) pool;
	uint32_t pooled, alive;
	uint32_t most; /* alive; 0: no limit */
};

static _Thread_local struct co_thread this_thread;

/* -- the sanitizers --------------------------------------------------------- */

static void before_switch(struct side *from, struct side *to, bool for_good)
{
#ifdef CAIRN_ASAN
	__sanitizer_start_switch_fiber(for_good ? NULL : &from->fake_stack,
		to->stack, to->stack_bytes);
#endif
#ifdef CAIRN_TSAN
	from->fiber = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(to->fiber, 0);
#endif
	(void)from;
	(void)to;
	(void)for_good;
}

/* On the new stack. The thread's own stack is known only from here: it is the
 * one that the first coroutine came from. */
static void after_switch(struct side *here)
{
#ifdef CAIRN_ASAN
	const void *old_stack;
	size_t old_bytes;
	__sanitizer_finish_switch_fiber(
		here->fake_stack, &old_stack, &old_bytes);
	if (!this_thread.side.stack) {
		this_thread.side.stack = old_stack;
		this_thread.side.stack_bytes = old_bytes;
	}
#endif
	(void)here;
}

/* What a living coroutine alone points to is not leaked. */
static void announce_stack(struct co *co, bool alive)
{
#ifdef CAIRN_ASAN
	if (alive)
		__lsan_register_root_region(
			co->side.stack, co->side.stack_bytes);
	else
		__lsan_unregister_root_region(
			co->side.stack, co->side.stack_bytes);
#endif
	(void)co;
	(void)alive;
}

static void *fiber_new(void)
{
#ifdef CAIRN_TSAN
	return __tsan_create_fiber(0);
#else
	return NULL;
#endif
}

static void fiber_free(void *fiber)
{
#ifdef CAIRN_TSAN
	__tsan_destroy_fiber(fiber);
#endif
	(void)fiber;
}

/* -- stacks ----------------------------------------------------------------- */

static void switch_stacks(struct side *from, struct side *to, bool for_good)
{
	before_switch(from, to, for_good);
	co_context_switch(&from->context, &to->context);
	after_switch(from);
}

static struct side *side_of(struct co *co)
{
	return co ? &co->side : &this_thread.side;
}

/* Back to who resumed the running coroutine. */
static void leave(struct co *co, bool for_good)
{
	struct co *resumer = co->resumer;

	co->resumer = NULL;
	this_thread.current = resumer;
	switch_stacks(&co->side, side_of(resumer), for_good);
}

/* The first and only function of every stack. */
static void run(void)
{
	struct co *co = this_thread.current;

	after_switch(&co->side);
	while (co->entry) {
		co->entry(co->arg);
		co->state = CO_POOLED;
		leave(co, false);
	}
	leave(co, true);
	assert(!co); /* nobody enters a stack that was given up */
}

static struct co *stack_new(void)
{
	uint8_t *map = mmap(NULL, MAPPING_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	struct co *co;

	if (map == MAP_FAILED)
		return NULL;
	if (mprotect(map, CO_GUARD_BYTES, PROT_NONE) < 0) {
		munmap(map, MAPPING_BYTES);
		return NULL;
	}
	co = (struct co *)(map + CO_GUARD_BYTES + STACK_BYTES);
	co->side.stack = map + CO_GUARD_BYTES;
	co->side.stack_bytes = STACK_BYTES;
	co->side.fiber = fiber_new();
	co->thread = &this_thread;
	co_context_make(
		&co->side.context, map + CO_GUARD_BYTES, STACK_BYTES, run);
	return co;
}

/* Switches to `co` until it yields or its function returns. */
static void enter(struct co *co)
{
	struct co *self = this_thread.current;

	co->resumer = self;
	co->state = CO_RUNNING;
	this_thread.current = co;
	switch_stacks(side_of(self), &co->side, false);
}

/* Lets run() end, so that the sanitizers forget the stack, and unmaps it. */
static void stack_free(struct co *co)
{
	uint8_t *map = (uint8_t *)co - STACK_BYTES - CO_GUARD_BYTES;

	co->entry = NULL;
	enter(co);
	fiber_free(co->side.fiber);
	asan_unpoison(map + CO_GUARD_BYTES, STACK_BYTES);
	munmap(map, MAPPING_BYTES);
}

static struct co *stack_get(void)
{
	struct co *co = SLIST_FIRST(&this_thread.pool);

	if (this_thread.most && this_thread.alive >= this_thread.most)
		return NULL;
	if (!co)
		return stack_new();
	SLIST_REMOVE_HEAD(&this_thread.pool, link);
	this_thread.pooled--;
	return co;
}

/* enter() and, if the coroutine has come to its end, its stack to the pool. */
static void enter_and_reap(struct co *co)
{
	enter(co);
	if (co->state != CO_POOLED)
		return;
	this_thread.alive--;
	announce_stack(co, false);
	if (this_thread.pooled == CO_POOL_MAX) {
		stack_free(co);
		return;
	}
	SLIST_INSERT_HEAD(&this_thread.pool, co, link);
	this_thread.pooled++;
}

/* -- the interface ---------------------------------------------------------- */

bool co_start(void (*entry)(void *arg), void *arg)
{
	struct co *co = stack_get();

	if (!co)
		return false;
	co->entry = entry;
	co->arg = arg;
	this_thread.alive++;
	announce_stack(co, true);
	enter_and_reap(co);
	return true;
}

struct co *co_self(void)
{
	return this_thread.current;
}

void co_yield (void)
{
	struct co *co = this_thread.current;

	assert(co);
	co->state = CO_YIELDED;
	leave(co, false);
}

void co_resume(struct co *co)
{
	assert(co->thread == &this_thread);
	assert(co->state == CO_YIELDED);
	enter_and_reap(co);
}

void co_thread_fini(void)
{
	struct co *co;

	assert(!this_thread.current && this_thread.alive == 0);
	while ((co = SLIST_FIRST(&this_thread.pool))) {
		SLIST_REMOVE_HEAD(&this_thread.pool, link);
		stack_free(co);
	}
	this_thread.pooled = 0;
}

uint32_t co_alive(void)
{
	return this_thread.alive;
}

void co_thread_limit(uint32_t most)
{
	this_thread.most = most;
}

void co_mutex_init(struct co_mutex *mutex)
{
	mutex->locked = false;
	STAILQ_INIT(&mutex->waiters);
}

void co_mutex_lock_co(struct co_mutex *mutex)
{
	struct co_waiter waiter = {.co = co_self()};

	assert(waiter.co);
	if (!mutex->locked) {
		mutex->locked = true;
		return;
	}
	STAILQ_INSERT_TAIL(&mutex->waiters, &waiter, link);
	co_yield ();
	assert(!waiter.co); /* else somebody else resumed us */
}

/* The lock is handed over without being open in between, so nobody can come
 * first who came later. */
void co_mutex_unlock(struct co_mutex *mutex)
{
	struct co_waiter *waiter = STAILQ_FIRST(&mutex->waiters);
	struct co *next;

	assert(mutex->locked);
	if (!waiter) {
		mutex->locked = false;
		return;
	}
	STAILQ_REMOVE_HEAD(&mutex->waiters, link);
	next = waiter->co;
	waiter->co = NULL;
	co_resume(next);
}
