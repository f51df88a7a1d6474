/* SPDX-License-Identifier: Apache-2.0 */
/* Plans without I/O; see trust_plan.h. */
#include "webui/api/trust/trust_plan.h"

void trust_plan_answer(struct api_request *request, const char *kind,
	const char *id, json_t *before, json_t *after)
{
	const char *operation = !before ? "create"
		: after			? "update"
					: "delete";
	json_t *change = json_pack("{ss, ss, ss, so, so}", "kind", kind, "id",
		id, "operation", operation, "before",
		before ? before : json_null(), "after",
		after ? after : json_null());
	api_answer(request, 200,
		json_pack("{sb, s[o], s[]}", "dry_run", true, "changes", change,
			"impact"));
}

void trust_plan_password(
	struct api_request *request, const char *user, bool has_password)
{
	trust_plan_answer(request, "user", user,
		json_pack("{ss}", "name", user),
		json_pack("{ss, sb}", "name", user, "has_password",
			has_password));
}
