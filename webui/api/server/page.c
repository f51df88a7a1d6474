/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists, a page at a time. The cursor is the key of the last item in hexadecimal:
 * it stays right when items come and go between two pages.
 */
#include "webui/api/server/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_DEFAULT 100
#define LIMIT_MAX 1000

static bool decode_cursor(const char *text, char *out, size_t bytes)
{
	size_t length = strlen(text);
	if (length % 2 || length / 2 >= bytes ||
		strspn(text, "0123456789abcdef") != length)
		return false;
	for (size_t i = 0; i < length / 2; i++) {
		char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};
		out[i] = (char)strtoul(digits, NULL, 16);
	}
	out[length / 2] = '\0';
	return true;
}

static json_t *encode_cursor(const char *key)
{
	char text[2 * sizeof((struct api_page *)0)->last + 1];
	size_t length = strlen(key);
	for (size_t i = 0; i < length; i++)
		snprintf(text + 2 * i, 3, "%02x", (unsigned char)key[i]);
	text[2 * length] = '\0';
	return json_string(text);
}

bool api_page_begin(struct api_request *request, struct api_page *page)
{
	uint64_t limit;
	const char *after = api_query(request, "after");
	memset(page, 0, sizeof *page);
	if (!api_query_uint(
		    request, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT, &limit))
		return false;
	if (after && !decode_cursor(after, page->after, sizeof page->after)) {
		api_problem(request, "syntax",
			"the query parameter after is a \"next\" of an earlier "
			"page");
		return false;
	}
	page->limit = (unsigned)limit;
	page->items = json_array();
	return true;
}

bool api_page_wants(struct api_page *page, const char *key)
{
	if (*page->after && strcmp(key, page->after) <= 0)
		return false;
	if (json_array_size(page->items) < page->limit)
		return true;
	page->more = true;
	return false;
}

void api_page_add(struct api_page *page, const char *key, json_t *item)
{
	json_array_append_new(page->items, item);
	snprintf(page->last, sizeof page->last, "%s", key);
}

void api_page_answer(struct api_request *request, struct api_page *page)
{
	json_t *next = page->more ? encode_cursor(page->last) : json_null();
	api_answer(request, 200,
		json_pack("{so, so}", "items", page->items, "next", next));
}

/* -- from a whole list ------------------------------------------------------ */

struct keyed {
	const char *key;
	json_t *item;
};

static int by_key(const void *a, const void *b)
{
	return strcmp(
		((const struct keyed *)a)->key, ((const struct keyed *)b)->key);
}

static void offer_all(struct api_page *page, json_t *items, const char *name,
	struct keyed *keyed)
{
	size_t count = json_array_size(items);
	for (size_t i = 0; i < count; i++) {
		json_t *item = json_array_get(items, i);
		const char *key =
			json_string_value(json_object_get(item, name));
		keyed[i] = (struct keyed){.key = key ? key : "", .item = item};
	}
	qsort(keyed, count, sizeof *keyed, by_key);
	for (size_t i = 0; i < count && !page->more; i++) {
		if (api_page_wants(page, keyed[i].key))
			api_page_add(
				page, keyed[i].key, json_incref(keyed[i].item));
	}
}

void api_answer_list(
	struct api_request *request, json_t *items, const char *key)
{
	struct api_page page;
	struct keyed *keyed = calloc(json_array_size(items) + 1, sizeof *keyed);
	if (!keyed) {
		api_problem(request, "busy", "out of memory");
	} else if (api_page_begin(request, &page)) {
		offer_all(&page, items, key, keyed);
		api_page_answer(request, &page);
	}
	free(keyed);
	json_decref(items);
}
