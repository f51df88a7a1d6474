/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change would do (the answer to a dry run), and how a job goes.
 */
#ifndef WEBUI_CLI_PLAN_H
#define WEBUI_CLI_PLAN_H

#include "webui/cli/run.h"

/* Changes as a diff (+ created, ~ changed, - deleted), then the impact table. */
void plan_show(const struct output *output, const json_t *plan);
/* Whether it changes nothing. */
bool plan_is_empty(const json_t *plan);

/* A job that was started: waits for its end with a progress bar on standard error
 * unless --no-wait, then shows it. Exit status: 1 if it failed. */
int job_follow(struct cli_run *run, const json_t *job);

#endif
