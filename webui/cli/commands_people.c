/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may manage the appliance, and who did what.
 */
#include "webui/cli/commands.h"

/* -- user ------------------------------------------------------------------- */

static const struct cli_column user_columns[] = {
	{"NAME", "name"},
	{"ROLE", "role"},
	{"ENABLED", "enabled"},
	{"PASSWORD", "has_password"},
	{"CERTIFICATE", "certificate"},
	{"SIGNED_IN", "signed_in"},
	{0},
};

#define ROLES "viewer|operator|admin"
#define USER \
	{ \
		"USER", .place = "{name}", .names_of = "user", \
			.help = "the name" \
	}

static const struct cli_option user_create_options[] = {
	{"role", 0, VALUE_CHOICE, "ROLE", "role", "what the user may do",
		.choices = ROLES},
	{"password-file", 0, VALUE_SECRET, "FILE", "password",
		"the password, one line (-: standard input)",
		CLI_ASKED | CLI_NEW},
	CLI_END,
};

static const struct cli_option user_replace_options[] = {
	{"file", 'f', VALUE_DOCUMENT, "FILE", "",
		"what it shall be, YAML or JSON"},
	CLI_END,
};

static const struct cli_option user_set_options[] = {
	{"role", 0, VALUE_CHOICE, "ROLE", "role", "what the user may do",
		.choices = ROLES},
	CLI_END,
};

static const struct cli_option password_options[] = {
	{"password-file", 0, VALUE_SECRET, "FILE", "password",
		"the new password, one line (-: standard input)",
		CLI_ASKED | CLI_NEW},
	CLI_END,
};

static const struct cli_option own_password_options[] = {
	{"old-password-file", 0, VALUE_SECRET, "FILE", "old",
		"the password until now, one line", CLI_ASKED},
	{"new-password-file", 0, VALUE_SECRET, "FILE", "new",
		"the new password, one line", CLI_ASKED | CLI_NEW},
	CLI_END,
};

static const struct cli_column login_columns[] = {
	{"USER", "user"},
	{"ROLE", "role"},
	{"VIA", "via"},
	{"EXPIRES", "expires"},
	{0},
};

static const struct cli_command user_commands[] = {
	{"list", "all users", "listUsers", "GET", "/users", "admin", CLI_PAGED},
	{"show", "one user", "getUser", "GET", "/users/{name}", "admin",
		.argument = {USER}},
	{"create", "let a person in", "createUser", "POST", "/users", "admin",
		CLI_DRY_RUN | CLI_KEYED,
		.argument = {{"USER", .place = "name",
			.help = "the new user's name"}},
		.options = user_create_options, .done = "created"},
	{"set", "change a user", "changeUser", "PATCH", "/users/{name}",
		"admin", CLI_DRY_RUN | CLI_MATCH,
		.argument = {USER,
			{"KEY=VALUE", .value = VALUE_PAIRS, .place = "",
				.flags = CLI_REST,
				.help = "role, enabled, certificate"}},
		.options = user_set_options, .done = "changed"},
	{"replace", "make a user what a file says", "replaceUser", "PUT",
		"/users/{name}", "admin", CLI_DRY_RUN | CLI_MATCH,
		.argument = {USER}, .options = user_replace_options,
		.done = "changed"},
	{"delete", "let a person in no more", "deleteUser", "DELETE",
		"/users/{name}", "admin", CLI_DRY_RUN | CLI_MATCH | CLI_ASKS,
		.argument = {USER}, .done = "deleted"},
	{"password", "give a user another password", "setPassword", "POST",
		"/users/{name}/password", "admin", CLI_DRY_RUN,
		.argument = {USER}, .options = password_options,
		.done = "has a new password"},
	{"change-password", "change your own password", "changeOwnPassword",
		"POST", "/login/password", "viewer", CLI_DRY_RUN,
		.options = own_password_options,
		.done = "your password is changed"},
	{"whoami", "as whom the daemon knows you", "getLogin", "GET", "/login",
		"viewer", .columns = login_columns},
	{0},
};

const struct cli_noun cli_user = {
	"user", "users: who may manage it", user_commands, user_columns};

/* -- role ------------------------------------------------------------------- */

static const struct cli_column role_columns[] = {
	{"ROLE", "role"},
	{"DESCRIPTION", "description"},
	{0},
};

static const struct cli_command role_commands[] = {
	{"list", "what each role may do", "listRoles", "GET", "/roles",
		"viewer"},
	{0},
};

const struct cli_noun cli_role = {
	"role", "roles: viewer, operator, admin", role_commands, role_columns};

/* -- token ------------------------------------------------------------------ */

static const struct cli_column token_columns[] = {
	{"ID", "id"},
	{"USER", "user"},
	{"ROLE", "role"},
	{"EXPIRES", "expires"},
	{"USED", "used"},
	{"COMMENT", "comment"},
	{0},
};

/* The secret first: it is never shown again. */
static const struct cli_column new_token_columns[] = {
	{"TOKEN", "token"},
	{"ID", "id"},
	{"USER", "user"},
	{"ROLE", "role"},
	{"EXPIRES", "expires"},
	{0},
};

#define TOKEN \
	{ \
		"TOKEN", .place = "{id}", .names_of = "token", \
			 .help = "its id" \
	}

static const struct cli_option token_list_options[] = {
	{"user", 0, VALUE_TEXT, "USER", "?user", "of this user",
		.names_of = "user"},
	CLI_END,
};

static const struct cli_option token_create_options[] = {
	{"expires", 0, VALUE_DURATION, "TIME", "expires_seconds",
		"how long it is good, such as 90d"},
	{"role", 0, VALUE_CHOICE, "ROLE", "role", "at most your own",
		.choices = ROLES},
	{"user", 0, VALUE_TEXT, "USER", "user", "for this user (you)",
		.names_of = "user"},
	{"comment", 0, VALUE_TEXT, "TEXT", "comment", "what it is for"},
	{"network", 0, VALUE_LIST, "CIDR,...", "networks",
		"only from these addresses"},
	{"volume", 0, VALUE_LIST, "VOLUME,...", "volumes",
		"only for these volumes", .names_of = "volume"},
	CLI_END,
};

static const struct cli_command token_commands[] = {
	{"list", "access tokens", "listTokens", "GET", "/tokens", "viewer",
		CLI_PAGED, .options = token_list_options},
	{"show", "one token", "getToken", "GET", "/tokens/{id}", "viewer",
		.argument = {TOKEN}},
	{"create", "make a token for a script; it is shown once", "createToken",
		"POST", "/tokens", "viewer", CLI_DRY_RUN | CLI_KEYED,
		.options = token_create_options, .columns = new_token_columns},
	{"revoke", "make a token worthless", "revokeToken", "DELETE",
		"/tokens/{id}", "viewer", CLI_DRY_RUN | CLI_MATCH | CLI_ASKS,
		.argument = {TOKEN}, .done = "revoked"},
	{0},
};

const struct cli_noun cli_token = {"token",
	"tokens: how scripts sign in over https", token_commands,
	token_columns};

/* -- audit ------------------------------------------------------------------ */

static const struct cli_column audit_columns[] = {
	{"NUMBER", "number"},
	{"TIME", "time"},
	{"USER", "user"},
	{"ADDRESS", "address"},
	{"OPERATION", "operation"},
	{"OBJECT", "object"},
	{"RESULT", "result"},
	{0},
};

static const struct cli_option audit_options[] = {
	{"user", 0, VALUE_TEXT, "USER", "?user", "by this user",
		.names_of = "user"},
	CLI_END,
};

static const struct cli_column verify_columns[] = {
	{"VALID", "valid"},
	{"RECORDS", "records"},
	{"FIRST_WRONG", "first_wrong"},
	{"TEXT", "text", COLUMN_WRAP},
	{0},
};

static const struct cli_command audit_commands[] = {
	{"list", "who did what", "listAudit", "GET", "/audit", "admin",
		CLI_PAGED, .options = audit_options},
	{"verify", "check that no record was changed or taken out",
		"verifyAudit", "GET", "/audit/verify", "admin",
		.columns = verify_columns},
	{0},
};

const struct cli_noun cli_audit = {"audit",
	"the audit log: who did what, in a chain", audit_commands,
	audit_columns};
