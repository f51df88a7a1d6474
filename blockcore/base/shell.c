/* SPDX-License-Identifier: Apache-2.0 */
/* See shell.h. */
#include "blockcore/base/shell.h"

#include <stdbool.h>
#include <string.h>

/* One begins there; C1 controls in UTF-8 are C2 80 to C2 9F. */
static bool is_control(const char *at)
{
	unsigned char c = (unsigned char)at[0], next = (unsigned char)at[1];
	return c < ' ' || c == 0x7f ||
		(c == 0xc2 && next >= 0x80 && next < 0xa0);
}

static bool has_control(const char *text)
{
	for (; *text; text++) {
		if (is_control(text))
			return true;
	}
	return false;
}

/* $'...': the only quotes in which a control character has a name. */
static void print_escaped(FILE *out, const char *text)
{
	bool second = false; /* of a C1 control */
	fputs("$'", out);
	for (; *text; text++) {
		bool control = is_control(text);
		if (control || second)
			fprintf(out, "\\x%02x", (unsigned char)*text);
		else
			fprintf(out, strchr("'\\", *text) ? "\\%c" : "%c",
				*text);
		second = control && (unsigned char)*text == 0xc2;
	}
	fputc('\'', out);
}

static void print_quoted(FILE *out, const char *text)
{
	fputc('\'', out);
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", out);
		else
			fputc(*text, out);
	}
	fputc('\'', out);
}

void shell_print_word(FILE *out, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789._:/@%+=,-";
	if (*text && !text[strspn(text, plain)])
		fputs(text, out);
	else if (has_control(text))
		print_escaped(out, text);
	else
		print_quoted(out, text);
}
