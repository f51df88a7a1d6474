/* SPDX-License-Identifier: Apache-2.0 */
/* See portals.h. */
#include "target/control/document/portals.h"

#include "blockcore/base/opts.h"
#include "target/control/document/names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct portal_options {
	char *name, *address, *advertised;
	uint64_t port, group;
};

#define PORTAL(field) offsetof(struct portal_options, field)
static const struct opt_spec specs[] = {{.name = "name",
						.type = OPT_STRING,
						.offset = PORTAL(name),
						.max = 63,
						.help = "what targets call it"},
	{.name = "address",
		.type = OPT_STRING,
		.offset = PORTAL(address),
		.max = 63,
		.help = "numeric IPv4 or IPv6 address; 0.0.0.0, \"::\": all"},
	{.name = "port",
		.type = OPT_UINT,
		.offset = PORTAL(port),
		.max = 65535,
		.fallback = "3260",
		.help = "TCP port; 0: a free one"},
	{.name = "advertised",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.offset = PORTAL(advertised),
		.max = 255,
		.help = "address:port told to hosts, if another (NAT)"},
	{.name = "group",
		.type = OPT_UINT,
		.offset = PORTAL(group),
		.min = 1,
		.max = 65535,
		.fallback = "1",
		.help = "target portal group tag"},
	OPT_END};

void portals_print_help(FILE *out)
{
	fputs("Each of portals:\n", out);
	opts_print_help(specs, out);
}

void portals_print_schema(FILE *out)
{
	static const struct opt_schema more[] = {
		{"name", "\"$ref\": \"#/$defs/name\", "},
		{"address", "\"minLength\": 2, \"maxLength\": 63, "},
		{NULL, NULL}};
	opts_print_schema_with(specs, more, out);
}

/* "192.0.2.1:3260", "[::1]:3260": the address alone in `alone` (of 64 bytes). */
static bool has_port(const char *address, char *alone)
{
	const char *colon = strrchr(address, ':');
	if (!colon || !colon[1] || colon[1 + strspn(colon + 1, "0123456789")])
		return false;
	bool bracketed = *address == '[' && colon > address && colon[-1] == ']';
	snprintf(alone, 64, "%.*s", (int)(colon - address) - 2 * bracketed,
		address + bracketed);
	return bracketed || !strchr(alone, ':');
}

int portals_check_address(
	const struct doc *node, const char *address, struct err *err)
{
	uint8_t bytes[sizeof(struct in6_addr)];
	char alone[64];
	if (inet_pton(AF_INET, address, bytes) == 1 ||
		inet_pton(AF_INET6, address, bytes) == 1)
		return 0;
	if (has_port(address, alone))
		return doc_error(doc_find(node, "address"), err, EINVAL,
			"a port stands beside it: address: \"%s\", port: %s",
			alone, strrchr(address, ':') + 1);
	return doc_error(doc_find(node, "address"), err, EINVAL,
		"\"%s\" is no numeric address, such as 192.0.2.1 or \"::1\"",
		address);
}

int portals_read(
	const struct doc *node, struct access_portal *portal, struct err *err)
{
	struct portal_options o;
	if (opts_parse(specs, node, NULL, &o, sizeof o, err))
		return -EINVAL;
	int failed = name_is_plain(o.name)
		? portals_check_address(node, o.address, err)
		: doc_error(doc_find(node, "name"), err, EINVAL,
			  NAME_PLAIN_RULE, o.name);
	if (failed) {
		opts_free(specs, &o);
		return failed;
	}
	portal->name = o.name;
	portal->address = o.address;
	portal->advertised = o.advertised;
	portal->port = (uint16_t)o.port;
	portal->group = (uint16_t)o.group;
	return 0;
}

int portals_check(const struct doc *node, const struct access_portal *portal,
	const struct access_portal *other, struct err *err)
{
	if (!strcmp(other->name, portal->name))
		return doc_error(doc_find(node, "name"), err, EEXIST,
			"a portal \"%s\" is there already", portal->name);
	if (portal->port && other->port == portal->port &&
		!strcmp(other->address, portal->address))
		return doc_error(doc_find(node, "address"), err, EEXIST,
			"portal \"%s\" has this address and port already",
			other->name);
	return 0;
}

void portals_clear(struct access_portal *portal)
{
	free(portal->name);
	free(portal->address);
	free(portal->advertised);
	portal->name = portal->address = portal->advertised = NULL;
}
