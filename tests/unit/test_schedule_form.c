/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The form that the document has for schedules: what is taken and what is refused, and
 * which files external snapshots get.
 */
#include "blockcore/base/doc.h"
#include "target/control/schedule/civil.h"
#include "target/control/schedule/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* 2026-11-26 23:51 in UTC. */
#define MOMENT (civil_days(2026, 11, 26) * CIVIL_DAY_S + 23 * 3600 + 51 * 60)

#define START "{name: n, volumes: [a, b], "
#define KEEP ", keep: {daily: 7}}"

static int read_text(const char *text, struct schedule *schedule)
{
	struct err err = {0};
	struct doc *node = doc_parse("test", text, strlen(text), &err);
	if (!node)
		fail_msg("%s", err.text);
	int failed = schedule_read(node, schedule, &err);
	assert_true(!failed == !*err.text);
	doc_free(node);
	return failed;
}

static void forms_that_are_taken(void **unused)
{
	struct schedule s;
	char name[SCHEDULE_STAMP_BYTES];
	(void)unused;
	assert_int_equal(read_text(START "every: week, weekday: friday, at: "
					 "\"23:59\", zone: Asia/Tokyo" KEEP,
				 &s),
		0);
	assert_int_equal(s.volumes, 2);
	assert_true(s.group && s.enabled);
	assert_int_equal(s.times.every, SCHEDULE_WEEK);
	assert_int_equal(s.times.weekday, 5);
	assert_int_equal(s.times.at, 23 * 60 + 59);
	assert_int_equal(s.keep.count[SCHEDULE_DAILY], 7);
	schedule_stamp(&s, MOMENT + 7, name);
	assert_string_equal(name, "n-20261126T235107Z");
	assert_int_equal(read_text(START "every: 24h" KEEP, &s), 0);
	assert_int_equal(s.times.minutes, 1440);
	assert_int_equal(read_text(START "every: month" KEEP, &s), 0);
	assert_int_equal(s.times.day, 1);
}

#define OUTSIDE START "every: day, kind: external"

static void check_path(const char *text, unsigned number, const char *wanted)
{
	struct schedule s;
	char path[SCHEDULE_PATH_BYTES];
	if (read_text(text, &s))
		fail_msg("%s was refused", text);
	assert_true(s.external);
	schedule_path(&s, "db01", MOMENT + 7, number, path);
	assert_string_equal(path, wanted);
}

static void files_of_new_images(void **unused)
{
	char name[SCHEDULE_NAME_BYTES], volume[SCHEDULE_VOLUME_BYTES];
	char path[SCHEDULE_PATH_BYTES];
	struct schedule s;
	(void)unused;
	check_path(OUTSIDE KEEP, 1, "db01.n-20261126T235107Z.qcow2");
	check_path(OUTSIDE KEEP, 2, "db01.n-20261126T235107Z-2.qcow2");
	check_path(OUTSIDE ", directory: a/b_c/d.e, file: "
			   "\"{schedule}-{time}_{volume}\"" KEEP,
		1, "a/b_c/d.e/n-20261126T235107Z_db01");
	check_path(OUTSIDE ", file: \"{schedule}-{time}_{volume}\"" KEEP, 12,
		"n-20261126T235107Z_db01-12");
	check_path(OUTSIDE ", placement: {a: head, b: image, c: both, d: "
			   "drop}" KEEP,
		1, "db01.n-20261126T235107Z.qcow2");
	/* The longest of all. */
	assert_int_equal(
		read_text(OUTSIDE ", file: \"{schedule}{snapshot}{time}{volume}"
				  "bcdefghijklmnopqrstuvwxyzABC.q\"" KEEP,
			&s),
		0);
	memset(name, 'n', sizeof name);
	memset(volume, 'v', sizeof volume);
	name[sizeof name - 1] = volume[sizeof volume - 1] = '\0';
	memcpy(s.name, name, sizeof s.name);
	schedule_path(&s, volume, MOMENT, 999, path);
	assert_true(strlen(path) < 256);
	assert_string_equal(path + strlen(path) - 9, "ABC-999.q");
}

static void files_that_are_refused(void **unused)
{
	static const char *const texts[] = {START
		"every: day, directory: a" KEEP,
		START
		"every: day, kind: internal, file: \"{volume}{time}\"" KEEP,
		START "every: day, placement: {a: head}" KEEP,
		START "every: day, kind: other" KEEP,
		OUTSIDE ", directory: \"\"" KEEP,
		OUTSIDE ", directory: /a" KEEP, OUTSIDE ", directory: a/" KEEP,
		OUTSIDE ", directory: a//b" KEEP,
		OUTSIDE ", directory: ../a" KEEP,
		OUTSIDE ", directory: a/../b" KEEP,
		OUTSIDE ", directory: \"a b\"" KEEP,
		OUTSIDE ", directory: [a]" KEEP, OUTSIDE ", file: \"\"" KEEP,
		OUTSIDE ", file: \"{volume}\"" KEEP,
		OUTSIDE ", file: \"{snapshot}\"" KEEP,
		OUTSIDE ", file: \"{volume}{volume}{time}\"" KEEP,
		OUTSIDE ", file: \"{volume}{time}{date}\"" KEEP,
		OUTSIDE ", file: \"{volume}{time\"" KEEP,
		OUTSIDE ", file: \"a/{volume}{time}\"" KEEP,
		OUTSIDE ", file: \".{volume}{time}\"" KEEP,
		OUTSIDE ", placement: head" KEEP,
		OUTSIDE ", placement: {a: up}" KEEP,
		OUTSIDE ", keep: {daily: 21}}",
		OUTSIDE ", keep: {daily: 10, weekly: 11}}"};
	struct schedule s;
	(void)unused;
	for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (!read_text(texts[i], &s))
			fail_msg("%s was taken", texts[i]);
	}
}

static void forms_that_are_refused(void **unused)
{
	static const char *const texts[] = {START "every: 25h" KEEP,
		START "every: 0m" KEEP, START "every: 15" KEEP,
		START "every: -5m" KEEP, START "every: 99999999999m" KEEP,
		START "every: year" KEEP,
		START "every: day, at: \"24:00\"" KEEP,
		START "every: day, at: \"1:00\"" KEEP,
		START "every: hour, at: \"02:10\"" KEEP,
		START "every: 15m, at: \"00:10\"" KEEP,
		START "every: day, weekday: monday" KEEP,
		START "every: week, day: 3" KEEP,
		START "every: month, day: 32" KEEP,
		START "every: day, zone: ../x" KEEP,
		START "every: day, keep: {}}",
		START "every: day, keep: {daily: 1001}}",
		START "every: day, keep: {daily: 900, weekly: 101}}",
		START "every: day}", "{name: n, volumes: [], every: day" KEEP,
		"{name: n, volumes: [a, a], every: day" KEEP,
		"{name: n, volumes: a, every: day" KEEP,
		"{name: .n, volumes: [a], every: day" KEEP,
		"{name: n2345678901234567890123456789012345678901, "
		"volumes: [a], every: day" KEEP};
	struct schedule s;
	(void)unused;
	for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (!read_text(texts[i], &s))
			fail_msg("%s was taken", texts[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms_that_are_taken),
		cmocka_unit_test(forms_that_are_refused),
		cmocka_unit_test(files_of_new_images),
		cmocka_unit_test(files_that_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
