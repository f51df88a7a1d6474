/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about schedules of snapshots; see command.h. */
#include "webui/cli/commands.h"

#define SCHEDULE \
	{ \
		"SCHEDULE", .place = "{name}", .names_of = "schedule", \
			    .help = "its name" \
	}

static const struct cli_column schedule_columns[] = {
	{"NAME", "name"},
	{"VOLUMES", "volumes"},
	{"KIND", "kind"},
	{"EVERY", "every"},
	{"AT", "at"},
	{"ENABLED", "enabled"},
	{"NEXT", "status.next_run"},
	{"LAST", "status.last_run"},
	{"RESULT", "status.last_result", COLUMN_STATE},
	{"REASON", "status.reason"},
	{0},
};

#define WHEN_OPTIONS \
	{"volumes", 0, VALUE_LIST, "VOLUME,...", "volumes", \
		"of these (again, or with commas)", .names_of = "volume"}, \
		{"every", 0, VALUE_TEXT, "PERIOD", "every", \
			"hour, day, week, month; or 1m to 24h"}, \
		{"at", 0, VALUE_TEXT, "HH:MM", "at", \
			"when, by the zone's clock (00:00)"}, \
		{"weekday", 0, VALUE_CHOICE, "DAY", "weekday", \
			"of every week (sunday)", \
			.choices = "sunday|monday|tuesday|wednesday|thursday|" \
				   "friday|saturday"}, \
		{"day", 0, VALUE_NUMBER, "N", "day", \
			"of every month, or its last one (1)"}, \
	{ \
		"zone", 0, VALUE_TEXT, "ZONE", "zone", \
			"whose clock, such as Europe/Berlin (UTC)" \
	}
#define FILE_OPTIONS \
	{"kind", 0, VALUE_CHOICE, "KIND", "kind", \
		"in the images, or new images over them (internal)", \
		.choices = "internal|external"}, \
		{"directory", 0, VALUE_TEXT, "DIRECTORY", "directory", \
			"external: where new images lie (the data " \
			"directory)"}, \
		{"pattern", 0, VALUE_TEXT, "NAME", "file", \
			"external: their names ({volume}.{snapshot}.qcow2)"}, \
	{ \
		"placement", 0, VALUE_PAIRS, "LISTENER=PLACE", "placement", \
			"external: where a listener goes: head, image, both, " \
			"drop (again)" \
	}
#define KEEP_OPTIONS \
	{"keep-latest", 0, VALUE_NUMBER, "N", "keep.latest", \
		"the newest ones stay"}, \
		{"keep-hourly", 0, VALUE_NUMBER, "N", "keep.hourly", \
			"the newest of so many hours stay"}, \
		{"keep-daily", 0, VALUE_NUMBER, "N", "keep.daily", \
			"the newest of so many days stay"}, \
		{"keep-weekly", 0, VALUE_NUMBER, "N", "keep.weekly", \
			"the newest of so many weeks stay"}, \
		{"keep-monthly", 0, VALUE_NUMBER, "N", "keep.monthly", \
			"the newest of so many months stay"}, \
	{ \
		"keep-yearly", 0, VALUE_NUMBER, "N", "keep.yearly", \
			"the newest of so many years stay" \
	}

static const struct cli_option create_options[] = {WHEN_OPTIONS, FILE_OPTIONS,
	KEEP_OPTIONS, CLI_FILE("what it shall be, YAML or JSON"), CLI_END};
static const struct cli_option set_options[] = {
	WHEN_OPTIONS, FILE_OPTIONS, KEEP_OPTIONS, CLI_END};
static const struct cli_option replace_options[] = {
	CLI_FILE("what it shall be, YAML or JSON"), CLI_END};

static const struct cli_command schedule_commands[] = {
	{"list", "all schedules", "listSchedules", "GET", "/schedules",
		"viewer", CLI_PAGED},
	{"show", "one schedule", "getSchedule", "GET", "/schedules/{name}",
		"viewer", .argument = {SCHEDULE}},
	{"create", "make snapshots by the clock", "createSchedule", "POST",
		"/schedules", "operator", CLI_DRY_RUN | CLI_KEYED,
		.argument = {{"SCHEDULE", .place = "name",
				     .help = "a name, with which those of its "
					     "snapshots begin"},
			CLI_PAIRS("such as enabled=false, group=false")},
		.options = create_options, .done = "created",
		.more = "The images keep them and must be qcow2; or, with "
			"--kind external, the volume goes on in a new image "
			"each time, and one that is not kept any more is "
			"merged with the image over it by a job. Those of "
			"several volumes show one moment, or none is made "
			"(unless group=false). How many stay must be said; "
			"what is locked or in use stays in any case. A date is "
			"run once, whatever the clock does that night."},
	{"set", "change properties of a schedule", "changeSchedule", "PATCH",
		"/schedules/{name}", "operator", CLI_DRY_RUN | CLI_MATCH,
		.argument = {SCHEDULE,
			CLI_PAIRS("such as enabled=false, group=false")},
		.options = set_options, .done = "changed"},
	{"replace", "make a schedule what a file says", "replaceSchedule",
		"PUT", "/schedules/{name}", "operator", CLI_DRY_RUN | CLI_MATCH,
		.argument = {SCHEDULE}, .options = replace_options,
		.done = "changed"},
	{"run", "make the snapshots of a schedule now", "runSchedule", "POST",
		"/schedules/{name}/run", "operator", CLI_DRY_RUN | CLI_KEYED,
		.argument = {SCHEDULE},
		.done = "snapshot {status.snapshot} made"},
	{"delete", "make no more snapshots by it; those that are there stay",
		"deleteSchedule", "DELETE", "/schedules/{name}", "operator",
		CLI_DRY_RUN | CLI_MATCH | CLI_ASKS, .argument = {SCHEDULE},
		.done = "deleted"},
	{0},
};

const struct cli_noun cli_schedule = {"schedule",
	"schedules: snapshots by the clock", schedule_commands,
	schedule_columns};
