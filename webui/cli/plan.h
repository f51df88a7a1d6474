/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change would do: the answer to a dry run.
 */
#ifndef WEBUI_CLI_PLAN_H
#define WEBUI_CLI_PLAN_H

#include "webui/cli/output.h"

/* Changes as a diff (+ created, ~ changed, - deleted), then the impact table. */
void plan_show(const struct output *output, const json_t *plan);
/* Whether it changes nothing. */
bool plan_is_empty(const json_t *plan);

#endif
