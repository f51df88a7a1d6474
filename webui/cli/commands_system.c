/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the appliance does and has done. LONG TABLE
 */
#include "webui/cli/commands.h"

/* -- job -------------------------------------------------------------------- */

static const struct cli_column job_columns[] = {
	{"ID", "id"},
	{"VOLUME", "volume"},
	{"KIND", "kind"},
	{"STATE", "state", COLUMN_STATE},
	{"DONE", "done_bytes", COLUMN_PERCENT_OF, "total_bytes"},
	{"RATE", "rate_bytes_s", COLUMN_SIZE},
	{"LEFT", "left_seconds", COLUMN_SECONDS},
	{"USER", "user"},
	{"NOTE", "note"},
	{0},
};

#define JOB \
	{ \
		"JOB", .place = "{id}", .names_of = "job", \
		       .help = "its number" \
	}

static const struct cli_option job_list_options[] = {
	{"volume", 0, VALUE_TEXT, "VOLUME", "?volume", "of this volume",
		.names_of = "volume"},
	{"state", 0, VALUE_CHOICE, "STATE", "?state", "in this state",
		.choices = "queued|running|paused|cancelling|done|failed|"
			   "cancelled"},
	CLI_END,
};

static const struct cli_option job_start_options[] = {
	{"rate", 0, VALUE_SIZE, "SIZE", "rate_bytes",
		"at most so many bytes per second"},
	CLI_END,
};

static const struct cli_command job_commands[] = {
	{"list", "all jobs", "listJobs", "GET", "/jobs", "viewer", CLI_PAGED,
		.options = job_list_options},
	{"show", "one job", "getJob", "GET", "/jobs/{id}", "viewer",
		.argument = {JOB}},
	{"start", "start a job", "startJob", "POST", "/jobs", "operator",
		CLI_DRY_RUN | CLI_KEYED | CLI_JOB | CLI_ASKS,
		.argument = {{"VOLUME", .place = "volume", .names_of = "volume",
				     .help = "what it works on"},
			{"KIND", .value = VALUE_CHOICE, .place = "kind",
				.help = "fill: DESTROYS all data: writes a "
					"pattern over every block; copy "
					"to=..., "
					"backup listener=...: all that "
					"a listener of that type keeps, to its "
					"target; "
					"scrub: reads everything; check: "
					"whether "
					"an image is sound (repair=leaks|all); "
					"resync, pivot: see cairn help "
					"mirror; migrate, "
					"commit, flatten, stream, rebase: see "
					"cairn "
					"help "
					"volume",
				.choices = "fill|copy|migrate|commit|flatten|"
					   "stream|"
					   "rebase|resync|pivot|backup|scrub|"
					   "check"},
			{"KEY=VALUE", .value = VALUE_PAIRS, .place = "options",
				.flags = CLI_REST,
				.help = "options of its kind"}},
		.options = job_start_options, .done = "started",
		.destroys = "destroy", .destroys_if = "fill",
		.more = "fill is a test of a disk, not a way to make a volume "
			"thick: whatever the volume holds is lost. It writes a "
			"pattern over every block, then reads it back and "
			"compares; both count in what is done and for --rate, "
			"so it moves twice the size. Its options: verify=false "
			"(do not read it back), offset, length, seed. It is "
			"refused while sessions are open on the volume."},
	{"wait", "wait for the end of a job, with a progress bar", "getJob",
		"GET", "/jobs/{id}", "viewer", .argument = {JOB},
		.run = run_job_wait},
	{"set", "pause a job, go on, or limit its rate", "changeJob", "PATCH",
		"/jobs/{id}", "operator", CLI_DRY_RUN | CLI_MATCH,
		.argument = {JOB,
			{"KEY=VALUE", .value = VALUE_PAIRS, .place = "",
				.flags = CLI_REST,
				.help = "paused=true, paused=false, "
					"rate_bytes=100M"}},
		.done = "changed"},
	{"cancel", "end a job before it is done", "cancelJob", "POST",
		"/jobs/{id}/cancel", "operator", CLI_DRY_RUN | CLI_KEYED,
		.argument = {JOB}, .done = "is being cancelled"},
	{0},
};

const struct cli_noun cli_job = {
	"job", "jobs: long work in the background", job_commands, job_columns};

/* -- event ------------------------------------------------------------------ */

static const struct cli_column event_columns[] = {
	{"ID", "id"},
	{"TIME", "time"},
	{"TOPIC", "topic"},
	{"TYPE", "type"},
	{"DATA", "data"},
	{0},
};

static const struct cli_option event_options[] = {
	{"topic", 0, VALUE_LIST, "TOPIC,...", "?topics", "only these topics"},
	{"follow", 'F', VALUE_FLAG, NULL, NULL,
		"show new ones as they come, until Ctrl-C"},
	CLI_END,
};

static const struct cli_command event_commands[] = {
	{"list", "what happened lately", "listEvents", "GET", "/events",
		"viewer", CLI_PAGED, .options = event_options,
		.run = run_events},
	{0},
};

const struct cli_noun cli_event = {
	"event", "events: what happens", event_commands, event_columns};

/* -- history ---------------------------------------------------------------- */

static const struct cli_column history_columns[] = {
	{"NUMBER", "number"},
	{"TIME", "time"},
	{"USER", "user"},
	{"TEXT", "text"},
	{0},
};

#define NUMBER \
	{ \
		"NUMBER", .place = "{number}", .names_of = "history", \
			  .help = "as listed" \
	}

static const struct cli_command history_commands[] = {
	{"list", "the latest changes, who made them and when", "listHistory",
		"GET", "/history", "viewer", CLI_PAGED},
	{"show", "one change: before and after", "getHistory", "GET",
		"/history/{number}", "viewer", .argument = {NUMBER}},
	{"restore", "go back to what was in force after a change",
		"restoreHistory", "POST", "/history/{number}/restore", "admin",
		CLI_DRY_RUN | CLI_MATCH | CLI_KEYED | CLI_ASKS,
		.argument = {NUMBER}, .done = "restored"},
	{0},
};

const struct cli_noun cli_history = {"history",
	"history: the changes of the configuration", history_commands,
	history_columns};

/* -- config ----------------------------------------------------------------- */

static const struct cli_option apply_options[] = {
	{"file", 'f', VALUE_DOCUMENT, "FILE", "",
		"the appliance document, YAML or JSON"},
	CLI_END,
};

static const struct cli_command config_commands[] = {
	{"show", "the whole configuration, without secrets", "getConfig", "GET",
		"/config", "viewer", .run = run_config_show},
	{"apply", "change the whole configuration to what a file says",
		"replaceConfig", "PUT", "/config", "admin",
		CLI_DRY_RUN | CLI_MATCH | CLI_ASKS, .options = apply_options,
		.run = run_apply, .also = "getConfig"},
	{"edit", "change the configuration in $EDITOR", NULL, NULL, NULL,
		"admin", .run = run_edit, .also = "getConfig replaceConfig"},
	{0},
};

const struct cli_noun cli_config = {
	"config", "the whole configuration as one document", config_commands};

/* -- certificate ------------------------------------------------------------ */

static const struct cli_option certificate_options[] = {
	{"certificate", 0, VALUE_FILE, "FILE", "certificate",
		"the certificate and its chain, PEM"},
	{"key", 0, VALUE_FILE, "FILE", "key", "its private key, PEM"},
	CLI_END,
};

static const struct cli_column certificate_columns[] = {
	{"NAMES", "names"},
	{"NOT_AFTER", "not_after"},
	{"SELF_SIGNED", "self_signed"},
	{"FINGERPRINT", "fingerprint"},
	{0},
};

static const struct cli_command certificate_commands[] = {
	{"show", "the certificate of https, and its fingerprint",
		"getCertificate", "GET", "/certificate", "viewer",
		.columns = certificate_columns},
	{"replace", "put another certificate in force", "replaceCertificate",
		"PUT", "/certificate", "admin", CLI_DRY_RUN | CLI_MATCH,
		.options = certificate_options, .done = "replaced"},
	{"renew", "make a new self-signed certificate", "renewCertificate",
		"POST", "/certificate/renew", "admin",
		CLI_DRY_RUN | CLI_KEYED | CLI_ASKS, .done = "renewed"},
	{0},
};

const struct cli_noun cli_certificate = {
	"certificate", "the certificate of https", certificate_commands};

/* -- system ----------------------------------------------------------------- */

static const struct cli_column check_columns[] = {
	{"NAME", "name"},
	{"STATE", "state", COLUMN_STATE},
	{"TEXT", "text"},
	{0},
};

static const struct cli_column system_columns[] = {
	{"VERSION", "version"},
	{"HOSTNAME", "hostname"},
	{"STARTED", "started"},
	{"KERNEL", "kernel"},
	{"REACTORS", "reactors"},
	{"DATA", "data_directory"},
	{0},
};

static const struct cli_command system_commands[] = {
	{"show", "versions, addresses, threads", "getSystem", "GET", "/system",
		"viewer", .columns = system_columns},
	{"checks", "what might be wrong with this machine", "getChecks", "GET",
		"/system/checks", "operator", .columns = check_columns},
	{0},
};

const struct cli_noun cli_system = {
	"system", "the appliance itself", system_commands};
