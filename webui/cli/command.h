/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command table: every noun with its verbs, each with its arguments, options,
 * help, the REST operation behind it and the columns of its answer. From it come
 * parsing, --help, the man page, completion; a test holds it against openapi.yaml.
 *
 *	cairn NOUN VERB ARGUMENT... [OPTION]...		most commands
 *	cairn VERB ...					those of the noun ""
 *
 * Where a value goes is its `place`: "{name}" fills that part of the path,
 * "?wait" is a parameter of the query, anything else a member of the body, "." for
 * one within another ("export.hosts"). NULL: the command's own code reads it.
 *
 * Invariants
 *  1. A command without `run` is wholly said by its row (generic.c).
 *  2. Secrets are never values of arguments or options: VALUE_SECRET names a file,
 *     and without it they are asked for on the terminal.
 */
#ifndef WEBUI_CLI_COMMAND_H
#define WEBUI_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

/* Rows leave out what they do not have. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

enum cli_value {
	VALUE_TEXT,
	VALUE_SIZE, /* "100G" */
	VALUE_NUMBER,
	VALUE_DURATION, /* "30d", in seconds */
	VALUE_CHOICE, /* one of `choices` */
	VALUE_FLAG, /* given or not: true */
	VALUE_LIST, /* again, or with commas */
	VALUE_PAIRS, /* KEY=VALUE into `place` ("": the body itself), again */
	VALUE_DOCUMENT, /* a file of YAML or JSON, "-": standard input */
	VALUE_FILE, /* a file, its text */
	VALUE_SECRET, /* a file, its first line; else asked for */
	VALUE_PATH, /* a file's name, for the command's own code */
};

enum cli_value_flag {
	CLI_OPTIONAL = 1, /* of an argument */
	CLI_REST = 2, /* last argument, any number of times */
	CLI_ASKED = 4, /* VALUE_SECRET: asked for if it is not given */
	CLI_NEW = 8, /* VALUE_SECRET: asked for twice */
};

struct cli_option {
	const char *name; /* "dry-run"; arguments: "VOLUME" */
	char letter; /* 'n', or 0 */
	enum cli_value value;
	const char *metavar; /* NULL: flags, or the name of the kind */
	const char *place;
	const char *help; /* one line, no full stop */
	unsigned flags;
	const char *choices; /* VALUE_CHOICE: "a|b|c" */
	const char *names_of; /* noun whose names are proposed */
};

enum cli_column_kind {
	COLUMN_TEXT,
	COLUMN_SIZE, /* bytes */
	COLUMN_COUNT,
	COLUMN_FLAG, /* yes or no; absent: no */
	COLUMN_STATE, /* a word that may have a colour */
	COLUMN_SECONDS,
	COLUMN_PERCENT_OF, /* of `other` */
	COLUMN_WRAP, /* text, the last: goes on in further lines */
};

struct cli_column {
	const char *title; /* "SIZE"; also its name for --columns */
	const char *path; /* "status.size_bytes" */
	enum cli_column_kind kind;
	const char *other; /* COLUMN_PERCENT_OF: path of the whole */
};

enum cli_command_flag {
	CLI_DRY_RUN = 1, /* the operation takes dryRun */
	CLI_MATCH = 2, /* it wants If-Match */
	CLI_KEYED = 4, /* it takes an Idempotency-Key */
	CLI_ASKS = 8, /* takes something away: shows the impact and asks */
	CLI_PAGED = 16, /* a list in pages */
	CLI_JOB = 32, /* starts a job, which can be waited for */
	CLI_HIDDEN = 64, /* for scripts of ours: in no help */
};

struct cli_run; /* run.h */

#define CLI_MAX_ARGUMENTS 4u

struct cli_command {
	const char *verb; /* NULL ends a table */
	const char *help; /* one line, no full stop */
	const char *operation; /* operationId; NULL: no or several */
	const char *method, *path;
	const char *role; /* that it needs: "viewer" ... */
	unsigned flags;
	struct cli_option argument[CLI_MAX_ARGUMENTS];
	const struct cli_option *options; /* to one without a name; or NULL */
	const struct cli_column *columns; /* NULL: the noun's */
	const char *done; /* what is said of a success: "created"; or, with
			   * {0} for an argument and {id} for a member of the
			   * answer, the whole sentence */
	int (*run)(struct cli_run *run); /* exit status */
	const char *also; /* operations its code calls: "getLogin ..." */
	const char *sets; /* "kind=commit": a member of the body, always */
	const char
		*destroys; /* member of the body, true once the user said yes to
			       * "This DESTROYS all data of ARGUMENT" */
	const char
		*destroys_if; /* only with this argument, else it does not ask;
				  * NULL: always */
	const char *asks_if; /* CLI_ASKS only with this option; NULL: always */
	const char *more; /* paragraphs for help and man page, or NULL */
};

struct cli_noun {
	const char *name;
	const char *help;
	const struct cli_command *commands;
	const struct cli_column *columns; /* the first one is its name */
};

#define CLI_END \
	{ \
		.name = NULL \
	}

/* All nouns, to one without a name; the noun "" comes last but it. */
extern const struct cli_noun *const cli_nouns[];
/* What every command takes. */
extern const struct cli_option cli_globals[];

/* Exit statuses, documented (help, man page). */
enum cli_exit {
	EXIT_OK,
	EXIT_FAILED,
	EXIT_USAGE,
	EXIT_NOT_FOUND,
	EXIT_CONFLICT,
	EXIT_DENIED,
	EXIT_UNREACHABLE,
};
extern const char *const cli_exit_texts[EXIT_UNREACHABLE + 1];

const struct cli_noun *cli_noun_find(const char *name);
const struct cli_command *cli_command_find(
	const struct cli_noun *noun, const char *verb);
/* Options of the command, then those of all commands; NULL: there is none. */
const struct cli_option *cli_option_find(
	const struct cli_command *command, const char *name, size_t bytes);
const struct cli_option *cli_option_letter(
	const struct cli_command *command, char letter);

#endif
