/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What watches and shapes the I/O of volumes: listeners, limits, faults.
 */
#include "webui/cli/commands.h"

/* -- listener --------------------------------------------------------------- */

static const struct cli_column listener_columns[] = {
	{"NAME", "name"},
	{"TYPE", "type"},
	{"FAILED", "status.failed"},
	{0},
};

#define LISTENER \
	{ \
		"LISTENER", .place = "{listener}", .help = "its name" \
	}

static const struct cli_option attach_options[] = {
	{"below", 0, VALUE_TEXT, "LISTENER", "?below", "put it below this one"},
	CLI_FILE("the listener as YAML or JSON"),
	CLI_END,
};

static const struct cli_command listener_commands[] = {
	{"list", "the listeners of a volume, top first", "listListeners", "GET",
		"/volumes/{name}/listeners", "viewer", CLI_PAGED,
		.argument = {VOLUME}},
	{"show", "one listener", "getListener", "GET",
		"/volumes/{name}/listeners/{listener}", "viewer",
		.argument = {VOLUME, LISTENER}},
	{"attach", "put a listener into the stack, under I/O", "attachListener",
		"POST", "/volumes/{name}/listeners", "operator",
		CLI_DRY_RUN | CLI_KEYED | CLI_ASKS,
		.argument = {VOLUME,
			{"TYPE", .place = "type",
				.help = "throttle, delay, "
					"stats ..."},
			{"LISTENER", .place = "name", .help = "a name for it"},
			CLI_PAIRS("options of its type (cairnd --help)")},
		.options = attach_options,
		.done = "listener {2} attached to volume {0}"},
	{"set", "change options of a running listener", "configureListener",
		"PATCH", "/volumes/{name}/listeners/{listener}", "operator",
		CLI_DRY_RUN | CLI_MATCH,
		.argument = {VOLUME, LISTENER,
			CLI_PAIRS("options that can be changed live")},
		.done = "listener {1} of volume {0} changed"},
	{"detach", "take a listener out of the stack, under I/O",
		"detachListener", "DELETE",
		"/volumes/{name}/listeners/{listener}", "operator",
		CLI_DRY_RUN | CLI_MATCH | CLI_ASKS,
		.argument = {VOLUME, LISTENER},
		.done = "listener {1} detached from volume {0}"},
	{"command", "give a listener a command of its own", "commandListener",
		"POST", "/volumes/{name}/listeners/{listener}/commands",
		"operator", CLI_DRY_RUN | CLI_KEYED,
		.argument = {VOLUME, LISTENER,
			{"COMMAND", .place = "verb",
				.help = "a verb that its type has"},
			{"KEY=VALUE", .value = VALUE_PAIRS,
				.place = "arguments", .flags = CLI_REST,
				.help = "its arguments"}}},
	{0},
};

const struct cli_noun cli_listener = {"listener",
	"listeners: throttles, faults and others in a volume's stack",
	listener_commands, listener_columns};

/* -- qos -------------------------------------------------------------------- */

static const struct cli_option qos_options[] = {
	{"iops", 0, VALUE_NUMBER, "N", "iops", "requests per second"},
	{"read-iops", 0, VALUE_NUMBER, "N", "read_iops", "reads per second"},
	{"write-iops", 0, VALUE_NUMBER, "N", "write_iops", "writes per second"},
	{"rate", 0, VALUE_SIZE, "SIZE", "bytes_per_second", "bytes per second"},
	{"read-rate", 0, VALUE_SIZE, "SIZE", "read_bytes_per_second",
		"bytes read per second"},
	{"write-rate", 0, VALUE_SIZE, "SIZE", "write_bytes_per_second",
		"bytes written per second"},
	{"burst", 0, VALUE_NUMBER, "N", "burst",
		"how many times the rate a burst may have"},
	{"burst-time", 0, VALUE_DURATION, "TIME", "burst_seconds",
		"how long a burst may last"},
	{"group", 0, VALUE_TEXT, "NAME", "group",
		"share the limits with volumes of this group"},
	CLI_END,
};

static const struct cli_column qos_columns[] = {
	{"IOPS", "iops", COLUMN_COUNT},
	{"READ_IOPS", "read_iops", COLUMN_COUNT},
	{"WRITE_IOPS", "write_iops", COLUMN_COUNT},
	{"RATE", "bytes_per_second", COLUMN_SIZE},
	{"READ_RATE", "read_bytes_per_second", COLUMN_SIZE},
	{"WRITE_RATE", "write_bytes_per_second", COLUMN_SIZE},
	{"GROUP", "group"},
	{0},
};

static const struct cli_command qos_commands[] = {
	{"show", "the limits of a volume", "getQos", "GET",
		"/volumes/{name}/qos", "viewer", .argument = {VOLUME},
		.columns = qos_columns},
	{"set", "limit a volume, under I/O; what is not given has no limit",
		"setQos", "PUT", "/volumes/{name}/qos", "operator",
		CLI_DRY_RUN | CLI_MATCH, .argument = {VOLUME},
		.options = qos_options,
		.done = "volume {0} has these limits, and no others"},
	{"remove", "take the limits of a volume away", "removeQos", "DELETE",
		"/volumes/{name}/qos", "operator", CLI_DRY_RUN | CLI_MATCH,
		.argument = {VOLUME}, .done = "volume {0} has no limits now"},
	{0},
};

const struct cli_noun cli_qos = {
	"qos", "limits: requests and bytes per second", qos_commands};

/* -- fault ------------------------------------------------------------------ */

static const struct cli_column fault_columns[] = {
	{"ID", "id"},
	{"OP", "op"},
	{"ERROR", "error"},
	{"DELAY_US", "delay_us", COLUMN_COUNT},
	{"OFFSET", "offset", COLUMN_SIZE},
	{"LENGTH", "length", COLUMN_SIZE},
	{"HITS", "hits", COLUMN_COUNT},
	{"EXPIRES", "expires"},
	{"USER", "user"},
	{0},
};

static const struct cli_option fault_options[] = {
	{"for", 0, VALUE_DURATION, "TIME", "duration_seconds",
		"needed: it is removed by itself then, at most 1d"},
	{"op", 0, VALUE_CHOICE, "OPERATION", "op", "which requests (any)",
		.choices = "any|change|read|write|write_zeroes|discard|flush|"
			   "compare_and_write|extents"},
	{"error", 0, VALUE_CHOICE, "ERROR", "error", "what they fail with",
		.choices = "none|EIO|ENOSPC|EROFS|ENODEV|ENOMEM|ERANGE|EILSEQ|"
			   "ETIMEDOUT|EBUSY|EAGAIN|EOPNOTSUPP|ECANCELED"},
	{"delay-us", 0, VALUE_NUMBER, "N", "delay_us",
		"how much later they are answered, in microseconds"},
	{"offset", 0, VALUE_SIZE, "SIZE", "offset", "only from here"},
	{"length", 0, VALUE_SIZE, "SIZE", "length", "only so far"},
	{"after", 0, VALUE_NUMBER, "N", "after", "let so many pass first"},
	{"count", 0, VALUE_NUMBER, "N", "count", "hit only so many"},
	{"probability", 0, VALUE_NUMBER, "PPM", "probability_ppm",
		"hit so many of a million"},
	{"event", 0, VALUE_CHOICE, "EVENT", "event",
		"before the disk sees it, or after",
		.choices = "submit|complete"},
	{"fua", 0, VALUE_FLAG, NULL, "fua", "only forced writes"},
	{"hold", 0, VALUE_FLAG, NULL, "hold", "hold them until it is removed"},
	{"name", 0, VALUE_TEXT, "NAME", "name", "a name for it"},
	CLI_FILE("the rule as YAML or JSON"),
	CLI_END,
};

static const struct cli_command fault_commands[] = {
	{"list", "the faults of a volume", "listFaults", "GET",
		"/volumes/{name}/faults", "viewer", CLI_PAGED,
		.argument = {VOLUME}},
	{"add", "make requests fail or wait, for a limited time", "addFault",
		"POST", "/volumes/{name}/faults", "operator",
		CLI_DRY_RUN | CLI_KEYED | CLI_ASKS, .argument = {VOLUME},
		.options = fault_options,
		.done = "volume {0} has fault {id} now"},
	{"remove", "remove one fault", "removeFault", "DELETE",
		"/volumes/{name}/faults/{id}", "operator",
		CLI_DRY_RUN | CLI_MATCH,
		.argument = {VOLUME,
			{"ID", .place = "{id}", .help = "as listed"}},
		.done = "fault {1} of volume {0} removed"},
	{"clear", "remove all faults of a volume", "removeFaults", "DELETE",
		"/volumes/{name}/faults", "operator", CLI_DRY_RUN | CLI_MATCH,
		.argument = {VOLUME}, .done = "volume {0} has no faults now"},
	{0},
};

const struct cli_noun cli_fault = {"fault",
	"faults: errors and delays on purpose, to try hosts out",
	fault_commands, fault_columns};
