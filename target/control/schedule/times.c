/* SPDX-License-Identifier: Apache-2.0 */
/* See times.h. */
#include "target/control/schedule/times.h"

#include "target/control/schedule/civil.h"

#define HOUR_S 3600
#define WEEK_DAYS 7

/* -- when -------------------------------------------------------------------- */

static int64_t local_day(const struct zone *zone, int64_t instant)
{
	return civil_floor(instant + zone_offset(zone, instant), CIVIL_DAY_S);
}

/* The clock may jump by parts of an hour: from then on its minutes count. */
static int64_t next_hour(const struct schedule_times *times,
	const struct zone *zone, int64_t after)
{
	int64_t at = times->at * 60ll, next = after;
	for (int i = 0; i < 2; i++) {
		int64_t offset = zone_offset(zone, next);
		next = (civil_floor(after + offset - at, HOUR_S) + 1) * HOUR_S +
			at - offset;
	}
	return next > after ? next : next + HOUR_S;
}

static int64_t next_day(const struct schedule_times *times,
	const struct zone *zone, int64_t after, bool weekly)
{
	/* A zone may skip a day, and dates can be two off from UTC's. */
	for (int64_t day = local_day(zone, after) - 2;; day++) {
		if (weekly && civil_weekday(day) != (int)times->weekday)
			continue;
		int64_t next = zone_instant(
			zone, day * CIVIL_DAY_S + times->at * 60ll);
		if (next > after)
			return next;
	}
}

static int64_t next_month(const struct schedule_times *times,
	const struct zone *zone, int64_t after)
{
	struct civil date = civil_date(local_day(zone, after));
	int64_t months = date.year * 12 + date.month - 1;
	for (months--;; months++) {
		int64_t year = civil_floor(months, 12);
		int month = (int)(months - year * 12) + 1;
		int last = civil_month_days(year, month);
		int day = (int)times->day < last ? (int)times->day : last;
		int64_t next = zone_instant(zone,
			civil_days(year, month, day) * CIVIL_DAY_S +
				times->at * 60ll);
		if (next > after)
			return next;
	}
}

int64_t schedule_next(const struct schedule_times *times,
	const struct zone *zone, int64_t after)
{
	int64_t step = times->minutes * 60ll;
	switch (times->every) {
	case SCHEDULE_HOUR: return next_hour(times, zone, after);
	case SCHEDULE_DAY: return next_day(times, zone, after, false);
	case SCHEDULE_WEEK: return next_day(times, zone, after, true);
	case SCHEDULE_MONTH: return next_month(times, zone, after);
	default: return (civil_floor(after, step) + 1) * step;
	}
}

/* -- which ------------------------------------------------------------------- */

/* Two of one class are equal if they are of one period. An hour that the clock has
 * twice is two. */
static int64_t period_of(
	enum schedule_class class, const struct zone *zone, int64_t made)
{
	int32_t offset = zone_offset(zone, made);
	int64_t day = civil_floor(made + offset, CIVIL_DAY_S);
	struct civil date = civil_date(day);
	switch (class) {
	case SCHEDULE_HOURLY:
		return civil_floor(made + offset % HOUR_S, HOUR_S);
	case SCHEDULE_DAILY: return day;
	case SCHEDULE_WEEKLY: return civil_floor(day + 3, WEEK_DAYS);
	case SCHEDULE_MONTHLY: return date.year * 12 + date.month;
	case SCHEDULE_YEARLY: return date.year;
	default: return 0;
	}
}

static void retain_class(const struct schedule_keep *keep,
	enum schedule_class class, const struct zone *zone, const int64_t *made,
	unsigned count, uint8_t *wanted)
{
	unsigned left = keep->count[class];
	int64_t last = 0;
	for (unsigned i = 0; i < count && left; i++) {
		int64_t period = period_of(class, zone, made[i]);
		if (i && class != SCHEDULE_LATEST && period == last)
			continue;
		wanted[i] |= (uint8_t)(1u << class);
		last = period;
		left--;
	}
}

void schedule_retain(const struct schedule_keep *keep, const struct zone *zone,
	const int64_t *made, unsigned count, uint8_t *wanted)
{
	for (unsigned i = 0; i < count; i++)
		wanted[i] = 0;
	for (int class = 0; class < SCHEDULE_CLASSES; class ++)
		retain_class(keep, (enum schedule_class) class, zone, made,
			count, wanted);
}
