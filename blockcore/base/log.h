/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one line per event on standard error, "[TIME ]LEVEL object event: text".
 *
 * Invariants
 *  1. Any thread may log; a line is written with one write(2), never torn.
 *  2. What a peer can provoke asks log_limit_pass first, so that no peer can
 *     fill a disk.
 *  3. Bytes that came from a peer are escaped before they reach the log:
 *     control characters are printed as \xNN.
 */
#ifndef BLOCKCORE_BASE_LOG_H
#define BLOCKCORE_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Lowest level that is printed from now on; LOG_INFO at start. */
void log_set_level(enum log_level level);

/* Whether lines begin with the time, "2026-11-23T20:49:12.305Z "; not at start,
 * as a journal that reads standard error knows the time itself. */
void log_set_times(bool times);

/* "error" "warning" "info" "debug" -> *level; false if it is none of them. */
bool log_level_from_name(const char *name, enum log_level *level);

/* `object` names what the line is about ("volume demo"), `event` is one or two
 * words that a script can look for ("login"), the rest is for people. */
void log_write(enum log_level level, const char *object, const char *event,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

#define log_error(object, event, ...) \
	log_write(LOG_ERROR, object, event, __VA_ARGS__)
#define log_warning(object, event, ...) \
	log_write(LOG_WARNING, object, event, __VA_ARGS__)
#define log_info(object, event, ...) \
	log_write(LOG_INFO, object, event, __VA_ARGS__)
#define log_debug(object, event, ...) \
	log_write(LOG_DEBUG, object, event, __VA_ARGS__)

/* A token bucket for one place in the code or one object; zeroed memory is a
 * valid start. Holds no lock: one per thread or per object. */
struct log_limit {
	uint64_t window_start_s;
	uint32_t printed, swallowed;
};

/* True if a line may be printed now (at most 10 in 5 s). When it becomes true
 * again, *swallowed says how many were not printed since. */
bool log_limit_pass(struct log_limit *limit, uint32_t *swallowed);

/* Copies `text` of `length` bytes to `out` with what is not printable ASCII
 * escaped, always terminated; returns `out`. Cuts at `size`. */
const char *log_escape(
	char *out, unsigned size, const void *text, unsigned length);

#endif
