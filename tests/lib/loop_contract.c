/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of a loop; see the header. Each test runs the loop until what it
 * waits for has happened; a watchdog timer of a generous time fails it otherwise.
 */
#include "tests/lib/loop_contract.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "blockcore/base/list.h"

#define MS 1000000u
#define WATCHDOG_NS (60000ull * MS)

static const struct loop_maker *maker;

struct rig {
	struct loop *loop;
	struct loop_timer watchdog;
	char trace[64]; /* what happened, a letter each */
	unsigned count;
	int pipe[2];
};

static void note(struct rig *rig, char letter)
{
	size_t at = strlen(rig->trace);
	assert_true(at + 1 < sizeof rig->trace);
	rig->trace[at] = letter;
}

static void bark(struct loop_timer *timer)
{
	(void)timer;
	fail_msg("nothing happened for a minute");
}

static int rig_setup(void **state)
{
	struct rig *rig = calloc(1, sizeof *rig);
	assert_non_null(rig);
	rig->loop = maker->make();
	assert_int_equal(pipe(rig->pipe), 0);
	rig->watchdog.expired = bark;
	loop_timer_set(rig->loop, &rig->watchdog, WATCHDOG_NS);
	*state = rig;
	return 0;
}

static int rig_teardown(void **state)
{
	struct rig *rig = *state;
	loop_timer_clear(rig->loop, &rig->watchdog);
	maker->free(rig->loop);
	close(rig->pipe[0]);
	close(rig->pipe[1]);
	free(rig);
	return 0;
}

/* -- timers ------------------------------------------------------------------- */

struct alarm {
	struct loop_timer timer;
	struct rig *rig;
	char letter;
	uint64_t set_ns, after_ns;
	struct alarm *clears, *sets;
	unsigned repeat;
};

static void alarm_set(struct alarm *alarm, uint64_t after_ns)
{
	alarm->set_ns = loop_now_ns(alarm->rig->loop);
	alarm->after_ns = after_ns;
	loop_timer_set(alarm->rig->loop, &alarm->timer, after_ns);
}

static void alarm_rings(struct loop_timer *timer)
{
	struct alarm *alarm = container_of(timer, struct alarm, timer);
	struct rig *rig = alarm->rig;
	assert_false(timer->armed);
	assert_true(loop_now_ns(rig->loop) >= alarm->set_ns + alarm->after_ns);
	note(rig, alarm->letter);
	if (alarm->clears)
		loop_timer_clear(rig->loop, &alarm->clears->timer);
	if (alarm->sets)
		alarm_set(alarm->sets, 0);
	if (alarm->repeat && --alarm->repeat)
		alarm_set(alarm, alarm->after_ns);
	if (alarm->letter == 'z')
		maker->stop(rig->loop);
}

static struct alarm alarm_of(struct rig *rig, char letter)
{
	return (struct alarm){.timer = {.expired = alarm_rings},
		.rig = rig,
		.letter = letter};
}

static void test_timers_run_in_order_of_deadline(void **state)
{
	struct rig *rig = *state;
	struct alarm z = alarm_of(rig, 'z'), a = alarm_of(rig, 'a'),
		     b = alarm_of(rig, 'b'), c = alarm_of(rig, 'c');
	alarm_set(&z, 12 * MS);
	alarm_set(&b, 6 * MS);
	alarm_set(&c, 1 * MS);
	alarm_set(&a, 3 * MS);
	alarm_set(&c, 9 * MS); /* replaces */
	maker->run(rig->loop);
	assert_string_equal(rig->trace, "abcz");
}

static void test_timer_cleared_by_another_does_not_run(void **state)
{
	struct rig *rig = *state;
	struct alarm z = alarm_of(rig, 'z'), a = alarm_of(rig, 'a'),
		     b = alarm_of(rig, 'b');
	a.clears = &b;
	alarm_set(&a, 0);
	alarm_set(&b, 0);
	alarm_set(&z, 2 * MS);
	maker->run(rig->loop);
	assert_string_equal(rig->trace, "az");
	assert_false(b.timer.armed);
	loop_timer_clear(rig->loop, &b.timer); /* unarmed: fine */
}

static void test_timer_sets_itself_again(void **state)
{
	struct rig *rig = *state;
	struct alarm z = alarm_of(rig, 'z'), a = alarm_of(rig, 'a');
	a.repeat = 5;
	a.clears = &z; /* each time, so that z comes after the last */
	a.sets = NULL;
	alarm_set(&z, 1 * MS);
	alarm_set(&a, 0);
	struct alarm end = alarm_of(rig, 'z');
	alarm_set(&end, 5 * MS);
	maker->run(rig->loop);
	assert_string_equal(rig->trace, "aaaaaz");
}

/* A timer that is set for "now" again and again lets others live. */
static void always_again(struct loop_timer *timer)
{
	struct alarm *alarm = container_of(timer, struct alarm, timer);
	alarm->rig->count++;
	loop_timer_set(alarm->rig->loop, timer, 0);
}

static void test_timer_of_now_starves_nobody(void **state)
{
	struct rig *rig = *state;
	struct alarm greedy = {.timer.expired = always_again, .rig = rig};
	struct alarm z = alarm_of(rig, 'z');
	loop_timer_set(rig->loop, &greedy.timer, 0);
	alarm_set(&z, 2 * MS);
	maker->run(rig->loop);
	loop_timer_clear(rig->loop, &greedy.timer);
	assert_string_equal(rig->trace, "z");
	assert_true(rig->count > 0);
}

/* -- messages and jobs -------------------------------------------------------- */

#define THREADS 4
#define POSTS 500

struct letter {
	struct loop_message message;
	struct rig *rig;
	unsigned thread, number;
};

struct sender {
	struct rig *rig;
	struct letter letters[POSTS];
	unsigned number, next;
	pthread_t thread;
};

static struct sender senders[THREADS];

static void letter_arrives(struct loop_message *message)
{
	struct letter *letter = container_of(message, struct letter, message);
	struct sender *sender = &senders[letter->thread];
	assert_int_equal(letter->number, sender->next);
	sender->next++;
	if (++letter->rig->count == THREADS * POSTS)
		maker->stop(letter->rig->loop);
}

static void *send_letters(void *arg)
{
	struct sender *sender = arg;
	for (unsigned i = 0; i < POSTS; i++) {
		sender->letters[i] = (struct letter){
			.message = {.run = letter_arrives},
			.rig = sender->rig,
			.thread = sender->number,
			.number = i,
		};
		loop_post(sender->rig->loop, &sender->letters[i].message);
	}
	return NULL;
}

static void test_posts_of_threads_arrive_once_and_in_order(void **state)
{
	struct rig *rig = *state;
	memset(senders, 0, sizeof senders);
	for (unsigned i = 0; i < THREADS; i++) {
		senders[i].rig = rig;
		senders[i].number = i;
		assert_int_equal(pthread_create(&senders[i].thread, NULL,
					 send_letters, &senders[i]),
			0);
	}
	maker->run(rig->loop);
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(senders[i].thread, NULL);
		assert_int_equal(senders[i].next, POSTS);
	}
}

static void post_again(struct loop_message *message)
{
	struct letter *letter = container_of(message, struct letter, message);
	if (++letter->rig->count == 100)
		maker->stop(letter->rig->loop);
	else
		loop_post(letter->rig->loop, message);
}

static void test_message_may_be_posted_from_its_own_callback(void **state)
{
	struct rig *rig = *state;
	struct letter letter = {.message = {.run = post_again}, .rig = rig};
	loop_post(rig->loop, &letter.message);
	assert_int_equal(rig->count, 0); /* never inside the call */
	maker->run(rig->loop);
	assert_int_equal(rig->count, 100);
}

#define JOBS 40

struct task {
	struct loop_job job;
	struct rig *rig;
	pthread_t worked_on;
	unsigned value;
};

static void task_work(struct loop_job *job)
{
	struct task *task = container_of(job, struct task, job);
	task->worked_on = pthread_self();
	task->value *= 2;
}

static void task_done(struct loop_job *job)
{
	struct task *task = container_of(job, struct task, job);
	assert_false(pthread_equal(task->worked_on, pthread_self()));
	if (++task->rig->count == JOBS)
		maker->stop(task->rig->loop);
}

static void test_jobs_work_elsewhere_and_end_here(void **state)
{
	struct rig *rig = *state;
	struct task tasks[JOBS];
	for (unsigned i = 0; i < JOBS; i++) {
		tasks[i] = (struct task){
			.job = {.work = task_work, .done = task_done},
			.rig = rig,
			.value = i,
		};
		loop_work(rig->loop, &tasks[i].job);
		assert_ptr_equal(tasks[i].job.loop, rig->loop);
	}
	maker->run(rig->loop);
	for (unsigned i = 0; i < JOBS; i++)
		assert_int_equal(tasks[i].value, 2 * i);
}

/* -- descriptors -------------------------------------------------------------- */

struct look {
	struct loop_watch watch;
	struct rig *rig;
	char letter;
	struct look *unwatches;
};

static void look_ready(struct loop_watch *watch, unsigned events)
{
	struct look *look = container_of(watch, struct look, watch);
	assert_true(events & watch->interest);
	note(look->rig, look->letter);
	if (look->unwatches)
		loop_unwatch(look->rig->loop, &look->unwatches->watch);
	maker->stop(look->rig->loop);
}

static struct look look_of(
	struct rig *rig, char letter, int fd, unsigned events)
{
	return (struct look){
		.watch = {.ready = look_ready, .fd = fd, .interest = events},
		.rig = rig,
		.letter = letter,
	};
}

static void test_descriptor_is_watched_by_level(void **state)
{
	struct rig *rig = *state;
	struct look r = look_of(rig, 'r', rig->pipe[0], LOOP_READABLE);
	assert_int_equal(loop_watch(rig->loop, &r.watch), 0);
	assert_int_equal(write(rig->pipe[1], "x", 1), 1);
	maker->run(rig->loop);
	maker->run(rig->loop); /* nobody read it: again */
	assert_string_equal(rig->trace, "rr");

	r.watch.interest = 0; /* known, and silent */
	assert_int_equal(loop_watch(rig->loop, &r.watch), 0);
	struct alarm z = alarm_of(rig, 'z');
	alarm_set(&z, 2 * MS);
	maker->run(rig->loop);
	assert_string_equal(rig->trace, "rrz");

	r.watch.interest = LOOP_READABLE;
	assert_int_equal(loop_watch(rig->loop, &r.watch), 0);
	maker->run(rig->loop);
	assert_string_equal(rig->trace, "rrzr");
	loop_unwatch(rig->loop, &r.watch);
	alarm_set(&z, 2 * MS);
	maker->run(rig->loop);
	assert_string_equal(rig->trace, "rrzrz");
}

static void test_hang_up_is_told_to_readers_and_not_to_the_silent(void **state)
{
	struct rig *rig = *state;
	struct look r = look_of(rig, 'r', rig->pipe[0], 0);
	assert_int_equal(loop_watch(rig->loop, &r.watch), 0);
	close(rig->pipe[1]);
	struct alarm z = alarm_of(rig, 'z');
	alarm_set(&z, 2 * MS);
	maker->run(rig->loop);
	assert_string_equal(rig->trace, "z");
	r.watch.interest = LOOP_READABLE;
	assert_int_equal(loop_watch(rig->loop, &r.watch), 0);
	maker->run(rig->loop);
	assert_string_equal(rig->trace, "zr");
	loop_unwatch(rig->loop, &r.watch);
	rig->pipe[1] = dup(rig->pipe[0]); /* for the teardown */
}

static void test_unwatched_by_a_neighbour_is_not_called(void **state)
{
	struct rig *rig = *state;
	int second[2];
	assert_int_equal(pipe(second), 0);
	struct look a = look_of(rig, 'a', rig->pipe[1], LOOP_WRITABLE);
	struct look b = look_of(rig, 'a', second[1], LOOP_WRITABLE);
	a.unwatches = &b;
	b.unwatches = &a;
	assert_int_equal(loop_watch(rig->loop, &a.watch), 0);
	assert_int_equal(loop_watch(rig->loop, &b.watch), 0);
	maker->run(rig->loop); /* both are ready: one forgets the other */
	assert_string_equal(rig->trace, "a");
	loop_unwatch(rig->loop, &a.watch);
	loop_unwatch(rig->loop, &b.watch);
	close(second[0]);
	close(second[1]);
}

static void test_watch_of_nothing_is_refused(void **state)
{
	struct rig *rig = *state;
	struct look r = look_of(rig, 'r', -1, LOOP_READABLE);
	assert_true(loop_watch(rig->loop, &r.watch) < 0);
}

/* -- hooks -------------------------------------------------------------------- */

struct hook {
	struct loop_hook hook;
	struct rig *rig;
	char letter;
	unsigned turns; /* of more to do */
};

static bool hook_run(struct loop_hook *loop_hook)
{
	struct hook *hook = container_of(loop_hook, struct hook, hook);
	note(hook->rig, hook->letter);
	return hook->turns && --hook->turns;
}

static bool hook_stop(struct loop_hook *loop_hook)
{
	struct hook *hook = container_of(loop_hook, struct hook, hook);
	if (++hook->rig->count == 3)
		maker->stop(hook->rig->loop);
	return hook->rig->count <
		3; /* else the loop would sleep for a minute */
}

static void test_hooks_run_phase_by_phase_in_every_turn(void **state)
{
	struct rig *rig = *state;
	static const enum loop_phase phases[] = {
		LOOP_SEND, LOOP_REAP, LOOP_SUBMIT, LOOP_COMPLETE, LOOP_REAP};
	struct hook hooks[5], stop = {.hook.run = hook_stop, .rig = rig};
	for (int i = 0; i < 5; i++) {
		hooks[i] = (struct hook){
			.hook.run = hook_run, .rig = rig, .letter = "srubR"[i]};
		loop_hook_add(rig->loop, phases[i], &hooks[i].hook);
	}
	loop_hook_add(rig->loop, LOOP_SEND, &stop.hook);
	maker->run(rig->loop);
	for (int i = 0; i < 5; i++)
		loop_hook_remove(rig->loop, phases[i], &hooks[i].hook);
	loop_hook_remove(rig->loop, LOOP_SEND, &stop.hook);
	assert_string_equal(rig->trace, "rRbusrRbusrRbus");
}

static void test_stop_before_run_ends_it(void **state)
{
	struct rig *rig = *state;
	maker->stop(rig->loop);
	maker->run(rig->loop);
	/* And it was for once: the next run waits for its own. */
	struct alarm z = alarm_of(rig, 'z');
	alarm_set(&z, 1 * MS);
	maker->run(rig->loop);
	assert_string_equal(rig->trace, "z");
}

static void test_random_numbers_differ(void **state)
{
	struct rig *rig = *state;
	assert_true(loop_random(rig->loop) != loop_random(rig->loop));
}

#define CASE(test) \
	cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)

int loop_contract_run(const struct loop_maker *of)
{
	const struct CMUnitTest tests[] = {
		CASE(test_timers_run_in_order_of_deadline),
		CASE(test_timer_cleared_by_another_does_not_run),
		CASE(test_timer_sets_itself_again),
		CASE(test_timer_of_now_starves_nobody),
		CASE(test_posts_of_threads_arrive_once_and_in_order),
		CASE(test_message_may_be_posted_from_its_own_callback),
		CASE(test_jobs_work_elsewhere_and_end_here),
		CASE(test_descriptor_is_watched_by_level),
		CASE(test_hang_up_is_told_to_readers_and_not_to_the_silent),
		CASE(test_unwatched_by_a_neighbour_is_not_called),
		CASE(test_watch_of_nothing_is_refused),
		CASE(test_hooks_run_phase_by_phase_in_every_turn),
		CASE(test_stop_before_run_ends_it),
		CASE(test_random_numbers_differ),
	};
	maker = of;
	return cmocka_run_group_tests_name(of->name, tests, NULL, NULL);
}
