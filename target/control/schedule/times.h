/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a schedule runs, and which of what it made it keeps: pure functions.
 *
 * A run belongs to a date of the wall's clock and is done exactly once, whatever the
 * clock does that night (zone.h). Every so many minutes or hours counts from midnight
 * in UTC, also over a change of the clock.
 *
 * Retention is grandfather, father, son: of each of the newest `daily` days that have
 * a snapshot the newest one is kept, and so for hours, weeks (from Monday), months,
 * years, and the `latest` ones whatever their time. One is kept if any of these wants
 * it.
 *
 * Invariants
 *  1. What is kept is kept again when the rest has gone: to prune twice is to prune
 *     once.
 *  2. The newest is always kept if anything is.
 */
#ifndef TARGET_CONTROL_SCHEDULE_TIMES_H
#define TARGET_CONTROL_SCHEDULE_TIMES_H

#include "target/control/schedule/zone.h"

enum schedule_every {
	SCHEDULE_MINUTES, /* every `minutes` */
	SCHEDULE_HOUR,
	SCHEDULE_DAY,
	SCHEDULE_WEEK,
	SCHEDULE_MONTH
};

struct schedule_times {
	enum schedule_every every;
	unsigned minutes; /* 1 to 1440 */
	unsigned at; /* minutes after midnight; of an hour: after it began */
	unsigned weekday; /* 0: Sunday */
	unsigned day; /* 1 to 31; the last one of a month that is shorter */
};

/* The first run after that instant. */
int64_t schedule_next(const struct schedule_times *times,
	const struct zone *zone, int64_t after);

enum schedule_class {
	SCHEDULE_LATEST,
	SCHEDULE_HOURLY,
	SCHEDULE_DAILY,
	SCHEDULE_WEEKLY,
	SCHEDULE_MONTHLY,
	SCHEDULE_YEARLY,
	SCHEDULE_CLASSES
};

struct schedule_keep {
	unsigned count[SCHEDULE_CLASSES];
};

/* `made`: when, newest first. wanted[i] says by which classes the i-th is kept, as
 * bits 1 << class; 0: it goes. */
void schedule_retain(const struct schedule_keep *keep, const struct zone *zone,
	const int64_t *made, unsigned count, uint8_t *wanted);

#endif
