/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header.
 */
#include "tests/lib/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void check_fail(const char *file, int line, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "%s:%d: ", file, line);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	abort();
}

void check_int(const char *file, int line, const char *what, int64_t value,
	int64_t expected)
{
	if (value != expected)
		check_fail(file, line, "%s is %lld, not %lld", what,
			(long long)value, (long long)expected);
}

void check_err(
	const char *file, int line, const struct err *err, const char *part)
{
	if (!err->code || !strstr(err->text, part))
		check_fail(file, line, "error %d '%s' lacks '%s'", err->code,
			err->text, part);
}

const char *check_find(
	const char *file, int line, const char *text, const char *part)
{
	const char *at = strstr(text, part);

	if (at)
		return at;
	check_fail(file, line, "no '%s' in %s", part, text);
}
