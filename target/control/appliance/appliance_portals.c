/* SPDX-License-Identifier: Apache-2.0 */
/* See appliance_portals.h. */
#include "target/control/appliance/appliance_portals.h"

#include "blockcore/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct preparing {
	struct iscsi_server *server;
	const struct appliance_portals *now;
	const struct document *document;
	struct appliance_portals *next;
	bool restores;
};

/* Also if `wanted` has the port that was bound already. */
static bool is_equal(const struct appliance_portal *portal,
	const struct access_portal *wanted)
{
	return access_portal_same(portal->as, wanted) &&
		(wanted->port == portal->wanted_port ||
			wanted->port == portal->as->port);
}

static bool is_gone(const struct document_part *part, const char *name)
{
	for (unsigned i = 0; i < part->gone_portals; i++) {
		if (!strcmp(part->gone_portal[i], name))
			return true;
	}
	return false;
}

/* It goes on as it is. */
static bool stays(
	const struct preparing *p, const struct appliance_portal *portal)
{
	const struct document_part *part = p->document->part;
	const struct access_portal *wanted =
		access_find_portal(p->document->table, portal->as->name);
	if (wanted)
		return is_equal(portal, wanted);
	return part && !is_gone(part, portal->as->name);
}

static struct appliance_portal *add(struct preparing *p,
	struct access_portal *as, uint16_t wanted_port,
	struct iscsi_portal *socket, bool fresh)
{
	struct appliance_portal *added = &p->next->portal[p->next->count++];
	*added = (struct appliance_portal){.as = access_portal_get(as),
		.wanted_port = wanted_port,
		.socket = socket,
		.fresh = fresh};
	return added;
}

/* Of this machine, not of the request. */
static int refuse(
	const struct access_portal *wanted, int failed, struct err *err)
{
	err_wrap(err, "portal %s", wanted->name);
	if (failed == -ENOMEM)
		return failed;
	if (err)
		err->code = EBUSY;
	return -EBUSY;
}

/* As it is now. */
static void keep(struct preparing *p, const struct appliance_portal *now)
{
	struct appliance_portal *kept =
		add(p, now->as, now->wanted_port, now->socket, false);
	memcpy(kept->why, now->why, sizeof kept->why);
}

static void add_closed(struct preparing *p, struct access_portal *wanted,
	uint16_t wanted_port, const char *why)
{
	struct appliance_portal *added =
		add(p, wanted, wanted_port, NULL, false);
	snprintf(added->why, sizeof added->why, "%.199s", why);
	atomic_store(&wanted->closed, true);
}

/* One that goes or changes and is where `wanted` will be; NULL: none. */
static const struct appliance_portal *find_place(
	const struct preparing *p, const struct access_portal *wanted)
{
	for (unsigned i = 0; i < p->now->count; i++) {
		const struct appliance_portal *one = &p->now->portal[i];
		if (strcmp(one->as->address, wanted->address) != 0)
			continue;
		if (wanted->port ? wanted->port == one->as->port
				 : !one->wanted_port &&
					!strcmp(one->as->name, wanted->name))
			return stays(p, one) ? NULL : one;
	}
	return NULL;
}

static const struct appliance_portal *find_equal(
	const struct preparing *p, const struct access_portal *wanted)
{
	for (unsigned i = 0; i < p->now->count; i++) {
		if (is_equal(&p->now->portal[i], wanted))
			return &p->now->portal[i];
	}
	return NULL;
}

static int prepare_one(
	struct preparing *p, struct access_portal *wanted, struct err *err)
{
	uint16_t wanted_port = wanted->port;
	struct iscsi_portal *socket;
	struct err why = {0};
	const struct appliance_portal *equal = find_equal(p, wanted);
	if (equal && equal->socket) {
		wanted->port = equal->as->port;
		add(p, wanted, wanted_port, equal->socket, false);
		return 0;
	}
	const struct appliance_portal *place = find_place(p, wanted);
	int failed = iscsi_portal_prepare(
		p->server, wanted, place ? place->socket : NULL, &socket, &why);
	if (failed && failed != -ENOMEM && (equal || p->restores)) {
		add_closed(p, wanted, wanted_port, why.text);
		return 0;
	}
	if (failed) {
		if (err)
			*err = why;
		return refuse(wanted, failed, err);
	}
	wanted->port = iscsi_portal_port(socket);
	add(p, wanted, wanted_port, socket, true);
	return 0;
}

int appliance_portals_prepare(struct iscsi_server *server,
	const struct appliance_portals *now, const struct document *document,
	bool restores, struct appliance_portals *next, struct err *err)
{
	struct preparing p = {.server = server,
		.now = now,
		.document = document,
		.next = next,
		.restores = restores};
	const struct access_table *table = document->table;
	int failed = 0;
	*next = (struct appliance_portals){0};
	next->portal =
		calloc(now->count + table->portals + 1, sizeof *next->portal);
	if (!next->portal)
		return err_set(err, ENOMEM, "out of memory");
	for (unsigned i = 0; document->part && i < now->count; i++) {
		const struct appliance_portal *one = &now->portal[i];
		if (!access_find_portal(table, one->as->name) && stays(&p, one))
			keep(&p, one);
	}
	for (unsigned i = 0; !failed && i < table->portals; i++)
		failed = prepare_one(&p, table->portal[i], err);
	if (failed)
		appliance_portals_undo(next);
	return failed;
}

int appliance_portals_check(const struct appliance_portals *now,
	const struct document *document, struct err *err)
{
	const struct preparing p = {.now = now, .document = document};
	const struct access_table *table = document->table;
	for (unsigned i = 0; i < table->portals; i++) {
		const struct access_portal *wanted = table->portal[i];
		if (find_equal(&p, wanted) || find_place(&p, wanted))
			continue;
		int failed = iscsi_portal_try(wanted, err);
		if (failed)
			return refuse(wanted, failed, err);
	}
	return 0;
}

void appliance_portals_undo(struct appliance_portals *next)
{
	for (unsigned i = 0; i < next->count; i++) {
		if (next->portal[i].fresh)
			iscsi_portal_abandon(next->portal[i].socket);
	}
	appliance_portals_free(next);
}

static bool was_closed(const struct appliance_portals *before,
	const struct appliance_portal *one)
{
	const struct appliance_portal *old =
		appliance_portals_find(before, one->as->name);
	return old && !old->socket && !strcmp(old->why, one->why);
}

static void say_closed(const struct appliance_portals *before,
	const struct appliance_portal *one)
{
	char object[BLOCK_NAME_BYTES + 8];
	if (one->socket || was_closed(before, one))
		return;
	snprintf(object, sizeof object, "portal %s", one->as->name);
	log_error(object, "closed",
		"%s; hosts cannot log in there; tried again until it opens",
		one->why);
}

static bool has_socket(const struct appliance_portals *portals,
	const struct iscsi_portal *socket)
{
	for (unsigned i = 0; i < portals->count; i++) {
		if (portals->portal[i].socket == socket)
			return true;
	}
	return false;
}

void appliance_portals_commit(
	struct appliance_portals *now, struct appliance_portals *next)
{
	for (unsigned i = 0; i < next->count; i++) {
		if (next->portal[i].fresh)
			iscsi_portal_start(next->portal[i].socket);
		next->portal[i].fresh = false;
		say_closed(now, &next->portal[i]);
	}
	for (unsigned i = 0; i < now->count; i++) {
		if (now->portal[i].socket &&
			!has_socket(next, now->portal[i].socket))
			iscsi_portal_close(now->portal[i].socket);
	}
	appliance_portals_free(now);
	*now = *next;
	*next = (struct appliance_portals){0};
}

static void try_again(
	struct iscsi_server *server, struct appliance_portal *portal)
{
	char object[BLOCK_NAME_BYTES + 8];
	struct err err = {0};
	if (iscsi_portal_prepare(
		    server, portal->as, NULL, &portal->socket, &err)) {
		portal->socket = NULL;
		snprintf(portal->why, sizeof portal->why, "%.199s", err.text);
		return;
	}
	portal->why[0] = '\0';
	portal->as->port = iscsi_portal_port(portal->socket);
	atomic_store_explicit(&portal->as->closed, false, memory_order_release);
	iscsi_portal_start(portal->socket);
	snprintf(object, sizeof object, "portal %s", portal->as->name);
	log_info(object, "open", "hosts can log in there: %s port %u",
		portal->as->address, portal->as->port);
}

void appliance_portals_retry(
	struct iscsi_server *server, struct appliance_portals *portals)
{
	for (unsigned i = 0; i < portals->count; i++) {
		if (!portals->portal[i].socket)
			try_again(server, &portals->portal[i]);
	}
}

const struct appliance_portal *appliance_portals_find(
	const struct appliance_portals *portals, const char *name)
{
	for (unsigned i = 0; i < portals->count; i++) {
		if (!strcmp(portals->portal[i].as->name, name))
			return &portals->portal[i];
	}
	return NULL;
}

void appliance_portals_free(struct appliance_portals *portals)
{
	for (unsigned i = 0; i < portals->count; i++)
		access_portal_put(portals->portal[i].as);
	free(portals->portal);
	*portals = (struct appliance_portals){0};
}
