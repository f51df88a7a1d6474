/* SPDX-License-Identifier: Apache-2.0 */
/* See schedule.h. */
#include "target/control/schedule/schedule.h"

#include "blockcore/base/opts.h"
#include "target/control/document/names.h"
#include "target/control/schedule/schedule_parts.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define MOST_MINUTES 1440u

/* -- its form ---------------------------------------------------------------- */

struct schedule_options {
	char *name, *every, *at, *zone;
	char *directory, *file; /* schedule_files.c reads these */
	const struct doc *volumes, *keep, *placement;
	int weekday, kind;
	uint64_t day;
	bool group, enabled;
};

static const char *const weekdays[] = {"sunday", "monday", "tuesday",
	"wednesday", "thursday", "friday", "saturday", NULL};
static const char *const kinds[] = {"internal", "external", NULL};
#define EXTERNAL 1
/* From SCHEDULE_HOUR on. */
static const char *const periods[] = {"hour", "day", "week", "month", NULL};

#define OPTION(field) offsetof(struct schedule_options, field)
static const struct opt_spec specs[] = {{.name = "name",
						.type = OPT_STRING,
						.offset = OPTION(name),
						.max = SCHEDULE_NAME_BYTES - 1,
						.help = "how its snapshots "
							"begin"},
	{.name = "volumes",
		.type = OPT_DOC,
		.offset = OPTION(volumes),
		.help = "snapshots of these; 1 to 16"},
	{.name = "group",
		.type = OPT_BOOL,
		.offset = OPTION(group),
		.fallback = "true",
		.help = "all at one moment, all or none"},
	{.name = "enabled",
		.type = OPT_BOOL,
		.offset = OPTION(enabled),
		.fallback = "true",
		.help = "false: it runs only by hand"},
	{.name = "every",
		.type = OPT_STRING,
		.offset = OPTION(every),
		.max = 63,
		.help = "hour, day, week, month; or 1m to 24h"},
	{.name = "at",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.offset = OPTION(at),
		.max = 63,
		.help = "HH:MM of the zone's clock; else 00:00"},
	{.name = "weekday",
		.type = OPT_ENUM,
		.flags = OPT_OPTIONAL,
		.offset = OPTION(weekday),
		.choices = weekdays,
		.help = "of every week; else sunday"},
	{.name = "day",
		.type = OPT_UINT,
		.flags = OPT_OPTIONAL,
		.offset = OPTION(day),
		.min = 1,
		.max = 31,
		.help = "of every month, or its last one; else 1"},
	{.name = "zone",
		.type = OPT_STRING,
		.offset = OPTION(zone),
		.max = ZONE_NAME_BYTES - 1,
		.fallback = "UTC",
		.help = "of tzdata, such as Europe/Berlin"},
	{.name = "kind",
		.type = OPT_ENUM,
		.offset = OPTION(kind),
		.choices = kinds,
		.fallback = "internal",
		.help = "in the images, or new images over these"},
	{.name = "directory",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.offset = OPTION(directory),
		.max = SCHEDULE_DIRECTORY_BYTES - 1,
		.help = "of new images, in the data directory; else that"},
	{.name = "file",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.offset = OPTION(file),
		.max = SCHEDULE_FILE_BYTES - 1,
		.help = "of new images; else {volume}.{snapshot}.qcow2"},
	{.name = "placement",
		.type = OPT_DOC,
		.flags = OPT_OPTIONAL,
		.offset = OPTION(placement),
		.help = "{LISTENER: head, image, both, drop}"},
	{.name = "keep",
		.type = OPT_DOC,
		.offset = OPTION(keep),
		.help = "how many of each kind stay"},
	OPT_END};

struct keep_options {
	uint64_t count[SCHEDULE_CLASSES];
};

#define KEEP(class, key, text) \
	{ \
		.name = key, .type = OPT_UINT, \
		.offset = offsetof(struct keep_options, count) + \
			sizeof(uint64_t) * (class), \
		.max = SCHEDULE_MOST_KEPT, .fallback = "0", .help = text \
	}
static const struct opt_spec keep_specs[] = {
	KEEP(SCHEDULE_LATEST, "latest", "the newest, whatever their time"),
	KEEP(SCHEDULE_HOURLY, "hourly", "the newest of so many hours"),
	KEEP(SCHEDULE_DAILY, "daily", "the newest of so many days"),
	KEEP(SCHEDULE_WEEKLY, "weekly", "the newest of so many weeks"),
	KEEP(SCHEDULE_MONTHLY, "monthly", "the newest of so many months"),
	KEEP(SCHEDULE_YEARLY, "yearly", "the newest of so many years"),
	OPT_END};

void schedule_print_help(FILE *out)
{
	fputs("Each of schedules:\n", out);
	opts_print_help(specs, out);
	fputs("Its keep:\n", out);
	opts_print_help(keep_specs, out);
}

void schedule_print_schema(FILE *out)
{
	static const struct opt_schema more[] = {
		{"name", "\"pattern\": \"^[A-Za-z0-9][A-Za-z0-9._-]*$\", "},
		{"volumes",
			"\"type\": \"array\", \"minItems\": 1, \"maxItems\": "
			"16, \"uniqueItems\": true, \"items\": {\"$ref\": "
			"\"#/$defs/name\"}, "},
		{"every",
			"\"pattern\": \"^([1-9][0-9]{0,3}[mh]|hour|day|week|"
			"month)$\", "},
		{"directory",
			"\"pattern\": \"^[A-Za-z0-9_][A-Za-z0-9._-]*(/"
			"[A-Za-z0-9_][A-Za-z0-9._-]*)*$\", "},
		{"file", "\"pattern\": \"^[A-Za-z0-9_{][A-Za-z0-9._{}-]*$\", "},
		{"placement",
			"\"type\": \"object\", \"additionalProperties\": "
			"{\"enum\": [\"head\", \"image\", \"both\", "
			"\"drop\"]}, "},
		{"at", "\"pattern\": \"^([01][0-9]|2[0-3]):[0-5][0-9]$\", "},
		{"keep", "\"$ref\": \"#/$defs/keep\", "}, {NULL, NULL}};
	opts_print_schema_with(specs, more, out);
	fputs(",\n\"keep\": ", out);
	opts_print_schema(keep_specs, out);
}

/* -- reading ----------------------------------------------------------------- */

static int read_name(const struct doc *node, const char *name,
	struct schedule *schedule, struct err *err)
{
	if (!name_is_plain(name))
		return doc_error(doc_find(node, "name"), err, EINVAL,
			NAME_PLAIN_RULE, name);
	snprintf(schedule->name, sizeof schedule->name, "%s", name);
	return 0;
}

static int read_volumes(
	const struct doc *list, struct schedule *schedule, struct err *err)
{
	unsigned count = list->kind == DOC_LIST ? doc_count(list) : 0;
	if (!count || count > SCHEDULE_VOLUMES)
		return doc_error(list, err, EINVAL,
			"a list of 1 to %u names of volumes is expected",
			SCHEDULE_VOLUMES);
	for (const struct doc *one = list->first; one; one = one->next) {
		const char *name;
		if (doc_text(one, &name, err))
			return -EINVAL;
		if (!name_is_plain(name))
			return doc_error(
				one, err, EINVAL, NAME_PLAIN_RULE, name);
		for (unsigned i = 0; i < schedule->volumes; i++) {
			if (!strcmp(schedule->volume[i], name))
				return doc_error(one, err, EINVAL,
					"\"%s\" is there twice", name);
		}
		snprintf(schedule->volume[schedule->volumes++],
			SCHEDULE_VOLUME_BYTES, "%s", name);
	}
	return 0;
}

/* "15m", "6h". */
static bool read_minutes(const char *text, unsigned *minutes)
{
	char *end;
	if (*text < '1' || *text > '9')
		return false;
	unsigned long count = strtoul(text, &end, 10);
	unsigned unit = *end == 'm' ? 1 : *end == 'h' ? 60 : 0;
	if (!unit || end[1] || count > MOST_MINUTES / unit)
		return false;
	*minutes = (unsigned)count * unit;
	return true;
}

static int read_every(const struct doc *node, const char *every,
	struct schedule_times *times, struct err *err)
{
	for (unsigned i = 0; periods[i]; i++) {
		times->every = SCHEDULE_HOUR + i;
		if (!strcmp(periods[i], every))
			return 0;
	}
	times->every = SCHEDULE_MINUTES;
	if (read_minutes(every, &times->minutes))
		return 0;
	return doc_error(doc_find(node, "every"), err, EINVAL,
		"\"%s\" is no period: hour, day, week, month, or 1m to 24h",
		every);
}

/* "HH:MM"; of an hour only its minutes. */
static int read_at(const struct doc *node, const char *at,
	struct schedule_times *times, struct err *err)
{
	bool well = !at ||
		(strlen(at) == 5 && strspn(at, "0123456789") == 2 &&
			at[2] == ':' && strspn(at + 3, "0123456789") == 2);
	unsigned hour = at && well ? (unsigned)atoi(at) : 0;
	unsigned minute = at && well ? (unsigned)atoi(at + 3) : 0;
	if (!well || hour > 23 || minute > 59)
		return doc_error(doc_find(node, "at"), err, EINVAL,
			"\"%s\" is no time of a day: 00:00 to 23:59, in quotes",
			at);
	if (times->every == SCHEDULE_HOUR && hour)
		return doc_error(doc_find(node, "at"), err, EINVAL,
			"with every: hour, \"00:%02u\" is its minute %u",
			minute, minute);
	times->at = hour * 60 + minute;
	return 0;
}

/* What is said although it has no meaning is a mistake. */
static int check_meaning(const struct doc *node,
	const struct schedule_times *times, struct err *err)
{
	static const struct {
		const char *key;
		enum schedule_every least, most;
		const char *with;
	} rules[] = {{"at", SCHEDULE_HOUR, SCHEDULE_MONTH,
			     "hour, day, week or month"},
		{"weekday", SCHEDULE_WEEK, SCHEDULE_WEEK, "week"},
		{"day", SCHEDULE_MONTH, SCHEDULE_MONTH, "month"}};
	for (unsigned i = 0; i < sizeof rules / sizeof *rules; i++) {
		const struct doc *said = doc_find(node, rules[i].key);
		if (said && said->kind != DOC_NULL &&
			(times->every < rules[i].least ||
				times->every > rules[i].most))
			return doc_error(said, err, EINVAL,
				"it goes only with every: %s", rules[i].with);
	}
	return 0;
}

static int read_keep(const struct doc *node, bool external,
	struct schedule_keep *keep, struct err *err)
{
	struct keep_options o;
	uint64_t all = 0;
	unsigned most = external ? SCHEDULE_MOST_EXTERNAL : SCHEDULE_MOST_KEPT;
	if (opts_parse(keep_specs, node, NULL, &o, sizeof o, err))
		return -EINVAL;
	for (unsigned i = 0; i < SCHEDULE_CLASSES; i++) {
		keep->count[i] = (unsigned)o.count[i];
		all += o.count[i];
	}
	opts_free(keep_specs, &o);
	if (all && all <= most)
		return 0;
	return doc_error(node, err, EINVAL,
		"%llu snapshots of each volume are to stay: 1 to %u are "
		"possible in all%s",
		(unsigned long long)all, most,
		external ? ", as each is an image over the next" : "");
}

static int read_times(const struct doc *node, const struct schedule_options *o,
	struct schedule *schedule, struct err *err)
{
	struct schedule_times *times = &schedule->times;
	int failed = read_every(node, o->every, times, err);
	if (!failed)
		failed = check_meaning(node, times, err);
	if (!failed)
		failed = read_at(node, o->at, times, err);
	times->weekday = (unsigned)o->weekday;
	times->day = o->day ? (unsigned)o->day : 1;
	if (!failed && !zone_is_name(o->zone))
		failed = doc_error(doc_find(node, "zone"), err, EINVAL,
			"\"%s\" is no name of a time zone, such as UTC or "
			"Europe/Berlin",
			o->zone);
	snprintf(schedule->zone, sizeof schedule->zone, "%s", o->zone);
	return failed;
}

int schedule_read(
	const struct doc *node, struct schedule *schedule, struct err *err)
{
	struct schedule_options o;
	*schedule = (struct schedule){0};
	if (opts_parse(specs, node, NULL, &o, sizeof o, err))
		return -EINVAL;
	schedule->group = o.group;
	schedule->enabled = o.enabled;
	int failed = read_name(node, o.name, schedule, err);
	if (!failed)
		failed = read_volumes(o.volumes, schedule, err);
	if (!failed)
		failed = read_times(node, &o, schedule, err);
	schedule->external = o.kind == EXTERNAL;
	if (!failed)
		failed = schedule_read_files(node, schedule, err);
	if (!failed)
		failed = read_keep(
			o.keep, schedule->external, &schedule->keep, err);
	opts_free(specs, &o);
	return failed;
}
