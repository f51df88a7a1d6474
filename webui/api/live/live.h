/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files that show running things (live_*.c) share.
 */
#ifndef WEBUI_API_LIVE_LIVE_H
#define WEBUI_API_LIVE_LIVE_H

#include "target/iscsi/iscsi.h"

#include <jansson.h>

struct api_request;

/* Text that a host may have sent: what is no UTF-8 becomes U+FFFD. */
json_t *live_text(const char *text);

json_t *live_session_json(const struct iscsi_session_info *info);
json_t *live_refused_json(const struct iscsi_refused *refused);

struct volume;
/* Of all caches of the volume, its images included; null: it has none. */
struct block_source;
json_t *live_caches_json(struct block_source *source);
json_t *live_figures_json(const struct volume *volume);

/* What the doctor finds, as a list; live_checks.c. Control thread. */
struct api;
json_t *live_checks(const struct api *api);

/* From now on events tell of hosts that come, go and are sent away, or (off) no
 * more; live_events.c. Control thread. */
void live_events_watch(struct api *api, bool on);

/* What a session is counted by. */
enum live_by { LIVE_BY_HOST, LIVE_BY_TARGET, LIVE_BY_PORTAL };
/* Puts status.sessions into each of `items`: the sessions of the host, target or
 * portal that its member `key` names. One visit to the lanes. */
void live_sessions_count_co(struct api_request *request, json_t *items,
	const char *key, enum live_by by);

#endif
