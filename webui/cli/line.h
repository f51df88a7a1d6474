/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command line, taken apart by the command table.
 *
 * Invariant: what cli_line_parse let through has a command, as many arguments as
 * it wants, and values that are of their kind (numbers, sizes, choices).
 */
#ifndef WEBUI_CLI_LINE_H
#define WEBUI_CLI_LINE_H

#include "blockcore/base/err.h"
#include "webui/cli/command.h"

#define LINE_MAX_WORDS 256u

struct cli_given {
	const struct cli_option *option;
	const char *value; /* "" for flags */
};

/* Texts are those of argv. */
struct cli_line {
	const struct cli_noun *noun; /* NULL: none was named */
	const struct cli_command *command; /* NULL: help is wanted */
	const char *argument[LINE_MAX_WORDS];
	unsigned arguments;
	struct cli_given given[LINE_MAX_WORDS];
	unsigned givens;
};

/* 0, or -EINVAL with *err: what is wrong and what was perhaps meant. With --help
 * or --version the rest need not be whole. `argv` without the program's name. */
int cli_line_parse(
	struct cli_line *line, int argc, char *const *argv, struct err *err);

/* The last value of an option, NULL if it was not given. */
const char *cli_line_value(const struct cli_line *line, const char *name);
bool cli_line_flag(const struct cli_line *line, const char *name);

/* The argument's row: the last one again for what follows a CLI_REST. NULL:
 * there is none. */
const struct cli_option *cli_line_argument(
	const struct cli_command *command, unsigned index);

#endif
