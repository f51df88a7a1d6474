/* SPDX-License-Identifier: Apache-2.0 */
/* See zone.h. */
#include "target/control/schedule/zone.h"

#include "target/control/schedule/civil.h"
#include "target/control/schedule/zone_rule.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ZONES "/usr/share/zoneinfo/"
#define HEADER_BYTES 44u
#define MAX_BYTES (256u << 10) /* the largest today has 4 KiB */
#define MAX_OFFSET (26 * 3600) /* RFC 9636 3.2 */

struct zone {
	unsigned count; /* of changes */
	int64_t *at; /* rising */
	int32_t *offset; /* from then on */
	int32_t before; /* the first change */
	bool has_rule; /* behind the last */
	struct zone_rule rule;
};

bool zone_is_name(const char *name)
{
	size_t length = strlen(name);
	if (!length || length >= ZONE_NAME_BYTES ||
		!isalpha((unsigned char)*name))
		return false;
	for (const char *c = name; *c; c++) {
		bool part = isalnum((unsigned char)*c) || strchr("_+-", *c);
		if (!part && (*c != '/' || !isalpha((unsigned char)c[1])))
			return false;
	}
	return true;
}

/* -- the file ---------------------------------------------------------------- */

struct bytes {
	const uint8_t *at;
	size_t left;
};

static uint64_t big_endian(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < bytes; i++)
		value = value << 8 | at[i];
	return value;
}

/* NULL: there are not so many. */
static const uint8_t *take(struct bytes *bytes, size_t count)
{
	const uint8_t *at = bytes->at;
	if (bytes->left < count)
		return NULL;
	bytes->at += count;
	bytes->left -= count;
	return at;
}

struct header {
	uint8_t version;
	uint32_t utc, standard, leaps, times, types, chars;
};

static bool take_header(struct bytes *bytes, struct header *h)
{
	const uint8_t *at = take(bytes, HEADER_BYTES);
	if (!at || memcmp(at, "TZif", 4) != 0)
		return false;
	h->version = at[4];
	h->utc = (uint32_t)big_endian(at + 20, 4);
	h->standard = (uint32_t)big_endian(at + 24, 4);
	h->leaps = (uint32_t)big_endian(at + 28, 4);
	h->times = (uint32_t)big_endian(at + 32, 4);
	h->types = (uint32_t)big_endian(at + 36, 4);
	h->chars = (uint32_t)big_endian(at + 40, 4);
	return h->types && h->types <= 256 && h->times <= MAX_BYTES &&
		h->leaps <= MAX_BYTES && h->chars <= MAX_BYTES &&
		h->utc <= 256 && h->standard <= 256;
}

/* What lies behind the types, of no use to us. */
static size_t rest_bytes(const struct header *h, unsigned time_bytes)
{
	return h->chars + (size_t)h->leaps * (time_bytes + 4) + h->standard +
		h->utc;
}

static bool take_types(
	const uint8_t *types, const struct header *h, int32_t offset[256])
{
	for (unsigned i = 0; i < h->types; i++) {
		offset[i] = (int32_t)(uint32_t)big_endian(types + 6 * i, 4);
		if (offset[i] < -MAX_OFFSET || offset[i] > MAX_OFFSET)
			return false;
	}
	return true;
}

static bool take_changes(
	struct zone *zone, struct bytes *bytes, const struct header *h)
{
	int32_t offset[256];
	const uint8_t *times = take(bytes, (size_t)h->times * 8);
	const uint8_t *kinds = take(bytes, h->times);
	const uint8_t *types = take(bytes, (size_t)h->types * 6);
	if (!times || !kinds || !types || !take(bytes, rest_bytes(h, 8)) ||
		!take_types(types, h, offset))
		return false;
	zone->at = calloc(h->times + 1, sizeof *zone->at);
	zone->offset = calloc(h->times + 1, sizeof *zone->offset);
	if (!zone->at || !zone->offset)
		return false;
	zone->before = offset[0];
	for (unsigned i = 0; i < h->times; i++) {
		zone->at[i] = (int64_t)big_endian(times + 8 * (size_t)i, 8);
		if (kinds[i] >= h->types ||
			(i && zone->at[i] <= zone->at[i - 1]))
			return false;
		zone->offset[i] = offset[kinds[i]];
	}
	zone->count = h->times;
	return true;
}

static bool take_rule(struct zone *zone, struct bytes *bytes)
{
	char text[128];
	const uint8_t *end = bytes->left > 1
		? memchr(bytes->at + 1, '\n', bytes->left - 1)
		: NULL;
	size_t length = end ? (size_t)(end - bytes->at) - 1 : 0;
	if (!end || *bytes->at != '\n' || length >= sizeof text)
		return false;
	memcpy(text, bytes->at + 1, length);
	text[length] = '\0';
	zone->has_rule = length;
	return !length || zone_rule_parse(text, &zone->rule);
}

/* Version 1, of 32-bit times, lies before what we use; alone it is refused. */
static bool parse(struct zone *zone, struct bytes bytes)
{
	struct header h;
	if (!take_header(&bytes, &h) || h.version < '2')
		return false;
	size_t old = (size_t)h.times * 5 + h.types * 6 + rest_bytes(&h, 4);
	return take(&bytes, old) && take_header(&bytes, &h) &&
		take_changes(zone, &bytes, &h) && take_rule(zone, &bytes);
}

static int read_file(
	const char *name, uint8_t *data, size_t *bytes, struct err *err)
{
	char path[sizeof ZONES + ZONE_NAME_BYTES];
	snprintf(path, sizeof path, ZONES "%s", name);
	FILE *file = fopen(path, "re");
	if (!file && errno == ENOENT)
		return err_set(err, ENOENT,
			"there is no time zone \"%s\" in " ZONES
			" (package tzdata): use UTC or another one",
			name);
	*bytes = file ? fread(data, 1, MAX_BYTES, file) : 0;
	bool failed = !file || ferror(file);
	if (file)
		fclose(file);
	return failed ? err_set(err, EIO, "%s cannot be read", path) : 0;
}

struct zone *zone_open(const char *name, struct err *err)
{
	struct zone *zone = calloc(1, sizeof *zone);
	uint8_t *data = malloc(MAX_BYTES);
	size_t bytes = 0;
	int failed = zone && data ? 0 : err_set(err, ENOMEM, "out of memory");
	if (!failed && !zone_is_name(name))
		failed = err_set(
			err, EINVAL, "\"%s\" is no name of a time zone", name);
	if (!failed && strcmp(name, "UTC") != 0) {
		failed = read_file(name, data, &bytes, err);
		if (!failed && !parse(zone, (struct bytes){data, bytes}))
			failed = err_set(err, EINVAL,
				ZONES "%s is no file of a time zone", name);
	}
	free(data);
	if (!failed)
		return zone;
	zone_free(zone);
	return NULL;
}

void zone_free(struct zone *zone)
{
	if (!zone)
		return;
	free(zone->at);
	free(zone->offset);
	free(zone);
}

/* -- using ------------------------------------------------------------------- */

int32_t zone_offset(const struct zone *zone, int64_t instant)
{
	unsigned low = 0, high = zone->count;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		if (zone->at[middle] <= instant)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == zone->count && zone->has_rule)
		return zone_rule_offset(&zone->rule, instant);
	return low ? zone->offset[low - 1] : zone->before;
}

int64_t zone_instant(const struct zone *zone, int64_t local)
{
	int32_t before = zone_offset(zone, local - CIVIL_DAY_S);
	int32_t after = zone_offset(zone, local + CIVIL_DAY_S);
	if (zone_offset(zone, local - before) == before)
		return local - before;
	if (zone_offset(zone, local - after) == after)
		return local - after;
	return local - before;
}
