/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Help and man pages as commands.
 */
#include "webui/cli/commands.h"
#include "webui/cli/help.h"
#include "webui/cli/run.h"

#include <string.h>

int run_help(struct cli_run *run)
{
	struct cli_line named;
	struct err err = {0};
	char *words[3] = {NULL};
	unsigned count = run->line.arguments > 2 ? 2 : run->line.arguments;
	for (unsigned i = 0; i < count; i++)
		words[i] = (char *)run->line.argument[i];
	words[count] = "--help";
	if (cli_line_parse(&named, (int)count + 1, words, &err))
		return run_fail(EXIT_USAGE, "%s", err.text);
	help_print(&named, run->output.out);
	return EXIT_OK;
}

int run_man(struct cli_run *run)
{
	const char *page = run->line.argument[0];
	struct err err = {0};
	if (!strcmp(page, "cairn")) {
		man_cairn(run->output.out);
		return EXIT_OK;
	}
	char *help = secret_read_file("-", &err);
	if (!help)
		return run_fail(EXIT_FAILED, "%s", err.text);
	bool good = man_from_help(page, help, run->output.out);
	secret_free(help);
	return good ? EXIT_OK
		    : run_fail(EXIT_FAILED,
			      "what `cairnd --help` prints is expected on "
			      "standard input");
}
