/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings from their file: tables of options (the top, `api`, `iscsi`) and what
 * tables cannot say.
 */
#include "target/control/settings.h"

#include "blockcore/base/buf.h"
#include "blockcore/base/doc.h"
#include "blockcore/base/opts.h"
#include "target/control/document/names.h"
#include "target/control/document/portals.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* -- the tables ------------------------------------------------------------- */

struct top_options {
	char *data_directory, *state_directory, *run_directory;
	char *naming_authority;
	int log_level, ring;
	uint64_t reactors, spin_us, buffer_bytes, space_threshold;
	uint64_t table_cache_bytes, read_cache_bytes;
	bool pin_reactors;
	const struct doc *api, *iscsi, *portals;
};

static const char *const log_levels[] = {
	"error", "warning", "info", "debug", NULL};
static const char *const rings[] = {"auto", "io_uring", "threads", NULL};

/* The largest command, and as much again for what it is compared with: with less
 * it would find no buffer, ever. */
#define BUFFERS_LEAST_BYTES (2 * BUF_MAX_BYTES)

#define TOP(field) offsetof(struct top_options, field)
static const struct opt_spec top_specs[] = {
	{.name = "data_directory",
		.type = OPT_STRING,
		.offset = TOP(data_directory),
		.max = 1024,
		.help = "where volumes' files lie"},
	{.name = "state_directory",
		.type = OPT_STRING,
		.offset = TOP(state_directory),
		.max = 1024,
		.help = "where the daemon keeps its database"},
	{.name = "run_directory",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.offset = TOP(run_directory),
		.max = 90, /* a socket's path has 108 bytes */
		.help = "where its socket lies; absent: beside its database"},
	{.name = "naming_authority",
		.type = OPT_STRING,
		.offset = TOP(naming_authority),
		.max = 200,
		.fallback = "iqn.2026-11.example.cairn",
		.help = "start of the names of targets that only have a name"},
	{.name = "log_level",
		.type = OPT_ENUM,
		.offset = TOP(log_level),
		.choices = log_levels,
		.fallback = "info",
		.help = "least important line that is printed"},
	{.name = "reactors",
		.type = OPT_UINT,
		.offset = TOP(reactors),
		.max = BLOCK_MAX_LANES - 1,
		.fallback = "0",
		.help = "threads that carry I/O; 0: one for each CPU allowed"},
	{.name = "pin_reactors",
		.type = OPT_BOOL,
		.offset = TOP(pin_reactors),
		.fallback = "false",
		.help = "keep each of them on one CPU"},
	{.name = "spin_us",
		.type = OPT_UINT,
		.offset = TOP(spin_us),
		.max = 1000000,
		.fallback = "0",
		.help = "microseconds of looking for work before sleeping"},
	{.name = "ring",
		.type = OPT_ENUM,
		.offset = TOP(ring),
		.choices = rings,
		.fallback = "auto",
		.help = "how files are read and written"},
	{.name = "buffers",
		.type = OPT_SIZE,
		.offset = TOP(buffer_bytes),
		.min = BUFFERS_LEAST_BYTES,
		.max = 64ull << 30,
		.fallback = "64MiB",
		.help = "memory for data on its way, for each reactor"},
	{.name = "table_cache",
		.type = OPT_SIZE,
		.offset = TOP(table_cache_bytes),
		.min = 1u << 20,
		.max = 1ull << 40,
		.fallback = "512MiB",
		.help = "memory for tables of qcow2 images, all together"},
	{.name = "read_cache",
		.type = OPT_SIZE,
		.offset = TOP(read_cache_bytes),
		.min = 1u << 20,
		.max = 1ull << 44,
		.fallback = "1GiB",
		.help = "memory that listeners of type cache may take, all "
			"together"},
	{.name = "space_threshold",
		.type = OPT_UINT,
		.offset = TOP(space_threshold),
		.max = 99,
		.fallback = "80",
		.help = "percent in use of a file system at which operator and "
			"hosts are warned; 0: never"},
	{.name = "portals",
		.type = OPT_DOC,
		.offset = TOP(portals),
		.help = "addresses to listen on: {name, address, port, ...}"},
	{.name = "api",
		.type = OPT_DOC,
		.flags = OPT_OPTIONAL,
		.offset = TOP(api),
		.help = "where REST and the panel are: {enabled, address, "
			"port}"},
	{.name = "iscsi",
		.type = OPT_DOC,
		.flags = OPT_OPTIONAL,
		.offset = TOP(iscsi),
		.help = "limits and offers of the iSCSI target"},
	OPT_END};

/* As struct iscsi_settings, in the widths that options have. */
struct iscsi_options {
	uint64_t max_connections, max_host_sessions, max_logins,
		login_timeout_s, ping_interval_s, ping_timeout_s,
		data_timeout_s, command_window, max_burst_bytes,
		first_burst_bytes, max_receive_bytes, max_r2t;
	bool immediate_data, initial_r2t, normal_send_targets_all;
};

#define ISCSI(key, kind, field, low, high, standard, text) \
	{ \
		.name = key, .type = kind, \
		.offset = offsetof(struct iscsi_options, field), .min = low, \
		.max = high, .fallback = standard, .help = text \
	}
static const struct opt_spec iscsi_specs[] = {
	ISCSI("max_connections", OPT_UINT, max_connections, 1, 65536, "4096",
		"connections in all"),
	ISCSI("max_host_sessions", OPT_UINT, max_host_sessions, 1, 65536, "512",
		"sessions of one initiator name"),
	ISCSI("max_logins", OPT_UINT, max_logins, 1, 65536, "1024",
		"connections that have not logged in yet"),
	ISCSI("login_timeout_s", OPT_UINT, login_timeout_s, 1, 300, "15",
		"seconds a login may take"),
	ISCSI("ping_interval_s", OPT_UINT, ping_interval_s, 0, 3600, "15",
		"seconds of silence before a host is asked; 0: never"),
	ISCSI("ping_timeout_s", OPT_UINT, ping_timeout_s, 1, 300, "15",
		"seconds it then has to answer"),
	ISCSI("data_timeout_s", OPT_UINT, data_timeout_s, 0, 3600, "60",
		"seconds in which a host has to send data that it was asked "
		"for; 0: any time"),
	ISCSI("command_window", OPT_UINT, command_window, 2, ISCSI_WINDOW_MAX,
		"128", "commands a session may have running"),
	ISCSI("max_burst", OPT_SIZE, max_burst_bytes, 512, BUF_MAX_BYTES,
		"1MiB", "MaxBurstLength that is offered"),
	ISCSI("first_burst", OPT_SIZE, first_burst_bytes, 512, BUF_MAX_BYTES,
		"256KiB", "FirstBurstLength that is offered"),
	ISCSI("max_receive", OPT_SIZE, max_receive_bytes, 512, BUF_MAX_BYTES,
		"256KiB", "MaxRecvDataSegmentLength that is declared"),
	ISCSI("max_r2t", OPT_UINT, max_r2t, 1, 65535, "16",
		"MaxOutstandingR2T that is offered"),
	ISCSI("immediate_data", OPT_BOOL, immediate_data, 0, 0, "true",
		"ImmediateData that is offered"),
	ISCSI("initial_r2t", OPT_BOOL, initial_r2t, 0, 0, "false",
		"InitialR2T that is asked for"),
	ISCSI("normal_send_targets_all", OPT_BOOL, normal_send_targets_all, 0,
		0, "false",
		"answer SendTargets=All in normal sessions (not as the RFC)"),
	OPT_END};

struct api_options {
	bool enabled;
	char *address, *client_ca, *url;
	uint64_t port;
};

#define API(field) offsetof(struct api_options, field)
static const struct opt_spec api_specs[] = {
	{.name = "enabled",
		.type = OPT_BOOL,
		.offset = API(enabled),
		.fallback = "true",
		.help = "listen on TCP; the unix socket is always there"},
	{.name = "address",
		.type = OPT_STRING,
		.offset = API(address),
		.max = 63,
		.fallback = "127.0.0.1",
		.help = "numeric IPv4 or IPv6 address; 0.0.0.0, \"::\": all"},
	{.name = "port",
		.type = OPT_UINT,
		.offset = API(port),
		.max = 65535,
		.fallback = "8443",
		.help = "TCP port of https; 0: a free one"},
	{.name = "client_ca",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.offset = API(client_ca),
		.max = 1024,
		.help = "file of authorities (PEM) whose client certificates "
			"sign users in"},
	{.name = "url",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.offset = API(url),
		.max = 255,
		.help = "https://NAME:PORT by which this appliance is managed; "
			"hosts are told (VPD page 85h)"},
	OPT_END};

/* -- portals ---------------------------------------------------------------- */

static int add_portal(
	struct settings *settings, const struct doc *node, struct err *err)
{
	struct access_portal *portal = &settings->portal[settings->portals];
	int failed = portals_read(node, portal, err);
	if (failed)
		return failed;
	settings->portals++;
	for (unsigned i = 0; !failed && i + 1 < settings->portals; i++)
		failed = portals_check(node, portal, &settings->portal[i], err);
	return failed;
}

static int read_portals(
	struct settings *settings, const struct doc *list, struct err *err)
{
	if (list->kind != DOC_LIST || !list->first)
		return doc_error(list, err, EINVAL,
			"a list of portals is expected, such as [{name: main, "
			"address: 127.0.0.1}]");
	uint32_t count = doc_count(list);
	if (count > SETTINGS_MAX_PORTALS)
		return doc_error(list, err, EINVAL,
			"at most %u portals are allowed", SETTINGS_MAX_PORTALS);
	settings->portal = calloc(count, sizeof *settings->portal);
	if (!settings->portal)
		return err_set(err, ENOMEM, "out of memory");
	for (const struct doc *node = list->first; node; node = node->next) {
		int result = add_portal(settings, node, err);
		if (result)
			return result;
	}
	return 0;
}

/* -- iscsi ------------------------------------------------------------------ */

static int read_iscsi(
	struct iscsi_settings *iscsi, const struct doc *node, struct err *err)
{
	struct iscsi_options o;
	if (opts_parse(iscsi_specs, node, NULL, &o, sizeof o, err))
		return -EINVAL;
	if (o.first_burst_bytes > o.max_burst_bytes)
		return doc_error(node, err, EINVAL,
			"first_burst must not be larger than max_burst");
	iscsi_settings_defaults(iscsi);
	iscsi->max_connections = (uint32_t)o.max_connections;
	iscsi->max_host_sessions = (uint32_t)o.max_host_sessions;
	iscsi->max_logins = (uint32_t)o.max_logins;
	iscsi->login_timeout_s = (uint32_t)o.login_timeout_s;
	iscsi->ping_interval_s = (uint32_t)o.ping_interval_s;
	iscsi->ping_timeout_s = (uint32_t)o.ping_timeout_s;
	iscsi->data_timeout_s = (uint32_t)o.data_timeout_s;
	iscsi->command_window = (uint32_t)o.command_window;
	iscsi->max_burst_bytes = (uint32_t)o.max_burst_bytes;
	iscsi->first_burst_bytes = (uint32_t)o.first_burst_bytes;
	iscsi->max_receive_bytes = (uint32_t)o.max_receive_bytes;
	iscsi->max_r2t = (uint32_t)o.max_r2t;
	iscsi->immediate_data = o.immediate_data;
	iscsi->initial_r2t = o.initial_r2t;
	iscsi->normal_send_targets_all = o.normal_send_targets_all;
	return 0;
}

/* -- api -------------------------------------------------------------------- */

/* As it is shown to hosts: no byte of it may be more than a part of a URL. */
static int check_url(const struct doc *node, const char *url, struct err *err)
{
	size_t plain = strspn(url,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789-._~:/?#[]@!$&'()*+,;=%");
	if (!url[plain] && !strncmp(url, "https://", 8) && url[8])
		return 0;
	return doc_error(doc_find(node, "url"), err, EINVAL,
		"\"%s\" is no address such as https://san.example:8443", url);
}

static int read_api(
	struct settings_api *api, const struct doc *node, struct err *err)
{
	struct api_options o;
	if (opts_parse(api_specs, node, NULL, &o, sizeof o, err))
		return -EINVAL;
	*api = (struct settings_api){.enabled = o.enabled,
		.address = o.address,
		.port = (uint16_t)o.port,
		.client_ca = o.client_ca,
		.url = o.url};
	if (node && portals_check_address(node, api->address, err))
		return -EINVAL;
	return o.url ? check_url(node, o.url, err) : 0;
}

/* -- the whole -------------------------------------------------------------- */

static unsigned allowed_cpus(void)
{
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof set, &set))
		return 1;
	unsigned count = (unsigned)CPU_COUNT(&set);
	return count < BLOCK_MAX_LANES ? count : BLOCK_MAX_LANES - 1;
}

/* Takes the strings of `top` over. */
static void take_top(struct settings *settings, struct top_options *top)
{
	settings->data_directory = top->data_directory;
	settings->state_directory = top->state_directory;
	settings->run_directory = top->run_directory;
	settings->naming_authority = top->naming_authority;
	log_level_from_name(log_levels[top->log_level], &settings->log_level);
	settings->ring = top->ring ? rings[top->ring] : NULL;
	settings->reactors =
		top->reactors ? (unsigned)top->reactors : allowed_cpus();
	settings->pin_reactors = top->pin_reactors;
	settings->spin_us = (uint32_t)top->spin_us;
	settings->buffer_bytes = top->buffer_bytes;
	settings->table_cache_bytes = top->table_cache_bytes;
	settings->read_cache_bytes = top->read_cache_bytes;
	settings->space_threshold_percent = (unsigned)top->space_threshold;
}

static int name_run_directory(struct settings *settings, struct err *err)
{
	if (settings->run_directory)
		return 0;
	if (asprintf(&settings->run_directory, "%s/run",
		    settings->state_directory) >= 0)
		return 0;
	settings->run_directory = NULL;
	return err_set(err, ENOMEM, "out of memory");
}

static int read_tree(
	struct settings *settings, const struct doc *root, struct err *err)
{
	struct top_options top;
	if (opts_parse(top_specs, root, NULL, &top, sizeof top, err))
		return -EINVAL;
	take_top(settings, &top);
	if (!name_is_iqn(settings->naming_authority))
		return doc_error(doc_find(root, "naming_authority"), err,
			EINVAL, NAME_IQN_RULE, settings->naming_authority);
	int result = name_run_directory(settings, err);
	if (!result)
		result = read_api(&settings->api, top.api, err);
	if (!result)
		result = read_iscsi(&settings->iscsi, top.iscsi, err);
	return result ? result : read_portals(settings, top.portals, err);
}

int settings_read(
	const struct doc *root, struct settings *settings, struct err *err)
{
	memset(settings, 0, sizeof *settings);
	int result = read_tree(settings, root, err);
	if (result)
		settings_free(settings);
	return result;
}

int settings_load(const char *path, struct settings *settings, struct err *err)
{
	memset(settings, 0, sizeof *settings);
	struct doc *root = doc_parse_file(path, err);
	if (!root)
		return -EINVAL;
	int result = settings_read(root, settings, err);
	doc_free(root);
	return result;
}

void settings_free(struct settings *settings)
{
	for (unsigned i = 0; i < settings->portals; i++)
		portals_clear(&settings->portal[i]);
	free(settings->portal);
	free(settings->data_directory);
	free(settings->state_directory);
	free(settings->run_directory);
	free(settings->api.address);
	free(settings->api.client_ca);
	free(settings->api.url);
	free(settings->naming_authority);
	memset(settings, 0, sizeof *settings);
}

void settings_print_help(FILE *out)
{
	fputs("Settings (such as etc/cairn.yaml):\n", out);
	opts_print_help(top_specs, out);
	fputs("In api:\n", out);
	opts_print_help(api_specs, out);
	portals_print_help(out);
	fputs("In iscsi:\n", out);
	opts_print_help(iscsi_specs, out);
}
