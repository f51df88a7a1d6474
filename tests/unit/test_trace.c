/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flight recorder: order, wrap-around, one per thread, and what is left
 * behind by a crash. TSAN: yes
 */
#include "blockcore/base/trace.h"

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
#include <sys/wait.h>
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

/* Runs `crash` in a child; its standard error to `out`, its wait status back. */
static int child_status(void (*crash)(void), char *out, size_t size)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT};
	int pipes[2], status = 0;
	size_t used = 0;
	ssize_t n;
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
			signal(signals[i], SIG_DFL); /* cmocka's before */
		trace_install_crash_handler();
		trace(session_up, 0xabc, 1);
		crash();
		_exit(0);
	}
	close(pipes[1]);
	while ((n = read(pipes[0], out + used, size - 1 - used)) > 0)
		used += (size_t)n;
	out[used] = '\0';
	close(pipes[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void aborts(void)
{
	abort();
}

static void is_sent_a_signal(void)
{
	raise(SIGBUS);
}

static void writes_to_nowhere(void)
{
	volatile int *nowhere =
		mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*nowhere = 1;
}

static void assert_crash_is_dumped(
	void (*crash)(void), int number, const char *name)
{
	static char text[1 << 20];
	int status = child_status(crash, text, sizeof text);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), number);
	assert_non_null(strstr(text, name));
	assert_non_null(strstr(text, " session_up 0xabc 0x1\n"));
}

static void test_abort_is_dumped(void **state)
{
	(void)state;
	assert_crash_is_dumped(aborts, SIGABRT, "SIGABRT");
}

static void test_sent_signal_is_dumped(void **state)
{
	(void)state;
	assert_crash_is_dumped(is_sent_a_signal, SIGBUS, "SIGBUS");
}

static void test_fault_is_dumped(void **state)
{
	(void)state;
	assert_crash_is_dumped(writes_to_nowhere, SIGSEGV, "SIGSEGV");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dump_is_in_order),
		cmocka_unit_test(test_ring_keeps_the_last_records),
		cmocka_unit_test(test_abort_is_dumped),
		cmocka_unit_test(test_sent_signal_is_dumped),
		cmocka_unit_test(test_fault_is_dumped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
