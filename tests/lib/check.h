/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks for test code that runs on stacks and threads cmocka cannot jump out of
 * (coroutines, lanes): one that fails says where and ends the program.
 */
#ifndef TESTS_LIB_CHECK_H
#define TESTS_LIB_CHECK_H

#include "blockcore/base/err.h"

#include <stdint.h>

#define CHECK(condition) \
	((condition) ? (void)0 \
		     : check_fail(__FILE__, __LINE__, "%s", #condition))
#define CHECK_INT(value, expected) \
	check_int(__FILE__, __LINE__, #value, (int64_t)(value), \
		(int64_t)(expected))
/* `err` set and its text holds `part`. */
#define CHECK_ERR(err, part) check_err(__FILE__, __LINE__, (err), (part))
/* `part` in `text`, which has it. */
#define CHECK_FIND(text, part) check_find(__FILE__, __LINE__, (text), (part))

_Noreturn void check_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void check_int(const char *file, int line, const char *what, int64_t value,
	int64_t expected);
void check_err(
	const char *file, int line, const struct err *err, const char *part);

const char *check_find(
	const char *file, int line, const char *text, const char *part);

#endif
