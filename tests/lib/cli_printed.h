/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of what the command line prints: an output whose text is kept.
 */
#ifndef TESTS_LIB_CLI_PRINTED_H
#define TESTS_LIB_CLI_PRINTED_H

#include "webui/cli/output.h"

#include <stddef.h>

extern struct output cli_output;
extern char *cli_printed; /* its text, after cli_output.out is closed */

void cli_begin(enum output_format format);
/* Ends it; fails the test if something else was printed. */
void cli_assert_printed(const char *expected);
/* Parses it; the test's. */
json_t *cli_json(const char *source);

#endif
