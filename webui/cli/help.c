/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/cli/help.h"
#include "webui/cli/commands.h"

#include <string.h>

#define WIDTH 79

void help_usage(const struct cli_noun *noun, const struct cli_command *command,
	FILE *out)
{
	fprintf(out, "cairn %s%s%s", noun->name, *noun->name ? " " : "",
		command->verb);
	for (unsigned i = 0; i < CLI_MAX_ARGUMENTS; i++) {
		const struct cli_option *argument = &command->argument[i];
		if (!argument->name)
			break;
		bool may = argument->flags & (CLI_OPTIONAL | CLI_REST);
		fprintf(out, " %s%s%s%s", may ? "[" : "", argument->name,
			may ? "]" : "",
			argument->flags & CLI_REST ? "..." : "");
	}
	fputs(" [OPTION]...", out);
}

static const char *metavar(const struct cli_option *option)
{
	if (option->metavar)
		return option->metavar;
	return option->value == VALUE_FLAG ? "" : "VALUE";
}

const char *help_option(
	const struct cli_option *option, char text[HELP_OPTION_BYTES])
{
	char letter[8] = "";
	const char *value = metavar(option);
	if (option->letter)
		snprintf(letter, sizeof letter, "-%c, ", option->letter);
	snprintf(text, HELP_OPTION_BYTES, "%s--%s%s%s", letter, option->name,
		*value ? " " : "", value);
	return text;
}

/* `text` in lines of at most WIDTH, each after `indent` spaces; the first one
 * goes on at column `at`. */
static void print_wrapped(FILE *out, const char *text, int indent, int at)
{
	while (*text) {
		size_t n = strcspn(text, " ");
		bool first = at == indent;
		if (!first && at + 1 + (int)n > WIDTH) {
			fprintf(out, "\n%*s", indent, "");
			at = indent;
			first = true;
		}
		fprintf(out, "%s%.*s", first ? "" : " ", (int)n, text);
		at += (int)n + !first;
		text += n + strspn(text + n, " ");
	}
	fputc('\n', out);
}

static void print_row(FILE *out, const char *left, const char *help, int column)
{
	int used = fprintf(out, "  %s", left);
	if (used > column - 2) {
		fputc('\n', out);
		used = 0;
	}
	fprintf(out, "%*s", column - used, "");
	print_wrapped(out, help, column, column);
}

static void print_options(FILE *out, const struct cli_option *options)
{
	char text[HELP_OPTION_BYTES];
	for (; options && options->name; options++) {
		print_row(out, help_option(options, text), options->help, 28);
		if (options->choices &&
			strcmp(options->choices, "table|json|yaml|name"))
			fprintf(out, "%*s(%s)\n", 28, "", options->choices);
	}
}

static void print_command(const struct cli_noun *noun,
	const struct cli_command *command, FILE *out)
{
	fputs("usage: ", out);
	help_usage(noun, command, out);
	fprintf(out, "\n\n%c%s.\n", command->help[0] - 'a' + 'A',
		command->help + 1);
	if (command->more) {
		fputc('\n', out);
		print_wrapped(out, command->more, 0, 0);
	}
	if (command->argument[0].name)
		fputs("\nArguments:\n", out);
	for (unsigned i = 0; i < CLI_MAX_ARGUMENTS; i++)
		if (command->argument[i].name)
			print_row(out, command->argument[i].name,
				command->argument[i].help, 28);
	if (command->options) {
		fputs("\nOptions:\n", out);
		print_options(out, command->options);
	}
	if (command->operation)
		fprintf(out, "\nREST: %s /api/v1%s (%s)\n", command->method,
			command->path, command->operation);
	if (command->role && strcmp(command->role, "public"))
		fprintf(out, "Role: %s\n", command->role);
	fputs("\nOptions of every command: cairn help\n", out);
}

static void print_verbs(const struct cli_noun *noun, FILE *out)
{
	for (const struct cli_command *c = noun->commands; c->verb; c++)
		if (!(c->flags & CLI_HIDDEN))
			print_row(out, c->verb, c->help, 20);
}

static void print_noun(const struct cli_noun *noun, FILE *out)
{
	fprintf(out, "usage: cairn %s VERB ...\n\n%c%s.\n\nVerbs:\n",
		noun->name,
		noun->help[0] >= 'a' ? noun->help[0] - 'a' + 'A'
				     : noun->help[0],
		noun->help + 1);
	print_verbs(noun, out);
	fprintf(out, "\nMore of one: cairn help %s VERB\n", noun->name);
}

static void print_all(FILE *out)
{
	fputs("usage: cairn NOUN VERB [ARGUMENT]... [OPTION]...\n"
	      "       cairn COMMAND ...\n\n"
	      "Manages a Cairn appliance, over its unix socket or https.\n\n"
	      "Commands:\n",
		out);
	print_verbs(&cli_top, out);
	fputs("\nNouns, each with verbs (cairn help NOUN):\n", out);
	for (unsigned i = 0; cli_nouns[i]; i++)
		if (*cli_nouns[i]->name)
			print_row(out, cli_nouns[i]->name, cli_nouns[i]->help,
				20);
	fputs("\nOptions of every command:\n", out);
	print_options(out, cli_globals);
	fputs("\nExit status:\n", out);
	for (int i = 0; i <= EXIT_UNREACHABLE; i++)
		fprintf(out, "  %d  %s\n", i, cli_exit_texts[i]);
}

void help_print(const struct cli_line *line, FILE *out)
{
	if (line->command && line->command->run != run_help)
		print_command(line->noun, line->command, out);
	else if (line->noun && *line->noun->name)
		print_noun(line->noun, out);
	else
		print_all(out);
}
