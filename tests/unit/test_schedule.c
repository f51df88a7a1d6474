/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schedules without a daemon: zones against the C library's, when one runs (each date
 * once, nights of a changing clock by name), what stays against a simple model. Their
 * form: test_schedule_form.c.
 */
#include "target/control/schedule/civil.h"
#include "target/control/schedule/schedule.h"
#include "target/control/schedule/zone_rule.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static uint64_t seed;

static int64_t below(int64_t most)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (int64_t)(seed >> 33) % most;
}

static const char *const places[] = {"UTC", "Europe/Berlin", "America/New_York",
	"America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu",
	"Pacific/Apia", "America/Sao_Paulo", "Africa/Cairo", "Asia/Tehran",
	"Pacific/Kiritimati", "Africa/Casablanca"};
#define PLACES (sizeof places / sizeof *places)

static struct zone *open_zone(const char *name)
{
	struct err err = {0};
	struct zone *zone = zone_open(name, &err);
	if (!zone)
		fail_msg("%s", err.text);
	return zone;
}

static int64_t utc(int64_t year, int month, int day, int hour, int minute)
{
	return civil_days(year, month, day) * CIVIL_DAY_S + hour * 3600 +
		minute * 60;
}

/* -- zones ------------------------------------------------------------------- */

static void dates_are_those_of_the_library(void **unused)
{
	(void)unused;
	for (int i = 0; i < 20000; i++) {
		int64_t days = below(200000) - 50000;
		time_t at = days * CIVIL_DAY_S;
		struct tm tm;
		struct civil date = civil_date(days);
		gmtime_r(&at, &tm);
		assert_int_equal(date.year, tm.tm_year + 1900);
		assert_int_equal(date.month, tm.tm_mon + 1);
		assert_int_equal(date.day, tm.tm_mday);
		assert_int_equal(civil_weekday(days), tm.tm_wday);
		assert_int_equal(
			civil_days(date.year, date.month, date.day), days);
	}
}

/* Up to 2100: behind the tables of files, too. */
static void offsets_are_those_of_the_library(void **unused)
{
	(void)unused;
	for (unsigned p = 0; p < PLACES; p++) {
		struct zone *zone = open_zone(places[p]);
		setenv("TZ", places[p], 1);
		tzset();
		for (int i = 0; i < 5000; i++) {
			time_t at = below(utc(2100, 1, 1, 0, 0));
			struct tm tm;
			localtime_r(&at, &tm);
			if (zone_offset(zone, at) != tm.tm_gmtoff)
				fail_msg(
					"%s at %lld", places[p], (long long)at);
		}
		zone_free(zone);
	}
	unsetenv("TZ");
	tzset();
}

/* Invariant 1 of zone.h: it is that time then, or there is no such time. */
static void local_times_mean_one_instant(void **unused)
{
	(void)unused;
	for (unsigned p = 0; p < PLACES; p++) {
		struct zone *zone = open_zone(places[p]);
		for (int i = 0; i < 5000; i++) {
			int64_t local = utc(1990, 1, 1, 0, 0) +
				below(60ll * 365 * CIVIL_DAY_S);
			int64_t at = zone_instant(zone, local);
			bool there = false;
			for (int64_t t = local - 15 * 3600;
				t <= local + 15 * 3600 && !there; t += 900)
				there = t + zone_offset(zone, t) == local;
			if (there)
				assert_int_equal(
					at + zone_offset(zone, at), local);
		}
		zone_free(zone);
	}
}

static void wrong_zones_are_refused(void **unused)
{
	static const char *const names[] = {"", "../../etc/passwd",
		"/etc/hosts", "Europe//Berlin", "Europe/../UTC", "Nowhere/Town",
		"Europe", "zone.tab", "Europe/", "1Zone"};
	(void)unused;
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		struct err err = {0};
		struct zone *zone = zone_open(names[i], &err);
		if (zone)
			fail_msg("\"%s\" was opened", names[i]);
		assert_true(*err.text);
	}
}

static void rules_are_read_strictly(void **unused)
{
	static const char *const good[] = {"UTC0", "CET-1CEST,M3.5.0,M10.5.0/3",
		"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "EST5EDT,J60/2,300/-1",
		"IST-2IDT,M3.4.4/26,M10.5.0"};
	static const char *const bad[] = {"", "C-1", "CET", "CET-1CEST",
		"CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0",
		"CET-1CEST,M3.5.0,M10.5.0x", "CET-1CEST,M3.6.0,M10.5.0",
		"CET-168", "<+10", "CET-1CEST,J0,J300",
		"CET-1CEST,M3.5.7,M1.1.0"};
	struct zone_rule rule;
	(void)unused;
	for (unsigned i = 0; i < sizeof good / sizeof *good; i++)
		if (!zone_rule_parse(good[i], &rule))
			fail_msg("\"%s\" was refused", good[i]);
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
		if (zone_rule_parse(bad[i], &rule))
			fail_msg("\"%s\" was taken", bad[i]);
}

/* -- when -------------------------------------------------------------------- */

static void nights_of_a_changing_clock(void **unused)
{
	struct zone *zone = open_zone("Europe/Berlin");
	struct schedule_times at0230 = {.every = SCHEDULE_DAY, .at = 150};
	(void)unused;
	/* 2026-03-29: 02:00 is 03:00; 02:30 is when it would have been. */
	int64_t next = schedule_next(&at0230, zone, utc(2026, 3, 28, 12, 0));
	assert_int_equal(next, utc(2026, 3, 29, 1, 30));
	next = schedule_next(&at0230, zone, next);
	assert_int_equal(next, utc(2026, 3, 30, 0, 30));
	/* 2026-10-25: 03:00 is 02:00; 02:30 comes twice, the first counts. */
	next = schedule_next(&at0230, zone, utc(2026, 10, 24, 12, 0));
	assert_int_equal(next, utc(2026, 10, 25, 0, 30));
	next = schedule_next(&at0230, zone, next);
	assert_int_equal(next, utc(2026, 10, 26, 1, 30));
	zone_free(zone);
}

static void periods_by_name(void **unused)
{
	struct zone *zone = open_zone("UTC");
	struct schedule_times t = {.every = SCHEDULE_MINUTES, .minutes = 15};
	(void)unused;
	assert_int_equal(schedule_next(&t, zone, utc(2026, 11, 26, 8, 15)),
		utc(2026, 11, 26, 8, 30));
	t = (struct schedule_times){.every = SCHEDULE_HOUR, .at = 20};
	assert_int_equal(schedule_next(&t, zone, utc(2026, 11, 26, 8, 19)),
		utc(2026, 11, 26, 8, 20));
	assert_int_equal(schedule_next(&t, zone, utc(2026, 11, 26, 8, 20)),
		utc(2026, 11, 26, 9, 20));
	t = (struct schedule_times){
		.every = SCHEDULE_WEEK, .at = 60, .weekday = 1};
	assert_int_equal(schedule_next(&t, zone, utc(2026, 11, 26, 8, 0)),
		utc(2026, 11, 30, 1, 0)); /* a Monday */
	t = (struct schedule_times){
		.every = SCHEDULE_MONTH, .at = 60, .day = 31};
	assert_int_equal(schedule_next(&t, zone, utc(2028, 1, 31, 1, 0)),
		utc(2028, 2, 29, 1, 0));
	assert_int_equal(schedule_next(&t, zone, utc(2028, 2, 29, 1, 0)),
		utc(2028, 3, 31, 1, 0));
	zone_free(zone);
}

/* So many runs as dates, whatever the clock does: of ten years. */
static void every_date_is_run_once(void **unused)
{
	(void)unused;
	for (unsigned p = 0; p < PLACES; p++) {
		struct zone *zone = open_zone(places[p]);
		struct schedule_times t = {
			.every = SCHEDULE_DAY, .at = (unsigned)below(1440)};
		int64_t day = civil_days(2021, 1, 1) - 1;
		int64_t next =
			zone_instant(zone, day++ * CIVIL_DAY_S + t.at * 60);
		for (; day < civil_days(2031, 1, 1); day++) {
			next = schedule_next(&t, zone, next);
			int64_t off = day * CIVIL_DAY_S + t.at * 60 -
				(next + zone_offset(zone, next));
			if (off > 0 || off < -3600)
				fail_msg("%s: %lld s off its date", places[p],
					(long long)off);
		}
		zone_free(zone);
	}
}

/* What is next does not depend on from where before it one asks. */
static void next_is_the_first(void **unused)
{
	(void)unused;
	for (int i = 0; i < 20000; i++) {
		struct zone *zone = open_zone(places[below(PLACES)]);
		struct schedule_times t = {
			.every = (enum schedule_every)below(5),
			.minutes = 1 + (unsigned)below(1440),
			.at = (unsigned)below(1440),
			.weekday = (unsigned)below(7),
			.day = 1 + (unsigned)below(31)};
		if (t.every == SCHEDULE_HOUR)
			t.at %= 60;
		int64_t after =
			utc(2020, 1, 1, 0, 0) + below(20ll * 365 * CIVIL_DAY_S);
		int64_t next = schedule_next(&t, zone, after);
		assert_true(next > after);
		int64_t between = after + below(next - after);
		assert_int_equal(schedule_next(&t, zone, between), next);
		zone_free(zone);
	}
}

/* -- which ------------------------------------------------------------------- */

#define MOST 200

/* What strftime says of it is a period, too: an hour has its offset. */
static void period_text(unsigned class, int64_t made, char text[64])
{
	time_t at = made;
	struct tm tm;
	localtime_r(&at, &tm);
	switch (class) {
	case SCHEDULE_HOURLY: strftime(text, 64, "%F %H %z", &tm); break;
	case SCHEDULE_DAILY: strftime(text, 64, "%F", &tm); break;
	case SCHEDULE_WEEKLY: strftime(text, 64, "%G-%V", &tm); break;
	case SCHEDULE_MONTHLY: strftime(text, 64, "%Y-%m", &tm); break;
	default: strftime(text, 64, "%Y", &tm);
	}
}

/* One class, said as simply as can be: the i-th stays if it is the newest of its
 * period, and fewer than `count` periods are newer. */
static bool model_wants(
	unsigned class, unsigned count, const int64_t *made, unsigned i)
{
	char own[64], other[64], last[64] = "none";
	unsigned newer = 0;
	if (class == SCHEDULE_LATEST)
		return i < count;
	period_text(class, made[i], own);
	for (unsigned n = 0; n < i; n++) {
		period_text(class, made[n], other);
		if (!strcmp(own, other))
			return false;
		newer += strcmp(last, other) != 0;
		strcpy(last, other);
	}
	return newer < count;
}

static unsigned random_calendar(int64_t made[MOST])
{
	static const int64_t steps[] = {600, 3600, 6 * 3600, 86400, 7 * 86400};
	int64_t step = steps[below(5)];
	unsigned count = (unsigned)below(MOST);
	int64_t at = utc(2030, 1, 1, 0, 0) + below(400) * 86400;
	for (unsigned i = 0; i < count; i++) {
		made[i] = at;
		at -= 1 + below(2 * step);
	}
	return count;
}

static void check_model(const struct schedule_keep *keep, const int64_t *made,
	unsigned count, const uint8_t *wanted)
{
	for (unsigned i = 0; i < count; i++) {
		unsigned expected = 0;
		for (unsigned class = 0; class < SCHEDULE_CLASSES; class ++)
			expected |= (unsigned)model_wants(
					    class, keep->count[class], made, i)
				<< class;
		assert_int_equal(wanted[i], expected);
	}
}

/* Invariants of times.h; and no class keeps more than it says. */
static void check_invariants(const struct schedule_keep *keep,
	const struct zone *zone, const int64_t *made, unsigned count,
	const uint8_t *wanted)
{
	int64_t left[MOST];
	uint8_t again[MOST];
	unsigned stay = 0, all = 0;
	for (unsigned i = 0; i < count; i++) {
		if (wanted[i])
			left[stay++] = made[i];
	}
	schedule_retain(keep, zone, left, stay, again);
	for (unsigned i = 0; i < stay; i++)
		assert_true(again[i]);
	for (unsigned class = 0; class < SCHEDULE_CLASSES; class ++)
		all += keep->count[class];
	assert_true(stay <= all);
	if (count && all)
		assert_true(wanted[0]);
}

static void retention_is_the_model(void **unused)
{
	/* Whose hours are whole: the model's texts know no others. */
	static const char *const zones[] = {
		"UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"};
	(void)unused;
	for (int round = 0; round < 400; round++) {
		int64_t made[MOST];
		uint8_t wanted[MOST];
		const char *name = zones[below(4)];
		struct zone *zone = open_zone(name);
		struct schedule_keep keep = {0};
		for (unsigned i = 0; i < SCHEDULE_CLASSES; i++)
			keep.count[i] = (unsigned)below(3) * (unsigned)below(9);
		unsigned count = random_calendar(made);
		setenv("TZ", name, 1);
		tzset();
		schedule_retain(&keep, zone, made, count, wanted);
		check_model(&keep, made, count, wanted);
		check_invariants(&keep, zone, made, count, wanted);
		zone_free(zone);
	}
	unsetenv("TZ");
	tzset();
}

/* A year of a snapshot each hour, pruned after each: what is left is known. */
static void a_year_of_hours(void **unused)
{
	struct schedule_keep keep = {.count = {[SCHEDULE_HOURLY] = 24,
					     [SCHEDULE_DAILY] = 7,
					     [SCHEDULE_WEEKLY] = 4,
					     [SCHEDULE_MONTHLY] = 12}};
	struct zone *zone = open_zone("UTC");
	int64_t made[MOST];
	uint8_t wanted[MOST];
	unsigned count = 0, stay;
	(void)unused;
	for (int64_t t = utc(2026, 1, 1, 0, 0); t < utc(2027, 1, 1, 0, 0);
		t += 3600) {
		memmove(made + 1, made, count * sizeof *made);
		made[0] = t;
		schedule_retain(&keep, zone, made, ++count, wanted);
		stay = 0;
		for (unsigned i = 0; i < count; i++) {
			if (wanted[i])
				made[stay++] = made[i];
		}
		count = stay;
	}
	/* 24 of this Thursday, one of each of 6 more days, of 2 more weeks (that of
	 * the week before is one of the days), of 11 more months. */
	assert_int_equal(count, 24 + 6 + 2 + 11);
	assert_int_equal(made[count - 1], utc(2026, 1, 31, 23, 0));
	zone_free(zone);
}

int main(void)
{
	const char *given = getenv("TEST_SEED");
	seed = given ? strtoull(given, NULL, 0) : 1;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_are_those_of_the_library),
		cmocka_unit_test(offsets_are_those_of_the_library),
		cmocka_unit_test(local_times_mean_one_instant),
		cmocka_unit_test(wrong_zones_are_refused),
		cmocka_unit_test(rules_are_read_strictly),
		cmocka_unit_test(nights_of_a_changing_clock),
		cmocka_unit_test(periods_by_name),
		cmocka_unit_test(every_date_is_run_once),
		cmocka_unit_test(next_is_the_first),
		cmocka_unit_test(retention_is_the_model),
		cmocka_unit_test(a_year_of_hours),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
