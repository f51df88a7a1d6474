/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may reach what, and who does. LONG TABLE
 */
#include "webui/cli/commands.h"

static const struct cli_option replace_options[] = {
	CLI_FILE("what it shall be, YAML or JSON"), CLI_END};

static const struct cli_option cascade_options[] = {
	{"cascade", 0, VALUE_FLAG, NULL, "?cascade",
		"its exports too; else they hold it"},
	CLI_END,
};

/* -- host ------------------------------------------------------------------- */

static const struct cli_column host_columns[] = {
	{"NAME", "name"},
	{"IQN", "iscsi.iqn"},
	{"ADDRESSES", "addresses"},
	{"CHAP", "iscsi.chap.user"},
	{"SESSIONS", "status.sessions", COLUMN_COUNT},
	{"LUNS", "status.luns", COLUMN_COUNT},
	{0},
};

static const struct cli_column lun_columns[] = {
	{"EXPORT", "export"},
	{"LUN", "lun"},
	{"VOLUME", "volume"},
	{"SIZE", "size_bytes", COLUMN_SIZE},
	{"STATE", "state", COLUMN_STATE},
	{"READ_ONLY", "read_only"},
	{"TARGET", "target"},
	{0},
};

#define HOST \
	{ \
		"HOST", .place = "{name}", .names_of = "host", \
			.help = "its name" \
	}

static const struct cli_option host_create_options[] = {
	{"iqn", 0, VALUE_LIST, "IQN,...", "iscsi.iqn",
		"its initiator names; start* for all that begin so"},
	{"address", 0, VALUE_LIST, "CIDR,...", "addresses",
		"only from these addresses"},
	CLI_FILE("what it shall be, YAML or JSON"),
	CLI_END,
};

static const struct cli_option secret_options[] = {
	{"user", 0, VALUE_TEXT, "NAME", "user", "the CHAP name of the host"},
	{"secret-file", 0, VALUE_SECRET, "FILE", "secret",
		"the secret of the host, one line (-: standard input)",
		CLI_ASKED | CLI_NEW},
	{"weak-hashes", 0, VALUE_CHOICE, "WORD", "weak_hashes",
		"MD5 and SHA-1: most hosts know no other",
		.choices = "allowed|forbidden"},
	{"mutual-user", 0, VALUE_TEXT, "NAME", "mutual.user",
		"the CHAP name with which we answer"},
	{"mutual-secret-file", 0, VALUE_SECRET, "FILE", "mutual.secret",
		"our secret, one line"},
	CLI_END,
};

static const struct cli_command host_commands[] = {
	{"list", "all hosts", "listHosts", "GET", "/hosts", "viewer",
		CLI_PAGED},
	{"show", "one host", "getHost", "GET", "/hosts/{name}", "viewer",
		.argument = {HOST}},
	{"create", "let a host in", "createHost", "POST", "/hosts", "operator",
		CLI_DRY_RUN | CLI_KEYED,
		.argument = {{"HOST", .place = "name",
			.help = "a name for it"}},
		.options = host_create_options, .done = "created",
		.more = "All conditions together must hold: its name, its "
			"address, and its secret (cairn host secret)."},
	{"set", "change properties of a host", "changeHost", "PATCH",
		"/hosts/{name}", "operator", CLI_DRY_RUN | CLI_MATCH,
		.argument = {HOST,
			CLI_PAIRS("addresses=[\"192.0.2.0/24\"] ...")},
		.options = host_create_options, .done = "changed"},
	{"replace", "make a host what a file says", "replaceHost", "PUT",
		"/hosts/{name}", "operator", CLI_DRY_RUN | CLI_MATCH,
		.argument = {HOST}, .options = replace_options,
		.done = "changed"},
	{"delete", "let a host in no more", "deleteHost", "DELETE",
		"/hosts/{name}", "operator", CLI_DRY_RUN | CLI_MATCH | CLI_ASKS,
		.argument = {HOST}, .options = cascade_options,
		.done = "deleted"},
	{"luns", "which LUN is what for a host", "listLuns", "GET",
		"/hosts/{name}/luns", "viewer", CLI_PAGED, .argument = {HOST},
		.columns = lun_columns},
	{"secret", "give a host a CHAP secret", "setSecret", "PUT",
		"/hosts/{name}/secret", "operator", CLI_DRY_RUN | CLI_MATCH,
		.argument = {HOST}, .options = secret_options,
		.done = "has a secret now"},
	{"remove-secret", "ask a host for no secret", "removeSecret", "DELETE",
		"/hosts/{name}/secret", "operator",
		CLI_DRY_RUN | CLI_MATCH | CLI_ASKS, .argument = {HOST},
		.done = "needs no secret now"},
	{0},
};

const struct cli_noun cli_host = {
	"host", "hosts: who may connect", host_commands, host_columns};

/* -- target ----------------------------------------------------------------- */

static const struct cli_column target_columns[] = {
	{"IQN", "iqn"},
	{"ALIAS", "alias"},
	{"PORTALS", "portals"},
	{"EXPORTS", "status.exports", COLUMN_COUNT},
	{"SESSIONS", "status.sessions", COLUMN_COUNT},
	{0},
};

#define TARGET \
	{ \
		"TARGET", .place = "{iqn}", .names_of = "target", \
			  .help = "its IQN" \
	}

static const struct cli_option target_create_options[] = {
	{"iqn", 0, VALUE_TEXT, "IQN", "iqn",
		"its whole name; in place of NAME"},
	{"alias", 0, VALUE_TEXT, "TEXT", "alias", "what hosts show beside it"},
	{"portal", 0, VALUE_LIST, "PORTAL,...", "portals",
		"only at these portals (all)", .names_of = "portal"},
	CLI_FILE("what it shall be, YAML or JSON"),
	CLI_END,
};

static const struct cli_option target_set_options[] = {
	{"alias", 0, VALUE_TEXT, "TEXT", "alias", "what hosts show beside it"},
	{"portal", 0, VALUE_LIST, "PORTAL,...", "portals",
		"only at these portals", .names_of = "portal"},
	CLI_END,
};

static const struct cli_command target_commands[] = {
	{"list", "all targets", "listTargets", "GET", "/targets", "viewer",
		CLI_PAGED},
	{"show", "one target", "getTarget", "GET", "/targets/{iqn}", "viewer",
		.argument = {TARGET}},
	{"create", "make a target", "createTarget", "POST", "/targets",
		"operator", CLI_DRY_RUN | CLI_KEYED,
		.argument = {{"NAME", .place = "name", .flags = CLI_OPTIONAL,
			.help = "its name below the naming authority"}},
		.options = target_create_options, .done = "created"},
	{"set", "change properties of a target", "changeTarget", "PATCH",
		"/targets/{iqn}", "operator", CLI_DRY_RUN | CLI_MATCH,
		.argument = {TARGET, CLI_PAIRS("alias, portals")},
		.options = target_set_options, .done = "changed"},
	{"replace", "make a target what a file says", "replaceTarget", "PUT",
		"/targets/{iqn}", "operator", CLI_DRY_RUN | CLI_MATCH,
		.argument = {TARGET}, .options = replace_options,
		.done = "changed"},
	{"delete", "remove a target", "deleteTarget", "DELETE",
		"/targets/{iqn}", "operator",
		CLI_DRY_RUN | CLI_MATCH | CLI_ASKS, .argument = {TARGET},
		.options = cascade_options, .done = "deleted"},
	{0},
};

const struct cli_noun cli_target = {"target",
	"targets: the names that hosts connect to", target_commands,
	target_columns};

/* -- portal ----------------------------------------------------------------- */

static const struct cli_column portal_columns[] = {
	{"NAME", "name"},
	{"ADDRESS", "address"},
	{"PORT", "status.port"},
	{"STATE", "status.state", COLUMN_STATE},
	{"ADVERTISED", "advertised"},
	{"GROUP", "group"},
	{"SESSIONS", "status.sessions", COLUMN_COUNT},
	{0},
};

#define PORTAL \
	{ \
		"PORTAL", .place = "{name}", .names_of = "portal", \
			  .help = "its name" \
	}

static const struct cli_option portal_options[] = {
	{"port", 0, VALUE_NUMBER, "PORT", "port", "its port (3260)"},
	{"advertised", 0, VALUE_TEXT, "ADDRESS", "advertised",
		"what discovery tells in its place"},
	{"group", 0, VALUE_NUMBER, "N", "group", "its portal group"},
	CLI_FILE("what it shall be, YAML or JSON"),
	CLI_END,
};

static const struct cli_command portal_commands[] = {
	{"list", "all portals", "listPortals", "GET", "/portals", "viewer",
		CLI_PAGED},
	{"show", "one portal", "getPortal", "GET", "/portals/{name}", "viewer",
		.argument = {PORTAL}},
	{"create", "listen at one more address", "createPortal", "POST",
		"/portals", "operator", CLI_DRY_RUN | CLI_KEYED,
		.argument = {{"PORTAL", .place = "name",
				     .help = "a name for it"},
			{"ADDRESS", .place = "address",
				.help = "such as 192.0.2.1 or ::"}},
		.options = portal_options, .done = "created"},
	{"set", "change properties of a portal", "changePortal", "PATCH",
		"/portals/{name}", "operator", CLI_DRY_RUN | CLI_MATCH,
		.argument = {PORTAL, CLI_PAIRS("port, advertised, group")},
		.done = "changed"},
	{"replace", "make a portal what a file says", "replacePortal", "PUT",
		"/portals/{name}", "operator", CLI_DRY_RUN | CLI_MATCH,
		.argument = {PORTAL}, .options = replace_options,
		.done = "changed"},
	{"open", "try a closed portal again, now", "openPortal", "POST",
		"/portals/{name}/open", "operator", CLI_DRY_RUN | CLI_KEYED,
		.argument = {PORTAL}, .done = "open"},
	{"delete", "listen there no more", "deletePortal", "DELETE",
		"/portals/{name}", "operator",
		CLI_DRY_RUN | CLI_MATCH | CLI_ASKS, .argument = {PORTAL},
		.done = "deleted"},
	{0},
};

const struct cli_noun cli_portal = {"portal",
	"portals: the addresses that hosts connect to", portal_commands,
	portal_columns};

/* -- export ----------------------------------------------------------------- */

static const struct cli_column export_columns[] = {
	{"ID", "id"},
	{"VOLUME", "volume"},
	{"LUN", "lun"},
	{"HOSTS", "hosts"},
	{"READ_ONLY", "read_only", COLUMN_FLAG},
	{"THROUGH", "through"},
	{"TARGET", "target"},
	{0},
};

#define EXPORT \
	{ \
		"EXPORT", .place = "{id}", .names_of = "export", \
			  .help = "its id, or IQN,LUN" \
	}

static const struct cli_option export_list_options[] = {
	{"volume", 0, VALUE_TEXT, "VOLUME", "?volume", "of this volume",
		.names_of = "volume"},
	{"target", 0, VALUE_TEXT, "IQN", "?target", "at this target",
		.names_of = "target"},
	{"host", 0, VALUE_TEXT, "HOST", "?host", "to this host",
		.names_of = "host"},
	CLI_END,
};

static const struct cli_option export_create_options[] = {
	{"host", 0, VALUE_LIST, "HOST,...", "hosts", "to these hosts",
		.names_of = "host"},
	{"lun", 0, VALUE_NUMBER, "LUN", "lun", "as this LUN"},
	{"read-only", 0, VALUE_FLAG, NULL, "read_only", "for reading only"},
	{"through", 0, VALUE_TEXT, "ALIAS", "through",
		"through this alias of it, whose limits and faults hold for "
		"these hosts alone",
		.names_of = "volume"},
	CLI_FILE("what it shall be, YAML or JSON"),
	CLI_END,
};

static const struct cli_option export_set_options[] = {
	{"host", 0, VALUE_LIST, "HOST,...", "hosts", "to these hosts",
		.names_of = "host"},
	CLI_END,
};

static const struct cli_command export_commands[] = {
	{"list", "all exports", "listExports", "GET", "/exports", "viewer",
		CLI_PAGED, .options = export_list_options},
	{"show", "one export", "getExport", "GET", "/exports/{id}", "viewer",
		.argument = {EXPORT}},
	{"create", "show a volume to hosts", "createExport", "POST", "/exports",
		"operator", CLI_DRY_RUN | CLI_KEYED,
		.argument = {{"VOLUME", .place = "volume", .names_of = "volume",
				     .help = "what is shown"},
			{"TARGET", .place = "target", .names_of = "target",
				.help = "where: its IQN or name"}},
		.options = export_create_options, .done = "created"},
	{"set", "change properties of an export", "changeExport", "PATCH",
		"/exports/{id}", "operator", CLI_DRY_RUN | CLI_MATCH,
		.argument = {EXPORT, CLI_PAIRS("hosts, read_only, through")},
		.options = export_set_options, .done = "changed"},
	{"replace", "make an export what a file says", "replaceExport", "PUT",
		"/exports/{id}", "operator", CLI_DRY_RUN | CLI_MATCH,
		.argument = {EXPORT}, .options = replace_options,
		.done = "changed"},
	{"delete", "show a volume no more", "deleteExport", "DELETE",
		"/exports/{id}", "operator", CLI_DRY_RUN | CLI_MATCH | CLI_ASKS,
		.argument = {EXPORT}, .done = "deleted"},
	{0},
};

const struct cli_noun cli_export = {"export",
	"exports: which volume is which LUN for which hosts", export_commands,
	export_columns};

/* -- session ---------------------------------------------------------------- */

static const struct cli_column session_columns[] = {
	{"ID", "id"},
	{"HOST", "host"},
	{"PEER", "peer"},
	{"TARGET", "target"},
	{"SINCE", "since"},
	{"COMMANDS", "commands", COLUMN_COUNT},
	{"IN", "in_bytes", COLUMN_SIZE},
	{"OUT", "out_bytes", COLUMN_SIZE},
	{"ERRORS", "errors", COLUMN_COUNT},
	{"RUNNING", "running", COLUMN_COUNT},
	{0},
};

static const struct cli_column refused_columns[] = {
	{"TIME", "time"},
	{"PEER", "peer"},
	{"INITIATOR", "initiator"},
	{"TARGET", "target"},
	{"REFUSAL", "refusal"},
	{"REASON", "reason"},
	{0},
};

static const struct cli_option session_list_options[] = {
	{"volume", 0, VALUE_TEXT, "VOLUME", "?volume", "that reach this volume",
		.names_of = "volume"},
	{"host", 0, VALUE_TEXT, "HOST", "?host", "of this host",
		.names_of = "host"},
	CLI_END,
};

static const struct cli_option kick_options[] = {
	{"block", 0, VALUE_DURATION, "TIME", "?block_seconds",
		"and refuse the host for so long"},
	CLI_END,
};

#define SESSION \
	{ \
		"SESSION", .place = "{id}", .names_of = "session", \
			   .help = "its number" \
	}

static const struct cli_command session_commands[] = {
	{"list", "who is connected", "listSessions", "GET", "/sessions",
		"viewer", CLI_PAGED, .options = session_list_options},
	{"show", "one session, and all that was negotiated", "getSession",
		"GET", "/sessions/{id}", "viewer", .argument = {SESSION}},
	{"kick", "end a session", "endSession", "DELETE", "/sessions/{id}",
		"operator", CLI_DRY_RUN | CLI_MATCH | CLI_ASKS,
		.argument = {SESSION}, .options = kick_options,
		.done = "ended"},
	{"refused", "who could not log in, and why", "listRefusedLogins", "GET",
		"/logins/refused", "viewer", CLI_PAGED,
		.columns = refused_columns},
	{0},
};

const struct cli_noun cli_session = {"session", "sessions: who is connected",
	session_commands, session_columns};
