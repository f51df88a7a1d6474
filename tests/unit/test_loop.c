/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plain epoll loop keeps the contract of loops, alone and several beside each
 * other. TSAN: yes
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "blockcore/loop/loop_epoll.h"
#include "tests/lib/loop_contract.h"

static struct loop *make(void)
{
	struct err err = {0};
	struct loop *loop = loop_epoll_new(&err);
	if (!loop)
		fail_msg("%s", err.text);
	return loop;
}

static const struct loop_maker epoll_maker = {
	.name = "epoll",
	.make = make,
	.free = loop_epoll_free,
	.run = loop_epoll_run,
	.stop = loop_epoll_stop,
};

#define ROUNDS 2000

/* Two loops in two threads play ball with one message. */
struct ball {
	struct loop_message message;
	struct loop *loops[2];
	unsigned at, rounds;
};

static void ball_bounce(struct loop_message *message)
{
	struct ball *ball = container_of(message, struct ball, message);
	if (++ball->rounds == ROUNDS) {
		loop_epoll_stop(ball->loops[0]);
		loop_epoll_stop(ball->loops[1]);
		return;
	}
	ball->at = !ball->at;
	loop_post(ball->loops[ball->at], message);
}

static void *run_loop(void *loop)
{
	loop_epoll_run(loop);
	return NULL;
}

static void test_loops_play_ball(void **state)
{
	(void)state;
	struct ball ball = {
		.message = {.run = ball_bounce}, .loops = {make(), make()}};
	loop_post(ball.loops[0], &ball.message);
	pthread_t thread;
	assert_int_equal(
		pthread_create(&thread, NULL, run_loop, ball.loops[1]), 0);
	loop_epoll_run(ball.loops[0]);
	pthread_join(thread, NULL);
	assert_int_equal(ball.rounds, ROUNDS);
	loop_epoll_free(ball.loops[0]);
	loop_epoll_free(ball.loops[1]);
}

/* -- errands --------------------------------------------------------------- */

struct errand_story {
	struct loop *loop;
	struct loop_timer memory, watchdog;
	struct co *idle;
	char trace[8];
};

static void errand_done(void *argument)
{
	struct errand_story *story = argument;
	strcat(story->trace, "e");
	loop_epoll_stop(story->loop);
}

static void idle(void *argument)
{
	*(struct co **)argument = co_self();
	co_yield ();
}

static void memory_comes(struct loop_timer *timer)
{
	strcat(container_of(timer, struct errand_story, memory)->trace, "m");
	co_thread_limit(0);
}

static void bark(struct loop_timer *timer)
{
	(void)timer;
	fail_msg("nothing happened for a minute");
}

static void test_errand_waits_for_memory(void **state)
{
	(void)state;
	struct errand_story story = {.loop = make(),
		.memory.expired = memory_comes,
		.watchdog.expired = bark};
	struct loop_errand errand;
	assert_true(co_start(idle, &story.idle));
	co_thread_limit(1);
	loop_errand(story.loop, &errand, errand_done, &story);
	loop_timer_set(story.loop, &story.memory, 3 * LOOP_AGAIN_NS);
	loop_timer_set(story.loop, &story.watchdog, 60000000000ull);
	loop_epoll_run(story.loop);
	assert_string_equal(story.trace, "me");
	co_resume(story.idle);
	/* With memory, at once. */
	loop_errand(story.loop, &errand, errand_done, &story);
	assert_string_equal(story.trace, "mee");
	loop_timer_clear(story.loop, &story.watchdog);
	loop_epoll_free(story.loop);
	co_thread_fini();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loops_play_ball),
		cmocka_unit_test(test_errand_waits_for_memory),
	};
	int failed = loop_contract_run(&epoll_maker);
	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
