/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flight recorder: one ring of records per thread, written with plain
 * stores and printed with write(2) only, as a signal handler must.
 */
#include "blockcore/base/trace.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SIGNAL_STACK_BYTES (32u << 10)

static const char *const point_names[] = {
#define X(name, a, b) [TRACE_##name] = #name,
	TRACE_POINTS(X)
#undef X
};

_Thread_local struct trace_recorder trace_recorder;

uint64_t trace_read_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	uint64_t now_ns =
		(uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	if (trace_recorder.turns)
		trace_recorder.now_ns = now_ns;
	return now_ns;
}

/* -- printing, without stdio ------------------------------------------------ */

struct text {
	char bytes[4096];
	size_t used;
	int fd;
};

static void flush(struct text *text)
{
	size_t done = 0;

	while (done < text->used) {
		ssize_t n =
			write(text->fd, text->bytes + done, text->used - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	text->used = 0;
}

static void add_bytes(struct text *text, const char *bytes, size_t length)
{
	if (sizeof text->bytes - text->used < length)
		flush(text);
	memcpy(text->bytes + text->used, bytes, length);
	text->used += length;
}

static void add(struct text *text, const char *string)
{
	add_bytes(text, string, strlen(string));
}

static void add_number(struct text *text, uint64_t value, unsigned base)
{
	char digits[20];
	size_t at = sizeof digits;

	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	add_bytes(text, digits + at, sizeof digits - at);
}

static void add_record(struct text *text, const struct trace_record *record)
{
	add_number(text, record->sequence, 10);
	add(text, " ");
	add_number(text, record->time_ns, 10);
	add(text, " ");
	add(text,
		record->point < TRACE_POINT_COUNT ? point_names[record->point]
						  : "?");
	add(text, " 0x");
	add_number(text, record->a, 16);
	add(text, " 0x");
	add_number(text, record->b, 16);
	add(text, "\n");
}

void trace_dump(int fd)
{
	uint32_t end = trace_recorder.next;
	uint32_t count = end < TRACE_RECORDS ? end : TRACE_RECORDS;
	struct text text = {.fd = fd};
	int saved = errno;

	for (uint32_t i = end - count; i != end; i++) {
		const struct trace_record *record =
			&trace_recorder.records[i % TRACE_RECORDS];
		if (record->sequence == i)
			add_record(&text, record);
	}
	flush(&text);
	errno = saved;
}

/* -- crashes ---------------------------------------------------------------- */

static const struct {
	int number;
	const char *name;
} crash_signals[] = {
	{SIGSEGV, "SIGSEGV"},
	{SIGBUS, "SIGBUS"},
	{SIGILL, "SIGILL"},
	{SIGFPE, "SIGFPE"},
	{SIGABRT, "SIGABRT"},
};

#define CRASH_SIGNALS (sizeof crash_signals / sizeof crash_signals[0])

static struct sigaction actions_before[CRASH_SIGNALS];

static void print_headline(const char *name)
{
	struct text text = {.fd = STDERR_FILENO};

	add(&text, "error cairn crash: ");
	add(&text, name);
	add(&text, " in thread ");
	add_number(&text, (uint64_t)gettid(), 10);
	add(&text, "; last trace points (number, ns, name, a, b):\n");
	flush(&text);
}

/* Puts the former action back. A fault happens again when we return; a signal
 * that was sent has to be sent again. */
static void on_crash(int number, siginfo_t *info, void *context)
{
	(void)context;
	for (size_t i = 0; i < CRASH_SIGNALS; i++) {
		if (crash_signals[i].number != number)
			continue;
		sigaction(number, &actions_before[i], NULL);
		print_headline(crash_signals[i].name);
	}
	trace_dump(STDERR_FILENO);
	if (info->si_code <= 0)
		raise(number);
}

void trace_install_crash_handler(void)
{
	struct sigaction action = {
		.sa_sigaction = on_crash,
		.sa_flags = SA_SIGINFO | SA_ONSTACK,
	};

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < CRASH_SIGNALS; i++) {
		int r = sigaction(
			crash_signals[i].number, &action, &actions_before[i]);
		assert(r == 0);
	}
	trace_thread_init();
}

void trace_open_crash_signals(sigset_t *blocked)
{
	for (size_t i = 0; i < CRASH_SIGNALS; i++)
		sigdelset(blocked, crash_signals[i].number);
}

void trace_thread_init(void)
{
	static _Thread_local char bytes[SIGNAL_STACK_BYTES];
	stack_t stack = {.ss_sp = bytes, .ss_size = sizeof bytes}, now;
	int r = sigaltstack(NULL, &now);

	assert(r == 0);
	if (!(now.ss_flags & SS_DISABLE))
		return; /* a sanitizer's, which unmaps it at the end */
	r = sigaltstack(&stack, NULL);
	assert(r == 0);
}
