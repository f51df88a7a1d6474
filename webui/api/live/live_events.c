/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of hosts: topic `sessions`, they log in and out; topic `logins`, they are
 * sent away. Sessions of discovery are none: they come by the minute, and end. And of
 * layers of volumes, topic `volumes`: what each has to say once (verify_difference,
 * backup_broken, file_failed ...); and that a volume is offline, also from the start on,
 * or there again.
 *
 * Invariant: what peers do is as bounded as in the log, so that none of them can
 * push what else has happened out of the ring of events; the next one that is told
 * says how many were not.
 */
#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "target/control/appliance/appliance.h"
#include "target/control/tries.h"
#include "webui/api/live/live.h"
#include "webui/api/server/private.h"

#include <stdio.h>

/* Takes `data` over. */
static void tell(struct api *api, struct log_limit *limit, const char *topic,
	const char *type, json_t *data)
{
	uint32_t untold;
	if (!log_limit_pass(limit, &untold)) {
		json_decref(data);
		return;
	}
	if (untold)
		json_object_set_new(data, "untold", json_integer(untold));
	api_emit(api, topic, type, data);
}

static json_t *session_json(const struct iscsi_session_info *info)
{
	return json_pack("{sI, so, so, so, ss, ss}", "id", (json_int_t)info->id,
		"host", live_text(info->host), "initiator",
		live_text(info->initiator), "target", live_text(info->target),
		"peer", info->peer, "portal", info->portal);
}

static struct api *api_of(struct iscsi_watcher *watcher)
{
	return container_of(watcher, struct api, host_watcher);
}

static struct log_limit sessions_limit, logins_limit; /* the control lane's */

static void session_up(
	struct iscsi_watcher *watcher, const struct iscsi_session_info *info)
{
	if (!info->discovery)
		tell(api_of(watcher), &sessions_limit, "sessions",
			"session_opened", session_json(info));
}

static void session_down(struct iscsi_watcher *watcher,
	const struct iscsi_session_info *info, const char *reason)
{
	if (info->discovery)
		return;
	json_t *data = session_json(info);
	json_object_set_new(data, "reason", live_text(reason));
	tell(api_of(watcher), &sessions_limit, "sessions", "session_closed",
		data);
}

static void login_refused(
	struct iscsi_watcher *watcher, const struct iscsi_refused *refused)
{
	tell(api_of(watcher), &logins_limit, "logins", "login_refused",
		live_refused_json(refused));
}

static void noticed(struct appliance_notice_watcher *watcher,
	const struct appliance_notice *notice)
{
	struct api *api = container_of(watcher, struct api, notice_watcher);
	char type[2 * BLOCK_NAME_BYTES];
	snprintf(type, sizeof type, "%s_%s", notice->kind, notice->what);
	api_emit(api, "volumes", type,
		json_pack("{ss, so*, so, ss*}", "volume", notice->volume,
			"layer",
			notice->layer ? live_text(notice->layer) : NULL, "text",
			live_text(notice->text), "cure", notice->cure));
}

void live_events_watch(struct api *api, bool on)
{
	api->notice_watcher.noticed = noticed;
	if (api->parts.appliance)
		appliance_watch_notices(
			api->parts.appliance, on ? &api->notice_watcher : NULL);
	if (api->parts.appliance && on)
		appliance_tell_now(api->parts.appliance);
	api->host_watcher = (struct iscsi_watcher){.session_up = session_up,
		.session_down = session_down,
		.login_refused = login_refused};
	if (api->parts.tries)
		tries_tell(api->parts.tries, on ? &api->host_watcher : NULL);
}
