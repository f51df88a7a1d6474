/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mirrors: listeners that keep another source equal, and the jobs that work on them.
 */
#include "webui/cli/commands.h"

static const struct cli_column mirror_columns[] = {
	{"NAME", "name"},
	{"STATE", "status.state", COLUMN_STATE},
	{"BEHIND", "status.behind_bytes", COLUMN_SIZE},
	{"ERROR", "status.error"},
	{0},
};

#define VOLUME_AT(where) \
	{ \
		"VOLUME", .place = where, .names_of = "volume", \
			  .help = "its name" \
	}
#define MIRROR_AT(where) \
	{ \
		"MIRROR", .place = where, .help = "the mirror's name" \
	}
#define JOB_FLAGS (CLI_DRY_RUN | CLI_KEYED | CLI_JOB)

static const struct cli_option attach_options[] = {
	{"format", 0, VALUE_CHOICE, "FORMAT", NULL,
		"what is to be in the file (raw)", .choices = "raw|qcow2"},
	{"file", 'f', VALUE_DOCUMENT, "FILE", NULL,
		"the leg as YAML or JSON, in place of PATH: any source that is "
		"as large as the volume"},
	{"map", 0, VALUE_TEXT, "NAME", NULL,
		"a file of the data directory that keeps what the leg lacks, "
		"over crashes too; without it the leg lacks all after a "
		"restart"},
	{"on-error", 0, VALUE_CHOICE, "WHAT", NULL,
		"when the leg fails: degrade (hosts go on without it) or fail",
		.choices = "degrade|fail"},
	{"resync", 0, VALUE_CHOICE, "WHO", NULL,
		"who starts the job that brings the leg what it lacks: auto "
		"(the daemon) or manual (you)",
		.choices = "auto|manual"},
	{"retry", 0, VALUE_NUMBER, "SECONDS", NULL,
		"after so long the daemon tries again at the latest (60)"},
	CLI_END,
};

static const struct cli_option resync_options[] = {
	{"rate", 0, VALUE_SIZE, "SIZE", NULL,
		"at most so many bytes per second"},
	CLI_END,
};

static const struct cli_option pivot_options[] = {
	{"end", 0, VALUE_FLAG, NULL, NULL,
		"the mirror ends there, and the old file stays as it is at "
		"that moment"},
	CLI_END,
};

static const struct cli_command mirror_commands[] = {
	{"show", "whether a mirror is in sync", "getListener", "GET",
		"/volumes/{name}/listeners/{listener}", "viewer",
		.argument = {VOLUME_AT("{name}"), MIRROR_AT("{listener}")}},
	{"attach", "keep another file equal to a volume, under I/O",
		"attachListener", "POST", "/volumes/{name}/listeners",
		"operator", CLI_DRY_RUN | CLI_KEYED | CLI_ASKS,
		.argument = {VOLUME_AT("{name}"), MIRROR_AT("name"),
			{"PATH", .flags = CLI_OPTIONAL,
				.help = "the leg's file, from the data "
					"directory; it is made"}},
		.options = attach_options, .run = run_mirror_attach,
		.also = "getVolume",
		.done = "mirror {1} attached to volume {0}; its leg lacks "
			"everything: cairn mirror show {0} {1}",
		.more = "A job brings that there by itself, also after the "
			"leg was away, unless --resync manual. From when it is "
			"in sync what hosts write goes to both "
			"at once, and what cannot be read from the volume is "
			"read from the leg."},
	{"resync", "bring a mirror's leg what it lacks, under I/O", "startJob",
		"POST", "/jobs", "operator", JOB_FLAGS,
		.argument = {VOLUME_AT("volume"), MIRROR_AT(NULL)},
		.options = resync_options, .columns = cli_job_columns,
		.run = run_mirror_resync, .done = "is resynced",
		.more = "A leg that has failed is opened anew for it."},
	{"pivot", "go on on a mirror's leg, under I/O", "startJob", "POST",
		"/jobs", "operator", JOB_FLAGS,
		.argument = {VOLUME_AT("volume"), MIRROR_AT(NULL)},
		.options = pivot_options, .columns = cli_job_columns,
		.run = run_mirror_pivot, .done = "goes on on the leg",
		.more = "The roles are exchanged: the old file is the leg "
			"then, "
			"and kept equal, so that you can pivot back."},
	{"detach", "end a mirror, under I/O", "detachListener", "DELETE",
		"/volumes/{name}/listeners/{listener}", "operator",
		CLI_DRY_RUN | CLI_MATCH | CLI_ASKS,
		.argument = {VOLUME_AT("{name}"), MIRROR_AT("{listener}")},
		.done = "mirror {1} of volume {0} ended; the leg's file stays"},
	{0},
};

const struct cli_noun cli_mirror = {"mirror",
	"mirrors: another file kept equal to a volume", mirror_commands,
	mirror_columns};
