/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log. A line is put together in one array on the stack and leaves with one
 * write(2); control characters are escaped here too, whatever callers forgot.
 */
#include "blockcore/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 1024u
#define LIMIT_LINES 10u
#define LIMIT_WINDOW_S 5u

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static _Atomic int lowest = LOG_INFO;
static _Atomic bool times_wanted;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&lowest, (int)level, memory_order_relaxed);
}

void log_set_times(bool times)
{
	atomic_store_explicit(&times_wanted, times, memory_order_relaxed);
}

bool log_level_from_name(const char *name, enum log_level *level)
{
	for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
		if (!strcmp(name, level_names[i])) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

/* Adds one byte to `out`, as \xNN if `escape`; false if it does not fit
 * before `end` together with a terminator. */
static bool put_byte(char **out, const char *end, uint8_t byte, bool escape)
{
	static const char hex[] = "0123456789abcdef";
	char *p = *out;

	if (end - p < (escape ? 5 : 2))
		return false;
	if (escape) {
		*p++ = '\\';
		*p++ = 'x';
		*p++ = hex[byte >> 4];
		*p++ = hex[byte & 15];
	} else {
		*p++ = (char)byte;
	}
	*out = p;
	return true;
}

const char *log_escape(
	char *out, unsigned size, const void *text, unsigned length)
{
	const uint8_t *from = text;
	char *p = out;

	if (!size)
		return out;
	for (unsigned i = 0; i < length; i++) {
		bool escape =
			from[i] < 0x20 || from[i] > 0x7e || from[i] == '\\';
		if (!put_byte(&p, out + size, from[i], escape))
			break;
	}
	*p = '\0';
	return out;
}

/* Standard error may be a pipe that a signal interrupts or that has no reader:
 * a log that cannot be written is lost, never a reason to fail. */
static void write_line(const char *line, size_t bytes)
{
	int saved = errno;
	ssize_t done;

	do {
		done = write(STDERR_FILENO, line, bytes);
	} while (done < 0 && errno == EINTR);
	errno = saved;
}

/* "2026-11-23T20:49:12.305Z " in UTC, or nothing; returns its length. */
static size_t put_time(char *out, size_t size)
{
	struct timespec now;
	struct tm utc;
	size_t length;

	if (!atomic_load_explicit(&times_wanted, memory_order_relaxed))
		return 0;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	length = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &utc);
	return length +
		(size_t)snprintf(out + length, size - length, ".%03uZ ",
			(unsigned)(now.tv_nsec / 1000000) % 1000);
}

void log_write(enum log_level level, const char *object, const char *event,
	const char *format, ...)
{
	char text[LINE_BYTES], line[LINE_BYTES], *p = line;
	va_list args;
	size_t used;
	int more;

	if ((int)level > atomic_load_explicit(&lowest, memory_order_relaxed))
		return;
	used = put_time(text, sizeof text);
	more = snprintf(text + used, sizeof text - used,
		"%s %s %s: ", level_names[level], object, event);
	if (more < 0)
		return;
	used += (size_t)more;
	if (used >= sizeof text)
		used = sizeof text - 1;
	va_start(args, format);
	more = vsnprintf(text + used, sizeof text - used, format, args);
	va_end(args);
	if (more < 0)
		text[used] = '\0';
	for (const char *from = text; *from; from++) {
		uint8_t byte = (uint8_t)*from;
		if (!put_byte(&p, line + sizeof line, byte,
			    byte < 0x20 || byte == 0x7f))
			break;
	}
	*p++ = '\n';
	write_line(line, (size_t)(p - line));
}

bool log_limit_pass(struct log_limit *limit, uint32_t *swallowed)
{
	struct timespec now;
	uint64_t now_s;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	now_s = (uint64_t)now.tv_sec;
	if (now_s - limit->window_start_s >= LIMIT_WINDOW_S) {
		limit->window_start_s = now_s;
		limit->printed = 0;
	}
	if (limit->printed == LIMIT_LINES) {
		limit->swallowed++;
		return false;
	}
	limit->printed++;
	*swallowed = limit->swallowed;
	limit->swallowed = 0;
	return true;
}
