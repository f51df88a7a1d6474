/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/cli/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DURATION_S (UINT64_C(10) * 366 * 86400)

bool text_read_number(const char *text, uint64_t *number)
{
	uint64_t value = 0;
	if (!*text)
		return false;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text) || value > UINT64_MAX / 10)
			return false;
		uint64_t digit = (uint64_t)(*text - '0');
		if (value * 10 > UINT64_MAX - digit)
			return false;
		value = value * 10 + digit;
	}
	*number = value;
	return true;
}

/* The suffix of a size as a shift; -1: none. */
static int size_shift(const char *suffix)
{
	static const char units[] = "KMGTPE";
	if (!*suffix || !strcasecmp(suffix, "B"))
		return 0;
	const char *unit = strchr(units, toupper((unsigned char)*suffix));
	if (!unit)
		return -1;
	if (suffix[1] && strcasecmp(suffix + 1, "iB") &&
		strcasecmp(suffix + 1, "B"))
		return -1;
	return (int)(unit - units + 1) * 10;
}

bool text_read_size(const char *text, uint64_t *bytes)
{
	char digits[24], fraction[8] = "";
	size_t n = strspn(text, "0123456789"), m = 0;
	const char *rest = text + n;
	if (!n || n >= sizeof digits)
		return false;
	memcpy(digits, text, n);
	digits[n] = '\0';
	if (*rest == '.') {
		m = strspn(++rest, "0123456789");
		if (!m || m >= sizeof fraction)
			return false;
		memcpy(fraction, rest, m);
		fraction[m] = '\0';
		rest += m;
	}
	while (*rest == ' ')
		rest++;
	int shift = size_shift(rest);
	uint64_t whole;
	if (shift < 0 || !text_read_number(digits, &whole) ||
		(m && shift < 10) || whole >= (UINT64_C(1) << 63) >> shift)
		return false;
	uint64_t part = (uint64_t)strtoull(m ? fraction : "0", NULL, 10);
	double scale = 1;
	for (size_t i = 0; i < m; i++)
		scale *= 10;
	/* To whole KiB, so that no odd byte comes of "1.1G". */
	uint64_t unit = UINT64_C(1) << shift;
	uint64_t more = (uint64_t)((double)part / scale * (double)unit);
	*bytes = (whole << shift) + (m ? more & ~UINT64_C(1023) : 0);
	return true;
}

bool text_read_duration(const char *text, uint64_t *seconds)
{
	static const struct {
		char unit;
		unsigned seconds;
	} units[] = {
		{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
	size_t n = strspn(text, "0123456789");
	char digits[16];
	uint64_t value;
	unsigned scale = text[n] ? 0 : 1;
	if (!n || n >= sizeof digits)
		return false;
	memcpy(digits, text, n);
	digits[n] = '\0';
	for (size_t i = 0; text[n] && i < sizeof units / sizeof *units; i++)
		if (text[n] == units[i].unit && !text[n + 1])
			scale = units[i].seconds;
	if (!scale || !text_read_number(digits, &value) ||
		value > MAX_DURATION_S / scale)
		return false;
	*seconds = value * scale;
	return true;
}

const char *text_print_duration(char out[TEXT_SIZE_BYTES], uint64_t seconds)
{
	static const struct {
		unsigned seconds;
		const char *name;
	} units[] = {{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}};
	unsigned i = 0;
	while (i < 3 && seconds < units[i].seconds)
		i++;
	uint64_t most = seconds / units[i].seconds;
	uint64_t rest = seconds % units[i].seconds;
	if (i < 3 && rest / units[i + 1].seconds)
		snprintf(out, TEXT_SIZE_BYTES, "%u %s %u %s", (unsigned)most,
			units[i].name, (unsigned)(rest / units[i + 1].seconds),
			units[i + 1].name);
	else
		snprintf(out, TEXT_SIZE_BYTES, "%llu %s",
			(unsigned long long)most, units[i].name);
	return out;
}

const char *text_print_count(char out[TEXT_SIZE_BYTES], double count)
{
	static const char *const units[] = {"", "k", "M", "G", "T", "P"};
	unsigned unit = 0;
	while (count >= 1000 && unit < 5) {
		count /= 1000;
		unit++;
	}
	int digits = !unit && count == (double)(uint64_t)count ? 0
		: count < 10				       ? 2
		: count < 100				       ? 1
							       : 0;
	snprintf(out, TEXT_SIZE_BYTES, "%.*f%s", digits, count, units[unit]);
	return out;
}

char *text_url_encode(const char *text)
{
	char *out = malloc(strlen(text) * 3 + 1), *at = out;
	if (!out)
		abort();
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (isalnum(c) || strchr("-._~", c))
			*at++ = (char)c;
		else
			at += sprintf(at, "%%%02X", c);
	}
	*at = '\0';
	return out;
}

static bool read_port(const char *text, uint16_t *port)
{
	uint64_t number;
	if (!strcmp(text, "/"))
		return true;
	char digits[8];
	size_t n = strspn(text + 1, "0123456789");
	if (text[0] != ':' || !n || n >= sizeof digits)
		return false;
	memcpy(digits, text + 1, n);
	digits[n] = '\0';
	text += 1 + n;
	if ((*text && strcmp(text, "/")) ||
		!text_read_number(digits, &number) || !number || number > 65535)
		return false;
	*port = (uint16_t)number;
	return true;
}

bool text_read_url(const char *url, char host[TEXT_HOST_BYTES], uint16_t *port)
{
	*port = 8443;
	if (strncasecmp(url, "https://", 8))
		return false;
	url += 8;
	size_t n = *url == '[' ? strcspn(++url, "]") : strcspn(url, ":/");
	bool bracket = url[-1] == '[';
	if (!n || n >= TEXT_HOST_BYTES || (bracket && !url[n]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)url[i]) &&
			!strchr(bracket ? ":.%-_" : ".-_", url[i]))
			return false;
	memcpy(host, url, n);
	host[n] = '\0';
	url += n + bracket;
	return !*url || read_port(url, port);
}

#define MAX_WORD 40u

unsigned text_distance(const char *a, const char *b)
{
	unsigned rows[3][MAX_WORD + 1];
	size_t m = strlen(a), n = strlen(b);
	if (m > MAX_WORD || n > MAX_WORD)
		return MAX_WORD;
	for (unsigned j = 0; j <= n; j++)
		rows[0][j] = rows[2][j] = j;
	for (unsigned i = 1; i <= m; i++) {
		unsigned *now = rows[i % 3], *before = rows[(i - 1) % 3];
		const unsigned *two = rows[(i + 1) % 3];
		now[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			unsigned best = before[j - 1] + (a[i - 1] != b[j - 1]);
			if (before[j] + 1 < best)
				best = before[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
				a[i - 2] == b[j - 1] && two[j - 2] + 1 < best)
				best = two[j - 2] + 1;
			now[j] = best;
		}
	}
	return rows[m % 3][n];
}

bool text_is_near(const char *word, const char *known)
{
	size_t length = strlen(known);
	unsigned allowed = length < 4 ? 1 : length < 8 ? 2 : 3;
	if (strlen(word) >= 2 && !strncmp(word, known, strlen(word)))
		return true;
	return text_distance(word, known) <= allowed &&
		text_distance(word, known) < length;
}

size_t text_width(const char *text)
{
	size_t width = 0;
	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}
