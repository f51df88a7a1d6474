/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a listener costs: nothing is allocated per request, in any listener or in
 * the protocol file; and (without sanitizers) how many nanoseconds of CPU each
 * adds to a request, printed as figures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/stack_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEPTH 32u
#define BYTES 4096u
#define ALLOCATION_ROUNDS 40u
#define TIMED_ROUNDS 2000u
#define REPEATS 7u
/* Far more than any costs, far less than an allocation on a bad day. */
#define MOST_NS 2000

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

static const struct {
	const char *name, *listeners;
} rows[] = {
	{"none", ""},
	{"stats", "{type: stats, name: a}"},
	{"readonly", "{type: readonly, name: a}"},
	{"throttle", "{type: throttle, name: a}"},
	{"throttle-limited",
		"{type: throttle, name: a, iops: 900000000, bytes_s: 1T}"},
	{"delay", "{type: delay, name: a}"},
	{"fault", "{type: fault, name: a}"},
	{"fault-one-rule",
		"{type: fault, name: a, rules: [{op: discard, offset: 1M}]}"},
	{"all",
		"{type: stats, name: a}, {type: throttle, name: b}, "
		"{type: delay, name: c}, {type: fault, name: d}"},
};
#define ROWS (sizeof rows / sizeof rows[0])

static struct block_source *build_co(
	struct stack_rig *rig, size_t row, const char *bottom)
{
	char document[512];

	snprintf(document, sizeof document, "{listeners: [%s], protocol: {%s}}",
		rows[row].listeners, bottom);
	return stack_rig_source_co(rig, document);
}

/* Reads of DEPTH at a time. */
static void load_co(
	struct stack_rig *rig, struct block_source *source, unsigned rounds)
{
	static struct stack_rig_request request[DEPTH];
	static uint8_t data[DEPTH * BYTES] __attribute__((aligned(4096)));
	struct block_lane *lane = block_core_lane(rig->core, 0);
	unsigned round, i;

	for (round = 0; round < rounds; round++) {
		for (i = 0; i < DEPTH; i++)
			stack_rig_submit(source, lane, &request[i], BLOCK_READ,
				0, (uint64_t)i * BYTES, BYTES,
				data + i * BYTES);
		for (i = 0; i < DEPTH; i++)
			CHECK_INT(stack_rig_wait_co(&request[i]), 0);
	}
}

/* -- allocations ---------------------------------------------------------- */

/* AddressSanitizer's; absent without it. */
int __sanitizer_install_malloc_and_free_hooks(
	void (*malloc_hook)(const volatile void *, size_t),
	void (*free_hook)(const volatile void *)) __attribute__((weak));

static _Thread_local bool counting;
static _Thread_local uint64_t allocations;

static void on_malloc(const volatile void *memory, size_t bytes)
{
	(void)memory;
	(void)bytes;
	if (counting)
		allocations++;
}

static void on_free(const volatile void *memory)
{
	(void)memory;
}

static void test_allocations_co(struct stack_rig *rig, void *bottom)
{
	size_t row;

	allocations = 0;
	counting = true;
	free(stack_rig_pattern(1, 1));
	counting = false;
	CHECK_INT(allocations, 1); /* they are seen */
	for (row = 0; row < ROWS; row++) {
		struct block_source *source = build_co(rig, row, bottom);

		load_co(rig, source, 4); /* warms the slabs */
		allocations = 0;
		counting = true;
		load_co(rig, source, ALLOCATION_ROUNDS);
		counting = false;
		if (allocations)
			check_fail(__FILE__, __LINE__, "%s: %llu allocations",
				rows[row].name,
				(unsigned long long)allocations);
		block_source_put_co(source);
	}
}

static void no_allocations(const char *world, const char *bottom)
{
	struct stack_rig_setup setup = {.world = world, .lanes = 1};

	if (!__sanitizer_install_malloc_and_free_hooks)
		skip();
	stack_rig_test(&setup, test_allocations_co, (void *)bottom);
}

static void test_allocations_null(void **state)
{
	(void)state;
	no_allocations("threads", "type: null, size: 1M");
}

static void test_allocations_threads(void **state)
{
	(void)state;
	no_allocations("threads", "type: file, path: disk, size: 1M");
}

static void test_allocations_uring(void **state)
{
	(void)state;
	no_allocations("io_uring", "type: file, path: disk, size: 1M");
}

/* -- time ----------------------------------------------------------------- */

static double cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void test_time_co(struct stack_rig *rig, void *argument)
{
	static double took_ns[ROWS][REPEATS];
	struct block_source *source[ROWS];
	unsigned rounds = SANITIZED ? 10 : TIMED_ROUNDS;
	size_t row, repeat;

	(void)argument;
	for (row = 0; row < ROWS; row++)
		source[row] = build_co(rig, row, "type: null, size: 1M");
	for (repeat = 0; repeat < REPEATS; repeat++) {
		for (row = 0; row < ROWS; row++) {
			double from_ns = cpu_ns();

			load_co(rig, source[row], rounds);
			took_ns[row][repeat] =
				(cpu_ns() - from_ns) / rounds / DEPTH;
		}
	}
	for (row = 0; row < ROWS; row++) {
		double added_ns;

		qsort(took_ns[row], REPEATS, sizeof(double), by_value);
		added_ns = took_ns[row][REPEATS / 2] - took_ns[0][REPEATS / 2];
		if (!SANITIZED) {
			CHECK(added_ns < MOST_NS);
			printf("figure listener-cost-%s-ns value=%.0f\n",
				rows[row].name,
				row ? added_ns : took_ns[0][REPEATS / 2]);
		}
		block_source_put_co(source[row]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allocations_null),
		cmocka_unit_test(test_allocations_threads),
		cmocka_unit_test(test_allocations_uring),
		STACK_RIG_CASE(
			test_time_co, threads, .world = "threads", .lanes = 1),
	};

	if (__sanitizer_install_malloc_and_free_hooks)
		__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
