/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables. On a terminal a table is as wide as that, at most:
 *
 *	what is widest is cut, but to no less than GOOD_WIDTH;
 *	columns are left out from the right, until two are left;
 *	what is widest is cut further, to MIN_WIDTH, then to LAST_WIDTH.
 *
 * Times are shortened there first.
 *
 * A last column of kind COLUMN_WRAP is never cut: it goes on in further lines.
 */
#include "webui/cli/output.h"
#include "webui/cli/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <time.h>

#define GOOD_WIDTH 12u
#define MIN_WIDTH 8u
#define LAST_WIDTH 4u
#define WRAP_WIDTH 24u /* room for a column that is wrapped */
#define OWN_LINE 4u /* where it begins if it has no such room */

struct table {
	const struct output *output;
	const struct cli_column *columns;
	unsigned count, left_out, width[OUTPUT_MAX_COLUMNS];
	size_t rows;
	char **cell; /* rows * count */
};

/* "2026-11-27T07:14:21.371Z" is "07:14:21Z" if that is today, else it is told to the
 * minute: a clipped time would say nothing. */
static void shorten_time(char *cell)
{
	struct tm tm = {0};
	char day[16];
	time_t now = time(NULL);
	const char *end = strptime(cell, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!end || end - cell != 19 || cell[strlen(cell) - 1] != 'Z')
		return;
	strftime(day, sizeof day, "%Y-%m-%dT", gmtime(&now));
	if (strncmp(cell, day, strlen(day)) != 0) {
		memcpy(cell + 16, "Z", 2);
		return;
	}
	memmove(cell, cell + 11, 8);
	memcpy(cell + 8, "Z", 2);
}

static void table_fill(struct table *table, const json_t *items)
{
	for (unsigned c = 0; c < table->count; c++)
		table->width[c] = (unsigned)text_width(table->columns[c].title);
	for (size_t r = 0; r < table->rows; r++)
		for (unsigned c = 0; c < table->count; c++) {
			char *cell = output_cell(table->output,
				json_array_get(items, r), &table->columns[c]);
			if (table->output->width && !table->output->bare &&
				!table->output->exact)
				shorten_time(cell);
			unsigned width = (unsigned)text_width(cell);
			table->cell[r * table->count + c] = cell;
			table->width[c] = MAX(table->width[c], width);
		}
}

static bool is_wrapped(const struct table *table, unsigned c)
{
	return c + 1 == table->count && table->columns[c].kind == COLUMN_WRAP &&
		!table->output->bare;
}

static unsigned shown(const struct table *table)
{
	return table->count - table->left_out;
}

static unsigned total_width(const struct table *table)
{
	unsigned total = 0;
	for (unsigned c = 0; c < shown(table); c++)
		total += table->width[c] + (c ? 2 : 0);
	return total;
}

static bool fits(const struct table *table)
{
	return !table->output->width ||
		total_width(table) <= table->output->width;
}

/* Takes from the widest column until the line fits, or none has more than `least`. */
static void narrow(struct table *table, unsigned least)
{
	while (!fits(table)) {
		unsigned widest = 0;
		for (unsigned c = 1; c < shown(table); c++)
			if (table->width[c] > table->width[widest])
				widest = c;
		if (table->width[widest] <= least)
			return;
		table->width[widest]--;
	}
}

static void table_fit(struct table *table)
{
	unsigned last = table->count - 1;
	if (is_wrapped(table, last)) {
		/* Without room for it, it has a line of its own. */
		table->width[last] = MIN(table->width[last], WRAP_WIDTH);
		narrow(table, GOOD_WIDTH);
		if (!fits(table))
			table->width[last] = 4;
	} else {
		narrow(table, GOOD_WIDTH);
		while (!fits(table) && shown(table) > 2)
			table->left_out++;
	}
	narrow(table, MIN_WIDTH);
	narrow(table, LAST_WIDTH);
}

static bool is_right(const struct cli_column *column)
{
	return column->kind == COLUMN_SIZE || column->kind == COLUMN_COUNT ||
		column->kind == COLUMN_PERCENT_OF ||
		column->kind == COLUMN_SECONDS;
}

/* At most `width` characters, the last one "~" if some are left out. */
static void cut(char *text, unsigned width)
{
	if (text_width(text) <= width)
		return;
	char *at = text;
	unsigned seen = 0;
	while (seen < width - 1 || (*at & 0xc0) == 0x80) {
		at++;
		seen += (*at & 0xc0) != 0x80;
	}
	memcpy(at, "~", 2);
}

/* It goes on below itself, or has lines of its own. */
static void print_wrapped(const struct table *table, const char *text)
{
	const struct output *output = table->output;
	unsigned last = table->count - 1;
	unsigned at = total_width(table) - table->width[last];
	if (output->width && at + WRAP_WIDTH > output->width &&
		at + text_width(text) > output->width) {
		fprintf(output->out, "\n%*s", (int)OWN_LINE, "");
		at = OWN_LINE;
	}
	output_wrapped(output, at, at, text);
}

static void print_cell(
	const struct table *table, unsigned c, char *text, bool header)
{
	const struct output *output = table->output;
	bool last = c + 1 == shown(table);
	if (!header && is_wrapped(table, c)) {
		print_wrapped(table, text);
		return;
	}
	cut(text, table->width[c]);
	int gap = (int)(table->width[c] - text_width(text));
	bool right = is_right(&table->columns[c]);
	if (right)
		fprintf(output->out, "%*s", gap, "");
	if (!header && table->columns[c].kind == COLUMN_STATE)
		output_state(output, text);
	else
		fputs(text, output->out);
	if (!last)
		fprintf(output->out, "%*s", (right ? 0 : gap) + 2, "");
}

static void print_rows(const struct table *table)
{
	FILE *out = table->output->out;
	for (size_t i = 0; i < table->rows * table->count; i++) {
		unsigned c = (unsigned)(i % table->count);
		bool last = c + 1 == shown(table);
		if (c >= shown(table))
			continue;
		if (table->output->bare)
			fputs(table->cell[i], out);
		else
			print_cell(table, c, table->cell[i], false);
		if (last || table->output->bare)
			fputc(last ? '\n' : '\t', out);
	}
}

static void print_headers(const struct table *table)
{
	FILE *out = table->output->out;
	fputs(output_bold(table->output), out);
	for (unsigned c = 0; c < shown(table); c++) {
		char title[64];
		snprintf(title, sizeof title, "%s", table->columns[c].title);
		print_cell(table, c, title, true);
	}
	fprintf(out, "%s\n", output_plain(table->output));
}

unsigned output_table(const struct output *output,
	const struct cli_column *columns, const json_t *items)
{
	struct table table = {.output = output,
		.columns = columns,
		.rows = json_array_size(items)};
	while (columns[table.count].title && table.count < OUTPUT_MAX_COLUMNS)
		table.count++;
	table.cell = calloc(table.rows * table.count + 1, sizeof(char *));
	if (!table.cell)
		abort();
	table_fill(&table, items);
	if (!output->bare) {
		table_fit(&table);
		print_headers(&table);
	}
	print_rows(&table);
	for (size_t i = 0; i < table.rows * table.count; i++)
		free(table.cell[i]);
	free(table.cell);
	return table.left_out;
}
