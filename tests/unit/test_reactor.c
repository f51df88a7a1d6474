/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reactor keeps the contract of loops (tests/lib/loop_contract.h), and what
 * reactors have beyond it: a heap of timers, threads, sleeping and being woken,
 * spinning, signals. TSAN: yes
 */
#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "blockcore/base/prng.h"
#include "target/reactor/reactor.h"
#include "target/reactor/reactor_private.h"
#include "tests/lib/crash_child.h"
#include "tests/lib/loop_contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#define MS 1000000ull
#define DEADLINE_S 60

/* Every test has a reactor that runs on the test's own thread. */
static int open_reactor(void **state)
{
	struct err err = {0};
	alarm(DEADLINE_S);
	*state = reactor_new("test", 0, &err);
	return *state ? 0 : -1;
}

static int close_reactor(void **state)
{
	reactor_free(*state);
	co_thread_fini();
	return 0;
}

/* -- timers ----------------------------------------------------------------- */

struct order_timer {
	struct loop_timer timer;
	uint64_t *last_ns;
	unsigned *expired;
};

static void in_order(struct loop_timer *timer)
{
	struct order_timer *self =
		container_of(timer, struct order_timer, timer);
	assert_true(timer->deadline_ns >= *self->last_ns);
	*self->last_ns = timer->deadline_ns;
	++*self->expired;
}

/* The heap alone: a thousand timers with random deadlines, a third taken out
 * again, expire in order. */
static void timers_keep_their_order(void **state)
{
	enum { COUNT = 1000 };
	static struct order_timer timer[COUNT];
	struct timers heap = {NULL};
	uint64_t seed = 7, last_ns = 0;
	unsigned expired = 0, removed = 0;
	(void)state;
	for (int i = 0; i < COUNT; i++) {
		timer[i] = (struct order_timer){.timer.expired = in_order,
			.timer.deadline_ns = prng_below(&seed, 500),
			.last_ns = &last_ns,
			.expired = &expired};
		timers_insert(&heap, &timer[i].timer);
	}
	for (int i = 0; i < COUNT; i += 3, removed++)
		timers_remove(&heap, &timer[i].timer);
	assert_true(timers_expire(&heap, 250));
	assert_true(last_ns <= 250);
	assert_true(timers_first_ns(&heap) > 250);
	assert_true(timers_expire(&heap, 1000));
	assert_int_equal(expired, COUNT - removed);
	assert_int_equal(timers_first_ns(&heap), UINT64_MAX);
}

struct timer_probe {
	struct loop_timer timer;
	struct reactor *reactor;
	uint64_t armed_ns, expired_ns;
	unsigned left;
};

static void expired_again(struct loop_timer *timer)
{
	struct timer_probe *self =
		container_of(timer, struct timer_probe, timer);
	self->expired_ns = loop_now_ns(reactor_loop(self->reactor));
	assert_false(timer->armed);
	if (--self->left)
		loop_timer_set(reactor_loop(self->reactor), timer, MS);
	else
		reactor_stop(self->reactor);
}

static void must_not_expire(struct loop_timer *timer)
{
	(void)timer;
	fail_msg("a timer that was cleared has expired");
}

static void timer_is_never_early_and_can_be_armed_again(void **state)
{
	struct loop *loop = reactor_loop(*state);
	struct timer_probe probe = {
		.timer.expired = expired_again, .reactor = *state, .left = 5};
	struct loop_timer cleared = {.expired = must_not_expire};
	uint64_t start_ns = loop_now_ns(loop);
	loop_timer_set(loop, &cleared, MS);
	loop_timer_set(loop, &probe.timer, 1000 * MS);
	loop_timer_set(loop, &probe.timer, 10 * MS); /* replaces it */
	loop_timer_clear(loop, &cleared);
	loop_timer_clear(loop, &cleared);
	reactor_run(*state);
	uint64_t took_ns = probe.expired_ns - start_ns;
	assert_true(took_ns >= 14 * MS);
	assert_true(took_ns < 900 * MS);
}

/* -- messages --------------------------------------------------------------- */

/* Two reactors on threads of their own play ball: each is asleep when it is
 * posted to, so a lost wake-up would end in the deadline. */
struct ball {
	struct loop_message message;
	struct reactor *player[2];
	unsigned hits;
};

static void ball_hit(struct loop_message *message)
{
	struct ball *ball = container_of(message, struct ball, message);
	if (++ball->hits == 10000) {
		reactor_stop(ball->player[0]);
		reactor_stop(ball->player[1]);
		return;
	}
	loop_post(reactor_loop(ball->player[ball->hits % 2]), message);
}

static void sleeping_reactors_are_woken(void **state)
{
	struct err err = {0};
	struct ball ball = {.message.run = ball_hit,
		.player[0] = *state,
		.player[1] = reactor_new("other", 50, &err)};
	assert_non_null(ball.player[1]);
	assert_int_equal(reactor_start(ball.player[0], -1, &err), 0);
	assert_int_equal(reactor_start(ball.player[1], -1, &err), 0);
	loop_post(reactor_loop(ball.player[0]), &ball.message);
	reactor_join(ball.player[0]);
	reactor_join(ball.player[1]);
	assert_int_equal(ball.hits, 10000);
	reactor_free(ball.player[1]);
}

/* -- workers and coroutines -------------------------------------------------- */

struct slow {
	struct reactor *reactor;
	pthread_t worker;
	int result;
	uint64_t slept_ns;
};

static int slow_work(void *argument)
{
	struct slow *self = argument;
	self->worker = pthread_self();
	return 42;
}

static void slow_co(void *argument)
{
	struct slow *self = argument;
	struct loop *loop = reactor_loop(self->reactor);
	self->result = loop_work_co(loop, slow_work, self);
	uint64_t before_ns = loop_now_ns(loop);
	loop_sleep_co(loop, 5 * MS);
	self->slept_ns = loop_now_ns(loop) - before_ns;
	reactor_stop(self->reactor);
}

static void work_runs_elsewhere_and_comes_back(void **state)
{
	struct slow slow = {.reactor = *state};
	assert_true(co_start(slow_co, &slow));
	reactor_run(*state);
	assert_int_equal(slow.result, 42);
	assert_false(pthread_equal(slow.worker, pthread_self()));
	assert_true(slow.slept_ns >= 5 * MS);
}

/* -- hooks, idleness --------------------------------------------------------- */

struct counting_hook {
	struct loop_hook hook;
	unsigned turns, more;
};

static bool count_turn(struct loop_hook *hook)
{
	struct counting_hook *self =
		container_of(hook, struct counting_hook, hook);
	self->turns++;
	return self->more && self->more--;
}

static void expired_stop(struct loop_timer *timer)
{
	struct timer_probe *self =
		container_of(timer, struct timer_probe, timer);
	reactor_stop(self->reactor);
}

/* 100 ms with nothing to do are a handful of turns; a hook that has more to do
 * is not kept waiting. */
static void idle_means_idle(void **state)
{
	struct loop *loop = reactor_loop(*state);
	struct counting_hook hook = {.hook.run = count_turn, .more = 1000};
	struct timer_probe probe = {
		.timer.expired = expired_stop, .reactor = *state};
	loop_hook_add(loop, LOOP_REAP, &hook.hook);
	uint64_t start_ns = loop_now_ns(loop);
	loop_timer_set(loop, &probe.timer, 100 * MS);
	reactor_run(*state);
	loop_hook_remove(loop, LOOP_REAP, &hook.hook);
	assert_true(loop_now_ns(loop) - start_ns >= 100 * MS);
	assert_in_range(hook.turns, 1001, 1010);
}

static void spinning_ends(void **state)
{
	struct err err = {0};
	(void)state;
	struct reactor *reactor = reactor_new("spin", 2000, &err);
	struct loop *loop = reactor_loop(reactor);
	struct counting_hook hook = {.hook.run = count_turn};
	struct timer_probe probe = {
		.timer.expired = expired_again, .reactor = reactor, .left = 2};
	loop_hook_add(loop, LOOP_REAP, &hook.hook);
	loop_timer_set(loop, &probe.timer, MS);
	reactor_run(reactor);
	/* The second timer was awaited awake. */
	assert_true(hook.turns > 20);
	hook.turns = 0;
	probe.timer.expired = expired_stop;
	loop_timer_set(loop, &probe.timer, 100 * MS);
	loop_timer_clear(loop, &probe.timer);
	loop_timer_set(loop, &probe.timer, 50 * MS);
	reactor_run(reactor);
	assert_true(loop_random(loop) != loop_random(loop));
	loop_hook_remove(loop, LOOP_REAP, &hook.hook);
	reactor_free(reactor);
}

/* -- signals ----------------------------------------------------------------- */

static void on_signal(int number, void *argument)
{
	assert_int_equal(number, SIGUSR1);
	reactor_stop(argument);
}

static void signal_is_caught_on_the_loop(void **state)
{
	assert_int_equal(
		reactor_on_signal(*state, SIGUSR1, on_signal, *state), 0);
	assert_int_equal(kill(getpid(), SIGUSR1), 0);
	reactor_run(*state);
}

#define REACTOR_TEST(name) \
	cmocka_unit_test_setup_teardown(name, open_reactor, close_reactor)

/* -- the contract of loops --------------------------------------------------- */

static struct loop *contract_make(void)
{
	struct err err = {0};
	struct reactor *reactor = reactor_new("contract", 0, &err);
	if (!reactor)
		fail_msg("%s", err.text);
	return reactor_loop(reactor);
}

static void contract_free(struct loop *loop)
{
	reactor_free(reactor_of(loop));
}

static void contract_run(struct loop *loop)
{
	reactor_run(reactor_of(loop));
}

static void contract_stop(struct loop *loop)
{
	reactor_stop(reactor_of(loop));
}

static const struct loop_maker reactor_maker = {
	.name = "reactor",
	.make = contract_make,
	.free = contract_free,
	.run = contract_run,
	.stop = contract_stop,
};

/* -- crashes ------------------------------------------------------------------ */

static void crash_now(struct loop_message *message)
{
	(void)message;
	crash_child_mark();
	crash_by_write();
}

static void reactor_crashes(void)
{
	struct err err = {0};
	struct loop_message message = {.run = crash_now};
	struct reactor *reactor = reactor_new("crashing", 0, &err);

	if (!reactor || reactor_start(reactor, -1, &err))
		_exit(3);
	loop_post(reactor_loop(reactor), &message);
	reactor_join(reactor);
}

/* A reactor's thread blocks signals, but not those of its own crash. */
static void crash_of_a_reactor_is_dumped(void **state)
{
	(void)state;
	crash_child_check(reactor_crashes, SIGSEGV, "SIGSEGV");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_keep_their_order),
		REACTOR_TEST(timer_is_never_early_and_can_be_armed_again),
		REACTOR_TEST(sleeping_reactors_are_woken),
		REACTOR_TEST(work_runs_elsewhere_and_comes_back),
		REACTOR_TEST(idle_means_idle),
		REACTOR_TEST(spinning_ends),
		REACTOR_TEST(signal_is_caught_on_the_loop),
		cmocka_unit_test(crash_of_a_reactor_is_dumped),
	};
	int failed = loop_contract_run(&reactor_maker);
	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
