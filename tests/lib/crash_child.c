/* SPDX-License-Identifier: Apache-2.0 */
/* See crash_child.h. The handlers of cmocka and of sanitizers are put away first. */
#include "tests/lib/crash_child.h"

#include "blockcore/base/trace.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

void crash_child_mark(void)
{
	trace(session_up, 0xabc, 1);
}

static void child(void (*crash)(void), int standard_error)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT};

	dup2(standard_error, STDERR_FILENO);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		signal(signals[i], SIG_DFL);
	trace_install_crash_handler();
	crash();
	_exit(0);
}

int crash_child(void (*crash)(void), char *out, size_t size)
{
	int pipes[2], status = 0;
	size_t used = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(pipes[0]);
		child(crash, pipes[1]);
	}
	close(pipes[1]);
	while ((n = read(pipes[0], out + used, size - 1 - used)) > 0)
		used += (size_t)n;
	out[used] = '\0';
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

void crash_child_check(void (*crash)(void), int number, const char *name)
{
	static char text[1 << 20];
	int status = crash_child(crash, text, sizeof text);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), number);
	if (!strstr(text, name) || !strstr(text, " session_up 0xabc 0x1\n"))
		fail_msg("no dump: \"%.200s\"", text);
}

void crash_by_write(void)
{
	volatile int *nowhere =
		mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*nowhere = 1;
}

static unsigned dig(unsigned depth)
{
	volatile uint8_t room[1024];

	for (size_t i = 0; i < sizeof room; i++)
		room[i] = (uint8_t)depth;
	return depth ? dig(depth - 1) + room[depth % sizeof room] : room[0];
}

void crash_by_depth(void)
{
	_exit(dig(1u << 20) ? 1 : 2);
}
