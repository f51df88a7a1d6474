/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/api/server/parse.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* -- the target ------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes in place. False for a wrong escape and for control characters, which
 * belong in no name. */
static bool decode(char *text, bool plus_is_space)
{
	char *out = text;
	for (const char *p = text; *p; p++) {
		char c = *p;
		if (c == '+' && plus_is_space) {
			c = ' ';
		} else if (c == '%') {
			int high = hex_digit(p[1]);
			int low = high < 0 ? -1 : hex_digit(p[2]);
			if (low < 0)
				return false;
			c = (char)(high << 4 | low);
			p += 2;
		}
		if ((unsigned char)c < 0x20 || c == 0x7f)
			return false;
		*out++ = c;
	}
	*out = '\0';
	return true;
}

static enum parse_result split_path(char *path, struct parsed_target *target)
{
	char *at = path + 1;
	if (!*at)
		return PARSE_OK; /* "/": no segment */
	for (;;) {
		char *end = strchr(at, '/');
		if (end)
			*end = '\0';
		if (target->segments == PARSED_MAX_SEGMENTS)
			return PARSE_LONG;
		if (!decode(at, false))
			return PARSE_FORM;
		target->segment[target->segments++] = at;
		if (!end)
			return PARSE_OK;
		at = end + 1;
	}
}

static enum parse_result add_pair(char *text, struct parsed_target *target)
{
	char *value = strchr(text, '=');
	if (value)
		*value++ = '\0';
	else
		value = text + strlen(text);
	if (!decode(text, true) || !decode(value, true))
		return PARSE_FORM;
	for (unsigned i = 0; i < target->queries; i++) {
		if (!strcmp(target->query[i].name, text))
			return PARSE_TWICE;
	}
	if (target->queries == API_MAX_QUERY)
		return PARSE_LONG;
	target->query[target->queries++] =
		(struct api_pair){.name = text, .value = value};
	return PARSE_OK;
}

static enum parse_result split_query(char *query, struct parsed_target *target)
{
	while (query && *query) {
		char *next = strchr(query, '&');
		if (next)
			*next++ = '\0';
		enum parse_result result =
			*query ? add_pair(query, target) : PARSE_OK;
		if (result != PARSE_OK)
			return result;
		query = next;
	}
	return PARSE_OK;
}

/* Of an absolute target (RFC 9112 3.2.2) what is behind the host; others as they are. */
static const char *skip_origin(const char *raw)
{
	size_t scheme = !strncasecmp(raw, "https://", 8) ? 8
		: !strncasecmp(raw, "http://", 7)	 ? 7
							 : 0;
	size_t host = scheme ? strcspn(raw + scheme, "/?#") : 0;
	if (!host)
		return raw;
	return raw[scheme + host] ? raw + scheme + host : "/";
}

enum parse_result parse_target(const char *raw, struct parsed_target *target)
{
	raw = skip_origin(raw);
	size_t length = strlen(raw);
	target->segments = target->queries = target->parameters = 0;
	if (length >= sizeof target->text)
		return PARSE_LONG;
	memcpy(target->text, raw, length + 1);
	if (*raw != '/')
		return PARSE_FORM;
	char *query = strchr(target->text, '?');
	if (query)
		*query++ = '\0';
	enum parse_result result = split_path(target->text, target);
	return result == PARSE_OK ? split_query(query, target) : result;
}

/* -- templates -------------------------------------------------------------- */

/* One segment of a template, `bytes` long; false if it does not fit. */
static bool match_segment(const char *wanted, size_t bytes, const char *segment,
	struct parsed_target *target)
{
	if (*wanted != '{')
		return strlen(segment) == bytes &&
			!memcmp(wanted, segment, bytes);
	unsigned index = target->parameters;
	size_t name_bytes = bytes - 2; /* without the braces */
	if (!*segment || index == API_MAX_PARAMETERS ||
		name_bytes >= sizeof target->name[0])
		return false;
	memcpy(target->name[index], wanted + 1, name_bytes);
	target->name[index][name_bytes] = '\0';
	target->parameter[index] = (struct api_pair){
		.name = target->name[index], .value = segment};
	target->parameters++;
	return true;
}

bool parse_match(const char *path_template, struct parsed_target *target)
{
	const char *at = path_template + 1;
	target->parameters = 0;
	for (unsigned i = 0; i < target->segments; i++) {
		size_t bytes = strcspn(at, "/");
		if (!bytes ||
			!match_segment(at, bytes, target->segment[i], target))
			return false;
		at += bytes;
		if (*at == '/')
			at++;
		else if (i + 1 < target->segments)
			return false;
	}
	return !*at;
}

/* -- lists in headers ------------------------------------------------------- */

/* The next element of a list, without spaces around it: its length, and *at
 * behind it. 0 at the end. */
static size_t next_element(const char **at, const char **element)
{
	const char *p = *at + strspn(*at, ", \t");
	size_t bytes = strcspn(p, ",");
	*element = p;
	*at = p + bytes;
	while (bytes && (p[bytes - 1] == ' ' || p[bytes - 1] == '\t'))
		bytes--;
	return bytes;
}

bool parse_list_has(const char *list, const char *item)
{
	const char *at = list, *element;
	size_t bytes, length = strlen(item);
	while ((bytes = next_element(&at, &element))) {
		const char *semicolon = memchr(element, ';', bytes);
		size_t name = semicolon ? (size_t)(semicolon - element) : bytes;
		while (name && element[name - 1] == ' ')
			name--;
		if (name == length && !strncasecmp(element, item, name))
			return true;
	}
	return false;
}

bool parse_tags_match(const char *list, const char *tag, bool weak)
{
	const char *at = list, *element;
	size_t bytes, length = strlen(tag);
	while ((bytes = next_element(&at, &element))) {
		if (bytes == 1 && *element == '*')
			return true;
		if (bytes > 2 && !strncmp(element, "W/", 2)) {
			if (!weak)
				continue;
			element += 2;
			bytes -= 2;
		}
		if (bytes == length + 2 && *element == '"' &&
			element[bytes - 1] == '"' &&
			!memcmp(element + 1, tag, length))
			return true;
	}
	return false;
}

/* "0.5" in thousandths; 1000 for what is no number. */
static unsigned quality(const char *element, size_t bytes)
{
	const char *end = element + bytes;
	const char *q = memchr(element, ';', bytes);
	while (q && q < end) {
		q += 1 + strspn(q + 1, " ");
		if (end - q > 2 && (*q | 0x20) == 'q' && q[1] == '=') {
			double value = strtod(q + 2, NULL);
			return value >= 0 && value <= 1
				? (unsigned)(value * 1000)
				: 1000;
		}
		q = memchr(q, ';', (size_t)(end - q));
	}
	return 1000;
}

/* How closely a range of Accept means `type`: 0 not, 1 any, 2 its kind, 3 itself. */
static int closeness(const char *range, size_t bytes, const char *type)
{
	size_t name = 0;
	while (name < bytes && range[name] != ';' && range[name] != ' ')
		name++;
	if (name == 3 && !strncmp(range, "*/*", 3))
		return 1;
	if (name == strlen(type) && !strncasecmp(range, type, name))
		return 3;
	size_t kind = strcspn(type, "/") + 1;
	return name == kind + 1 && range[kind] == '*' &&
			!strncasecmp(range, type, kind)
		? 2
		: 0;
}

unsigned parse_accept(const char *accept, const char *type)
{
	const char *at = accept, *element;
	size_t bytes;
	unsigned best = 0;
	int close = 0;
	while ((bytes = next_element(&at, &element))) {
		int now = closeness(element, bytes, type);
		if (now <= close)
			continue;
		close = now;
		best = quality(element, bytes);
	}
	return best;
}

bool parse_time(const char *text, int64_t *ms)
{
	struct tm broken = {0};
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &broken);
	if (end && *end == '.')
		end += 1 + strspn(end + 1, "0123456789");
	if (!end || strcmp(end, "Z"))
		return false;
	*ms = (int64_t)timegm(&broken) * 1000;
	return true;
}
