/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of one word.
 */
#include "webui/cli/commands.h"

static const struct cli_option top_options[] = {
	{"interval", 'i', VALUE_DURATION, "TIME", NULL,
		"how often, in whole seconds (1s)"},
	{"count", 'c', VALUE_NUMBER, "N", NULL,
		"so many times, then end (until Ctrl-C)"},
	{"once", '1', VALUE_FLAG, NULL, NULL,
		"one look, after one interval: for scripts, with -o json"},
	{"sort", 0, VALUE_CHOICE, "BY", NULL,
		"which volumes come first (requests): those with the most, or "
		"by name",
		.choices = "requests|bytes|latency|name"},
	CLI_END,
};

static const struct cli_option connect_options[] = {
	{"os", 0, VALUE_CHOICE, "SYSTEM", "?os", "what the host runs (linux)",
		.choices =
			"linux|windows|esxi|qemu|proxmox|kubernetes|libvirt"},
	{"host", 0, VALUE_TEXT, "HOST", "?host",
		"for this host, if several may", .names_of = "host"},
	{"text", 0, VALUE_FLAG, NULL, NULL,
		"the text only: to be run by a shell, or to be a file"},
	CLI_END,
};

static const struct cli_option bundle_options[] = {
	{"to", 0, VALUE_PATH, "FILE", NULL,
		"where to (cairn-bundle-TIME.tar.gz); -: standard output"},
	CLI_END,
};

static const struct cli_option apply_options[] = {
	{"file", 'f', VALUE_DOCUMENT, "FILE", "",
		"the appliance document, YAML or JSON (-: standard input)"},
	CLI_END,
};

static const struct cli_option events_options[] = {
	{"topic", 0, VALUE_LIST, "TOPIC,...", "?topics", "only these topics"},
	{"follow", 'F', VALUE_FLAG, NULL, NULL,
		"show new ones as they come, until Ctrl-C"},
	CLI_END,
};

static const struct cli_option setup_options[] = {
	{"user", 0, VALUE_TEXT, "NAME", "user", "the first admin (admin)"},
	{"bootstrap-file", 0, VALUE_SECRET, "FILE", "token",
		"the one-time token (beside the socket)"},
	{"password-file", 0, VALUE_SECRET, "FILE", "password",
		"the new password, one line (-: standard input)",
		CLI_ASKED | CLI_NEW},
	CLI_END,
};

static const struct cli_option login_options[] = {
	{"user", 0, VALUE_TEXT, "NAME", "user", "who you are ($USER)"},
	{"password-file", 0, VALUE_SECRET, "FILE", "password",
		"the password, one line (-: standard input)", CLI_ASKED},
	{"expires", 0, VALUE_DURATION, "TIME", NULL,
		"how long you stay signed in (12h)"},
	CLI_END,
};

static const struct cli_command top_commands[] = {
	{"status", "health in a few lines", NULL, NULL, NULL, "viewer",
		.run = run_status,
		.also = "getSystem listVolumes listSessions listJobs "
			"listPortals"},
	{"tree", "everything with its state", NULL, NULL, NULL, "viewer",
		.run = run_tree,
		.also = "listVolumes listTargets listExports "
			"listHosts "
			"listSessions"},
	{"top", "live rates of volumes and sessions", NULL, NULL, NULL,
		"viewer",
		.argument = {{"VOLUME", .flags = CLI_OPTIONAL | CLI_REST,
			.names_of = "volume",
			.help = "only these, with the "
				"time in their layers"}},
		.options = top_options, .run = run_top,
		.more = "On a terminal it is shown in place, until Ctrl-C. "
			"The time in layers is of about one request in 64: "
			"mean and 99th percentile with what lies below, and "
			"the layer's own.",
		.also = "listVolumes getFigures listSessions"},
	{"connect", "how a host reaches a volume", "getConnect", "GET",
		"/volumes/{name}/connect", "viewer", .argument = {VOLUME},
		.options = connect_options, .run = run_connect},
	{"doctor", "look for what is wrong, with cures", "getChecks", "GET",
		"/system/checks", "operator", .run = run_doctor,
		.more = "Ends with 1 if a check failed."},
	{"bundle", "a file for support, without secrets", "getBundle", "GET",
		"/system/bundle", "admin", .options = bundle_options,
		.run = run_bundle},
	{"apply", "change the configuration to what a file says",
		"replaceConfig", "PUT", "/config", "admin",
		CLI_DRY_RUN | CLI_MATCH | CLI_ASKS, .options = apply_options,
		.run = run_apply, .also = "getConfig",
		.more = "Shows what would change and whom that touches, asks, "
			"and does all of it or nothing. With --dry-run it is a "
			"diff."},
	{"export", "the whole configuration, without secrets", "getConfig",
		"GET", "/config", "viewer", .run = run_config_show,
		.more = "As YAML, which `cairn apply` takes."},
	{"events", "what happens", "listEvents", "GET", "/events", "viewer",
		CLI_PAGED, .options = events_options, .run = run_events},
	{"setup", "make the first admin of a new appliance", "setup", "POST",
		"/setup", "public", CLI_DRY_RUN, .options = setup_options,
		.run = run_setup,
		.done = "user {user} is admin; you can sign in now"},
	{"login", "sign in over https and stay so", "signIn", "POST", "/login",
		"public", .options = login_options, .run = run_login,
		.also = "createToken signOut",
		.more = "Makes a token and keeps it with the address in "
			"~/.config/cairn/login.json (mode 600), which later "
			"commands use."},
	{"logout", "revoke and forget what login kept", "revokeToken", "DELETE",
		"/tokens/{id}", "viewer", .run = run_logout},
	{"completion", "completion for a shell: source what it prints", NULL,
		NULL, NULL, NULL,
		.argument = {{"SHELL", .value = VALUE_CHOICE,
			.choices = "bash|zsh|fish",
			.help = "bash, zsh or fish"}},
		.run = run_completion},
	{"help", "what cairn can do", NULL, NULL, NULL, NULL,
		.argument = {{"WORD", .flags = CLI_OPTIONAL | CLI_REST,
			.help = "a noun, and its verb"}},
		.run = run_help},
	{"man", "a man page as roff", NULL, NULL, NULL, NULL, CLI_HIDDEN,
		.argument = {{"PAGE", .value = VALUE_CHOICE,
			.choices = "cairn|cairnd|cairn.yaml",
			.help = "cairn, or, from `cairnd --help` on standard "
				"input, cairnd or cairn.yaml"}},
		.run = run_man},
	{"__complete", "words that may come next", NULL, NULL, NULL, NULL,
		CLI_HIDDEN,
		.argument = {{"WORD", .flags = CLI_OPTIONAL | CLI_REST,
			.help = "words typed so far"}},
		.run = run_complete},
	{0},
};

const struct cli_noun cli_top = {"", "commands of one word", top_commands};
