/* SPDX-License-Identifier: Apache-2.0 */
/* See zone_rule.h. */
#include "target/control/schedule/zone_rule.h"

#include "target/control/schedule/civil.h"

#include <ctype.h>
#include <string.h>

/* -- reading ----------------------------------------------------------------- */

/* A decimal number from `least` to `most`. */
static bool take_number(const char **at, int least, int most, int *out)
{
	int value = 0;
	if (!isdigit((unsigned char)**at))
		return false;
	for (; isdigit((unsigned char)**at); ++*at) {
		value = value * 10 + (**at - '0');
		if (value > most)
			return false;
	}
	*out = value;
	return value >= least;
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(const char **at, int32_t *seconds)
{
	int hours, part, sign = 1;
	if (**at == '-' || **at == '+')
		sign = *(*at)++ == '-' ? -1 : 1;
	if (!take_number(at, 0, 167, &hours))
		return false;
	*seconds = hours * 3600;
	for (int unit = 60; unit && **at == ':'; unit /= 60) {
		++*at;
		if (!take_number(at, 0, 59, &part))
			return false;
		*seconds += part * unit;
	}
	*seconds *= sign;
	return true;
}

/* "CET" or "<+0330>": of no use to us. */
static bool skip_name(const char **at)
{
	const char *from = *at;
	if (*from == '<') {
		const char *end = strchr(from, '>');
		*at = end ? end + 1 : from;
		return end;
	}
	while (isalpha((unsigned char)**at))
		++*at;
	return *at - from >= 3;
}

static bool take_month(const char **at, struct zone_date *date)
{
	date->kind = ZONE_MONTH;
	++*at;
	if (!take_number(at, 1, 12, &date->month) || *(*at)++ != '.')
		return false;
	if (!take_number(at, 1, 5, &date->week) || *(*at)++ != '.')
		return false;
	return take_number(at, 0, 6, &date->day);
}

static bool take_date(const char **at, struct zone_date *date)
{
	bool well;
	if (*(*at)++ != ',')
		return false;
	date->seconds = 2 * 3600;
	if (**at == 'M') {
		well = take_month(at, date);
	} else if (**at == 'J') {
		++*at;
		date->kind = ZONE_JULIAN;
		well = take_number(at, 1, 365, &date->day);
	} else {
		date->kind = ZONE_DAY;
		well = take_number(at, 0, 365, &date->day);
	}
	if (well && **at == '/') {
		++*at;
		well = take_time(at, &date->seconds);
	}
	return well;
}

/* They are written as what has to be added to get UTC. */
bool zone_rule_parse(const char *text, struct zone_rule *rule)
{
	*rule = (struct zone_rule){0};
	if (!skip_name(&text) || !take_time(&text, &rule->standard))
		return false;
	rule->standard = -rule->standard;
	rule->summer = rule->standard + 3600;
	if (!*text)
		return true;
	if (!skip_name(&text))
		return false;
	if (*text && *text != ',') {
		if (!take_time(&text, &rule->summer))
			return false;
		rule->summer = -rule->summer;
	}
	rule->changes = true;
	return take_date(&text, &rule->start) && take_date(&text, &rule->end) &&
		!*text;
}

/* -- using ------------------------------------------------------------------- */

static int64_t day_of(const struct zone_date *date, int64_t year)
{
	int64_t first = civil_days(year, 1, 1);
	if (date->kind == ZONE_DAY)
		return first + date->day;
	if (date->kind == ZONE_JULIAN)
		return first + date->day - 1 +
			(date->day > 59 && civil_month_days(year, 2) == 29);
	first = civil_days(year, date->month, 1);
	int64_t day = first + (date->day - civil_weekday(first) + 7) % 7 +
		7 * (date->week - 1);
	/* The fifth is the last. */
	if (day >= first + civil_month_days(year, date->month))
		day -= 7;
	return day;
}

int32_t zone_rule_offset(const struct zone_rule *rule, int64_t instant)
{
	if (!rule->changes)
		return rule->standard;
	int64_t year =
		civil_date(civil_floor(instant + rule->standard, CIVIL_DAY_S))
			.year;
	int64_t start = day_of(&rule->start, year) * CIVIL_DAY_S +
		rule->start.seconds - rule->standard;
	int64_t end = day_of(&rule->end, year) * CIVIL_DAY_S +
		rule->end.seconds - rule->summer;
	bool summer = start < end ? instant >= start && instant < end
				  : instant < end || instant >= start;
	return summer ? rule->summer : rule->standard;
}
