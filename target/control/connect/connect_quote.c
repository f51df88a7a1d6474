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

void quote_portal_text(
	char text[QUOTE_PORTAL_BYTES], const char *address, uint16_t port)
{
	snprintf(text, QUOTE_PORTAL_BYTES,
		strchr(address, ':') ? "[%s]:%u" : "%s:%u", address,
		(unsigned)port);
}

void quote_portal(FILE *out, const char *address, uint16_t port)
{
	char text[QUOTE_PORTAL_BYTES];
	quote_portal_text(text, address, port);
	fputs(text, out);
}

void quote_portal_word(FILE *out, const char *address, uint16_t port)
{
	char text[QUOTE_PORTAL_BYTES];
	quote_portal_text(text, address, port);
	shell_print_word(out, text);
}
