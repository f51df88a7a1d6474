/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of the configuration path. Texts are formatted aside first, so that an
 * argument may point into the text that is replaced.
 */
#include "blockcore/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *format, ...)
{
	char text[ERR_TEXT_BYTES];
	va_list args;

	if (!err)
		return -code;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	err->code = code;
	err->pointer[0] = '\0';
	memcpy(err->text, text, sizeof text);
	return -code;
}

/* Appends `tail` to the string in `text`, cut at the end of the array. */
static void append(char *text, size_t size, const char *tail)
{
	size_t used = strlen(text), length = strlen(tail);

	if (length > size - 1 - used)
		length = size - 1 - used;
	memcpy(text + used, tail, length);
	text[used + length] = '\0';
}

int err_wrap(struct err *err, const char *format, ...)
{
	char text[ERR_TEXT_BYTES];
	va_list args;

	if (!err)
		return -EINVAL;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	append(text, sizeof text, ": ");
	append(text, sizeof text, err->text);
	memcpy(err->text, text, sizeof text);
	return -err->code;
}

int err_point(struct err *err, const char *pointer)
{
	if (!err)
		return -EINVAL;
	snprintf(err->pointer, sizeof err->pointer, "%s", pointer);
	return -err->code;
}
