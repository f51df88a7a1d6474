/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes and what they stand on. LONG TABLE
 */
#include "webui/cli/commands.h"

/* -- volume ----------------------------------------------------------------- */

static const struct cli_column volume_columns[] = {
	{"NAME", "name"},
	{"STATE", "status.state", COLUMN_STATE},
	{"SIZE", "status.size_bytes", COLUMN_SIZE},
	{"USED", "status.allocated_bytes", COLUMN_SIZE},
	{"BLOCK", "status.block_bytes"},
	{"SESSIONS", "status.sessions", COLUMN_COUNT},
	{"FAULTS", "status.faults", COLUMN_COUNT},
	{"THROTTLED", "status.throttled"},
	{"SERIAL", "status.serial"},
	{0},
};

static const struct cli_column figure_columns[] = {
	{"HOST", "host"},
	{"OPERATION", "operation"},
	{"REQUESTS", "requests", COLUMN_COUNT},
	{"BYTES", "bytes", COLUMN_SIZE},
	{"MEAN_US", "mean_us", COLUMN_COUNT},
	{"P50_US", "p50_us", COLUMN_COUNT},
	{"P99_US", "p99_us", COLUMN_COUNT},
	{"IN_FLIGHT", "in_flight", COLUMN_COUNT},
	{"ERRORS", "errors"},
	{0},
};

const struct cli_column cli_job_columns[] = {
	{"ID", "id"},
	{"VOLUME", "volume"},
	{"KIND", "kind"},
	{"STATE", "state", COLUMN_STATE},
	{"DONE", "done_bytes", COLUMN_PERCENT_OF, "total_bytes"},
	{0},
};

static const struct cli_option volume_create_options[] = {
	{"size", 's', VALUE_SIZE, "SIZE", "size",
		"a new file of this size, NAME.raw; in place of -f"},
	{"format", 0, VALUE_CHOICE, "FORMAT", "format",
		"what is to be in the new file (raw); qcow2 keeps snapshots",
		.choices = "raw|qcow2"},
	{"host", 0, VALUE_LIST, "HOST,...", "export.hosts",
		"export it to these hosts, in the same step",
		.names_of = "host"},
	{"target", 0, VALUE_TEXT, "IQN", "export.target",
		"the target of the export (one with the volume's name)",
		.names_of = "target"},
	{"lun", 0, VALUE_NUMBER, "LUN", "export.lun",
		"the LUN of the export (the next free one)"},
	{"export-read-only", 0, VALUE_FLAG, NULL, "export.read_only",
		"export it for reading only"},
	{"block-size", 0, VALUE_NUMBER, "512|4096", "block_size",
		"bytes that hosts address (512)"},
	{"thin", 0, VALUE_FLAG, NULL, "thin", "hosts may give space back"},
	{"read-only", 0, VALUE_FLAG, NULL, "read_only",
		"nobody may write to it"},
	{"uuid", 0, VALUE_TEXT, "UUID", "uuid",
		"its identity (one of its own)"},
	{"vendor", 0, VALUE_TEXT, "TEXT", "vendor",
		"what hosts see as the vendor (CAIRN)"},
	{"product", 0, VALUE_TEXT, "TEXT", "product",
		"what hosts see as the product (VOLUME)"},
	CLI_FILE("the volume as YAML or JSON: any stack"),
	CLI_END,
};

static const struct cli_option replace_options[] = {
	CLI_FILE("what it shall be, YAML or JSON"),
	CLI_END,
};

static const struct cli_option volume_delete_options[] = {
	{"cascade", 0, VALUE_FLAG, NULL, "?cascade",
		"its exports too; else they hold it"},
	{"purge", 0, VALUE_FLAG, NULL, "?purge",
		"the files of its stack too; the data are gone"},
	CLI_END,
};

static const struct cli_option resize_options[] = {
	{"shrink", 0, VALUE_FLAG, NULL, "shrink",
		"allow a smaller size; what lies beyond is lost"},
	CLI_END,
};

#define JOB_VOLUME \
	{ \
		"VOLUME", .place = "volume", .names_of = "volume", \
			  .help = "its name" \
	}
#define RATE_OPTION \
	{ \
		"rate", 0, VALUE_SIZE, "SIZE", "rate_bytes", \
			"at most so many bytes per second" \
	}
#define JOB_FLAGS (CLI_DRY_RUN | CLI_KEYED | CLI_JOB)

static const struct cli_option volume_migrate_options[] = {
	{"format", 0, VALUE_CHOICE, "FORMAT", NULL,
		"what is to be in the file (raw)", .choices = "raw|qcow2"},
	{"file", 'f', VALUE_DOCUMENT, "FILE", NULL,
		"the target as YAML or JSON, in place of PATH: any source of "
		"the volume's size"},
	{"overwrite", 0, VALUE_FLAG, NULL, NULL,
		"whatever is in the target; else it must be empty"},
	{"rate", 0, VALUE_SIZE, "SIZE", NULL,
		"at most so many bytes per second"},
	CLI_END,
};

static const struct cli_option volume_measure_options[] = {
	{"format", 0, VALUE_CHOICE, "FORMAT", "?format", "of the image (qcow2)",
		.choices = "qcow2|raw"},
	{"qcow2-version", 0, VALUE_CHOICE, "N", "?version", "of qcow2 (3)",
		.choices = "2|3"},
	{"cluster-size", 0, VALUE_TEXT, "SIZE", "?cluster_size",
		"of qcow2: 512 to 2M"},
	{"refcount-bits", 0, VALUE_NUMBER, "N", "?refcount_bits",
		"of qcow2: 1, 2, 4 ... 64"},
	{"subclusters", 0, VALUE_CHOICE, "WORD", "?subclusters", "of qcow2",
		.choices = "auto|on|off"},
	{"preallocation", 0, VALUE_CHOICE, "WORD", "?preallocation", "of qcow2",
		.choices = "off|metadata|falloc|full"},
	CLI_END,
};

static const struct cli_column measure_columns[] = {
	{"VOLUME", "volume"},
	{"FORMAT", "format"},
	{"REQUIRED", "required_bytes", COLUMN_SIZE},
	{"FULL", "fully_allocated_bytes", COLUMN_SIZE},
	{0},
};

static const struct cli_option volume_job_options[] = {
	RATE_OPTION,
	CLI_END,
};

static const struct cli_option volume_stream_options[] = {
	{"image", 0, VALUE_TEXT, "FILE", "options.image",
		"the file of an image that the volume stands on, in place of "
		"its own"},
	RATE_OPTION,
	CLI_END,
};

static const struct cli_option volume_rebase_options[] = {
	{"format", 0, VALUE_CHOICE, "FORMAT", NULL, "what is in the file (raw)",
		.choices = "raw|qcow2"},
	{"file", 'f', VALUE_DOCUMENT, "FILE", NULL,
		"the backing file as YAML or JSON, in place of PATH: any "
		"source"},
	{"unsafe", 0, VALUE_FLAG, NULL, NULL,
		"copy nothing: what is read may become something else"},
	RATE_OPTION,
	CLI_END,
};

static const struct cli_command volume_commands[] = {
	{"list", "all volumes", "listVolumes", "GET", "/volumes", "viewer",
		CLI_PAGED},
	{"show", "one volume", "getVolume", "GET", "/volumes/{name}", "viewer",
		.argument = {VOLUME}},
	{"create", "make a volume, and export it to hosts", "createVolume",
		"POST", "/volumes", "operator", CLI_DRY_RUN | CLI_KEYED,
		.argument = {{"VOLUME", .place = "name",
			.help = "the new volume's name"}},
		.options = volume_create_options, .done = "created",
		.more = "With --host it makes the volume, a target of its name "
			"and the export to these hosts at once."},
	{"set", "change properties of a volume", "changeVolume", "PATCH",
		"/volumes/{name}", "operator", CLI_DRY_RUN | CLI_MATCH,
		.argument = {VOLUME,
			CLI_PAIRS("block_size, physical_block_size, read_only, "
				  "removable, thin, space_wait, vendor, "
				  "product")},
		.done = "changed"},
	{"replace", "make a volume what a file says", "replaceVolume", "PUT",
		"/volumes/{name}", "operator", CLI_DRY_RUN | CLI_MATCH,
		.argument = {VOLUME}, .options = replace_options,
		.done = "changed"},
	{"delete", "remove a volume", "deleteVolume", "DELETE",
		"/volumes/{name}", "operator",
		CLI_DRY_RUN | CLI_MATCH | CLI_ASKS, .argument = {VOLUME},
		.options = volume_delete_options, .done = "deleted",
		.run = run_delete_volume,
		.also = "getVolume listVolumes getSystem",
		.more = "Without --purge its files stay, and are named with "
			"the command that removes them."},
	{"resize", "give a volume another size, under I/O", "resizeVolume",
		"POST", "/volumes/{name}/resize", "operator",
		CLI_DRY_RUN | CLI_KEYED | CLI_ASKS, .asks_if = "shrink",
		.argument = {VOLUME,
			{"SIZE", .value = VALUE_SIZE, .place = "size",
				.help = "such as 200G"}},
		.options = resize_options, .done = "resized"},
	{"repair", "let hosts use a failed volume again", "repairVolume",
		"POST", "/volumes/{name}/repair", "operator",
		CLI_DRY_RUN | CLI_KEYED, .argument = {VOLUME},
		.done = "repaired"},
	{"migrate", "move a volume to another file or format, under I/O",
		"startJob", "POST", "/jobs", "operator", JOB_FLAGS,
		.argument = {JOB_VOLUME,
			{"PATH", .flags = CLI_OPTIONAL,
				.help = "the new file, from the data "
					"directory; it is made"}},
		.options = volume_migrate_options, .done = "migrates",
		.columns = cli_job_columns, .run = run_migrate,
		.also = "getVolume listVolumes getSystem",
		.more = "Hosts read and write all the time; at the end they "
			"wait for a moment while the volume comes to stand on "
			"its copy, which is durable then. The old file stays "
			"and is named with the command that removes it. "
			"--dry-run says how many bytes that needs and how many "
			"are free."},
	{"commit", "write an image down into its backing file, under I/O",
		"startJob", "POST", "/jobs", "operator", JOB_FLAGS,
		.argument = {JOB_VOLUME}, .options = volume_job_options,
		.columns = cli_job_columns, .done = "commits",
		.sets = "kind=commit", .run = run_commit,
		.also = "getVolume listVolumes getSystem",
		.more = "The volume goes on in its backing file: the snapshot "
			"that this was is given up. The image stays as a file, "
			"without what has been written down. "
			"It is refused, naming the volume, while another one "
			"stands on the backing file."},
	{"flatten", "make an image independent of its backing file, under I/O",
		"startJob", "POST", "/jobs", "operator", JOB_FLAGS,
		.argument = {JOB_VOLUME}, .options = volume_job_options,
		.columns = cli_job_columns, .done = "flattens",
		.sets = "kind=flatten",
		.more = "What the backing file shows is copied up into the "
			"image."},
	{"stream", "take images between out of a chain, under I/O", "startJob",
		"POST", "/jobs", "operator", JOB_FLAGS,
		.argument = {JOB_VOLUME,
			{"BASE", .place = "options.base",
				.help = "the file of the image that it comes "
					"to "
					"stand on"}},
		.options = volume_stream_options, .columns = cli_job_columns,
		.done = "streams", .sets = "kind=stream",
		.more = "What the images between hold is copied up into the "
			"image of the volume (or the one that --image names), "
			"which stands on BASE then. A snapshot that is in BASE "
			"stays; those in the images between are given up, and "
			"their files stay."},
	{"rebase", "make an image stand on another backing file, under I/O",
		"startJob", "POST", "/jobs", "operator", JOB_FLAGS,
		.argument = {JOB_VOLUME,
			{"PATH", .flags = CLI_OPTIONAL,
				.help = "the new backing file, from the data "
					"directory; it is only read"}},
		.options = volume_rebase_options, .done = "rebases",
		.columns = cli_job_columns, .run = run_rebase,
		.more = "What hosts read stays the same: where the new backing "
			"file shows something else, that is copied up into the "
			"image first. --unsafe is for one that was moved, or "
			"changed on purpose: no host may be there. It is "
			"refused while a snapshot or another volume needs the "
			"old one."},
	{"measure", "how large an image of it would become", "measureVolume",
		"GET", "/volumes/{name}/measure", "viewer",
		.argument = {VOLUME}, .options = volume_measure_options,
		.columns = measure_columns,
		.more = "With the data there are, and once all of it is "
			"allocated: the bytes that `qemu-img measure` says."},
	{"figures", "counters and latencies, by operation and host",
		"getFigures", "GET", "/volumes/{name}/figures", "viewer",
		.argument = {VOLUME}, .columns = figure_columns,
		.run = run_figures},
	{0},
};

const struct cli_noun cli_volume = {"volume",
	"volumes: what hosts see as disks", volume_commands, volume_columns};

/* -- source ----------------------------------------------------------------- */

static const struct cli_option source_show_options[] = {
	{"quick", 'q', VALUE_FLAG, NULL, NULL,
		"do not measure for a second what goes through it now"},
	{"document", 0, VALUE_FLAG, NULL, NULL,
		"the document only, as `source set` takes it"},
	CLI_END,
};

static const struct cli_command source_commands[] = {
	{"show", "the stack of a volume as text", "getSource", "GET",
		"/volumes/{name}/source", "viewer", .argument = {VOLUME},
		.options = source_show_options, .run = run_source_show,
		.also = "getFigures"},
	{"set", "change the stack of a volume to what a file says",
		"replaceSource", "PUT", "/volumes/{name}/source", "operator",
		CLI_DRY_RUN | CLI_MATCH, .argument = {VOLUME},
		.options = replace_options, .done = "changed",
		.more = "The daemon finds the way from the old stack to the "
			"new "
			"one and goes it beside running I/O. "
			"`cairn source show VOLUME --document` prints what is "
			"there now."},
	{0},
};

const struct cli_noun cli_source = {"source",
	"sources: the stack of drivers a volume is made of", source_commands};
