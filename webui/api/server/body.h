/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members of small bodies, strictly: each call answers 422 with the pointer when
 * it returns false (or NULL where it says so).
 */
#ifndef WEBUI_API_SERVER_BODY_H
#define WEBUI_API_SERVER_BODY_H

#include "webui/api/handler.h"

/* The body is an object and has only these members ("user password"). */
bool body_has_only(struct api_request *request, const char *names);
/* The text of a member that must be there, NULL if it is not. */
const char *body_need_text(struct api_request *request, const char *name);
/* *out stays as it is if the member is absent; null is "". */
bool body_may_text(
	struct api_request *request, const char *name, const char **out);
bool body_may_bool(struct api_request *request, const char *name, bool *out);

/* Whether it is a name in the words of the contract; answers nothing. */
bool body_is_name(const char *text);

#endif
