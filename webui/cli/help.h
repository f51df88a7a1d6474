/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Help texts and man pages from the command table.
 */
#ifndef WEBUI_CLI_HELP_H
#define WEBUI_CLI_HELP_H

#include "webui/cli/line.h"

#include <stdio.h>

/* Of what the line names: a command, a noun, or everything. */
void help_print(const struct cli_line *line, FILE *out);
/* "cairn volume create VOLUME [OPTION]..." */
void help_usage(const struct cli_noun *noun, const struct cli_command *command,
	FILE *out);
/* "-f, --file FILE" into `text`. Returns it. */
#define HELP_OPTION_BYTES 128u
const char *help_option(
	const struct cli_option *option, char text[HELP_OPTION_BYTES]);

/* cairn(1). */
void man_cairn(FILE *out);
/* From the output of `cairnd --help`: cairnd(8) has its usage, cairn.yaml(5) the
 * keys of settings and document and the drivers. False: that is no such text. */
bool man_from_help(const char *page, const char *help, FILE *out);

#endif
