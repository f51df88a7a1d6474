/* SPDX-License-Identifier: Apache-2.0 */
/* See connect_quote.h. */
#include "target/control/connect/connect_quote.h"

#include "blockcore/base/shell.h"

#include <string.h>

void quote_powershell(FILE *out, const char *text)
{
	fputc('\'', out);
	for (; *text; text++) {
		if (*text == '\'')
			fputc('\'', out);
		fputc(*text, out);
	}
	fputc('\'', out);
}

void quote_xml(FILE *out, const char *text)
{
	static const char special[] = "&<>\"'";
	static const char *const entity[] = {
		"&amp;", "&lt;", "&gt;", "&quot;", "&apos;"};
	for (; *text; text++) {
		const char *at = strchr(special, *text);
		if (at)
			fputs(entity[at - special], out);
		else
			fputc(*text, out);
	}
}

void quote_qemu(FILE *out, const char *key, const char *text)
{
	char doubled[600];
	size_t used = 0;
	for (; *text && used < sizeof doubled - 3; text++) {
		doubled[used++] = *text;
		if (*text == ',')
			doubled[used++] = ',';
	}
	doubled[used] = '\0';
	fprintf(out, "%s=", key);
	shell_print_word(out, doubled);
}

void quote_portal(FILE *out, const char *address, uint16_t port)
{
	fprintf(out, strchr(address, ':') ? "[%s]:%u" : "%s:%u", address,
		(unsigned)port);
}
