/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Man pages as roff (man macros). Invariant: a text can never be read as a
 * request: a leading "." or "'" and every "\" and "-" is escaped.
 */
#include "webui/cli/commands.h"
#include "webui/cli/help.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_DATE "2026-11-27" /* when CAIRN_VERSION came to be */

static void roff_text(FILE *out, const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (i == 0 && (text[i] == '.' || text[i] == '\''))
			fputs("\\&", out);
		if (text[i] == '\\')
			fputs("\\e", out);
		else if (text[i] == '-')
			fputs("\\-", out);
		else
			fputc(text[i], out);
	}
}

/* "a|b|c", which may be broken behind each bar: it can be longer than a line. */
static void roff_choices(FILE *out, const char *choices)
{
	while (*choices) {
		size_t n = strcspn(choices, "|");
		roff_text(out, choices, n);
		choices += n;
		if (*choices) {
			fputs("|\\:", out);
			choices++;
		}
	}
	fputc('\n', out);
}

static void roff_line(FILE *out, const char *text)
{
	roff_text(out, text, strlen(text));
	fputc('\n', out);
}

static void roff_begin(
	FILE *out, const char *name, int section, const char *what)
{
	fprintf(out,
		".\\\" Made by `cairn man` from the program's tables.\n"
		".TH %s %d " PAGE_DATE " \"Cairn " CAIRN_VERSION
		"\" \"Cairn\"\n"
		".ad l\n" /* lists without spaces cannot be stretched */
		".SH NAME\n%s \\- ",
		name, section, name);
	roff_line(out, what);
}

static void roff_item(FILE *out, const char *term, const char *text)
{
	fputs(".TP\n.B ", out);
	roff_line(out, term);
	roff_line(out, text);
}

/* -- cairn(1) --------------------------------------------------------------- */

static void man_options(FILE *out, const struct cli_option *options)
{
	char text[HELP_OPTION_BYTES];
	for (; options && options->name; options++) {
		roff_item(out, help_option(options, text), options->help);
		if (options->choices) {
			fputs(".br\n", out);
			roff_choices(out, options->choices);
		}
	}
}

static void man_details(FILE *out, const struct cli_command *command)
{
	if (!command->more && !command->argument[0].name && !command->options)
		return;
	fputs(".RS\n", out);
	if (command->more) {
		fputs(".PP\n", out);
		roff_line(out, command->more);
	}
	for (unsigned i = 0; i < CLI_MAX_ARGUMENTS; i++)
		if (command->argument[i].name)
			roff_item(out, command->argument[i].name,
				command->argument[i].help);
	man_options(out, command->options);
	fputs(".RE\n", out);
}

static void man_command(FILE *out, const struct cli_noun *noun,
	const struct cli_command *command)
{
	char *usage = NULL;
	size_t bytes;
	FILE *text = open_memstream(&usage, &bytes);
	if (!text)
		abort();
	help_usage(noun, command, text);
	fclose(text);
	roff_item(out, usage, command->help);
	free(usage);
	man_details(out, command);
}

static void man_noun(FILE *out, const struct cli_noun *noun)
{
	fputs(".SS ", out);
	roff_line(out, noun->help);
	for (const struct cli_command *c = noun->commands; c->verb; c++)
		if (!(c->flags & CLI_HIDDEN))
			man_command(out, noun, c);
}

static const char description[] =
	"Manages a Cairn appliance. It talks to cairnd(8) over its unix "
	"socket, where root and the daemon's own user are admin, or over "
	"https with a token. What it does, the REST interface does; "
	"--help names the operation behind a command.";

void man_cairn(FILE *out)
{
	char number[12];
	roff_begin(out, "cairn", 1, "manages a Cairn storage appliance");
	fputs(".SH SYNOPSIS\n.B cairn\nNOUN VERB [ARGUMENT]... [OPTION]...\n"
	      ".SH DESCRIPTION\n",
		out);
	roff_line(out, description);
	fputs(".SH COMMANDS\n", out);
	man_noun(out, &cli_top);
	for (unsigned i = 0; cli_nouns[i]; i++)
		if (*cli_nouns[i]->name)
			man_noun(out, cli_nouns[i]);
	fputs(".SH OPTIONS OF EVERY COMMAND\n", out);
	man_options(out, cli_globals);
	fputs(".SH EXIT STATUS\n", out);
	for (int i = 0; i <= EXIT_UNREACHABLE; i++) {
		snprintf(number, sizeof number, "%d", i);
		roff_item(out, number, cli_exit_texts[i]);
	}
	fputs(".SH FILES\n", out);
	roff_item(out, "~/.config/cairn/login.json",
		"address and token that cairn login keeps");
	fputs(".SH SEE ALSO\n.BR cairnd (8),\n.BR cairn.yaml (5)\n", out);
}

/* -- from the daemon's help -------------------------------------------------- */

/* "  key: TYPE  help": an item; "Text:": a heading; else a line of text. Not empty. */
static void man_help_line(FILE *out, const char *line, size_t bytes)
{
	size_t indent = strspn(line, " ");
	const char *text = line + indent;
	size_t left = bytes - indent;
	const char *gap = memmem(text, left, "  ", 2);
	if (indent >= 2 && gap) {
		const char *help = gap + strspn(gap, " ");
		fputs(".TP\n.B ", out);
		roff_text(out, text, (size_t)(gap - text));
		fputc('\n', out);
		roff_text(out, help, left - (size_t)(help - text));
		fputc('\n', out);
	} else if (!indent && text[left - 1] == ':') {
		fputs(".SS ", out);
		roff_text(out, text, left - 1);
		fputc('\n', out);
	} else {
		roff_text(out, text, left);
		fputc('\n', out);
	}
}

/* Empty lines part paragraphs; before a heading and at the end they part nothing. */
static void man_help_part(FILE *out, const char *from, const char *to)
{
	bool parted = false;
	while (from < to) {
		size_t n = strcspn(from, "\n");
		bool heading = n && *from != ' ' && from[n - 1] == ':';
		if (parted && n && !heading)
			fputs(".PP\n", out);
		if (n)
			man_help_line(out, from, n);
		parted = !n;
		from += n + 1;
	}
}

bool man_from_help(const char *page, const char *help, FILE *out)
{
	const char *keys = strstr(help, "\nSettings (");
	if (!keys || strncmp(help, "usage: cairnd", 13))
		return false;
	if (!strcmp(page, "cairnd")) {
		roff_begin(out, "cairnd", 8, "the Cairn storage appliance");
		fputs(".SH SYNOPSIS\n.nf\n", out);
		const char *end = strstr(help, "\n\n");
		for (const char *at = help + 7; at < end;) {
			size_t n = strcspn(at, "\n");
			size_t skip = strspn(at, " ");
			roff_text(out, at + skip, n - skip);
			fputc('\n', out);
			at += n + 1;
		}
		fputs(".fi\n.SH DESCRIPTION\nExports block volumes to hosts "
		      "over iSCSI. Managed with\n.BR cairn (1).\n"
		      ".SH OPTIONS\n",
			out);
		man_help_part(out, end + 2, keys);
		fputs(".SH SEE ALSO\n.BR cairn (1),\n.BR cairn.yaml (5)\n",
			out);
		return true;
	}
	roff_begin(out, "cairn.yaml", 5,
		"settings and appliance documents of Cairn");
	fputs(".SH DESCRIPTION\nBoth are YAML (or JSON), read strictly: a "
	      "mistake is told with file, line, column and key, and the "
	      "whole is refused.\n.SH KEYS\n",
		out);
	man_help_part(out, keys + 1, help + strlen(help));
	fputs(".SH SEE ALSO\n.BR cairn (1),\n.BR cairnd (8)\n", out);
	return true;
}
