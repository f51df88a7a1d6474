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
	err_allow(err, NULL, NULL, NULL);
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

int err_allow(struct err *err, err_name_at *name_at, const void *table,
	const char *const *more)
{
	if (!err)
		return -EINVAL;
	err->allowed_at = name_at;
	err->allowed_table = table;
	err->allowed_more = more;
	return -err->code;
}

const char *err_allowed(const struct err *err, unsigned i)
{
	unsigned count = 0;
	const char *name = NULL;

	while (err->allowed_at &&
		(name = err->allowed_at(err->allowed_table, count)) &&
		count < i)
		count++;
	if (name)
		return name;
	for (const char *const *more = err->allowed_more; more && *more;
		more++, count++) {
		if (count == i)
			return *more;
	}
	return NULL;
}

int err_list_allowed(struct err *err)
{
	static const char rest[] = ", ...";
	const char *name;

	if (!err)
		return -EINVAL;
	for (unsigned i = 0; (name = err_allowed(err, i)); i++) {
		size_t left = sizeof err->text - strlen(err->text);
		if (strlen(name) + 2 + sizeof rest > left) {
			append(err->text, sizeof err->text, rest);
			break;
		}
		append(err->text, sizeof err->text, i ? ", " : "");
		append(err->text, sizeof err->text, name);
	}
	return -err->code;
}
