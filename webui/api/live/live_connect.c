/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a host reaches a volume: the view that control/connect/connect.h wants, made
 * from the access table in force, and what the reader should be warned of.
 */
#include "target/control/appliance/appliance.h"
#include "target/control/connect/connect.h"
#include "target/volume/view.h"
#include "webui/api/handler.h"
#include "webui/api/live/live.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WAYS 8u

/* One host's way to the volume, with what its text needs to live. */
struct way {
	const struct access_target *target;
	const struct access_export *export;
	const struct access_host *host;
	struct connect_portal portal[MAX_WAYS];
	char address[MAX_WAYS][INET6_ADDRSTRLEN];
	unsigned portals;
	json_t *warnings;
};

static void warn(struct way *way, const char *text)
{
	json_array_append_new(way->warnings, json_string(text));
}

/* -- which export, which host ----------------------------------------------- */

static bool choose_host(struct way *way, const char *wanted)
{
	for (unsigned i = 0; i < way->export->hosts; i++) {
		way->host = way->export->host[i];
		if (!wanted || !strcmp(wanted, way->host->name))
			return true;
	}
	return false;
}

/* The first export of the volume that `wanted` (NULL: anybody) sees. */
static bool find_way(const struct access_table *table, const char *volume,
	const char *wanted, struct way *way)
{
	for (unsigned t = 0; t < table->targets; t++) {
		way->target = table->target[t];
		for (unsigned e = 0; e < way->target->exports; e++) {
			way->export = &way->target->export[e];
			if (!strcmp(way->export->volume->settings.name,
				    volume) &&
				choose_host(way, wanted))
				return true;
		}
	}
	return false;
}

/* -- portals ---------------------------------------------------------------- */

static void add_portal(struct way *way, const char *address, uint16_t port)
{
	unsigned n = way->portals;
	if (n == MAX_WAYS)
		return;
	snprintf(way->address[n], sizeof way->address[n], "%s", address);
	way->portal[n].address = way->address[n];
	way->portal[n].port = port;
	way->portals++;
}

/* "host:port", "[host]:port" as the settings have it. */
static void add_advertised(struct way *way, const struct access_portal *portal)
{
	char address[INET6_ADDRSTRLEN];
	const char *text = portal->advertised + (*portal->advertised == '[');
	const char *colon = strrchr(portal->advertised, ':');
	size_t bytes = colon ? (size_t)(colon - text) : strlen(text);
	if (bytes && text[bytes - 1] == ']')
		bytes--;
	if (bytes >= sizeof address)
		return;
	memcpy(address, text, bytes);
	address[bytes] = '\0';
	add_portal(
		way, address, colon ? (uint16_t)atoi(colon + 1) : portal->port);
}

/* A portal on all addresses: those of this machine that others can reach. */
static void add_every_address(
	struct way *way, const struct access_portal *portal)
{
	int family = strchr(portal->address, ':') ? AF_INET6 : AF_INET;
	struct ifaddrs *list;
	if (getifaddrs(&list))
		return;
	for (struct ifaddrs *i = list; i; i = i->ifa_next) {
		char address[INET6_ADDRSTRLEN];
		const void *raw = NULL;
		if (!i->ifa_addr || i->ifa_addr->sa_family != family ||
			i->ifa_flags & IFF_LOOPBACK || !(i->ifa_flags & IFF_UP))
			continue;
		if (family == AF_INET)
			raw = &((struct sockaddr_in *)i->ifa_addr)->sin_addr;
		else if (!IN6_IS_ADDR_LINKLOCAL(
				 &((struct sockaddr_in6 *)i->ifa_addr)
					  ->sin6_addr))
			raw = &((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr;
		if (raw && inet_ntop(family, raw, address, sizeof address))
			add_portal(way, address, portal->port);
	}
	freeifaddrs(list);
	if (!way->portals)
		add_portal(way, family == AF_INET ? "127.0.0.1" : "::1",
			portal->port);
}

static void add_one(struct way *way, const struct access_portal *portal)
{
	if (portal->advertised)
		add_advertised(way, portal);
	else if (!strcmp(portal->address, "0.0.0.0") ||
		!strcmp(portal->address, "::"))
		add_every_address(way, portal);
	else
		add_portal(way, portal->address, portal->port);
}

static void find_portals(struct way *way, const struct access_table *table)
{
	const struct access_target *target = way->target;
	for (unsigned i = 0; i < target->portals; i++)
		add_one(way, target->portal[i]);
	for (unsigned i = 0; !target->portals && i < table->portals; i++)
		add_one(way, table->portal[i]);
	for (unsigned i = 0; i < way->portals; i++) {
		if (strncmp(way->address[i], "127.", 4) != 0 &&
			strcmp(way->address[i], "::1") != 0)
			return;
	}
	warn(way,
		"all portals are on loopback addresses: only programs of the "
		"target's own machine get there");
}

/* -- the view --------------------------------------------------------------- */

/* The name that the host entry asks for; NULL if it leaves a choice. */
static const char *initiator_of(struct way *way)
{
	const char *name = way->host->iqns ? way->host->iqn[0] : NULL;
	size_t bytes = name ? strlen(name) : 0;
	if (!bytes || name[bytes - 1] != '*')
		return name;
	if (bytes > 1)
		warn(way,
			"the host's initiator name must begin as its entry "
			"says");
	return NULL;
}

static void fill_view(struct way *way, struct connect_view *view)
{
	const struct volume *volume = way->export->volume;
	struct volume_view now;
	volume_view_get(volume, &now);
	*view = (struct connect_view){.volume = volume->settings.name,
		.host = way->host->name,
		.target = way->target->iqn,
		.size_bytes = now.size_bytes,
		.lun = way->export->lun,
		.read_only = way->export->read_only || now.read_only,
		.portal = way->portal,
		.portals = way->portals,
		.naa = volume->naa,
		.initiator = initiator_of(way),
		.chap_user = way->host->chap.user,
		.mutual_user = way->host->chap.mutual_user};
	if (!now.online)
		warn(way, "the volume is offline; hosts get NOT READY");
	if (!way->host->chap.user)
		warn(way,
			"the host proves itself by its name and address only: "
			"give it a CHAP secret");
}

/* Limits of the system that this export and this host go beyond. */
static void warn_of_system(struct way *way, const struct connect_system *system)
{
	const struct access_chap *chap = &way->host->chap;
	char text[160];
	if (system->luns && way->export->lun >= system->luns) {
		snprintf(text, sizeof text,
			"%s looks at LUN 0 to %u of a target only: export the "
			"volume under a lower one",
			system->title, system->luns - 1);
		warn(way, text);
	}
	if (system->secret_bytes && chap->secret &&
		(strlen(chap->secret) > system->secret_bytes ||
			(chap->mutual_secret &&
				strlen(chap->mutual_secret) >
					system->secret_bytes))) {
		snprintf(text, sizeof text,
			"%s takes CHAP secrets of 12 to %u bytes: give the "
			"host a shorter one",
			system->title, system->secret_bytes);
		warn(way, text);
	}
	if (system->md5_only && chap->user &&
		chap->weak == ACCESS_WEAK_FORBIDDEN) {
		snprintf(text, sizeof text,
			"%s knows only MD5 for CHAP, which this host may not "
			"use: allow weak hashes",
			system->title);
		warn(way, text);
	}
}

static json_t *portals_json(const struct way *way)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < way->portals; i++) {
		const struct connect_portal *p = &way->portal[i];
		json_array_append_new(list,
			json_sprintf(
				strchr(p->address, ':') ? "[%s]:%u" : "%s:%u",
				p->address, (unsigned)p->port));
	}
	return list;
}

static void answer(struct api_request *request, struct way *way,
	const struct connect_system *system)
{
	struct connect_view view;
	fill_view(way, &view);
	warn_of_system(way, system);
	char *text = connect_text(system, &view);
	if (text && api_accepts(request, "text/plain")) {
		api_answer_text(request, 200, "text/plain; charset=utf-8", text,
			strlen(text));
		return;
	}
	api_answer(request, 200,
		text ? json_pack("{ss, ss, ss, ss, so, so, si, so, sO, so}",
			       "volume", view.volume, "os", system->name,
			       "title", system->title, "language",
			       system->language, "host",
			       live_text(way->host->name), "target",
			       live_text(view.target), "lun", (int)view.lun,
			       "portals", portals_json(way), "warnings",
			       way->warnings, "text", live_text(text))
		     : NULL);
	free(text);
}

static void refuse(
	struct api_request *request, const char *volume, const char *host)
{
	if (host)
		api_problem(request, "conflict",
			"host \"%.64s\" does not see volume \"%.64s\": export "
			"it to this host first",
			host, volume);
	else
		api_problem(request, "conflict",
			"volume \"%.64s\" is not exported to any host yet",
			volume);
}

static void get_connect_co(struct api_request *request)
{
	const char *volume = api_parameter(request, "name");
	const char *os = api_query(request, "os");
	const char *host = api_query(request, "host");
	struct appliance *appliance = request->parts->appliance;
	const struct access_table *table = appliance_table(appliance);
	const struct connect_system *system;
	struct err err = {0};
	if (!appliance_find_volume(appliance, volume)) {
		api_problem(request, "not-found",
			"there is no volume \"%.64s\"", volume);
		return;
	}
	if (connect_find_system(os ? os : "", &system, &err)) {
		api_problem(request, "syntax", "os: %s", err.text);
		return;
	}
	struct way way = {.warnings = json_array()};
	if (table && find_way(table, volume, host, &way)) {
		find_portals(&way, table);
		answer(request, &way, system);
	} else {
		refuse(request, volume, host);
	}
	json_decref(way.warnings);
}

const struct api_route api_connect_routes[] = {
	{"getConnect", "GET", "/api/v1/volumes/{name}/connect", API_VIEWER, 0,
		"os host", get_connect_co},
	{0},
};
