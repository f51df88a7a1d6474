/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "tests/lib/cli_printed.h"

#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct output cli_output;
char *cli_printed;
static size_t bytes;

void cli_begin(enum output_format format)
{
	cli_output = (struct output){.format = format};
	cli_output.out = open_memstream(&cli_printed, &bytes);
	CHECK(cli_output.out != NULL);
}

void cli_assert_printed(const char *expected)
{
	fclose(cli_output.out);
	if (strcmp(cli_printed, expected) != 0)
		fprintf(stderr, "printed:\n%s\nexpected:\n%s\n", cli_printed,
			expected);
	CHECK(!strcmp(cli_printed, expected));
	free(cli_printed);
}

json_t *cli_json(const char *source)
{
	json_error_t error;
	json_t *json = json_loads(source, JSON_DECODE_ANY, &error);
	if (!json)
		fprintf(stderr, "%s: %s\n", source, error.text);
	CHECK(json != NULL);
	return json;
}
