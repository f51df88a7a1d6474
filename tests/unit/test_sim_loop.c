/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator's loops: time that is not real passes in order, and loops race as
 * the seed decides.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "tests/lib/sim_loop.h"

#define MS 1000000u

/* -- loops -------------------------------------------------------------------- */

struct bell {
	struct loop_timer timer;
	struct loop *loop;
	char *trace, letter;
	uint64_t due_ns;
};

static void bell_rings(struct loop_timer *timer)
{
	struct bell *bell = container_of(timer, struct bell, timer);
	uint64_t now_ns = loop_now_ns(bell->loop);
	assert_true(now_ns >= bell->due_ns);
	assert_true(now_ns < bell->due_ns + MS); /* and not much later */
	strncat(bell->trace, &bell->letter, 1);
}

static void test_timers_on_a_virtual_clock(void **state)
{
	(void)state;
	struct sim *sim = sim_new(1);
	struct loop *loops[2] = {sim_loop_new(sim), sim_loop_new(sim)};
	char trace[8] = "";
	static const uint64_t after_s[] = {3000, 1000, 2000, 500};
	struct bell bells[4];
	for (int i = 0; i < 4; i++) {
		bells[i] = (struct bell){.timer.expired = bell_rings,
			.loop = loops[i % 2],
			.trace = trace,
			.letter = "cabx"[i],
			.due_ns =
				loop_now_ns(loops[0]) + after_s[i] * 1000 * MS};
		loop_timer_set(
			bells[i].loop, &bells[i].timer, after_s[i] * 1000 * MS);
	}
	loop_timer_clear(loops[1], &bells[3].timer);
	sim_run(sim); /* most of an hour */
	assert_string_equal(trace, "abc");
	assert_false(sim_step(sim)); /* idle */
	sim_loop_free(loops[0]);
	sim_loop_free(loops[1]);
	sim_free(sim);
}

struct walk {
	struct loop *loop;
	bool ended;
	int result;
};

static int walk_work(void *arg)
{
	*(int *)arg += 1;
	return 42;
}

static void walk_co(void *arg)
{
	struct walk *walk = arg;
	int worked = 0;
	uint64_t before_ns = loop_now_ns(walk->loop);
	loop_sleep_co(walk->loop, 5 * MS);
	assert_true(loop_now_ns(walk->loop) >= before_ns + 5 * MS);
	walk->result = loop_work_co(walk->loop, walk_work, &worked);
	assert_int_equal(worked, 1);
	walk->ended = true;
}

static void test_coroutine_sleeps_and_works(void **state)
{
	(void)state;
	struct sim *sim = sim_new(1);
	struct walk walk = {.loop = sim_loop_new(sim)};
	assert_true(co_start(walk_co, &walk));
	assert_false(walk.ended);
	assert_true(sim_run_until(sim, &walk.ended));
	assert_int_equal(walk.result, 42);
	sim_run(sim);
	sim_loop_free(walk.loop);
	sim_free(sim);
	co_thread_fini();
}

/* Two loops post to a third: each sender's order holds, and which of them comes
 * first is the seed's choice. */
#define POSTS 20

struct post {
	struct loop_message message;
	struct post_race *race;
	unsigned sender, number;
};

struct post_race {
	struct loop *loops[3];
	struct loop_message start[2];
	struct post posts[2][POSTS];
	unsigned next[2];
	int first; /* sender of the first, -1 before */
};

static void post_arrives(struct loop_message *message)
{
	struct post *post = container_of(message, struct post, message);
	struct post_race *race = post->race;
	assert_int_equal(post->number, race->next[post->sender]++);
	if (race->first < 0)
		race->first = (int)post->sender;
}

static void post_all(struct post_race *race, unsigned sender)
{
	for (unsigned i = 0; i < POSTS; i++) {
		race->posts[sender][i] =
			(struct post){{.run = post_arrives}, race, sender, i};
		loop_post(race->loops[2], &race->posts[sender][i].message);
	}
}

static void post_from_0(struct loop_message *message)
{
	post_all(container_of(message, struct post_race, start[0]), 0);
}

static void post_from_1(struct loop_message *message)
{
	post_all(container_of(message, struct post_race, start[1]), 1);
}

static void test_loops_race_by_seed(void **state)
{
	(void)state;
	unsigned firsts[2] = {0, 0};
	for (uint64_t seed = 0; seed < 40; seed++) {
		struct sim *sim = sim_new(seed);
		struct post_race race = {.first = -1};
		for (int i = 0; i < 3; i++)
			race.loops[i] = sim_loop_new(sim);
		race.start[0].run = post_from_0;
		race.start[1].run = post_from_1;
		loop_post(race.loops[0], &race.start[0]);
		loop_post(race.loops[1], &race.start[1]);
		sim_run(sim);
		assert_int_equal(race.next[0] + race.next[1], 2 * POSTS);
		firsts[race.first]++;
		for (int i = 0; i < 3; i++)
			sim_loop_free(race.loops[i]);
		sim_free(sim);
	}
	assert_true(firsts[0] > 0 && firsts[1] > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timers_on_a_virtual_clock),
		cmocka_unit_test(test_coroutine_sleeps_and_works),
		cmocka_unit_test(test_loops_race_by_seed),
	};
	return cmocka_run_group_tests_name("simulator", tests, NULL, NULL);
}
