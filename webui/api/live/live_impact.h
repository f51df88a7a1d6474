/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a dry run says of a change that is none of the configuration: what it does to
 * a volume's I/O, and which sessions and hosts notice.
 */
#ifndef WEBUI_API_LIVE_LIVE_IMPACT_H
#define WEBUI_API_LIVE_LIVE_IMPACT_H

#include "webui/api/handler.h"

/* `effect` as in the contract: "none" (nobody notices), "live", "parked" (says for how
 * long), "offline". */
json_t *live_impact_co(struct api_request *request, const char *volume,
	const char *effect, const char *text);
/* Answers a plan with that one impact. */
void live_plan_co(struct api_request *request, const char *volume,
	const char *effect, const char *text);
/* The same of several volumes, a list of names. */
void live_plan_all_co(struct api_request *request, const json_t *volumes,
	const char *effect, const char *text);

#endif
