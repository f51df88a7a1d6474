/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents as JSON (RFC 8259). What is printed is always valid: bytes that are
 * not UTF-8 become U+FFFD. It is valid YAML with the same meaning, too.
 */
#include "blockcore/base/doc.h"

#include <ctype.h>
#include <string.h>

/* Bytes of the UTF-8 sequence at `p` and its code; 0 if it is none (RFC 3629). */
static unsigned utf8_decode(const uint8_t *p, uint32_t *out)
{
	static const struct {
		uint8_t mask, lead, length;
		uint32_t least;
	} forms[] = {
		{0x80, 0x00, 1, 0},
		{0xe0, 0xc0, 2, 0x80},
		{0xf0, 0xe0, 3, 0x800},
		{0xf8, 0xf0, 4, 0x10000},
	};

	for (unsigned i = 0; i < 4; i++) {
		uint32_t code = p[0] & (uint8_t)~forms[i].mask;
		if ((p[0] & forms[i].mask) != forms[i].lead)
			continue;
		for (unsigned n = 1; n < forms[i].length; n++) {
			if ((p[n] & 0xc0) != 0x80)
				return 0;
			code = code << 6 | (p[n] & 0x3f);
		}
		if (code < forms[i].least || code > 0x10ffff ||
			(code >= 0xd800 && code <= 0xdfff))
			return 0;
		*out = code;
		return forms[i].length;
	}
	return 0;
}

/* JSON itself wants only the first three escaped. The others are what YAML does
 * not take as it is (5.1) or takes for the end of a line (5.4). */
static bool needs_escape(uint32_t code)
{
	return code < 0x20 || code == '"' || code == '\\' ||
		(code >= 0x7f && code < 0xa0) || code == 0x2028 ||
		code == 0x2029 || code == 0xfeff || code == 0xfffe ||
		code == 0xffff;
}

static void print_escape(FILE *out, uint32_t code)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *at = code < 0x7f ? strchr(from, (int)code) : NULL;

	if (at)
		fprintf(out, "\\%c", to[at - from]);
	else
		fprintf(out, "\\u%04x", code);
}

void json_print_string(FILE *out, const char *text)
{
	const uint8_t *p = (const uint8_t *)text;

	fputc('"', out);
	while (*p) {
		uint32_t code = 0;
		unsigned length = utf8_decode(p, &code);
		if (!length) {
			fputs("\xef\xbf\xbd", out);
			length = 1;
		} else if (needs_escape(code)) {
			print_escape(out, code);
		} else {
			fwrite(p, 1, length, out);
		}
		p += length;
	}
	fputc('"', out);
}

static const char *skip_digits(const char *p)
{
	while (isdigit((unsigned char)*p))
		p++;
	return p;
}

/* RFC 8259 6: -? int frac? exp? */
static bool is_json_number(const char *text)
{
	const char *p = text + (*text == '-'), *digits = p;

	p = skip_digits(p);
	/* More than 20 digits are no number of ours, but a name or a UUID. */
	if (p == digits || p > digits + 20 ||
		(*digits == '0' && p > digits + 1))
		return false;
	if (*p == '.') {
		digits = ++p;
		p = skip_digits(p);
		if (p == digits)
			return false;
	}
	if (*p == 'e' || *p == 'E') {
		p++;
		if (*p == '+' || *p == '-')
			p++;
		digits = p;
		p = skip_digits(p);
		if (p == digits)
			return false;
	}
	return !*p;
}

bool doc_is_bare(const struct doc *node)
{
	const char *text = node->text;

	return node->kind == DOC_SCALAR && !node->quoted &&
		(!strcmp(text, "true") || !strcmp(text, "false") ||
			is_json_number(text));
}

static void print_scalar(const struct doc *node, FILE *out)
{
	if (doc_is_bare(node))
		fputs(node->text, out);
	else
		json_print_string(out, node->text);
}

static void print_children(
	const struct doc *node, FILE *out, char opening, char closing)
{
	fputc(opening, out);
	for (const struct doc *child = node->first; child;
		child = child->next) {
		if (child != node->first)
			fputs(", ", out);
		if (child->key) {
			json_print_string(out, child->key);
			fputs(": ", out);
		}
		doc_print_json(child, out);
	}
	fputc(closing, out);
}

/* Recursion is bounded by DOC_MAX_DEPTH. */
void doc_print_json(const struct doc *node, FILE *out)
{
	switch (node->kind) {
	case DOC_NULL: fputs("null", out); break;
	case DOC_SCALAR: print_scalar(node, out); break;
	case DOC_LIST: print_children(node, out, '[', ']'); break;
	case DOC_MAP: print_children(node, out, '{', '}'); break;
	}
}
