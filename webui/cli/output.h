/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is shown: tables for people, lines for scripts, JSON, YAML, names.
 *
 * Invariants
 *  1. Texts of others (names of initiators, reasons) cannot steer the terminal:
 *     control characters are shown as \xNN.
 *  2. Lines are cut or wrapped to the width of a terminal, never in a pipe; colours
 *     only on a terminal and without NO_COLOR.
 *  3. With `exact` numbers are whole and without units; with `bare` there are no
 *     headers and exactly one tab between columns.
 */
#ifndef WEBUI_CLI_OUTPUT_H
#define WEBUI_CLI_OUTPUT_H

#include "blockcore/base/err.h"
#include "webui/cli/command.h"

#include <jansson.h>
#include <stdio.h>

enum output_format {
	OUTPUT_TABLE,
	OUTPUT_JSON,
	OUTPUT_YAML,
	OUTPUT_NAME,
};

struct output {
	FILE *out;
	enum output_format format;
	bool bare, exact, color;
	bool chosen; /* somebody asked for columns: one object is a row, too */
	unsigned width; /* of the terminal; 0: no limit */
};

/* The member at "a.b.c"; NULL if there is none or it is null. Borrowed. */
const json_t *output_find(const json_t *json, const char *path);

/* The cell's text, allocated; "-" for what is not there. */
char *output_cell(const struct output *output, const json_t *item,
	const struct cli_column *column);

/* The columns named in "A,b" (any case) out of a table, to one without title; to
 * be freed. NULL with *err: which there are. */
struct cli_column *output_choose_columns(
	const struct cli_column *columns, const char *names, struct err *err);

/* How many columns, from the right, the terminal has no room for. */
#define OUTPUT_MAX_COLUMNS 24u
unsigned output_table(const struct output *output,
	const struct cli_column *columns, const json_t *items);
/* Items in the format of `output`; `columns` may be NULL. */
void output_list(const struct output *output, const struct cli_column *columns,
	const json_t *items);
/* One object; for people as YAML with sizes in units. */
void output_object(const struct output *output,
	const struct cli_column *columns, const json_t *object);
/* As YAML that reads back to the same. */
void output_yaml(FILE *out, const json_t *json);

void output_text(FILE *out, const char *text); /* invariant 1 */
/* The same from column `at` on, broken at spaces where the terminal ends; further
 * lines begin at `indent`. Without a newline. */
void output_wrapped(const struct output *output, unsigned at, unsigned indent,
	const char *text);
/* `text` in the colour of a word of state, if there is colour. */
void output_state(const struct output *output, const char *text);
const char *output_bold(const struct output *output);
const char *output_plain(const struct output *output);

#endif
