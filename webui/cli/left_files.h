/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that stay behind when a volume goes, or goes on in another one: where they
 * are, and the command that removes them.
 *
 * Invariant: a file is only named if the volume wrote to it and the document has no
 * volume that names it still; backing files, which others may stand on, never are.
 */
#ifndef WEBUI_CLI_LEFT_FILES_H
#define WEBUI_CLI_LEFT_FILES_H

#include "webui/cli/run.h"

/* What the volume writes to now: *files, to be handed to left_files_say or freed. 0,
 * or an exit status after the error was said. */
int left_files_look(struct cli_run *run, const char *volume, json_t **files);
/* After the change was made: says which of `files` (taken over) are left. Silent if
 * that cannot be known. */
void left_files_say(struct cli_run *run, json_t *files);

/* The row's command, and then what is left by argument 0. */
int left_files_around(struct cli_run *run, int (*command)(struct cli_run *run));

#endif
