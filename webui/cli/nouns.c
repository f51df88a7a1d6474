/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/cli/command.h"
#include "webui/cli/commands.h"

#include <string.h>

const struct cli_noun *const cli_nouns[] = {
	&cli_volume,
	&cli_source,
	&cli_listener,
	&cli_mirror,
	&cli_qos,
	&cli_fault,
	&cli_snapshot,
	&cli_schedule,
	&cli_host,
	&cli_target,
	&cli_portal,
	&cli_export,
	&cli_session,
	&cli_job,
	&cli_event,
	&cli_history,
	&cli_config,
	&cli_user,
	&cli_role,
	&cli_token,
	&cli_certificate,
	&cli_audit,
	&cli_system,
	&cli_top,
	NULL,
};

const struct cli_option cli_globals[] = {
	{"socket", 0, VALUE_PATH, "PATH", NULL,
		"the daemon's unix socket ($CAIRN_SOCKET, "
		"./var/run/cairn.sock, /run/cairn/cairn.sock)"},
	{"url", 0, VALUE_TEXT, "URL", NULL,
		"https://HOST[:8443] in place of a socket ($CAIRN_URL)"},
	{"ca", 0, VALUE_PATH, "FILE", NULL,
		"certificates to trust, PEM ($CAIRN_CA)"},
	{"fingerprint", 0, VALUE_TEXT, "SHA256", NULL,
		"the one certificate to trust ($CAIRN_FINGERPRINT)"},
	{"token-file", 0, VALUE_PATH, "FILE", NULL,
		"a file with the access token ($CAIRN_TOKEN is the token)"},
	{"timeout", 0, VALUE_DURATION, "TIME", NULL,
		"how long to wait for the daemon (30s)"},
	{"output", 'o', VALUE_CHOICE, "FORMAT", NULL,
		"table, json, yaml or name", .choices = "table|json|yaml|name"},
	{"columns", 0, VALUE_LIST, "NAME,...", NULL,
		"which columns of a table, in this order"},
	{"no-headers", 'H', VALUE_FLAG, NULL, NULL,
		"for scripts: no headers, one tab between columns"},
	{"exact", 'p', VALUE_FLAG, NULL, NULL,
		"for scripts: exact numbers, without units"},
	{"dry-run", 'n', VALUE_FLAG, NULL, NULL,
		"change nothing; show what would change, and for whom"},
	{"yes", 'y', VALUE_FLAG, NULL, NULL, "do not ask"},
	{"wait", 0, VALUE_FLAG, NULL, NULL,
		"wait for the end of a job, with a progress bar (the default)"},
	{"no-wait", 0, VALUE_FLAG, NULL, NULL, "only start a job"},
	{"help", 'h', VALUE_FLAG, NULL, NULL, "what the command does"},
	{"version", 0, VALUE_FLAG, NULL, NULL, "which cairn this is"},
	CLI_END,
};

const char *const cli_exit_texts[] = {
	[EXIT_OK] = "it is done",
	[EXIT_FAILED] = "it failed; the text says why and what to do",
	[EXIT_USAGE] = "wrong use of cairn, or you said no",
	[EXIT_NOT_FOUND] = "there is no such thing",
	[EXIT_CONFLICT] = "something holds it, or it was changed meanwhile",
	[EXIT_DENIED] = "not signed in, or not allowed",
	[EXIT_UNREACHABLE] = "the daemon cannot be reached or trusted",
};

const struct cli_noun *cli_noun_find(const char *name)
{
	for (unsigned i = 0; cli_nouns[i]; i++)
		if (!strcmp(cli_nouns[i]->name, name))
			return cli_nouns[i];
	return NULL;
}

const struct cli_command *cli_command_find(
	const struct cli_noun *noun, const char *verb)
{
	static const char *const alias[][2] = {
		{"ls", "list"}, {"rm", "delete"}, {"get", "show"}};
	for (unsigned i = 0; i < sizeof alias / sizeof *alias; i++)
		if (*noun->name && !strcmp(verb, alias[i][0]))
			verb = alias[i][1];
	for (const struct cli_command *c = noun->commands; c->verb; c++)
		if (!strcmp(c->verb, verb))
			return c;
	return NULL;
}

static const struct cli_option *find(
	const struct cli_option *at, const char *name, size_t bytes)
{
	for (; at && at->name; at++)
		if (strlen(at->name) == bytes && !memcmp(at->name, name, bytes))
			return at;
	return NULL;
}

const struct cli_option *cli_option_find(
	const struct cli_command *command, const char *name, size_t bytes)
{
	const struct cli_option *own =
		command ? find(command->options, name, bytes) : NULL;
	return own ? own : find(cli_globals, name, bytes);
}

static const struct cli_option *find_letter(
	const struct cli_option *at, char letter)
{
	for (; at && at->name; at++)
		if (at->letter == letter)
			return at;
	return NULL;
}

const struct cli_option *cli_option_letter(
	const struct cli_command *command, char letter)
{
	const struct cli_option *own =
		command ? find_letter(command->options, letter) : NULL;
	return own ? own : find_letter(cli_globals, letter);
}
