/* SPDX-License-Identifier: Apache-2.0 */
/* See impact.h. */
#include "target/control/config/impact.h"

#include "blockcore/spec.h"
#include "target/control/appliance/live_change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 2560u /* a line for each of a stack's listeners */
#define PARKED_MS ((json_int_t)(SPEC_GATE_DEADLINE_NS / 1000000))

static const char *const effects[] = {
	"none", "live", "parked", "offline", "sessions_closed"};
enum effect { NONE, LIVE, PARKED, OFFLINE, SESSIONS_CLOSED };

struct impact {
	const struct config_proposal *proposal;
	const struct iscsi_session_list *sessions; /* all; NULL: unknown */
	const struct access_table *table; /* in force */
	json_t *list;
};

/* -- who notices ------------------------------------------------------------ */

static bool exports_volume(const struct access_target *target,
	const char *volume, const char *host)
{
	for (unsigned e = 0; e < target->exports; e++) {
		const struct access_export *export = &target->export[e];
		if (strcmp(export->volume->settings.name, volume) != 0 &&
			(!export->through ||
				strcmp(export->through->settings.name,
					volume) != 0))
			continue;
		for (unsigned h = 0; h < export->hosts; h++) {
			if (!strcmp(export->host[h]->name, host))
				return true;
		}
	}
	return false;
}

static bool sees_volume(const struct access_table *table,
	const struct iscsi_session_info *info, const char *volume)
{
	for (unsigned t = 0; table && t < table->targets; t++) {
		if (!strcmp(table->target[t]->iqn, info->target) &&
			exports_volume(table->target[t], volume, info->host))
			return true;
	}
	return false;
}

static bool has_export(const struct access_target *target, uint64_t id)
{
	for (unsigned e = 0; e < target->exports; e++) {
		if (target->export[e].id == id)
			return true;
	}
	return false;
}

/* The session's target has it, or will. */
static bool sees_export(const struct impact *impact,
	const struct iscsi_session_info *info, const char *id)
{
	const struct document *document = impact->proposal->document;
	const struct access_table *tables[] = {document->table, impact->table};
	for (unsigned i = 0; i < 2; i++) {
		const struct access_target *target = tables[i]
			? access_find_target(tables[i], info->target)
			: NULL;
		if (target && has_export(target, strtoull(id, NULL, 10)))
			return true;
	}
	return false;
}

static bool notices(const struct impact *impact,
	const struct iscsi_session_info *info, enum config_kind kind,
	const char *id)
{
	switch (kind) {
	case CONFIG_VOLUME: return sees_volume(impact->table, info, id);
	case CONFIG_HOST: return !strcmp(info->host, id);
	case CONFIG_TARGET: return !strcmp(info->target, id);
	case CONFIG_PORTAL: return !strcmp(info->portal_name, id);
	case CONFIG_SCHEDULE: return false;
	default: return sees_export(impact, info, id);
	}
}

void impact_add_host(json_t *hosts, const char *name)
{
	json_t *host;
	size_t i;
	json_array_foreach(hosts, i, host)
	{
		if (!strcmp(json_string_value(host), name))
			return;
	}
	json_array_append_new(hosts, json_string(name));
}

static void add(const struct impact *impact, enum config_kind kind,
	const char *id, enum effect effect, const char *text)
{
	char object[ACCESS_NAME_BYTES + 80];
	json_t *ids = json_array(), *hosts = json_array();
	snprintf(object, sizeof object, "%s %s", config_kind_name(kind), id);
	for (unsigned i = 0; impact->sessions && i < impact->sessions->count;
		i++) {
		const struct iscsi_session_info *info =
			&impact->sessions->session[i];
		if (effect == NONE || !notices(impact, info, kind, id))
			continue;
		json_array_append_new(ids, json_integer((json_int_t)info->id));
		impact_add_host(hosts, info->host);
	}
	json_t *one = json_pack("{ss, ss, ss, so, so}", "object", object,
		"effect", effects[effect], "text", text, "sessions", ids,
		"hosts", hosts);
	if (effect == PARKED)
		json_object_set_new(
			one, "parked_ms_max", json_integer(PARKED_MS));
	json_array_append_new(impact->list, one);
}

/* -- volumes ---------------------------------------------------------------- */

/* volume_settings_take. */
static const char *const live_settings[] = {"thin", "space_wait"};
#define LIVE_SETTINGS (sizeof live_settings / sizeof *live_settings)

static bool runs_on(const json_t *before, const json_t *after)
{
	/* Names of external snapshots are nothing that hosts could see. */
	static const char *const members[] = {"source", "snapshots"};
	json_t *a = json_copy((json_t *)before),
	       *b = json_copy((json_t *)after);
	for (unsigned i = 0; i < 2; i++) {
		json_object_del(a, members[i]);
		json_object_del(b, members[i]);
	}
	for (unsigned i = 0; i < LIVE_SETTINGS; i++) {
		json_object_del(a, live_settings[i]);
		json_object_del(b, live_settings[i]);
	}
	bool same = json_equal(a, b);
	json_decref(a);
	json_decref(b);
	return same;
}

static void print_settings(
	const struct config_item *item, char *out, size_t size)
{
	for (unsigned i = 0; i < LIVE_SETTINGS; i++) {
		const char *name = live_settings[i];
		size_t used = strlen(out);
		const json_t *was = json_object_get(item->present->value, name);
		const json_t *is = json_object_get(item->value, name);
		/* Absent in both is the same, which json_equal does not say. */
		if (was != is && !json_equal(was, is))
			snprintf(out + used, size - used,
				"%s%s changes, and hosts go on",
				used ? "; " : "", name);
	}
}

static void add_steps(
	const struct impact *impact, const struct config_item *item)
{
	enum live_step_kind kind;
	char all[TEXT_BYTES] = "", one[TEXT_BYTES - 80];
	struct live_change *change = live_change_plan(
		json_object_get(item->present->value, "source"),
		json_object_get(item->value, "source"));
	print_settings(item, all, sizeof all);
	for (unsigned i = 0; change &&
		live_change_describe(change, i, &kind, one, sizeof one);
		i++) {
		size_t used = strlen(all);
		snprintf(all + used, sizeof all - used, "%s%s",
			used ? "; " : "", one);
	}
	enum effect effect =
		change && live_change_parks(change) ? PARKED : LIVE;
	json_t *placement = change ? live_change_placement(change) : NULL;
	live_change_free(change);
	if (!*all)
		add(impact, CONFIG_VOLUME, item->id, NONE,
			"it is written in another way; it means the same");
	else
		add(impact, CONFIG_VOLUME, item->id, effect, all);
	if (placement)
		json_object_set_new(json_array_get(impact->list,
					    json_array_size(impact->list) - 1),
			"placement", placement);
}

static void add_volume(
	const struct impact *impact, const struct config_item *item)
{
	if (!item->present)
		add(impact, CONFIG_VOLUME, item->id, NONE,
			"it is made; nobody sees it before it is exported");
	else if (runs_on(item->present->value, item->value))
		add_steps(impact, item);
	else
		add(impact, CONFIG_VOLUME, item->id, OFFLINE,
			"its settings change: it is offline for a moment, and "
			"hosts must look at it anew");
}

/* -- all -------------------------------------------------------------------- */

static void add_item(
	const struct impact *impact, const struct config_item *item)
{
	switch (item->kind) {
	case CONFIG_VOLUME: add_volume(impact, item); break;
	case CONFIG_EXPORT:
		add(impact, item->kind, item->id, LIVE,
			item->present ? "hosts see it as it says now"
				      : "its hosts see a new disk");
		break;
	case CONFIG_PORTAL:
		add(impact, item->kind, item->id, item->present ? LIVE : NONE,
			item->present
				? "holds for logins from now on; sessions that "
				  "came through it go on"
				: "hosts can log in there too");
		break;
	case CONFIG_SCHEDULE:
		add(impact, item->kind, item->id, NONE,
			"hosts see nothing of it; when it runs they wait for "
			"a moment");
		break;
	default:
		add(impact, item->kind, item->id, item->present ? LIVE : NONE,
			item->present
				? "holds for logins from now on; sessions "
				  "that it does not allow any more end"
				: "nothing changes for others");
	}
}

static void add_gone(
	const struct impact *impact, const struct config_object *object)
{
	static const struct {
		enum effect effect;
		const char *text;
	} gone[] = {
		[CONFIG_VOLUME] = {OFFLINE, "hosts lose it; its file stays"},
		[CONFIG_HOST] = {SESSIONS_CLOSED,
			"its sessions end, it cannot log in again"},
		[CONFIG_TARGET] = {SESSIONS_CLOSED, "its sessions end"},
		[CONFIG_EXPORT] = {LIVE, "its hosts lose the disk"},
		[CONFIG_PORTAL] = {LIVE,
			"nobody can log in there any more, nor log in again; "
			"sessions that came through it go on"},
		[CONFIG_SCHEDULE] = {NONE, "what it made stays"},
	};
	add(impact, object->kind, object->id, gone[object->kind].effect,
		gone[object->kind].text);
}

json_t *impact_list_co(const struct config_proposal *proposal,
	struct iscsi_server *server, const struct appliance *appliance)
{
	struct iscsi_session_list *sessions = iscsi_sessions_co(server, NULL);
	struct impact impact = {.proposal = proposal,
		.sessions = sessions,
		.table = appliance_table(appliance),
		.list = json_array()};
	for (unsigned i = 0; i < proposal->items; i++) {
		if (proposal->item[i].changes)
			add_item(&impact, &proposal->item[i]);
	}
	for (unsigned i = 0; i < proposal->gones; i++)
		add_gone(&impact, proposal->gone[i]);
	free(sessions);
	return impact.list;
}
