/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of external snapshots, and what all snapshots of a schedule are called; see
 * schedule.h, invariant 3.
 */
#include "blockcore/spec.h"
#include "target/control/schedule/civil.h"
#include "target/control/schedule/schedule.h"
#include "target/control/schedule/schedule_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- reading ------------------------------------------------------------------ */

#define FILE_USUAL "{volume}.{snapshot}.qcow2"
enum place { PLACE_VOLUME, PLACE_SNAPSHOT, PLACE_TIME, PLACE_SCHEDULE, PLACES };
static const char *const places[PLACES] = {
	"{volume}", "{snapshot}", "{time}", "{schedule}"};

/* Which one `text` begins with; PLACES: none. */
static unsigned place_at(const char *text)
{
	unsigned i = 0;
	while (i < PLACES && strncmp(places[i], text, strlen(places[i])) != 0)
		i++;
	return i;
}

static bool is_part(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9') || (c && strchr("._-", c));
}

/* Each place once at most; which there are, as bits. False: it is no name. */
static bool read_file(const char *text, unsigned *there)
{
	*there = 0;
	if (*text != '{' && (!is_part(*text) || strchr(".-", *text)))
		return false;
	while (*text) {
		unsigned place = place_at(text);
		if (place < PLACES ? (*there & 1u << place) : !is_part(*text))
			return false;
		*there |= place < PLACES ? 1u << place : 0;
		text += place < PLACES ? strlen(places[place]) : 1;
	}
	return true;
}

static int check_file(const struct doc *node, const char *text, struct err *err)
{
	unsigned there;
	if (!read_file(text, &there))
		return doc_error(node, err, EINVAL,
			"\"%s\" is no name of a file: letters, digits, '.', "
			"'_' "
			"and '-' in it, and {volume}, {schedule}, {snapshot} "
			"and {time} once at most",
			text);
	if (there & 1u << PLACE_VOLUME &&
		there & (1u << PLACE_SNAPSHOT | 1u << PLACE_TIME))
		return 0;
	return doc_error(node, err, EINVAL,
		"\"%s\" would name two files alike: {volume} must be in it, "
		"and "
		"{snapshot} or {time}",
		text);
}

/* Below the data directory, each part a plain name. */
static int check_directory(
	const struct doc *node, const char *text, struct err *err)
{
	bool begins = true, well = *text;
	for (const char *c = text; *c && well; c++) {
		well = begins ? is_part(*c) && !strchr(".-", *c)
			      : is_part(*c) || (*c == '/' && c[1]);
		begins = *c == '/';
	}
	return well
		? 0
		: doc_error(node, err, EINVAL,
			  "\"%s\" is no directory below the data directory: "
			  "names of letters, digits, '.', '_' and '-', with "
			  "'/' between them, are expected",
			  text);
}

static int check_placement(const struct doc *map, struct err *err)
{
	enum spec_placement ignored;
	if (map->kind != DOC_MAP)
		return doc_error(map, err, EINVAL,
			"a map of listeners and their places is expected");
	for (const struct doc *one = map->first; one; one = one->next) {
		if (spec_placement_parse(one, &ignored, err))
			return -EINVAL;
	}
	return 0;
}

/* NULL: nothing. */
static const struct doc *said(const struct doc *node, const char *key)
{
	const struct doc *one = doc_find(node, key);
	return one && one->kind != DOC_NULL ? one : NULL;
}

/* What only external ones have is a mistake of others. */
static int refuse_external(const struct doc *node, struct err *err)
{
	static const char *const keys[] = {"directory", "file", "placement"};
	for (unsigned i = 0; i < sizeof keys / sizeof *keys; i++) {
		const struct doc *one = said(node, keys[i]);
		if (one)
			return doc_error(one, err, EINVAL,
				"it goes only with kind: external");
	}
	return 0;
}

int schedule_read_files(
	const struct doc *node, struct schedule *schedule, struct err *err)
{
	const struct doc *directory = said(node, "directory");
	const struct doc *file = said(node, "file");
	const struct doc *placement = said(node, "placement");
	int failed = 0;
	if (!schedule->external)
		return refuse_external(node, err);
	if (directory)
		failed = check_directory(directory, directory->text, err);
	if (!failed && file)
		failed = check_file(file, file->text, err);
	if (!failed && placement)
		failed = check_placement(placement, err);
	snprintf(schedule->directory, sizeof schedule->directory, "%s",
		directory ? directory->text : "");
	snprintf(schedule->file, sizeof schedule->file, "%s",
		file ? file->text : FILE_USUAL);
	return failed;
}

/* -- names --------------------------------------------------------------------- */

bool schedule_names(const struct schedule *schedule, const char *volume)
{
	for (unsigned i = 0; i < schedule->volumes; i++) {
		if (!strcmp(schedule->volume[i], volume))
			return true;
	}
	return false;
}

#define TIME_BYTES 28u

static void print_time(int64_t instant, char text[TIME_BYTES])
{
	int64_t day = civil_floor(instant, CIVIL_DAY_S);
	unsigned second = (unsigned)(instant - day * CIVIL_DAY_S);
	struct civil date = civil_date(day);
	snprintf(text, TIME_BYTES, "%04d%02d%02dT%02u%02u%02uZ",
		(int)date.year % 10000, date.month % 100, date.day % 100,
		second / 3600, second / 60 % 60, second % 60);
}

void schedule_stamp(const struct schedule *schedule, int64_t instant,
	char name[SCHEDULE_STAMP_BYTES])
{
	char time[TIME_BYTES];
	print_time(instant, time);
	snprintf(name, SCHEDULE_STAMP_BYTES, "%s-%s", schedule->name, time);
}

/* The file's name, with what stands for its places. */
static void fill_places(
	const char *file, const char *const values[PLACES], FILE *out)
{
	while (*file) {
		unsigned place = place_at(file);
		if (place == PLACES)
			fputc(*file++, out);
		else
			fputs(values[place], out);
		file += place < PLACES ? strlen(places[place]) : 0;
	}
}

/* -N goes before what says of which kind the file is. */
static void number_name(char *name, size_t bytes, unsigned number)
{
	char end[32];
	char *dot = strrchr(name, '.');
	if (!dot || strlen(dot) >= sizeof end)
		dot = name + strlen(name);
	snprintf(end, sizeof end, "%s", dot);
	snprintf(dot, bytes - (size_t)(dot - name), "-%u%s", number, end);
}

void schedule_path(const struct schedule *schedule, const char *volume,
	int64_t instant, unsigned number, char path[SCHEDULE_PATH_BYTES])
{
	char time[TIME_BYTES], stamp[SCHEDULE_STAMP_BYTES];
	char name[SCHEDULE_PATH_BYTES - SCHEDULE_DIRECTORY_BYTES - 1];
	print_time(instant, time);
	schedule_stamp(schedule, instant, stamp);
	const char *const values[PLACES] = {[PLACE_VOLUME] = volume,
		[PLACE_SNAPSHOT] = stamp,
		[PLACE_TIME] = time,
		[PLACE_SCHEDULE] = schedule->name};
	FILE *out = fmemopen(name, sizeof name, "w");
	if (!out)
		abort();
	fill_places(schedule->file, values, out);
	fclose(out);
	if (number > 1)
		number_name(name, sizeof name, number);
	snprintf(path, SCHEDULE_PATH_BYTES, "%s%s%s", schedule->directory,
		*schedule->directory ? "/" : "", name);
}
