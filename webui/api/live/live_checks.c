/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the doctor finds: all that checks say (../server/check.h); and those of what is
 * served: volumes, portals, access that is wider than one may think.
 */
#include "target/control/appliance/appliance.h"
#include "target/volume/view.h"
#include "webui/api/live/faults.h"
#include "webui/api/live/live.h"
#include "webui/api/server/check.h"
#include "webui/api/server/libevent_version.h"
#include "webui/api/server/private.h"

#include <inttypes.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CERTIFICATE_DAYS 30
#define NEW_CERTIFICATE \
	"a new one: cairn certificate renew (self-signed) or replace"

/* The fullest of those that volumes grow on. */
static void check_space(const struct api *api, struct check_finding *finding)
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
		check_find(
			finding, CHECK_SKIPPED, "", "no volume lies in a file");
	else if (reached)
		check_find(finding, CHECK_WARNING,
			"make room there, or move volumes elsewhere: writes "
			"fail when it is full",
			"%.200s is %u %% full (%u of %u file systems under "
			"volumes have reached the threshold)",
			worst->name, appliance_file_system_percent(worst),
			reached, all);
	else
		check_find(finding, CHECK_OK, "", "%.200s is %u %% full",
			worst->name, appliance_file_system_percent(worst));
}

/* -- what is served --------------------------------------------------------- */

static void check_volumes(const struct api *api, struct check_finding *finding)
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
		check_find(finding, CHECK_OK, "", "all %u volumes are served",
			all);
	else if (worst.failed)
		check_find(finding, CHECK_FAILED,
			"check its data, then let hosts use it again: cairn "
			"volume repair VOLUME",
			"volume %s: a flush failed, what hosts take for "
			"written "
			"may be lost (%u of %u volumes are not well)",
			bad->settings.name, wrong, all);
	else
		check_find(finding, CHECK_FAILED,
			"put right what stands there; what is there again is "
			"served within 5 s",
			"volume %s is offline: %.200s (%u of %u are not well)",
			bad->settings.name, worst.offline_reason, wrong, all);
}

/* Whoever looks for the cause of errors should not look in vain. */
static void check_faults(const struct api *api, struct check_finding *finding)
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
		check_find(finding, CHECK_OK, "",
			"no request fails or waits on purpose");
	else
		check_find(finding, CHECK_WARNING,
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

static void check_access(const struct api *api, struct check_finding *finding)
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
		check_find(finding, CHECK_WARNING,
			"name the initiator and give it a CHAP secret",
			"host %s lets in initiators by a pattern of names and "
			"without a secret (%u such)",
			name, open);
	else if (bare)
		check_find(finding, CHECK_WARNING,
			"give each host a CHAP secret",
			"%u hosts prove themselves by name and address only",
			bare);
	else
		check_find(finding, CHECK_OK, "",
			"every host has a name and a secret");
}

static void check_refused(const struct api *api, struct check_finding *finding)
{
	const struct iscsi_refused *last =
		iscsi_server_refused(api->parts.server, 0);
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (last && now.tv_sec - last->time_ms / 1000 < 600)
		check_find(finding, CHECK_WARNING,
			"all of them: cairn session refused",
			"a login from %s was refused in the last 10 minutes: "
			"%.160s",
			last->peer, last->reason);
	else
		check_find(
			finding, CHECK_OK, "", "no login was refused lately");
}

/* The name that hosts are told ("https://san.example:8443/x", "https://[::1]"), alone;
 * false: none is told. */
static bool told_name(const struct api *api, char *name, size_t bytes)
{
	const char *url = api->parts.settings->api.url;
	if (!url || strncmp(url, "https://", 8) != 0)
		return false;
	const char *from = url + 8 + (url[8] == '[');
	snprintf(name, bytes, "%.*s",
		(int)strcspn(from, url[8] == '[' ? "]" : ":/"), from);
	return true;
}

static bool is_for(X509 *certificate, const char *name)
{
	return X509_check_ip_asc(certificate, name, 0) == 1 ||
		X509_check_host(certificate, name, strlen(name), 0, NULL) == 1;
}

static void check_certificate(
	const struct api *api, struct check_finding *finding)
{
	X509 *certificate =
		api->ctx ? SSL_CTX_get0_certificate(api->ctx) : NULL;
	int days = 0, seconds = 0;
	char name[256];
	if (!certificate) {
		check_find(finding, CHECK_SKIPPED, "", "https is switched off");
		return;
	}
	if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
		check_find(finding, CHECK_FAILED,
			"see that the clock goes right; else " NEW_CERTIFICATE,
			"the certificate of https is not good yet");
	else if (!ASN1_TIME_diff(&days, &seconds, NULL,
			 X509_get0_notAfter(certificate)) ||
		days < 0 || seconds < 0)
		check_find(finding, CHECK_FAILED, NEW_CERTIFICATE,
			"the certificate of https has run out");
	else if (days < CERTIFICATE_DAYS)
		check_find(finding, CHECK_WARNING, NEW_CERTIFICATE,
			"the certificate of https runs out in %d days", days);
	else if (told_name(api, name, sizeof name) &&
		!is_for(certificate, name))
		check_find(finding, CHECK_WARNING,
			"cairn certificate replace, by one for that name",
			"hosts are told https://%.200s, for which the "
			"certificate of https is not made",
			name);
	else
		check_find(finding, CHECK_OK, "",
			"the certificate of https is good for %d days", days);
}

static void check_libevent(const struct api *api, struct check_finding *finding)
{
	char words[96];
	(void)api;
	if (libevent_look(words, sizeof words))
		check_find(finding, CHECK_OK, "", "libevent %s has its repairs",
			words);
	else
		check_find(finding, CHECK_WARNING, LIBEVENT_CURE,
			"libevent %s has holes: there is no socket, and https "
			"closes each connection after one answer",
			words);
}

static void check_portals(const struct api *api, struct check_finding *finding)
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
		check_find(finding, CHECK_FAILED,
			"free the port, or give the portal another place; it "
			"is tried again by itself",
			"%u of %u portals are closed; %.63s: %.200s", closed,
			table->portals, first, reason);
	else
		check_find(finding, CHECK_OK, "",
			"hosts can log in at every portal");
}

/* -- all -------------------------------------------------------------------- */

const struct api_check live_served_checks[] = {
	{"access", "Who may connect", check_access},
	{"certificate", "Certificate of https", check_certificate},
	{"faults", "Faults on purpose", check_faults},
	{"libevent", "HTTP library", check_libevent},
	{"logins", "Refused logins", check_refused},
	{"portals", "Portals", check_portals},
	{"space", "File systems under volumes", check_space},
	{"volumes", "Volumes", check_volumes},
	{0},
};

static json_t *check_json(const struct api *api, const struct api_check *check)
{
	static const char *const states[] = {
		"ok", "warning", "failed", "skipped"};
	struct check_finding finding = {0};
	check->run(api, &finding);
	json_t *item = json_pack("{ss, ss, ss, so}", "name", check->name,
		"title", check->title, "state", states[finding.state], "text",
		live_text(finding.text));
	if (*finding.cure)
		json_object_set_new(item, "cure", json_string(finding.cure));
	return item;
}

json_t *live_checks(const struct api *api)
{
	json_t *list = json_array();
	for (unsigned i = 0; api_checks[i]; i++)
		for (const struct api_check *check = api_checks[i]; check->name;
			check++)
			json_array_append_new(list, check_json(api, check));
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
