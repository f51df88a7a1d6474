/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SendTargets: what send_targets.h promises.
 */
#include "target/iscsi/send_targets.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESS_BYTES 320u /* a DNS name, a port, a tag */

/* -- who may ask for what -------------------------------------------------- */

/* Appendix C. A Normal session is told of its own target; of others only if the
 * settings say so. */
static bool may_ask(const struct iscsi_login_world *world,
	const struct iscsi_login_result *session, const char *value,
	const struct access_target *named)
{
	if (session->discovery)
		return *value != 0;
	return *value == 0 || named == session->target ||
		world->settings->normal_send_targets_all;
}

/* The entries that the host fits, most particular first. */
static bool list_fits(struct send_targets *list, const char *initiator)
{
	const struct access_table *table = list->table;
	struct access_fit *shrunk;

	list->fit = malloc((table->hosts + 1) * sizeof *list->fit);
	if (!list->fit)
		return false;
	list->fits = access_list_fits(
		table, initiator, list->world->peer, list->fit);
	/* A host that never takes its list to the end keeps no more than this. */
	shrunk = realloc(list->fit, (list->fits + 1) * sizeof *list->fit);
	if (shrunk)
		list->fit = shrunk;
	return true;
}

int send_targets_begin(struct send_targets *list,
	const struct iscsi_login_world *world,
	const struct iscsi_login_result *session, const char *value)
{
	bool all = !strcmp(value, "All");
	char name[ACCESS_NAME_BYTES];
	const struct access_target *named = NULL;

	assert(!list->table);
	if (!all && access_fold_name(name, value, strlen(value)))
		named = access_find_target(world->table, name);
	if (*value == 0)
		named = session->target;
	if (!may_ask(world, session, value, named))
		return -EACCES;
	*list = (struct send_targets){.world = world,
		.table = access_get(world->table),
		.host = session->host,
		.own = session->target,
		.only = named,
		/* a name that is not there: a list that has ended */
		.target = all || named ? 0 : world->table->targets};
	if (list_fits(list, session->initiator))
		return 0;
	send_targets_end(list);
	return -ENOMEM;
}

void send_targets_end(struct send_targets *list)
{
	access_put(list->table);
	free(list->fit);
	list->table = NULL;
	list->fit = NULL;
}

static bool is_shown(
	const struct send_targets *list, const struct access_target *target)
{
	if (list->only && target != list->only)
		return false;
	if (target == list->own)
		return true;
	for (unsigned i = 0; i < list->fits; i++) {
		const struct access_host *host = list->fit[i].host;

		if (access_allows(target, host))
			return host == list->host || !host->chap.secret;
	}
	return false;
}

/* What is_shown may cost. */
static unsigned cost_of(
	const struct send_targets *list, const struct access_target *target)
{
	unsigned hosts = 0;

	if (list->only && target != list->only)
		return 1;
	for (unsigned i = 0; i < target->exports; i++)
		hosts += 1 + target->export[i].hosts;
	return 1 + hosts * (1 + list->fits);
}

/* -- addresses ------------------------------------------------------------- */

static bool is_wildcard(const char *address)
{
	return !strcmp(address, "0.0.0.0") || !strcmp(address, "::");
}

/* "host:port" of a portal, IPv6 in brackets; false if the host that asks could
 * not reach it. */
static bool print_portal(const struct send_targets *list,
	const struct access_portal *portal, char *text, size_t size)
{
	const struct iscsi_login_world *world = list->world;
	const char *local = world->portal_text, *colon = strrchr(local, ':');
	const char *brackets = strchr(portal->address, ':') ? "[]" : "";

	if (portal->advertised) {
		snprintf(text, size, "%s", portal->advertised);
		return true;
	}
	if (!strcmp(portal->name, world->portal->name)) {
		snprintf(text, size, "%s", local);
		return true;
	}
	if (!is_wildcard(portal->address)) {
		snprintf(text, size, "%.1s%s%s:%u", brackets, portal->address,
			*brackets ? brackets + 1 : "", portal->port);
		return true;
	}
	/* another port at the address where the host is connected */
	snprintf(text, size, "%.*s:%u",
		colon ? (int)(colon - local) : (int)strlen(local), local,
		portal->port);
	return !(local[0] == '[' && !*brackets);
}

static void add_portal(const struct send_targets *list,
	const struct access_target *target, const struct access_portal *portal,
	struct keytext_out *out)
{
	char address[ADDRESS_BYTES], text[ADDRESS_BYTES + 8];

	if (atomic_load_explicit(&portal->closed, memory_order_acquire) ||
		!access_on_portal(target, portal) ||
		!print_portal(list, portal, address, sizeof address))
		return;
	snprintf(text, sizeof text, "%s,%u", address, portal->group);
	keytext_add(out, "TargetAddress", text);
}

/* -- the list -------------------------------------------------------------- */

/* The lines of one target from list->line on; false if one did not fit. */
static bool add_lines(struct send_targets *list,
	const struct access_target *target, struct keytext_out *out)
{
	while (list->line <= list->table->portals) {
		if (list->line == 0)
			keytext_add(out, "TargetName", target->iqn);
		else
			add_portal(list, target,
				list->table->portal[list->line - 1], out);
		if (out->overflow)
			return false;
		list->line++;
	}
	return true;
}

/* One target, whole if it fits; false if there is no room now. */
static bool add_target(struct send_targets *list,
	const struct access_target *target, struct keytext_out *out)
{
	uint32_t before = out->bytes;

	if (add_lines(list, target, out))
		return true;
	out->overflow = false;
	if (before > 0 && list->line > 0) { /* whole in the next piece */
		out->bytes = before;
		list->line = 0;
	} else if (before == 0 && out->bytes == 0) {
		list->line++; /* too long for any piece */
	}
	return false;
}

enum send_targets_step send_targets_fill(
	struct send_targets *list, struct keytext_out *out)
{
	const struct access_table *table = list->table;
	unsigned work = 0;

	for (; list->target < table->targets; list->target++) {
		const struct access_target *target =
			table->target[list->target];
		unsigned cost = cost_of(list, target);

		if (work && work + cost > SEND_TARGETS_WORK)
			return SEND_TARGETS_LATER;
		work += cost;
		if (is_shown(list, target) && !add_target(list, target, out))
			return SEND_TARGETS_FULL;
		list->line = 0;
	}
	send_targets_end(list);
	return SEND_TARGETS_ENDED;
}
