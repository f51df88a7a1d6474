/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The support bundle: what somebody far away needs to understand this appliance,
 * as files of one archive.
 *
 * Invariant: no secret is in it. The document is the one that is kept, which has
 * none; of the machine only what the list below names is read.
 */
#include "blockcore/base/trace.h"
#include "blockcore/figures.h"
#include "target/control/appliance/appliance.h"
#include "target/control/config/config.h"
#include "target/volume/view.h"
#include "webui/api/live/archive.h"
#include "webui/api/live/live.h"
#include "webui/api/server/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define FILE_MAX_BYTES (1u << 20)

/* Each is small and holds nothing of users. */
static const char *const machine_files[] = {
	"/proc/cpuinfo",
	"/proc/meminfo",
	"/proc/loadavg",
	"/proc/mounts",
	"/proc/self/limits",
	"/proc/self/status",
	"/proc/sys/kernel/io_uring_disabled",
	"/proc/sys/net/core/rmem_max",
	"/proc/sys/net/core/wmem_max",
	"/proc/net/dev",
	"/etc/os-release",
};

struct bundle {
	struct archive archive;
	json_t *manifest;
	void *packed;
	size_t packed_bytes;
};

static void add(struct bundle *bundle, const char *name, const char *what,
	const void *data, size_t bytes)
{
	int failed = archive_add(&bundle->archive, name, data, bytes);
	json_array_append_new(bundle->manifest,
		json_pack("{ss, ss, sI, sb}", "file", name, "what", what,
			"bytes", (json_int_t)bytes, "left_out", failed != 0));
}

/* Takes `json` over. */
static void add_json(
	struct bundle *bundle, const char *name, const char *what, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
	if (text)
		add(bundle, name, what, text, strlen(text));
	free(text);
	json_decref(json);
}

/* -- the machine ------------------------------------------------------------ */

static void add_file(struct bundle *bundle, const char *path)
{
	char name[100];
	char *data = malloc(FILE_MAX_BYTES);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t got;
	while (data && fd >= 0 && used < FILE_MAX_BYTES &&
		(got = read(fd, data + used, FILE_MAX_BYTES - used)) > 0)
		used += (size_t)got;
	snprintf(name, sizeof name, "machine%s", path);
	if (data && fd >= 0)
		add(bundle, name, path, data, used);
	if (fd >= 0)
		close(fd);
	free(data);
}

static void add_machine(struct bundle *bundle)
{
	struct utsname kernel;
	uname(&kernel);
	add_json(bundle, "machine/kernel.json", "uname",
		json_pack("{ss, ss, ss}", "release", kernel.release, "version",
			kernel.version, "machine", kernel.machine));
	for (size_t i = 0; i < sizeof machine_files / sizeof *machine_files;
		i++)
		add_file(bundle, machine_files[i]);
}

/* -- the appliance ---------------------------------------------------------- */

static json_t *sessions_json_co(const struct daemon_parts *parts)
{
	json_t *array = json_array();
	struct iscsi_session_list *list =
		iscsi_sessions_co(parts->server, NULL);
	for (unsigned i = 0; list && i < list->count; i++)
		json_array_append_new(
			array, live_session_json(&list->session[i]));
	free(list);
	return array;
}

static json_t *volumes_json(const struct daemon_parts *parts)
{
	const struct volume *volume;
	const void *cursor = NULL;
	json_t *array = json_array();
	while ((volume = appliance_next_volume(parts->appliance, &cursor))) {
		struct volume_view view;
		volume_view_get(volume, &view);
		json_array_append_new(array,
			json_pack("{ss, sb, so, sb, sI, si, sI, so}", "name",
				volume->settings.name, "online", view.online,
				"offline_reason",
				live_text(view.offline_reason), "failed",
				view.failed, "size_bytes",
				(json_int_t)view.size_bytes, "block_bytes",
				(int)view.block_bytes, "nexuses",
				(json_int_t)view.nexuses, "figures",
				live_figures_json(volume)));
	}
	return array;
}

static json_t *lanes_json_co(const struct daemon_parts *parts)
{
	struct block_lane_figures figures[BLOCK_MAX_LANES];
	json_t *array = json_array();
	unsigned lanes = block_core_lanes(parts->core);
	block_figures_co(parts->core, figures);
	for (unsigned i = 0; i < lanes; i++) {
		const struct block_lane_figures *f = &figures[i];
		json_array_append_new(array,
			json_pack("{sI, sI, sI, sI, sI, sI, sI, sI}", "busy_ns",
				(json_int_t)f->busy_ns, "up_ns",
				(json_int_t)f->up_ns, "turns",
				(json_int_t)f->turns, "buffer_bytes",
				(json_int_t)f->buffer_bytes,
				"buffer_used_bytes",
				(json_int_t)f->buffer_used_bytes, "queued",
				(json_int_t)f->ring.queued, "done",
				(json_int_t)f->ring.done, "submits",
				(json_int_t)f->ring.submits));
	}
	return array;
}

/* -- the flight recorder ---------------------------------------------------- */

static void dump_lane(struct block_lane *lane, void *argument)
{
	int *fds = argument;
	if (fds[lane->index] >= 0)
		trace_dump(fds[lane->index]);
}

static void add_recorder(struct bundle *bundle, unsigned lane, int fd)
{
	char name[48];
	off_t bytes = lseek(fd, 0, SEEK_END);
	void *data = bytes > 0
		? mmap(NULL, (size_t)bytes, PROT_READ, MAP_PRIVATE, fd, 0)
		: MAP_FAILED;
	if (data == MAP_FAILED)
		return;
	snprintf(name, sizeof name, "recorder/lane-%u.txt", lane);
	add(bundle, name, "the latest trace points of this thread", data,
		(size_t)bytes);
	munmap(data, (size_t)bytes);
}

static void add_recorders_co(struct bundle *bundle, struct block_core *core)
{
	int fds[BLOCK_MAX_LANES];
	unsigned lanes = block_core_lanes(core);
	for (unsigned i = 0; i < lanes; i++)
		fds[i] = memfd_create("recorder", MFD_CLOEXEC);
	block_broadcast_co(core, dump_lane, fds);
	for (unsigned i = 0; i < lanes; i++) {
		if (fds[i] < 0)
			continue;
		add_recorder(bundle, i, fds[i]);
		close(fds[i]);
	}
}

/* -- all -------------------------------------------------------------------- */

static void fill_co(struct bundle *bundle, struct api_request *request)
{
	const struct daemon_parts *parts = request->parts;
	add_json(bundle, "document.json", "what is exported to whom",
		config_document(parts->config));
	add_json(bundle, "checks.json", "what the doctor finds",
		live_checks(request->api));
	add_json(bundle, "volumes.json", "volumes and their figures",
		volumes_json(parts));
	add_json(bundle, "sessions.json", "who is connected",
		sessions_json_co(parts));
	add_json(bundle, "lanes.json", "threads and rings",
		lanes_json_co(parts));
	add_recorders_co(bundle, parts->core);
	add_machine(bundle);
	add_json(bundle, "manifest.json", "this list",
		json_pack("{ss, so, sO}", "version", CAIRN_VERSION, "time",
			api_time_now(), "files", bundle->manifest));
}

static int pack(void *argument)
{
	struct bundle *bundle = argument;
	return archive_pack(
		&bundle->archive, &bundle->packed, &bundle->packed_bytes);
}

static void get_bundle_co(struct api_request *request)
{
	struct bundle bundle = {.manifest = json_array()};
	char disposition[80], when[32];
	time_t now = time(NULL);
	struct tm utc;
	gmtime_r(&now, &utc);
	strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &utc);
	snprintf(disposition, sizeof disposition,
		"attachment; filename=\"cairn-%s.tar.gz\"", when);
	archive_begin(&bundle.archive, now);
	fill_co(&bundle, request);
	loop_work_co(request->api->loop, pack, &bundle);
	api_set_header(request, "Content-Disposition", disposition);
	api_answer_text(request, 200, "application/gzip", bundle.packed,
		bundle.packed_bytes);
	archive_free(&bundle.archive);
	json_decref(bundle.manifest);
}

const struct api_route api_bundle_routes[] = {
	{"getBundle", "GET", "/api/v1/system/bundle", API_ADMIN, 0, NULL,
		get_bundle_co},
	{0},
};
