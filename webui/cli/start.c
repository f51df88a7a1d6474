/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From words to a command that runs, and to the exit status.
 */
#include "webui/cli/help.h"
#include "webui/cli/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void set_output(struct cli_run *run)
{
	static const char *const formats[] = {"table", "json", "yaml", "name"};
	const char *format = cli_line_value(&run->line, "output");
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	struct winsize size;
	run->output.out = stdout;
	for (unsigned i = 0; format && i < 4; i++)
		if (!strcmp(format, formats[i]))
			run->output.format = i;
	run->output.bare = cli_line_flag(&run->line, "no-headers");
	run->output.exact = cli_line_flag(&run->line, "exact");
	if (!isatty(STDOUT_FILENO))
		return;
	run->output.color =
		!(no_color && *no_color) && !(term && !strcmp(term, "dumb"));
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		run->output.width = size.ws_col;
}

static int set_columns(struct cli_run *run)
{
	struct err err = {0};
	const struct cli_command *command = run->line.command;
	const char *names = cli_line_value(&run->line, "columns");
	run->columns =
		command->columns ? command->columns : run->line.noun->columns;
	if (!names)
		return 0;
	if (!run->columns)
		return run_fail(EXIT_USAGE, "this command has no columns");
	run->chosen = output_choose_columns(run->columns, names, &err);
	if (!run->chosen)
		return run_fail(EXIT_USAGE, "%s", err.text);
	run->columns = run->chosen;
	run->output.chosen = true;
	return 0;
}

static int start(struct cli_run *run)
{
	const struct cli_command *command = run->line.command;
	int status = set_columns(run);
	if (!status && command->role)
		status = run_place(run);
	if (status)
		return status;
	return command->run ? command->run(run) : run_generic(run);
}

static void finish(struct cli_run *run)
{
	client_close(&run->client);
	free(run->chosen);
	while (run->owns)
		secret_free(run->owned[--run->owns]);
}

/* What could not be written was not done; that nobody reads on needs no words. */
static int flush_output(int status)
{
	bool before = ferror(stdout);
	errno = 0;
	if (!fflush(stdout) && !before)
		return status;
	if (errno == EPIPE)
		return status ? status : EXIT_FAILED;
	return run_fail(status ? status : EXIT_FAILED, "standard output: %s",
		errno ? strerror(errno) : "could not be written");
}

int cli_run(int argc, char *const *argv)
{
	struct cli_run *run = calloc(1, sizeof *run);
	struct err err = {0};
	int status;
	if (!run)
		abort();
	if (cli_line_parse(&run->line, argc, argv, &err)) {
		status = run_fail(EXIT_USAGE, "%s", err.text);
	} else if (cli_line_flag(&run->line, "version")) {
		puts("cairn " CAIRN_VERSION);
		status = EXIT_OK;
	} else if (cli_line_flag(&run->line, "help")) {
		help_print(&run->line, stdout);
		status = EXIT_OK;
	} else {
		set_output(run);
		status = start(run);
	}
	finish(run);
	free(run);
	return flush_output(status);
}
