/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flight recorder: order, wrap-around, one per thread, and what is left
 * behind by a crash. TSAN: yes
 */
#include "blockcore/base/co.h"
#include "blockcore/base/thread.h"
#include "blockcore/base/trace.h"
#include "tests/lib/crash_child.h"

#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* What trace_dump writes, as a stream to read lines from. */
static FILE *dump(void)
{
	int fd = memfd_create("dump", MFD_CLOEXEC);

	assert_true(fd >= 0);
	trace_dump(fd);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fdopen(fd, "r");
}

struct line {
	uint32_t sequence;
	uint64_t time_ns, a, b;
	char name[32];
};

static int next_line(FILE *in, struct line *line)
{
	return fscanf(in, "%" SCNu32 " %" SCNu64 " %31s %" SCNx64 " %" SCNx64,
		       &line->sequence, &line->time_ns, line->name, &line->a,
		       &line->b) == 5;
}

static void *records_in_order(void *arg)
{
	struct line first, second, third;
	FILE *in;

	(void)arg;
	trace(pdu_in, 7, 0x01);
	trace(pdu_out, UINT64_MAX, 48);
	in = dump();
	assert_true(next_line(in, &first));
	assert_true(next_line(in, &second));
	assert_false(next_line(in, &third));
	fclose(in);
	assert_string_equal(first.name, "pdu_in");
	assert_int_equal(first.a, 7);
	assert_int_equal(first.b, 1);
	assert_string_equal(second.name, "pdu_out");
	assert_true(second.a == UINT64_MAX);
	assert_int_equal(second.sequence, first.sequence + 1);
	assert_true(second.time_ns >= first.time_ns);
	return NULL;
}

static void run_in_thread(void *(*body)(void *arg))
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, body, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Twice: the second thread sees nothing of the first one. */
static void test_dump_is_in_order(void **state)
{
	(void)state;
	run_in_thread(records_in_order);
	run_in_thread(records_in_order);
}

static void *keeps_the_last(void *arg)
{
	const uint32_t all = 3 * TRACE_RECORDS + 17;
	uint32_t expected = all - TRACE_RECORDS;
	struct line line;
	FILE *in;

	(void)arg;
	for (uint32_t i = 0; i < all; i++)
		trace(ring_submit, i, ~i);
	in = dump();
	for (; next_line(in, &line); expected++) {
		assert_int_equal(line.sequence, expected);
		assert_int_equal(line.a, expected);
	}
	fclose(in);
	assert_int_equal(expected, all);
	return NULL;
}

static void test_ring_keeps_the_last_records(void **state)
{
	(void)state;
	run_in_thread(keeps_the_last);
}

static void aborts(void)
{
	crash_child_mark();
	abort();
}

static void is_sent_a_signal(void)
{
	crash_child_mark();
	raise(SIGBUS);
}

static void writes_to_nowhere(void)
{
	crash_child_mark();
	crash_by_write();
}

static void test_abort_is_dumped(void **state)
{
	(void)state;
	crash_child_check(aborts, SIGABRT, "SIGABRT");
}

static void test_sent_signal_is_dumped(void **state)
{
	(void)state;
	crash_child_check(is_sent_a_signal, SIGBUS, "SIGBUS");
}

static void test_fault_is_dumped(void **state)
{
	(void)state;
	crash_child_check(writes_to_nowhere, SIGSEGV, "SIGSEGV");
}

/* -- on other threads: of those is the I/O --------------------------------------- */

static void in_thread(void *(*body)(void *argument))
{
	pthread_t thread;

	if (thread_start(&thread, NULL, body, NULL))
		_exit(3);
	pthread_join(thread, NULL);
}

static void *faults(void *argument)
{
	(void)argument;
	writes_to_nowhere();
	return NULL;
}

static void overflows(void *argument)
{
	(void)argument;
	crash_child_mark();
	crash_by_depth();
}

static void *overflows_in_coroutine(void *argument)
{
	co_start(overflows, argument);
	return NULL;
}

static void thread_faults(void)
{
	in_thread(faults);
}

static void thread_overflows(void)
{
	in_thread(overflows_in_coroutine);
}

static void test_fault_of_a_thread_is_dumped(void **state)
{
	(void)state;
	crash_child_check(thread_faults, SIGSEGV, "SIGSEGV");
}

static void test_overflow_of_a_coroutine_is_dumped(void **state)
{
	(void)state;
	crash_child_check(thread_overflows, SIGSEGV, "SIGSEGV");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dump_is_in_order),
		cmocka_unit_test(test_ring_keeps_the_last_records),
		cmocka_unit_test(test_abort_is_dumped),
		cmocka_unit_test(test_sent_signal_is_dumped),
		cmocka_unit_test(test_fault_is_dumped),
		cmocka_unit_test(test_fault_of_a_thread_is_dumped),
		cmocka_unit_test(test_overflow_of_a_coroutine_is_dumped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
