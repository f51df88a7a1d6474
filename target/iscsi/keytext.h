/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text format of login and text negotiation (RFC 7143 6.1): key=value pairs
 * ended by a zero byte, numbers, lists, binary values. Knows no key.
 *
 * Invariants
 *  1. Nothing is read beyond the text, whatever it holds; nothing is written
 *     beyond the limit of an answer: what does not fit sets `overflow`.
 *  2. Nothing allocates.
 */
#ifndef TARGET_ISCSI_KEYTEXT_H
#define TARGET_ISCSI_KEYTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEYTEXT_KEY_BYTES 63u /* RFC 7143 6.1: standard-label */

/* -- reading --------------------------------------------------------------- */

struct keytext {
	char *at, *end;
};

enum keytext_step { KEYTEXT_PAIR, KEYTEXT_END, KEYTEXT_BAD };

/* The next pair of `text`, as two strings inside of it (the '=' is overwritten).
 * KEYTEXT_BAD: no zero byte, no '=', a key that is empty, too long or has other
 * characters than the format allows; *why says which. */
enum keytext_step keytext_next(
	struct keytext *text, char **key, char **value, const char **why);

/* Decimal, without zeroes before it, or 0x hexadecimal (RFC 7143 6.1), of at most 64
 * bits, nothing else around it. */
bool keytext_number(const char *value, uint64_t *number);

/* 0x hexadecimal (two digits a byte) or 0b base64 with its padding. Returns the
 * number of bytes, or -EINVAL, or -EMSGSIZE beyond `size`. */
int keytext_binary(const char *value, uint8_t *out, size_t size);

/* Walks a list "a,b,c": copies the item at *at to `item`, moves on. False at the
 * end. An item that is longer than `size` - 1 comes out as "". */
bool keytext_list_next(const char **at, char *item, size_t size);

/* The values that mean "no answer to this": never answered again (6.2). */
bool keytext_is_refusal(const char *value);

/* -- writing --------------------------------------------------------------- */

struct keytext_out {
	uint8_t *text;
	uint32_t bytes, limit;
	bool overflow;
};

void keytext_add(struct keytext_out *out, const char *key, const char *value);
void keytext_add_number(
	struct keytext_out *out, const char *key, uint64_t number);
void keytext_add_binary(struct keytext_out *out, const char *key,
	const uint8_t *value, size_t bytes); /* as 0x..., at most 128 bytes */

#endif
