/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Days and dates of the Gregorian calendar. Days are counted from 1970-01-01, which
 * was a Thursday; months are 1 to 12.
 */
#ifndef TARGET_CONTROL_SCHEDULE_CIVIL_H
#define TARGET_CONTROL_SCHEDULE_CIVIL_H

#include <stdint.h>

#define CIVIL_DAY_S 86400

struct civil {
	int64_t year;
	int month, day;
};

/* Rounded down. */
static inline int64_t civil_floor(int64_t value, int64_t unit)
{
	return value / unit - (value % unit < 0);
}

/* Years begin in March here, so that the leap day is their last. */
static inline int64_t civil_days(int64_t year, int month, int day)
{
	int64_t y = year - (month <= 2), era = civil_floor(y, 400);
	int64_t of_era = y - era * 400;
	int64_t of_year =
		(153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 +
		of_year - 719468;
}

static inline struct civil civil_date(int64_t days)
{
	int64_t d = days + 719468, era = civil_floor(d, 146097);
	int64_t of_era = d - era * 146097;
	int64_t years =
		(of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) /
		365;
	int64_t of_year = of_era - (365 * years + years / 4 - years / 100);
	int64_t month = (5 * of_year + 2) / 153;
	struct civil date = {.year = years + era * 400,
		.month = (int)(month < 10 ? month + 3 : month - 9),
		.day = (int)(of_year - (153 * month + 2) / 5 + 1)};
	date.year += date.month <= 2;
	return date;
}

/* 0: Sunday. */
static inline int civil_weekday(int64_t days)
{
	return (int)(days + 4 - 7 * civil_floor(days + 4, 7));
}

static inline int civil_month_days(int64_t year, int month)
{
	return (int)(civil_days(year + month / 12, month % 12 + 1, 1) -
		civil_days(year, month, 1));
}

#endif
