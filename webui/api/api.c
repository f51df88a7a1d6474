/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's life: opened when everything runs, closed before anything stops.
 */
#include "webui/api/api.h"

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "target/control/jobs/resyncs.h"
#include "target/control/schedule/schedules.h"
#include "target/control/snapshots/snapshot_intents.h"
#include "target/control/snapshots/snapshot_space.h"
#include "target/control/unix_time.h"
#include "target/reactor/reactor.h"
#include "webui/api/jobs/jobs_api.h"
#include "webui/api/live/audit_events.h"
#include "webui/api/live/faults.h"
#include "webui/api/live/live.h"
#include "webui/api/live/space.h"
#include "webui/api/server/certificate.h"
#include "webui/api/server/connection.h"
#include "webui/api/server/events.h"
#include "webui/api/server/keys.h"
#include "webui/api/server/linger.h"
#include "webui/api/server/private.h"
#include "webui/api/server/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define FAREWELL_NS (20ull * 1000 * 1000)

static void free_api(struct api *api)
{
	api_listen_close(api);
	api_certificate_stop(api);
	audit_events_free(api->audit_events);
	api_connections_free(api->connections);
	lingers_free(api->lingers);
	api_streams_free(api->streams);
	api_events_free(api->events);
	api_keys_free(api->keys);
	jobs_free(api->jobs);
	json_decref(api->space);
	free(api);
}

static int open_api_co(struct api *api, struct err *err)
{
	api->connections = api_connections_new(api);
	api->lingers = lingers_new(api);
	api->streams = api_streams_new(api);
	api->events = api_events_new(api->started_ms);
	api->space = json_object();
	if (!api->connections || !api->lingers || !api->streams ||
		!api->events || !api->space)
		return err_set(err, ENOMEM, "out of memory");
	api->keys = api_keys_new(api->parts.state, err);
	if (!api->keys)
		return err_wrap(err, "keys of requests");
	api->audit_events = audit_events_new(api, err);
	if (!api->audit_events)
		return err_wrap(err, "audit");
	api->jobs = jobs_new(&api->parts, &api->sink, &api->jobs_watcher, err);
	if (!api->jobs)
		return err_wrap(err, "jobs");
	api->resyncs = resyncs_new(api->jobs, err);
	if (!api->resyncs)
		return err_wrap(err, "mirrors");
	api->faults = api_faults_new(api, err);
	if (!api->faults)
		return err_wrap(err, "faults");
	/* Before anybody may ask. */
	snapshot_intents_undo_co(&api->parts);
	api->snapshot_spaces = snapshot_spaces_new(api->loop);
	if (!api->snapshot_spaces)
		return err_set(err, ENOMEM, "out of memory");
	api->schedules = schedules_new(api->jobs, err);
	if (!api->schedules)
		return err_wrap(err, "schedules");
	int failed = api_certificate_start(api, err);
	if (!failed)
		failed = api_listen_local(api, err);
	if (!failed && api->parts.settings->api.enabled)
		failed = api_listen_tls(api, err);
	return failed;
}

static void emit(struct event_sink *sink, const char *topic, const char *type,
	json_t *data)
{
	api_emit(container_of(sink, struct api, sink), topic, type, data);
}

static int start_co(
	const struct daemon_parts *parts, void **face, struct err *err)
{
	struct api *api = calloc(1, sizeof *api);
	if (!api)
		return err_set(err, ENOMEM, "out of memory");
	api->parts = *parts;
	api->loop = reactor_loop(parts->control);
	api->sink.emit = emit;
	api->jobs_watcher.told = api_job_told;
	api->started_ms = unix_now_ms();
	LIST_INIT(&api->calls);
	if (getentropy(&api->id_salt, sizeof api->id_salt))
		api->id_salt = (uint32_t)api->started_ms;
	int failed = open_api_co(api, err);
	if (failed) {
		resyncs_stop_co(api->resyncs);
		jobs_stop_co(api->jobs);
		api_faults_stop_co(api->faults);
		schedules_stop_co(api->schedules);
		snapshot_spaces_stop_co(api->snapshot_spaces);
		free_api(api);
		return failed;
	}
	*face = api;
	api_space_watch(api, true);
	live_events_watch(api, true);
	api_emit(api, "system", "started",
		json_pack("{ss}", "version", CAIRN_VERSION));
	return 0;
}

static void stop_co(void *face)
{
	struct api *api = face;
	api->closing = true;
	schedules_end(api->schedules);
	api_space_watch(api, false);
	live_events_watch(api, false);
	resyncs_stop_co(api->resyncs);
	api->resyncs = NULL;
	jobs_stop_co(api->jobs);
	if (api->running) {
		api->stopping = co_self();
		co_yield ();
	}
	/* Answers that were given go out in the next turns. */
	loop_sleep_co(api->loop, FAREWELL_NS);
	api_faults_stop_co(api->faults);
	schedules_stop_co(api->schedules);
	snapshot_spaces_stop_co(api->snapshot_spaces);
	free_api(api);
}

const struct daemon_face api_face = {.start_co = start_co, .stop_co = stop_co};
