/* SPDX-License-Identifier: Apache-2.0 */
/* Which hosts notice what happens to a volume; see live_impact.h. */
#include "webui/api/live/live_impact.h"

#include "blockcore/spec.h"
#include "target/control/appliance/appliance.h"
#include "target/control/config/impact.h"
#include "webui/api/live/live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Those that see the volume now, and each of their hosts once. */
static void add_sessions_co(
	struct api_request *request, const char *name, json_t *impact)
{
	const struct volume *volume =
		appliance_find_volume(request->parts->appliance, name);
	struct iscsi_session_list *list = volume
		? iscsi_sessions_co(request->parts->server, volume)
		: NULL;
	json_t *hosts = json_object_get(impact, "hosts");
	for (unsigned i = 0; list && i < list->count; i++) {
		const struct iscsi_session_info *info = &list->session[i];
		json_array_append_new(json_object_get(impact, "sessions"),
			json_integer((json_int_t)info->id));
		impact_add_host(hosts, info->host);
	}
	free(list);
}

json_t *live_impact_co(struct api_request *request, const char *volume,
	const char *effect, const char *text)
{
	char object[BLOCK_NAME_BYTES + 8];
	snprintf(object, sizeof object, "volume %s", volume);
	json_t *impact = json_pack("{ss, ss, ss, s[], s[]}", "object", object,
		"effect", effect, "text", text, "sessions", "hosts");
	if (strcmp(effect, "none") != 0)
		add_sessions_co(request, volume, impact);
	if (!strcmp(effect, "parked"))
		json_object_set_new(impact, "parked_ms_max",
			json_integer(
				(json_int_t)(SPEC_GATE_DEADLINE_NS / 1000000)));
	return impact;
}

void live_plan_all_co(struct api_request *request, const json_t *volumes,
	const char *effect, const char *text)
{
	json_t *names = json_deep_copy(volumes); /* it may change meanwhile */
	json_t *impact = json_array(), *name;
	size_t i;
	json_array_foreach(names, i, name)
	{
		json_array_append_new(impact,
			live_impact_co(request, json_string_value(name), effect,
				text));
	}
	json_decref(names);
	api_answer(request, 200,
		json_pack("{sb, s[], so}", "dry_run", 1, "changes", "impact",
			impact));
}

void live_plan_co(struct api_request *request, const char *volume,
	const char *effect, const char *text)
{
	json_t *volumes = json_pack("[s]", volume);
	live_plan_all_co(request, volumes, effect, text);
	json_decref(volumes);
}
