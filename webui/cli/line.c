/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/cli/line.h"
#include "webui/cli/commands.h"
#include "webui/cli/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* -- what was perhaps meant ------------------------------------------------- */

struct guess {
	const char *word, *best;
	unsigned distance;
};

static void guess_offer(struct guess *guess, const char *known)
{
	if (!text_is_near(guess->word, known))
		return;
	unsigned distance = text_distance(guess->word, known);
	if (guess->best && distance >= guess->distance)
		return;
	guess->best = known;
	guess->distance = distance;
}

static int unknown(struct err *err, const char *what, const char *dashes,
	const struct guess *guess, const char *help)
{
	if (guess->best)
		return err_set(err, EINVAL,
			"no %s \"%s%s\"; did you mean \"%s%s\"?", what, dashes,
			guess->word, dashes, guess->best);
	return err_set(err, EINVAL, "no %s \"%s%s\"; try: cairn help%s%s", what,
		dashes, guess->word, *help ? " " : "", help);
}

/* "volume create", "bundle", "": what to ask help for. */
static const char *topic(const struct cli_line *line, char *text, size_t bytes)
{
	const char *noun = line->noun ? line->noun->name : "";
	snprintf(text, bytes, "%s%s%s", noun, *noun && line->command ? " " : "",
		line->command ? line->command->verb : "");
	return text;
}
#define TOPIC_BYTES 64u

static int unknown_noun(const char *word, struct err *err)
{
	struct guess guess = {.word = word};
	for (unsigned i = 0; cli_nouns[i]; i++)
		if (*cli_nouns[i]->name)
			guess_offer(&guess, cli_nouns[i]->name);
	for (const struct cli_command *c = cli_top.commands; c->verb; c++)
		if (!(c->flags & CLI_HIDDEN))
			guess_offer(&guess, c->verb);
	return unknown(err, "command", "", &guess, "");
}

static int unknown_verb(
	const struct cli_noun *noun, const char *word, struct err *err)
{
	struct guess guess = {.word = word};
	char what[64];
	char verbs[256] = "";
	for (const struct cli_command *c = noun->commands; c->verb; c++) {
		size_t used = strlen(verbs);
		guess_offer(&guess, c->verb);
		snprintf(verbs + used, sizeof verbs - used, "%s%s",
			used ? ", " : "", c->verb);
	}
	snprintf(what, sizeof what, "verb of %s", noun->name);
	if (!guess.best)
		return err_set(err, EINVAL, "no %s \"%s\"; there are %s", what,
			word, verbs);
	return unknown(err, what, "", &guess, noun->name);
}

static int unknown_option(
	const struct cli_line *line, const char *word, struct err *err)
{
	struct guess guess = {.word = word};
	char help[TOPIC_BYTES];
	const struct cli_option *own =
		line->command ? line->command->options : NULL;
	for (; own && own->name; own++)
		guess_offer(&guess, own->name);
	for (const struct cli_option *o = cli_globals; o->name; o++)
		guess_offer(&guess, o->name);
	return unknown(
		err, "option", "--", &guess, topic(line, help, sizeof help));
}

static int unknown_letter(
	const struct cli_line *line, char letter, struct err *err)
{
	const struct guess guess = {.word = (const char[]){letter, '\0'}};
	char help[TOPIC_BYTES];
	return unknown(
		err, "option", "-", &guess, topic(line, help, sizeof help));
}

/* -- values ----------------------------------------------------------------- */

static bool is_choice(const char *choices, const char *value)
{
	size_t bytes = strlen(value);
	while (choices && *choices) {
		size_t n = strcspn(choices, "|");
		if (n == bytes && !memcmp(choices, value, n))
			return true;
		choices += n + (choices[n] == '|');
	}
	return false;
}

static const char *wanted(const struct cli_option *option, const char *value)
{
	uint64_t number;
	switch (option->value) {
	case VALUE_SIZE:
		return text_read_size(value, &number) ? NULL
						      : "a size such as 100G";
	case VALUE_NUMBER:
		return text_read_number(value, &number) ? NULL : "a number";
	case VALUE_DURATION:
		return text_read_duration(value, &number)
			? NULL
			: "a time such as 90s, 15m, 12h or 30d";
	case VALUE_CHOICE:
		return is_choice(option->choices, value) ? NULL
							 : option->choices;
	case VALUE_PAIRS:
		return strchr(value, '=') && *value != '=' ? NULL : "KEY=VALUE";
	default: return NULL;
	}
}

static int check_value(const struct cli_option *option, bool argument,
	const char *value, struct err *err)
{
	const char *want = wanted(option, value);
	if (!want)
		return 0;
	return err_set(err, EINVAL, "%s%s: %s, not \"%s\"",
		argument ? "" : "--", option->name, want, value);
}

/* -- words ------------------------------------------------------------------ */

struct scan {
	struct cli_line *line;
	int argc, at;
	char *const *argv;
	bool only_words; /* after "--" */
};

static int give(struct scan *scan, const struct cli_option *option,
	const char *value, struct err *err)
{
	struct cli_line *line = scan->line;
	if (!value && option->value != VALUE_FLAG) {
		if (scan->at == scan->argc)
			return err_set(err, EINVAL, "--%s needs a value: %s",
				option->name,
				option->metavar ? option->metavar : "VALUE");
		value = scan->argv[scan->at++];
	} else if (value && option->value == VALUE_FLAG) {
		return err_set(
			err, EINVAL, "--%s takes no value", option->name);
	}
	if (line->givens == LINE_MAX_WORDS)
		return err_set(err, EINVAL, "too many options");
	line->given[line->givens].option = option;
	line->given[line->givens++].value = value ? value : "";
	return value ? check_value(option, false, value, err) : 0;
}

static int take_long(struct scan *scan, const char *name, struct err *err)
{
	size_t bytes = strcspn(name, "=");
	const struct cli_option *option =
		cli_option_find(scan->line->command, name, bytes);
	if (!option) {
		char word[64];
		snprintf(word, sizeof word, "%.*s", (int)bytes, name);
		return unknown_option(scan->line, word, err);
	}
	return give(scan, option, name[bytes] ? name + bytes + 1 : NULL, err);
}

static int take_letters(struct scan *scan, const char *letters, struct err *err)
{
	while (*letters) {
		const struct cli_option *option =
			cli_option_letter(scan->line->command, *letters++);
		const char *value = NULL;
		if (!option)
			return unknown_letter(scan->line, letters[-1], err);
		if (option->value != VALUE_FLAG && *letters) {
			value = letters;
			letters = "";
		}
		if (give(scan, option, value, err))
			return -EINVAL;
	}
	return 0;
}

static int take_argument(
	struct cli_line *line, const char *word, struct err *err)
{
	char help[TOPIC_BYTES];
	const struct cli_option *argument =
		cli_line_argument(line->command, line->arguments);
	if (!argument || line->arguments == LINE_MAX_WORDS)
		return err_set(err, EINVAL,
			"\"%s\" is too much; try: cairn help %s", word,
			topic(line, help, sizeof help));
	line->argument[line->arguments++] = word;
	return check_value(argument, true, word, err);
}

static int take_word(struct cli_line *line, const char *word, struct err *err)
{
	if (line->command)
		return take_argument(line, word, err);
	if (line->noun) {
		line->command = cli_command_find(line->noun, word);
		return line->command ? 0 : unknown_verb(line->noun, word, err);
	}
	line->noun = *word ? cli_noun_find(word) : NULL;
	if (line->noun)
		return 0;
	line->command = cli_command_find(&cli_top, word);
	if (!line->command)
		return unknown_noun(word, err);
	line->noun = &cli_top;
	return 0;
}

static int take_any(struct scan *scan, struct err *err)
{
	const char *word = scan->argv[scan->at++];
	bool raw =
		scan->line->command && scan->line->command->run == run_complete;
	if (scan->only_words || raw || word[0] != '-' || !word[1])
		return take_word(scan->line, word, err);
	if (!strcmp(word, "--")) {
		scan->only_words = true;
		return 0;
	}
	return word[1] == '-' ? take_long(scan, word + 2, err)
			      : take_letters(scan, word + 1, err);
}

/* -- the whole -------------------------------------------------------------- */

static int check_whole(struct cli_line *line, struct err *err)
{
	char help[TOPIC_BYTES];
	const struct cli_command *command = line->command;
	if (!command && line->noun)
		return err_set(err, EINVAL,
			"a verb of %s is missing; try: cairn help %s",
			line->noun->name, line->noun->name);
	if (!command)
		return err_set(
			err, EINVAL, "a command is missing; try: cairn help");
	for (unsigned i = line->arguments; i < CLI_MAX_ARGUMENTS; i++) {
		const struct cli_option *argument = &command->argument[i];
		if (argument->name &&
			!(argument->flags & (CLI_OPTIONAL | CLI_REST)))
			return err_set(err, EINVAL,
				"%s is missing (%s); try: cairn help %s",
				argument->name, argument->help,
				topic(line, help, sizeof help));
	}
	return 0;
}

int cli_line_parse(
	struct cli_line *line, int argc, char *const *argv, struct err *err)
{
	struct scan scan = {.line = line, .argc = argc, .argv = argv};
	memset(line, 0, sizeof *line);
	while (scan.at < argc)
		if (take_any(&scan, err))
			return -EINVAL;
	if (line->noun && !line->command) {
		/* "cairn export" is a command and a noun. */
		line->command = cli_command_find(&cli_top, line->noun->name);
		if (line->command && !cli_line_flag(line, "help"))
			line->noun = &cli_top;
		else
			line->command = NULL;
	}
	if (cli_line_flag(line, "help") || cli_line_flag(line, "version"))
		return 0;
	return check_whole(line, err);
}

const char *cli_line_value(const struct cli_line *line, const char *name)
{
	for (unsigned i = line->givens; i > 0; i--)
		if (!strcmp(line->given[i - 1].option->name, name))
			return line->given[i - 1].value;
	return NULL;
}

bool cli_line_flag(const struct cli_line *line, const char *name)
{
	return cli_line_value(line, name) != NULL;
}

const struct cli_option *cli_line_argument(
	const struct cli_command *command, unsigned index)
{
	for (unsigned i = 0; i < CLI_MAX_ARGUMENTS; i++) {
		const struct cli_option *argument = &command->argument[i];
		if (!argument->name)
			return NULL;
		if (i == index || (argument->flags & CLI_REST))
			return argument;
	}
	return NULL;
}
