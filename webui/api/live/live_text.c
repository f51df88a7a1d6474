/* SPDX-License-Identifier: Apache-2.0 */
/* See live.h. */
#include "webui/api/live/live.h"

#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"

/* jansson refuses what is no UTF-8, so each byte that it would refuse is replaced;
 * names are short enough to ask it about every character. */
json_t *live_text(const char *text)
{
	json_t *json = json_string(text);
	size_t bytes = strlen(text), used = 0;
	if (json)
		return json;
	char *clean = malloc(3 * bytes + 1);
	if (!clean)
		return NULL;
	for (size_t at = 0; at < bytes;) {
		size_t length = 1;
		json_t *part = NULL;
		for (; length <= 4 && at + length <= bytes && !part; length++)
			part = json_stringn(text + at, length);
		if (part) {
			length--;
			memcpy(clean + used, text + at, length);
			used += length;
			at += length;
			json_decref(part);
		} else {
			memcpy(clean + used, REPLACEMENT, 3);
			used += 3;
			at++;
		}
	}
	json = json_stringn(clean, used);
	free(clean);
	return json;
}
