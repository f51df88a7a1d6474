/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often may be guessed, on a virtual clock: 5 a minute, then waits that double;
 * by whom and from where it counts; bounded whatever strangers do; by two threads.
 *
 * TSAN: yes
 */
#include "target/control/trust/limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>

#define S 1000ull

static int make(void **state)
{
	*state = limiter_new();
	return *state ? 0 : -1;
}

static int end(void **state)
{
	limiter_free(*state);
	return 0;
}

static uint32_t take(struct limiter *l, enum limiter_door door,
	const char *account, const char *address, uint64_t now_ms)
{
	struct limiter_try try = {door, account, address};
	return limiter_take(l, &try, now_ms);
}

static void right(struct limiter *l, enum limiter_door door,
	const char *account, const char *address, uint64_t now_ms)
{
	struct limiter_try try = {door, account, address};
	limiter_right(l, &try, now_ms);
}

static void five_then_waits_that_double(void **state)
{
	static const uint64_t waits[] = {60, 120, 240, 480, 900, 900};
	uint64_t now = 1000 * S;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(
			take(*state, LIMITER_WEB, "a", "192.0.2.1", now), 0);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(
			take(*state, LIMITER_WEB, "a", "192.0.2.1", now),
			waits[i]);
		now += waits[i] * S;
		assert_int_equal(
			take(*state, LIMITER_WEB, "a", "192.0.2.1", now - 1),
			1);
		assert_int_equal(
			take(*state, LIMITER_WEB, "a", "192.0.2.1", now), 0);
	}
	now += 4600 * S; /* an hour after the last wait */
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(
			take(*state, LIMITER_WEB, "a", "192.0.2.1", now), 0);
}

static void slow_guesses_go_on(void **state)
{
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(
			take(*state, LIMITER_WEB, "a", "192.0.2.1", i * 12 * S),
			0);
}

static void right_ones_cost_nothing(void **state)
{
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(
			take(*state, LIMITER_WEB, "a", "192.0.2.1", 5 * S), 0);
		right(*state, LIMITER_WEB, "a", "192.0.2.1", 5 * S);
	}
	for (unsigned i = 0; i < 4; i++)
		take(*state, LIMITER_WEB, "a", "192.0.2.1", 5 * S);
	/* The fifth was right: no wait remains. */
	assert_int_equal(take(*state, LIMITER_WEB, "a", "192.0.2.1", 5 * S), 0);
	right(*state, LIMITER_WEB, "a", "192.0.2.1", 5 * S);
	assert_int_equal(take(*state, LIMITER_WEB, "a", "192.0.2.1", 5 * S), 0);
}

static void a_64_is_one_place(void **state)
{
	char address[64];
	for (unsigned i = 0; i < 5; i++) {
		snprintf(address, sizeof address, "2001:db8::%x", i + 1);
		assert_int_equal(take(*state, LIMITER_WEB, "a", address, S), 0);
	}
	assert_int_equal(take(*state, LIMITER_WEB, "b", "2001:db8::99", S), 60);
	assert_int_equal(
		take(*state, LIMITER_WEB, "b", "2001:db8:0:1::1", S), 0);
	for (unsigned i = 0; i < 5; i++)
		take(*state, LIMITER_WEB, "c", "192.0.2.1", S);
	assert_int_equal(
		take(*state, LIMITER_WEB, "d", "::ffff:192.0.2.1", S), 60);
}

static void a_bad_host_does_not_stop_its_neighbours(void **state)
{
	for (unsigned i = 0; i < 50; i++)
		take(*state, LIMITER_CHAP, "bad", "192.0.2.1", S);
	assert_int_equal(take(*state, LIMITER_CHAP, "bad", "192.0.2.1", S), 60);
	assert_int_equal(take(*state, LIMITER_CHAP, "good", "192.0.2.1", S), 0);
	assert_int_equal(take(*state, LIMITER_WEB, "good", "192.0.2.1", S), 0);
}

static void known_places_pass(void **state)
{
	char address[64];
	right(*state, LIMITER_CHAP, "web", "192.0.2.1", S);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(address, sizeof address, "198.51.100.%u", i);
		take(*state, LIMITER_CHAP, "web", address, S);
	}
	assert_true(take(*state, LIMITER_CHAP, "web", "203.0.113.1", S) > 0);
	assert_int_equal(take(*state, LIMITER_CHAP, "web", "192.0.2.1", S), 0);
}

static void bounded_by_whatever_comes(void **state)
{
	char account[32], address[64];
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(account, sizeof account, "u%u", i);
		snprintf(address, sizeof address, "2001:db8:%x:%x::1", i >> 16,
			i & 0xffff);
		take(*state, i % 2 ? LIMITER_WEB : LIMITER_CHAP, account,
			address, i);
		right(*state, LIMITER_CHAP, account, address, i);
	}
	assert_int_equal(limiter_tries(*state), LIMITER_MAX_TRIES);
}

static void *guess(void *limiter)
{
	uintptr_t passed = 0;
	for (unsigned i = 0; i < 2000; i++)
		passed += !take(limiter, LIMITER_WEB, "a", "192.0.2.1", S);
	return (void *)passed;
}

static void beside_each_other_no_more_than_alone(void **state)
{
	pthread_t thread[2];
	uintptr_t passed = 0;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(
			pthread_create(&thread[i], NULL, guess, *state), 0);
	for (unsigned i = 0; i < 2; i++) {
		void *result;
		pthread_join(thread[i], &result);
		passed += (uintptr_t)result;
	}
	assert_int_equal(passed, 5);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, make, end)
	const struct CMUnitTest tests[] = {
		TEST(five_then_waits_that_double),
		TEST(slow_guesses_go_on),
		TEST(right_ones_cost_nothing),
		TEST(a_64_is_one_place),
		TEST(a_bad_host_does_not_stop_its_neighbours),
		TEST(known_places_pass),
		TEST(bounded_by_whatever_comes),
		TEST(beside_each_other_no_more_than_alone),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
