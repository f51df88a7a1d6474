/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of names; see names.h. */
#include "target/control/document/names.h"

#include <stddef.h>
#include <string.h>

#define PLAIN_BYTES 63u
#define ISCSI_BYTES 223u

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define ISCSI_CHARACTERS DIGITS LETTERS "-.:"

/* True if `text` consists of characters of `set` only. */
static bool only(const char *text, const char *set)
{
	return text[strspn(text, set)] == '\0';
}

bool name_is_plain(const char *name)
{
	size_t length = strlen(name);
	return length >= 1 && length <= PLAIN_BYTES &&
		strchr(DIGITS LETTERS, name[0]) &&
		only(name, DIGITS LETTERS "._-");
}

/* "YYYY-MM." at the start. */
static bool begins_with_month(const char *text)
{
	if (strspn(text, DIGITS) != 4 || text[4] != '-' ||
		strspn(text + 5, DIGITS) != 2 || text[7] != '.')
		return false;
	int month = (text[5] - '0') * 10 + text[6] - '0';
	return month >= 1 && month <= 12;
}

bool name_is_iqn(const char *name)
{
	return strlen(name) <= ISCSI_BYTES && !strncmp(name, "iqn.", 4) &&
		begins_with_month(name + 4) && name[12] && name[12] != ':' &&
		only(name, ISCSI_CHARACTERS);
}

void name_fold(char *name)
{
	for (; *name; name++) {
		if (*name >= 'A' && *name <= 'Z')
			*name = (char)(*name - 'A' + 'a');
	}
}
