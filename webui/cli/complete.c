/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion: one hidden command proposes words from the command table (and names
 * from the daemon, if it is there); the shells only show them.
 *
 *	cairn __complete WORD... LAST	lines "PROPOSAL<tab>HELP" for LAST
 */
#include "webui/cli/commands.h"
#include "webui/cli/run.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAMES_TIMEOUT_MS 2000

static void propose(FILE *out, const char *typed, const char *prefix,
	const char *word, size_t bytes, const char *help)
{
	size_t n = strlen(prefix), typed_bytes = strlen(typed);
	char whole[512];
	if (n + bytes >= sizeof whole)
		return;
	memcpy(whole, prefix, n);
	memcpy(whole + n, word, bytes);
	whole[n + bytes] = '\0';
	if (strncmp(whole, typed, typed_bytes))
		return;
	fprintf(out, "%s\t%.*s\n", whole, (int)strcspn(help, "\n"), help);
}

static void propose_word(
	FILE *out, const char *typed, const char *word, const char *help)
{
	propose(out, typed, "", word, strlen(word), help);
}

static void propose_first(FILE *out, const char *typed)
{
	for (unsigned i = 0; cli_nouns[i]; i++)
		if (*cli_nouns[i]->name)
			propose_word(out, typed, cli_nouns[i]->name,
				cli_nouns[i]->help);
	for (const struct cli_command *c = cli_top.commands; c->verb; c++)
		if (!(c->flags & CLI_HIDDEN) && !cli_noun_find(c->verb))
			propose_word(out, typed, c->verb, c->help);
}

static void propose_options(
	FILE *out, const char *typed, const struct cli_option *option)
{
	for (; option && option->name; option++)
		propose(out, typed, "--", option->name, strlen(option->name),
			option->help);
}

static void propose_choices(FILE *out, const char *typed, const char *choices)
{
	while (*choices) {
		size_t n = strcspn(choices, "|");
		propose(out, typed, "", choices, n, "");
		choices += n + (choices[n] == '|');
	}
}

/* Names of what there is; silently none when the daemon cannot be asked. */
static void propose_names(
	struct cli_run *run, const char *typed, const char *noun_name)
{
	const struct cli_noun *noun = cli_noun_find(noun_name);
	const struct cli_command *list = cli_command_find(noun, "list");
	json_t *page = NULL, *item;
	size_t i;
	char path[128];
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (null >= 0)
		dup2(null, STDERR_FILENO);
	snprintf(path, sizeof path, "%s?limit=1000", list->path);
	if (run_place(run) == 0) {
		run->client.timeout_ms = NAMES_TIMEOUT_MS;
		run_get(run, path, &page);
	}
	json_array_foreach(json_object_get(page, "items"), i, item)
	{
		char *name = output_cell(&run->output, item, noun->columns);
		propose_word(run->output.out, typed, name, "");
		free(name);
	}
	json_decref(page);
	if (null >= 0)
		close(null);
}

static void propose_value(
	struct cli_run *run, const char *typed, const struct cli_option *option)
{
	if (!option)
		return;
	if (option->choices)
		propose_choices(run->output.out, typed, option->choices);
	else if (option->names_of)
		propose_names(run, typed, option->names_of);
}

/* The option that the word before the last one names and that wants a value. */
static const struct cli_option *open_option(
	const struct cli_line *line, const char *word)
{
	const struct cli_option *option = NULL;
	if (word[0] == '-' && word[1] == '-' && !strchr(word, '='))
		option = cli_option_find(
			line->command, word + 2, strlen(word + 2));
	else if (word[0] == '-' && word[1] && !word[2])
		option = cli_option_letter(line->command, word[1]);
	return option && option->value != VALUE_FLAG ? option : NULL;
}

static void propose_next(
	struct cli_run *run, const struct cli_line *line, const char *typed)
{
	FILE *out = run->output.out;
	if (typed[0] == '-') {
		propose_options(out, typed,
			line->command ? line->command->options : NULL);
		propose_options(out, typed, cli_globals);
	} else if (!line->noun) {
		propose_first(out, typed);
	} else if (!line->command) {
		for (const struct cli_command *c = line->noun->commands;
			c->verb; c++)
			propose_word(out, typed, c->verb, c->help);
	} else {
		propose_value(run, typed,
			cli_line_argument(line->command, line->arguments));
	}
}

/* Parses what is whole; "--help" because the rest is still to come. */
static void parse_words(
	struct cli_run *run, unsigned count, struct cli_line *line)
{
	static char help[] = "--help";
	char *words[LINE_MAX_WORDS + 1];
	struct err err = {0};
	for (unsigned i = 0; i < count; i++)
		words[i] = (char *)run->line.argument[i];
	words[count] = help;
	cli_line_parse(line, (int)count + 1, words, &err);
}

int run_complete(struct cli_run *run)
{
	unsigned count = run->line.arguments;
	struct cli_line *line = calloc(1, sizeof *line);
	if (!line)
		abort();
	const char *typed = count ? run->line.argument[count - 1] : "";
	const char *before = count > 1 ? run->line.argument[count - 2] : "";
	parse_words(run, count ? count - 1 : 0, line);
	const struct cli_option *option = open_option(line, before);
	if (option && count > 1) {
		parse_words(run, count - 2, line);
		propose_value(run, typed, option);
	} else {
		propose_next(run, line, typed);
	}
	free(line);
	return EXIT_OK;
}

/* -- scripts ---------------------------------------------------------------- */

static const char bash_script[] =
	"# completion of cairn for bash: source <(cairn completion bash)\n"
	"_cairn() {\n"
	"\tlocal line IFS=$'\\n'\n"
	"\tCOMPREPLY=()\n"
	"\twhile IFS= read -r line; do\n"
	"\t\tCOMPREPLY+=(\"${line%%$'\\t'*}\")\n"
	"\tdone < <(cairn __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" "
	"2>/dev/null)\n"
	"}\n"
	"complete -o default -F _cairn cairn\n";

static const char zsh_script[] =
	"#compdef cairn\n"
	"# completion of cairn for zsh: source <(cairn completion zsh)\n"
	"_cairn() {\n"
	"\tlocal line\n"
	"\tlocal -a words_found texts\n"
	"\twhile IFS= read -r line; do\n"
	"\t\twords_found+=(\"${line%%$'\\t'*}\")\n"
	"\t\ttexts+=(\"${line/$'\\t'/ -- }\")\n"
	"\tdone < <(cairn __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
	"\tif (( $#words_found )); then\n"
	"\t\tcompadd -l -d texts -a words_found\n"
	"\telse\n"
	"\t\t_files\n"
	"\tfi\n"
	"}\n"
	"if [ \"$funcstack[1]\" = _cairn ]; then _cairn \"$@\"; else "
	"compdef _cairn cairn; fi\n";

/* Files only where nothing is proposed, as in the other shells. */
static const char fish_script[] =
	"# completion of cairn for fish: cairn completion fish | source\n"
	"function __cairn_complete\n"
	"\tset -l typed (commandline -opc) (commandline -ct)\n"
	"\tset -l found (cairn __complete $typed[2..-1] 2>/dev/null)\n"
	"\tif test (count $found) -gt 0\n"
	"\t\tprintf '%s\\n' $found\n"
	"\telse\n"
	"\t\t__fish_complete_path (commandline -ct)\n"
	"\tend\n"
	"end\n"
	"complete -c cairn -f -a '(__cairn_complete)'\n";

int run_completion(struct cli_run *run)
{
	const char *shell = run->line.argument[0];
	fputs(!strcmp(shell, "bash")		? bash_script
			: !strcmp(shell, "zsh") ? zsh_script
						: fish_script,
		run->output.out);
	return EXIT_OK;
}
