/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How mirrors stand. The list of volumes does not say it: it is asked for where a
 * volume has any, so it costs nothing where there are none.
 */
#ifndef WEBUI_CLI_MIRRORS_H
#define WEBUI_CLI_MIRRORS_H

#include "webui/cli/run.h"

/* [{volume, name, status: {state, behind_bytes, ...}}], to be given back; a volume
 * that has gone meanwhile or is offline is left out. */
json_t *mirrors_get(struct cli_run *run, const json_t *volumes);
bool mirror_is_in_sync(const json_t *mirror);
/* "mirror copy  behind  lacks 128 MiB", without a newline. */
void mirror_print(const struct cli_run *run, const json_t *mirror);

#endif
