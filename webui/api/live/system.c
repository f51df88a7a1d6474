/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The appliance as a whole: version, uptime, where hosts reach it.
 */
#include "blockcore/block.h"
#include "webui/api/server/private.h"

#include <event2/event.h>
#include <openssl/crypto.h>
#include <sys/utsname.h>
#include <unistd.h>

/* `table` NULL: tests of the transport have no appliance. */
static json_t *portals_json(const struct access_table *table)
{
	json_t *list = json_array();
	for (unsigned i = 0; table && i < table->portals; i++) {
		const struct access_portal *portal = table->portal[i];
		json_array_append_new(list,
			json_pack("{ss, ss, si, ss*}", "name", portal->name,
				"address", portal->address, "port",
				(int)portal->port, "advertised",
				portal->advertised));
	}
	return list;
}

static void system_co(struct api_request *request)
{
	const struct settings *settings = request->parts->settings;
	const struct api *api = request->api;
	const struct appliance *appliance = request->parts->appliance;
	const struct access_table *table =
		appliance ? appliance_table(appliance) : NULL;
	struct utsname kernel;
	char host[65] = "";
	char *data = realpath(settings->data_directory, NULL);
	gethostname(host, sizeof host - 1);
	uname(&kernel);
	api_answer(request, 200,
		json_pack("{ss, ss, so, ss, ss, ss, si, so, s{ss, ss, ss}}",
			"version", CAIRN_VERSION, "hostname", host, "started",
			api_time(api->started_ms), "kernel", kernel.release,
			"naming_authority", settings->naming_authority,
			"data_directory",
			data ? data : settings->data_directory, "reactors",
			(int)settings->reactors, "portals", portals_json(table),
			"libraries", "libevent", event_get_version(), "openssl",
			OpenSSL_version(OPENSSL_VERSION), "jansson",
			jansson_version_str()));
	free(data);
}

const struct api_route api_system_routes[] = {
	{"getSystem", "GET", "/api/v1/system", API_VIEWER,
		.handle_co = system_co},
	{0},
};
