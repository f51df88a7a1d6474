/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coroutines: order of running, nesting, pooling, the mutex, deep stacks, and
 * that callee-saved state survives a switch. TSAN: yes
 */
#include "blockcore/base/asan.h"
#include "blockcore/base/co.h"
#include "tests/lib/crash_child.h"

#include <fenv.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct script {
	char log[256];
	size_t used;
	struct co *co[4];
	struct co_mutex mutex;
};

static void note(struct script *s, char c)
{
	assert_true(s->used + 1 < sizeof s->log);
	s->log[s->used++] = c;
	s->log[s->used] = '\0';
}

static void ends_at_once(void *arg)
{
	assert_non_null(co_self());
	note(arg, 'a');
}

static void test_runs_at_once(void **state)
{
	struct script s = {.used = 0};

	(void)state;
	assert_null(co_self());
	assert_true(co_start(ends_at_once, &s));
	assert_null(co_self());
	assert_int_equal(co_alive(), 0);
	assert_string_equal(s.log, "a");
}

static void yields_twice(void *arg)
{
	struct script *s = arg;

	s->co[0] = co_self();
	note(s, 'a');
	co_yield ();
	note(s, 'b');
	co_yield ();
	note(s, 'c');
}

static void test_goes_on_where_it_yielded(void **state)
{
	struct script s = {.used = 0};

	(void)state;
	assert_true(co_start(yields_twice, &s));
	note(&s, '1');
	assert_int_equal(co_alive(), 1);
	co_resume(s.co[0]);
	note(&s, '2');
	co_resume(s.co[0]);
	assert_string_equal(s.log, "a1b2c");
	assert_int_equal(co_alive(), 0);
}

static void starts_another(void *arg)
{
	struct script *s = arg;
	struct co *self = co_self();

	note(s, '(');
	assert_true(co_start(yields_twice, s));
	assert_ptr_equal(co_self(), self);
	note(s, '-');
	co_resume(s->co[0]);
	assert_ptr_equal(co_self(), self);
	note(s, ')');
}

static void test_one_runs_another(void **state)
{
	struct script s = {.used = 0};

	(void)state;
	assert_true(co_start(starts_another, &s));
	note(&s, '.');
	co_resume(s.co[0]);
	assert_string_equal(s.log, "(a-b).c");
	assert_int_equal(co_alive(), 0);
}

#define MANY 300

struct counted {
	struct co *co;
	unsigned number, done;
	uint8_t *memory;
};

/* Leaves memory that only its own stack points to, for the leak checker. */
static void counts_co(struct counted *counted)
{
	uint8_t local[512];
	uint8_t *memory = malloc(64);

	assert_non_null(memory);
	memset(local, (int)counted->number, sizeof local);
	memset(memory, (int)counted->number, 64);
	for (unsigned i = 0; i < 3; i++) {
		co_yield ();
		for (size_t n = 0; n < sizeof local; n++)
			assert_int_equal(local[n], (uint8_t)counted->number);
		assert_memory_equal(memory, local, 64);
		counted->done++;
	}
	free(memory);
}

static void counts(void *arg)
{
	struct counted *counted = arg;

	counted->co = co_self();
	counts_co(counted);
	counted->co = NULL;
}

/* More than the pool holds, twice, so that pooled stacks are used again. */
static void test_many_live_beside_each_other(void **state)
{
	static struct counted all[MANY];

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < MANY; i++) {
			all[i] = (struct counted){.number = i};
			assert_true(co_start(counts, &all[i]));
		}
		assert_int_equal(co_alive(), MANY);
		for (unsigned turn = 0; turn < 3; turn++)
			for (unsigned i = 0; i < MANY; i++)
				co_resume(all[(i * 7) % MANY].co);
		for (unsigned i = 0; i < MANY; i++)
			assert_int_equal(all[i].done, 3);
		assert_int_equal(co_alive(), 0);
	}
}

static void locks(struct script *s, unsigned who)
{
	s->co[who] = co_self();
	co_mutex_lock_co(&s->mutex);
	note(s, (char)('a' + who));
	co_yield ();
	note(s, (char)('A' + who));
	co_mutex_unlock(&s->mutex);
}

static void locks_0(void *arg)
{
	locks(arg, 0);
}

static void locks_1(void *arg)
{
	locks(arg, 1);
}

static void locks_2(void *arg)
{
	locks(arg, 2);
}

static void test_mutex_serves_in_order(void **state)
{
	struct script s = {.used = 0};

	(void)state;
	co_mutex_init(&s.mutex);
	assert_true(co_start(locks_0, &s));
	assert_true(co_start(locks_1, &s));
	assert_true(co_start(locks_2, &s));
	assert_string_equal(s.log, "a");
	co_resume(s.co[0]);
	assert_string_equal(s.log, "aAb");
	assert_true(s.mutex.locked);
	co_resume(s.co[1]);
	co_resume(s.co[2]);
	assert_string_equal(s.log, "aAbBcC");
	assert_false(s.mutex.locked);
	assert_int_equal(co_alive(), 0);
}

/* Recursion over 48 KiB of the stack, all of it written. */
static unsigned dig(unsigned depth)
{
	volatile uint8_t room[1024];

	for (size_t i = 0; i < sizeof room; i++)
		room[i] = (uint8_t)depth;
	return depth ? dig(depth - 1) + room[depth % sizeof room] : room[0];
}

static void digs(void *arg)
{
	*(unsigned *)arg = dig(40);
}

static void test_stack_is_as_large_as_promised(void **state)
{
	unsigned sum = 0;

	(void)state;
	assert_true(co_start(digs, &sum));
	assert_int_equal(sum, 40 * 41 / 2);
}

static void rounds_up(void *arg)
{
	int *modes = arg;

	modes[0] = fegetround();
	fesetround(FE_UPWARD);
	co_yield ();
	modes[1] = fegetround();
	fesetround(FE_TONEAREST);
}

static void resumes_rounding(void *arg)
{
	struct script *s = arg;
	static int modes[2];

	s->co[0] = co_self();
	rounds_up(modes);
	s->used = modes[0] == FE_TONEAREST && modes[1] == FE_UPWARD;
}

/* mxcsr and the x87 control word belong to the callee (ABI 3.2.1). */
static void test_rounding_mode_is_each_ones_own(void **state)
{
	struct script s = {.used = 0};

	(void)state;
	assert_true(co_start(resumes_rounding, &s));
	assert_int_equal(fegetround(), FE_TONEAREST);
	co_resume(s.co[0]);
	assert_int_equal(s.used, 1);
	assert_int_equal(fegetround(), FE_TONEAREST);
}

/* The guards of this process, the only mappings of that size and kind. */
static unsigned guards(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long from, to;
	char rights[8], line[512];
	unsigned count = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof line, maps))
		count += sscanf(line, "%lx-%lx %7s", &from, &to, rights) == 3 &&
			to - from == CO_GUARD_BYTES && !strcmp(rights, "---p");
	fclose(maps);
	return count;
}

static void test_as_many_as_agreed_on_are_pooled(void **state)
{
	static struct counted all[MANY];
	unsigned before;

	(void)state;
	co_thread_fini();
	before = guards();
	for (unsigned i = 0; i < MANY; i++)
		assert_true(co_start(counts, &all[i]));
	assert_int_equal(guards(), before + MANY);
	for (unsigned i = 0; i < 3 * MANY; i++)
		co_resume(all[i % MANY].co);
	assert_int_equal(guards(), before + CO_POOL_MAX);
	for (unsigned i = 0; i < CO_POOL_MAX; i++)
		assert_true(co_start(counts, &all[i]));
	assert_int_equal(guards(), before + CO_POOL_MAX);
	for (unsigned i = 0; i < 3 * CO_POOL_MAX; i++)
		co_resume(all[i % CO_POOL_MAX].co);
	co_thread_fini();
	assert_int_equal(guards(), before);
}

static uintptr_t top; /* somewhere at the top of the stack that overflows */

/* Under AddressSanitizer stacks are four times as large. */
#ifdef CAIRN_ASAN
#define STACK_BYTES (CO_STACK_BYTES * 4)
#else
#define STACK_BYTES CO_STACK_BYTES
#endif

/* Ends the child with 7 if the fault was in the guard below that stack. */
static void on_fault(int number, siginfo_t *info, void *context)
{
	uintptr_t depth = top - (uintptr_t)info->si_addr;

	(void)number;
	(void)context;
	_exit(depth > STACK_BYTES - 4096 && depth < STACK_BYTES + CO_GUARD_BYTES
			? 7
			: 8);
}

static void overflows(void *arg)
{
	(void)arg;
	top = (uintptr_t)__builtin_frame_address(0);
	crash_by_depth();
}

static void expect_fault_in_guard(void (*entry)(void *arg))
{
	static uint8_t handler_stack[64u << 10];
	const stack_t stack = {
		.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
	struct sigaction action = {
		.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	struct script upper = {.used = 0}, lower = {.used = 0};
	pid_t child = fork();
	int status = 0;

	assert_true(child >= 0);
	if (child == 0) {
		sigaltstack(&stack, NULL);
		sigaction(SIGSEGV, &action, NULL);
		/* Of two stacks the kernel puts the later one right below:
		 * `entry` gets the upper one. */
		co_start(yields_twice, &upper);
		co_start(yields_twice, &lower);
		co_resume(upper.co[0]);
		co_resume(upper.co[0]);
		co_start(entry, NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
}

static void test_overflow_meets_the_guard(void **state)
{
	(void)state;
	expect_fault_in_guard(overflows);
}

/* As a frame of 16 KiB, the largest that is compiled, at the very end of the stack:
 * its far end is written first, which a guard of one page would not meet. */
static void leaps(void *arg)
{
	(void)arg;
	top = (uintptr_t)__builtin_frame_address(0);
	*(volatile uint8_t *)(top - STACK_BYTES - 16384) = 1;
}

static void test_a_large_frame_does_not_leap_over_it(void **state)
{
	(void)state;
	expect_fault_in_guard(leaps);
}

static void *thread_main(void *arg)
{
	struct script *s = arg;

	co_mutex_init(&s->mutex);
	co_start(locks_0, s);
	co_start(locks_1, s);
	co_resume(s->co[0]);
	co_resume(s->co[1]);
	s->used = co_alive() == 0 ? s->used : 0;
	co_thread_fini();
	return NULL;
}

static void test_threads_have_their_own(void **state)
{
	struct script s[3] = {{.used = 0}};
	pthread_t threads[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, thread_main, &s[i]),
			0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(s[i].used, 4);
		assert_string_equal(s[i].log, "aAbB");
	}
}

/* One that must wait for memory is refused, those that live go on. */
static void test_limit_refuses_one_more(void **state)
{
	struct script s = {.used = 0}, other = {.used = 0};

	(void)state;
	co_thread_limit(1);
	assert_true(co_start(yields_twice, &s));
	assert_false(co_start(ends_at_once, &other));
	assert_int_equal(co_alive(), 1);
	co_resume(s.co[0]);
	co_resume(s.co[0]);
	assert_true(co_start(ends_at_once, &other));
	co_thread_limit(0);
	assert_string_equal(s.log, "abc");
	assert_string_equal(other.log, "a");
}

static int fini(void **state)
{
	(void)state;
	co_thread_fini();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs_at_once),
		cmocka_unit_test(test_goes_on_where_it_yielded),
		cmocka_unit_test(test_one_runs_another),
		cmocka_unit_test(test_many_live_beside_each_other),
		cmocka_unit_test(test_mutex_serves_in_order),
		cmocka_unit_test(test_stack_is_as_large_as_promised),
		cmocka_unit_test(test_rounding_mode_is_each_ones_own),
		cmocka_unit_test(test_as_many_as_agreed_on_are_pooled),
		cmocka_unit_test(test_overflow_meets_the_guard),
		cmocka_unit_test(test_a_large_frame_does_not_leap_over_it),
		cmocka_unit_test(test_threads_have_their_own),
		cmocka_unit_test(test_limit_refuses_one_more),
	};

	return cmocka_run_group_tests(tests, NULL, fini);
}
