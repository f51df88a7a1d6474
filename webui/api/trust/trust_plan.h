/* SPDX-License-Identifier: Apache-2.0 */
/* What a change of users, tokens or certificates would do: no I/O notices. */
#ifndef WEBUI_API_TRUST_TRUST_PLAN_H
#define WEBUI_API_TRUST_TRUST_PLAN_H

#include "webui/api/handler.h"

/* Answers 200: only that he has a password, or none, is told of it. */
void trust_plan_password(
	struct api_request *request, const char *user, bool has_password);
/* Answers 200; `before` NULL: it is made, `after` NULL: it goes. Both are taken
 * over. */
void trust_plan_answer(struct api_request *request, const char *kind,
	const char *id, json_t *before, json_t *after);

#endif
