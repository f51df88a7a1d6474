/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text format of negotiation: what keytext.h promises.
 */
#include "target/iscsi/keytext.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* -- pairs ----------------------------------------------------------------- */

/* RFC 7143 6.1: letters, digits, '.', '-', '+', '@', '_'; and '#' for the
 * registered extensions "X#" (RFC 3720). */
static bool is_label(const char *key)
{
	for (; *key; key++)
		if (!isalnum((unsigned char)*key) && !strchr(".-+@_#", *key))
			return false;
	return true;
}

static const char *key_fault(const char *key)
{
	size_t bytes = strlen(key);

	if (bytes == 0)
		return "an empty key";
	if (bytes > KEYTEXT_KEY_BYTES)
		return "a key of more than 63 bytes";
	return is_label(key) ? NULL : "a key with characters that no key has";
}

enum keytext_step keytext_next(
	struct keytext *text, char **key, char **value, const char **why)
{
	char *zero, *equals;

	while (text->at < text->end && *text->at == 0) /* padding by some */
		text->at++;
	if (text->at == text->end)
		return KEYTEXT_END;
	zero = memchr(text->at, 0, (size_t)(text->end - text->at));
	*why = "no zero byte at its end";
	if (!zero)
		return KEYTEXT_BAD;
	equals = strchr(text->at, '=');
	*why = "a key without '='";
	if (!equals)
		return KEYTEXT_BAD;
	*equals = 0;
	*key = text->at;
	*value = equals + 1;
	text->at = zero + 1;
	*why = key_fault(*key);
	return *why ? KEYTEXT_BAD : KEYTEXT_PAIR;
}

/* -- values ---------------------------------------------------------------- */

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

static bool has_prefix(const char *value, char letter)
{
	return value[0] == '0' && (value[1] | 0x20) == letter;
}

bool keytext_number(const char *value, uint64_t *number)
{
	unsigned base = has_prefix(value, 'x') ? 16 : 10;
	uint64_t sum = 0;

	if (base == 16)
		value += 2;
	else if (value[0] == '0' && value[1]) /* tgt and LIO read octal */
		return false;
	if (!*value)
		return false;
	for (; *value; value++) {
		unsigned digit = (unsigned)digit_value(*value);

		if (digit >= base || sum > (UINT64_MAX - digit) / base)
			return false;
		sum = sum * base + digit;
	}
	*number = sum;
	return true;
}

static int read_hex(const char *value, uint8_t *out, size_t size)
{
	size_t digits = strlen(value);

	if (digits == 0 || digits % 2)
		return -EINVAL;
	if (digits / 2 > size)
		return -EMSGSIZE;
	for (size_t i = 0; i < digits; i += 2) {
		int high = digit_value(value[i]);
		int low = digit_value(value[i + 1]);

		if (high > 15 || low > 15)
			return -EINVAL;
		out[i / 2] = (uint8_t)(high << 4 | low);
	}
	return (int)(digits / 2);
}

static int base64_value(char c)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "abcdefghijklmnopqrstuvwxyz"
				       "0123456789+/";
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

/* RFC 4648 4: groups of four, the last one filled up with one or two '='. */
static int read_base64(const char *value, uint8_t *out, size_t size)
{
	size_t length = strlen(value), pad = 0, bytes;
	uint32_t bits = 0;

	while (pad < 2 && pad < length && value[length - 1 - pad] == '=')
		pad++;
	if (length == 0 || length % 4)
		return -EINVAL;
	bytes = length / 4 * 3 - pad;
	if (bytes > size)
		return -EMSGSIZE;
	for (size_t i = 0, n = 0; i < length; i++) {
		int six = i < length - pad ? base64_value(value[i]) : 0;

		if (six < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)six;
		for (int shift = 16; i % 4 == 3 && shift >= 0; shift -= 8)
			if (n < bytes)
				out[n++] = (uint8_t)(bits >> shift);
	}
	return (int)bytes;
}

int keytext_binary(const char *value, uint8_t *out, size_t size)
{
	if (has_prefix(value, 'x'))
		return read_hex(value + 2, out, size);
	if (has_prefix(value, 'b'))
		return read_base64(value + 2, out, size);
	return -EINVAL;
}

bool keytext_list_next(const char **at, char *item, size_t size)
{
	size_t bytes = strcspn(*at, ",");

	if (**at == 0)
		return false;
	item[0] = 0;
	if (bytes < size) {
		memcpy(item, *at, bytes);
		item[bytes] = 0;
	}
	*at += bytes;
	if (**at == ',')
		(*at)++;
	return true;
}

bool keytext_is_refusal(const char *value)
{
	return !strcmp(value, "NotUnderstood") ||
		!strcmp(value, "Irrelevant") || !strcmp(value, "Reject");
}

/* -- writing --------------------------------------------------------------- */

void keytext_add(struct keytext_out *out, const char *key, const char *value)
{
	size_t key_bytes = strlen(key), value_bytes = strlen(value) + 1;
	uint8_t *at = out->text + out->bytes;

	if (key_bytes + 1 + value_bytes > out->limit - out->bytes) {
		out->overflow = true;
		return;
	}
	memcpy(at, key, key_bytes);
	at[key_bytes] = '=';
	memcpy(at + key_bytes + 1, value, value_bytes);
	out->bytes += (uint32_t)(key_bytes + 1 + value_bytes);
}

void keytext_add_number(
	struct keytext_out *out, const char *key, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof text, "%llu", (unsigned long long)number);
	keytext_add(out, key, text);
}

void keytext_add_binary(struct keytext_out *out, const char *key,
	const uint8_t *value, size_t bytes)
{
	static const char digits[] = "0123456789abcdef";
	char text[2 + 2 * 128 + 1] = "0x";

	assert(bytes <= 128);
	for (size_t i = 0; i < bytes; i++) {
		text[2 + 2 * i] = digits[value[i] >> 4];
		text[3 + 2 * i] = digits[value[i] & 15];
	}
	text[2 + 2 * bytes] = 0;
	keytext_add(out, key, text);
}
