/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a doctor would look at: limits of the machine, room on its disks, volumes,
 * access that is wider than one may think. Looks only; changes nothing.
 */
#include "blockcore/base/size.h"
#include "blockcore/ring.h"
#include "target/control/appliance/appliance.h"
#include "target/volume/view.h"
#include "webui/api/live/faults.h"
#include "webui/api/live/live.h"
#include "webui/api/server/libevent_version.h"
#include "webui/api/server/private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <time.h>

#define CERTIFICATE_DAYS 30

struct finding {
	enum { OK, WARNING, FAILED, SKIPPED } state;
	char text[400], cure[300];
};

static void find(struct finding *finding, int state, const char *cure,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
static void find(struct finding *finding, int state, const char *cure,
	const char *format, ...)
{
	va_list arguments;
	finding->state = state;
	snprintf(finding->cure, sizeof finding->cure, "%s", cure);
	va_start(arguments, format);
	vsnprintf(finding->text, sizeof finding->text, format, arguments);
	va_end(arguments);
}

/* -- the machine ------------------------------------------------------------ */

static void check_ring(const struct api *api, struct finding *finding)
{
	const char *name = block_core_world(api->parts.core)->ops->name;
	if (!strcmp(name, "io_uring"))
		find(finding, OK, "", "disks are driven by io_uring");
	else
		find(finding, WARNING,
			"allow io_uring: kernel 5.19 or newer, sysctl "
			"kernel.io_uring_disabled=0, in a container a seccomp "
			"profile that lets it through; then restart",
			"disks are driven by %s, which is slower", name);
}

static void check_files(const struct api *api, struct finding *finding)
{
	struct rlimit limit = {0};
	uint32_t wanted = api->parts.settings->iscsi.max_connections;
	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= wanted + 1024ull)
		find(finding, OK, "", "%" PRIu64 " files may be open",
			(uint64_t)limit.rlim_cur);
	else
		find(finding, WARNING,
			"raise LimitNOFILE of the service (ulimit -n)",
			"only %" PRIu64 " files may be open, but %" PRIu32
			" connections are allowed",
			(uint64_t)limit.rlim_cur, wanted);
}

static void check_memory(const struct api *api, struct finding *finding)
{
	const struct settings *settings = api->parts.settings;
	struct rlimit limit = {0};
	uint64_t wanted = settings->buffer_bytes * settings->reactors;
	char may[SIZE_TEXT_BYTES], want[SIZE_TEXT_BYTES];
	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur >= wanted)
		find(finding, OK, "",
			"buffers can be registered with the kernel");
	else
		find(finding, WARNING,
			"raise LimitMEMLOCK of the service (ulimit -l)",
			"%s may be locked in memory, buffers want %s: each I/O "
			"maps its own, which is slower",
			size_print(may, limit.rlim_cur),
			size_print(want, wanted));
}

static void check_clock(const struct api *api, struct finding *finding)
{
	(void)api;
	if (time(NULL) > 1750000000)
		find(finding, OK, "", "the clock shows a time that can be");
	else
		find(finding, FAILED,
			"set the clock; run chrony or systemd-"
			"timesyncd",
			"the clock is years behind: certificates and tokens "
			"cannot be judged");
}

/* -- directories ------------------------------------------------------------ */

static void check_room(const char *path, struct finding *finding)
{
	struct statvfs now;
	if (statvfs(path, &now)) {
		find(finding, FAILED, "see that it is mounted and readable",
			"%s: cannot be looked at", path);
		return;
	}
	uint64_t all = (uint64_t)now.f_blocks * now.f_frsize;
	uint64_t free_bytes = (uint64_t)now.f_bavail * now.f_frsize;
	unsigned percent = all ? (unsigned)(free_bytes * 100 / all) : 0;
	char left[SIZE_TEXT_BYTES];
	size_print(left, free_bytes);
	if (free_bytes < 100u << 20)
		find(finding, FAILED, "make room there now",
			"%s: %s are left: writes will fail", path, left);
	else if (percent < 10)
		find(finding, WARNING,
			"make room there, or move volumes elsewhere",
			"%s: %u %% (%s) are left", path, percent, left);
	else
		find(finding, OK, "", "%s: %s are left", path, left);
}

static void check_data(const struct api *api, struct finding *finding)
{
	check_room(api->parts.settings->data_directory, finding);
}

static void check_state(const struct api *api, struct finding *finding)
{
	check_room(api->parts.settings->state_directory, finding);
}

/* The fullest of those that volumes grow on. */
static void check_space(const struct api *api, struct finding *finding)
{
	const struct appliance_file_system *fs = NULL, *worst = NULL;
	unsigned all = 0, reached = 0;
	while ((fs = appliance_next_file_system(api->parts.appliance, fs))) {
		all++;
		reached += fs->reached;
		if (!worst ||
			appliance_file_system_percent(fs) >
				appliance_file_system_percent(worst))
			worst = fs;
	}
	if (!worst)
		find(finding, SKIPPED, "", "no volume lies in a file");
	else if (reached)
		find(finding, WARNING,
			"make room there, or move volumes elsewhere: writes "
			"fail when it is full",
			"%.200s is %u %% full (%u of %u file systems under "
			"volumes have reached the threshold)",
			worst->name, appliance_file_system_percent(worst),
			reached, all);
	else
		find(finding, OK, "", "%.200s is %u %% full", worst->name,
			appliance_file_system_percent(worst));
}

/* -- what is served --------------------------------------------------------- */

static void check_volumes(const struct api *api, struct finding *finding)
{
	const struct volume *volume, *bad = NULL;
	struct volume_view view, worst = {0};
	const void *cursor = NULL;
	unsigned all = 0, wrong = 0;
	while ((volume =
			appliance_next_volume(api->parts.appliance, &cursor))) {
		all++;
		volume_view_get(volume, &view);
		if (view.online && !view.failed)
			continue;
		if (!wrong++ || (view.failed && !worst.failed)) {
			bad = volume;
			worst = view;
		}
	}
	if (!bad)
		find(finding, OK, "", "all %u volumes are served", all);
	else if (worst.failed)
		find(finding, FAILED,
			"check its data, then let hosts use it again: POST "
			"volumes/NAME/repair",
			"volume %s: a flush failed, what hosts take for "
			"written "
			"may be lost (%u of %u volumes are not well)",
			bad->settings.name, wrong, all);
	else
		find(finding, FAILED,
			"put right what stands there; what is there again is "
			"served within 5 s",
			"volume %s is offline: %.200s (%u of %u are not well)",
			bad->settings.name, worst.offline_reason, wrong, all);
}

/* Whoever looks for the cause of errors should not look in vain. */
static void check_faults(const struct api *api, struct finding *finding)
{
	const struct config_object *volume = NULL;
	const char *first = NULL;
	size_t rules = 0, volumes = 0;
	while ((volume = config_next(
			api->parts.config, CONFIG_VOLUME, volume))) {
		size_t own = json_array_size(api_fault_rules(volume));
		rules += own;
		volumes += own > 0;
		if (own && !first)
			first = volume->id;
	}
	if (!rules)
		find(finding, OK, "", "no request fails or waits on purpose");
	else
		find(finding, WARNING,
			"when the trial is over: cairn fault clear VOLUME",
			"requests of %zu volumes fail or wait on purpose, by "
			"%zu rules; %.63s is one of them",
			volumes, rules, first);
}

/* Any name, and no secret. */
static bool is_open(const struct access_host *host)
{
	for (unsigned i = 0; i < host->iqns; i++) {
		size_t bytes = strlen(host->iqn[i]);
		if (bytes && host->iqn[i][bytes - 1] == '*')
			return !host->chap.user;
	}
	return false;
}

static void check_access(const struct api *api, struct finding *finding)
{
	const struct access_table *table =
		appliance_table(api->parts.appliance);
	unsigned open = 0, bare = 0;
	const char *name = "";
	for (unsigned i = 0; table && i < table->hosts; i++) {
		const struct access_host *host = table->host[i];
		bare += !host->chap.user;
		if (is_open(host) && !open++)
			name = host->name;
	}
	if (open)
		find(finding, WARNING,
			"name the initiator and give it a CHAP secret",
			"host %s lets in initiators by a pattern of names and "
			"without a secret (%u such)",
			name, open);
	else if (bare)
		find(finding, WARNING, "give each host a CHAP secret",
			"%u hosts prove themselves by name and address only",
			bare);
	else
		find(finding, OK, "", "every host has a name and a secret");
}

static void check_refused(const struct api *api, struct finding *finding)
{
	const struct iscsi_refused *last =
		iscsi_server_refused(api->parts.server, 0);
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (last && now.tv_sec - last->time_ms / 1000 < 600)
		find(finding, WARNING, "see logins/refused for all of them",
			"a login from %s was refused in the last 10 minutes: "
			"%.160s",
			last->peer, last->reason);
	else
		find(finding, OK, "", "no login was refused lately");
}

static void check_certificate(const struct api *api, struct finding *finding)
{
	X509 *certificate =
		api->ctx ? SSL_CTX_get0_certificate(api->ctx) : NULL;
	int days = 0, seconds = 0;
	if (!certificate) {
		find(finding, SKIPPED, "", "https is switched off");
		return;
	}
	if (!ASN1_TIME_diff(
		    &days, &seconds, NULL, X509_get0_notAfter(certificate)) ||
		days < 0 || seconds < 0)
		find(finding, FAILED, "make or put in a new one",
			"the certificate of https has run out");
	else if (days < CERTIFICATE_DAYS)
		find(finding, WARNING, "make or put in a new one",
			"the certificate of https runs out in %d days", days);
	else
		find(finding, OK, "",
			"the certificate of https is good for %d days", days);
}

static void check_libevent(const struct api *api, struct finding *finding)
{
	char words[96];
	(void)api;
	if (libevent_look(words, sizeof words))
		find(finding, OK, "", "libevent %s has its repairs", words);
	else
		find(finding, WARNING, LIBEVENT_CURE,
			"libevent %s has holes: there is no socket, and https "
			"closes each connection after one answer",
			words);
}

static void check_portals(const struct api *api, struct finding *finding)
{
	const struct access_table *table =
		appliance_table(api->parts.appliance);
	unsigned closed = 0;
	const char *first = "", *reason = "";
	for (unsigned i = 0; table && i < table->portals; i++) {
		const char *name = table->portal[i]->name;
		const char *why =
			appliance_portal_why(api->parts.appliance, name);
		if (why && !closed++) {
			first = name;
			reason = why;
		}
	}
	if (closed)
		find(finding, FAILED,
			"free the port, or give the portal another place; it "
			"is tried again by itself",
			"%u of %u portals are closed; %.63s: %.200s", closed,
			table->portals, first, reason);
	else
		find(finding, OK, "", "hosts can log in at every portal");
}

/* -- all -------------------------------------------------------------------- */

static const struct check {
	const char *name, *title;
	void (*run)(const struct api *api, struct finding *finding);
} checks[] = {
	{"access", "Who may connect", check_access},
	{"certificate", "Certificate of https", check_certificate},
	{"clock", "Clock", check_clock},
	{"data-room", "Room for volumes", check_data},
	{"faults", "Faults on purpose", check_faults},
	{"files", "Open files", check_files},
	{"libevent", "HTTP library", check_libevent},
	{"logins", "Refused logins", check_refused},
	{"memory", "Registered buffers", check_memory},
	{"portals", "Portals", check_portals},
	{"ring", "Disk I/O", check_ring},
	{"space", "File systems under volumes", check_space},
	{"state-room", "Room for the state", check_state},
	{"volumes", "Volumes", check_volumes},
};

json_t *live_checks(const struct api *api)
{
	static const char *const states[] = {
		"ok", "warning", "failed", "skipped"};
	json_t *list = json_array();
	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
		struct finding finding = {0};
		checks[i].run(api, &finding);
		json_t *item = json_pack("{ss, ss, ss, so}", "name",
			checks[i].name, "title", checks[i].title, "state",
			states[finding.state], "text", live_text(finding.text));
		if (*finding.cure)
			json_object_set_new(
				item, "cure", json_string(finding.cure));
		json_array_append_new(list, item);
	}
	return list;
}

static void get_checks_co(struct api_request *request)
{
	api_answer(request, 200,
		json_pack("{so, sn}", "items", live_checks(request->api),
			"next"));
}

const struct api_route api_check_routes[] = {
	{"getChecks", "GET", "/api/v1/system/checks", API_OPERATOR, 0, NULL,
		get_checks_co},
	{0},
};
