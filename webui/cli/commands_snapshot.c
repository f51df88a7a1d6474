/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about snapshots; see command.h. */
#include "webui/cli/commands.h"

#define SNAPSHOT \
	{ \
		"SNAPSHOT", .place = "{snapshot}", .help = "its name" \
	}

static const struct cli_column snapshot_columns[] = {
	{"NAME", "name"},
	{"KIND", "kind"},
	{"PARENT", "parent"},
	{"SIZE", "size_bytes", COLUMN_SIZE},
	{"OWNED", "owned_bytes", COLUMN_SIZE},
	{"SHARED", "shared_bytes", COLUMN_SIZE},
	{"IN USE BY", "in_use_by"},
	{"LOCKED", "locked_until"},
	{"CREATED", "created"},
	{0},
};

static const struct cli_option create_options[] = {
	{"external", 0, VALUE_FLAG, NULL, "external",
		"in a new image over the old one, which stays as it is"},
	{"placement", 0, VALUE_PAIRS, "LISTENER=PLACE", "placement",
		"where a listener goes: head, image, both, drop (again)"},
	CLI_END,
};

static const struct cli_option revert_options[] = {
	{"safety", 0, VALUE_TEXT, "NAME", "safety",
		"name of the snapshot of what is there now"},
	CLI_END,
};

static const struct cli_option diff_options[] = {
	{"to", 0, VALUE_TEXT, "SNAPSHOT", "?to",
		"a later snapshot (what is shown now)"},
	CLI_END,
};

static const struct cli_column diff_columns[] = {
	{"OFFSET", "offset"},
	{"LENGTH", "length"},
	{"KIND", "kind"},
	{0},
};

static const struct cli_option group_options[] = {
	{"volumes", 0, VALUE_LIST, "VOLUME,...", "volumes",
		"of these (again, or with commas)", .names_of = "volume"},
	{"external", 0, VALUE_FLAG, NULL, "external",
		"each in a new image over the old one, which stays as it is"},
	CLI_END,
};

static const struct cli_command snapshot_commands[] = {
	{"list", "the snapshots of a volume", "listSnapshots", "GET",
		"/volumes/{name}/snapshots", "viewer", CLI_PAGED,
		.argument = {VOLUME}},
	{"tree", "the snapshots of a volume, as they stand on each other",
		"listSnapshots", "GET", "/volumes/{name}/snapshots", "viewer",
		CLI_PAGED, .argument = {VOLUME}, .run = run_snapshot_tree},
	{"show", "one snapshot", "getSnapshot", "GET",
		"/volumes/{name}/snapshots/{snapshot}", "viewer",
		.argument = {VOLUME, SNAPSHOT}},
	{"create", "make a snapshot of a volume, under I/O", "createSnapshot",
		"POST", "/volumes/{name}/snapshots", "operator",
		CLI_DRY_RUN | CLI_KEYED,
		.argument = {VOLUME,
			{"SNAPSHOT", .place = "name", .help = "a name for it"}},
		.options = create_options,
		.done = "snapshot {1} of volume {0} made",
		.more = "The image keeps it and must be qcow2. With --external "
			"it may be any: the volume goes on in a new image, "
			"VOLUME.SNAPSHOT.qcow2, and --dry-run shows where its "
			"listeners go. Hosts wait for a moment, "
			"however large it is. A read-only volume that shows "
			"the snapshot has the source `{source: VOLUME, view: "
			"{snapshot: SNAPSHOT}}`, of an external one {image: "
			"its image}."},
	{"group", "make snapshots of several volumes at one moment, under I/O",
		"createSnapshotGroup", "POST", "/snapshot-groups", "operator",
		CLI_DRY_RUN | CLI_KEYED,
		.argument = {{"SNAPSHOT", .place = "name",
			.help = "a name for all of them"}},
		.options = group_options, .done = "snapshots {0} made",
		.more = "All are made or none, also if the daemon is killed "
			"meanwhile; hosts wait until nothing is in "
			"flight in any of the volumes."},
	{"delete", "delete a snapshot, under I/O", "deleteSnapshot", "DELETE",
		"/volumes/{name}/snapshots/{snapshot}", "operator",
		CLI_DRY_RUN | CLI_MATCH | CLI_ASKS | CLI_JOB,
		.argument = {VOLUME, SNAPSHOT}, .columns = cli_job_columns,
		.done = "snapshot {1} of volume {0} deleted",
		.more = "An external one goes by a job, which merges its image "
			"with the one over it; at once, if the volume went "
			"back from it."},
	{"diff", "where a volume is not as in a snapshot", "listDifferences",
		"GET", "/volumes/{name}/snapshots/{snapshot}/differences",
		"viewer", CLI_PAGED, .argument = {VOLUME, SNAPSHOT},
		.options = diff_options, .columns = diff_columns,
		.more = "In bytes; what is in no line is the same. It is found "
			"in the tables of the images, in units of these. Kinds "
			"are of the later one: data, zeroes (reads as such), "
			"backing (shows what is below its image)."},
	{"lock", "lock a snapshot until a date, or for longer", "lockSnapshot",
		"PUT", "/volumes/{name}/snapshots/{snapshot}/lock", "operator",
		CLI_DRY_RUN | CLI_MATCH,
		.argument = {VOLUME, SNAPSHOT,
			{"UNTIL", .place = "until",
				.help = "in UTC, as 2027-01-31T00:00:00Z"}},
		.done = "snapshot {1} of volume {0} is locked until "
			"{locked_until}",
		.more = "Until then it is not deleted, nothing is committed to "
			"its image, no job takes that away from under the "
			"volume, and it is not purged. Only an admin can "
			"lift the lock before."},
	{"unlock", "lift the lock of a snapshot", "unlockSnapshot", "DELETE",
		"/volumes/{name}/snapshots/{snapshot}/lock", "admin",
		CLI_DRY_RUN | CLI_MATCH | CLI_ASKS,
		.argument = {VOLUME, SNAPSHOT},
		.done = "snapshot {1} of volume {0} is not locked any more"},
	{"revert", "make a volume again what it was", "revertSnapshot", "POST",
		"/volumes/{name}/snapshots/{snapshot}/revert", "operator",
		CLI_DRY_RUN | CLI_KEYED | CLI_ASKS,
		.argument = {VOLUME, SNAPSHOT}, .options = revert_options,
		.destroys = "destroy",
		.done = "volume {0} is as in snapshot {1}; what was there is "
			"snapshot {name}",
		.more = "What is there now is kept as another snapshot. "
			"Unmount the volume on its hosts first: a file system "
			"that is mounted there would be damaged."},
	{"clone", "make a writable volume of a snapshot", "cloneSnapshot",
		"POST", "/volumes/{name}/snapshots/{snapshot}/clone",
		"operator", CLI_DRY_RUN | CLI_KEYED,
		.argument = {VOLUME, SNAPSHOT,
			{"NEW", .place = "name",
				.help = "the new volume's name"}},
		.done = "volume {name} made",
		.more = "Its image, NEW.qcow2, holds only what is written to "
			"the new volume; the snapshot stays as long as it "
			"stands on that."},
	{0},
};

const struct cli_noun cli_snapshot = {"snapshot",
	"snapshots: what a volume was", snapshot_commands, snapshot_columns};
