/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may reach what: looking things up in an access table, and its end.
 * Parsing of names and networks is in access_parse.c.
 *
 * Invariants
 *  1. Nothing here allocates or locks; a table in use never changes.
 *  2. What does not match is denied: an export without hosts is seen by none.
 */
#include "target/volume/access.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* -- life ------------------------------------------------------------------ */

static void get(atomic_uint *references)
{
	atomic_fetch_add_explicit(references, 1, memory_order_relaxed);
}

/* True if it was the last one. */
static bool put(atomic_uint *references)
{
	unsigned before =
		atomic_fetch_sub_explicit(references, 1, memory_order_acq_rel);

	assert(before > 0);
	return before == 1;
}

static void free_secret(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

#define PART(kind) \
	struct access_##kind *access_##kind##_new(void) \
	{ \
		struct access_##kind *part = calloc(1, sizeof *part); \
		if (part) \
			atomic_init(&part->references, 1); \
		return part; \
	} \
	struct access_##kind *access_##kind##_get(struct access_##kind *part) \
	{ \
		get(&part->references); \
		return part; \
	}
PART(host)
PART(portal)
PART(target)

void access_host_put(struct access_host *host)
{
	if (!host || !put(&host->references))
		return;
	for (unsigned n = 0; n < host->iqns; n++)
		free(host->iqn[n]);
	free(host->iqn);
	free(host->network);
	free(host->name);
	free(host->chap.user);
	free_secret(host->chap.secret);
	free(host->chap.mutual_user);
	free_secret(host->chap.mutual_secret);
	free(host);
}

void access_portal_put(struct access_portal *portal)
{
	if (!portal || !put(&portal->references))
		return;
	free(portal->name);
	free(portal->address);
	free(portal->advertised);
	free(portal);
}

void access_target_put(struct access_target *target)
{
	if (!target || !put(&target->references))
		return;
	for (unsigned n = 0; n < target->exports; n++)
		free(target->export[n].host);
	for (unsigned n = 0; n < target->portals; n++)
		access_portal_put(target->portal[n]);
	free(target->export);
	free(target->portal);
	free(target->iqn);
	free(target->alias);
	free(target);
}

struct access_table *access_get(struct access_table *table)
{
	get(&table->references);
	return table;
}

void access_put(struct access_table *table)
{
	if (!table || !put(&table->references))
		return;
	for (unsigned i = 0; i < table->targets; i++)
		access_target_put(table->target[i]);
	for (unsigned i = 0; i < table->portals; i++)
		access_portal_put(table->portal[i]);
	for (unsigned i = 0; i < table->hosts; i++)
		access_host_put(table->host[i]);
	free(table->target);
	free(table->portal);
	free(table->host);
	free(table->management_url);
	free(table);
}

/* -- portals --------------------------------------------------------------- */

bool access_portal_copy(
	struct access_portal *to, const struct access_portal *from)
{
	to->port = from->port;
	to->group = from->group;
	to->name = strdup(from->name);
	to->address = strdup(from->address);
	to->advertised = from->advertised ? strdup(from->advertised) : NULL;
	return to->name && to->address && (to->advertised || !from->advertised);
}

bool access_portal_same(
	const struct access_portal *a, const struct access_portal *b)
{
	bool both = a->advertised && b->advertised;

	return a->group == b->group && !strcmp(a->name, b->name) &&
		!strcmp(a->address, b->address) &&
		(both ? !strcmp(a->advertised, b->advertised)
		      : a->advertised == b->advertised);
}

struct access_portal *access_find_portal(
	const struct access_table *table, const char *name)
{
	for (unsigned i = 0; i < table->portals; i++)
		if (!strcmp(table->portal[i]->name, name))
			return table->portal[i];
	return NULL;
}

/* -- targets and exports --------------------------------------------------- */

const struct access_target *access_find_target(
	const struct access_table *table, const char *iqn)
{
	for (unsigned i = 0; i < table->targets; i++)
		if (!strcmp(table->target[i]->iqn, iqn))
			return table->target[i];
	return NULL;
}

bool access_on_portal(
	const struct access_target *target, const struct access_portal *portal)
{
	for (unsigned i = 0; i < target->portals; i++)
		if (!strcmp(target->portal[i]->name, portal->name))
			return true;
	return target->portals == 0;
}

bool access_names(
	const struct access_export *export, const struct access_host *host)
{
	for (unsigned i = 0; i < export->hosts; i++)
		if (export->host[i] == host)
			return true;
	return false;
}

bool access_allows(
	const struct access_target *target, const struct access_host *host)
{
	for (unsigned i = 0; i < target->exports; i++)
		if (access_names(&target->export[i], host))
			return true;
	return false;
}

/* -- hosts ----------------------------------------------------------------- */

/* How particular a name condition is about `iqn`: -1 it does not fit, else more
 * for a longer prefix and most for the whole name. */
static int name_rank(const char *pattern, const char *iqn)
{
	size_t length = strlen(pattern);

	if (length > 0 && pattern[length - 1] == '*')
		return strncmp(pattern, iqn, length - 1) ? -1 : (int)length - 1;
	return strcmp(pattern, iqn) ? -1 : (int)ACCESS_NAME_BYTES;
}

static int best_name_rank(const struct access_host *host, const char *iqn)
{
	int best = -1;

	for (unsigned i = 0; i < host->iqns; i++) {
		int rank = name_rank(host->iqn[i], iqn);

		if (rank > best)
			best = rank;
	}
	return best;
}

bool access_knows_name(const struct access_table *table, const char *iqn)
{
	for (unsigned i = 0; i < table->hosts; i++)
		if (best_name_rank(table->host[i], iqn) >= 0)
			return true;
	return false;
}

static int network_rank(
	const struct access_host *host, const struct sockaddr *peer)
{
	int best = host->networks == 0 ? 0 : -1;

	for (unsigned i = 0; i < host->networks; i++) {
		const struct access_network *network = &host->network[i];

		if (access_network_holds(network, peer) &&
			(int)network->prefix > best)
			best = (int)network->prefix;
	}
	return best;
}

/* Name first, network second; -1 if a condition does not fit. */
static int host_rank(const struct access_host *host, const char *iqn,
	const struct sockaddr *peer)
{
	int name = best_name_rank(host, iqn);
	int network = network_rank(host, peer);

	return name < 0 || network < 0 ? -1 : name * 256 + network;
}

bool access_fits(const struct access_host *host, const char *iqn,
	const struct sockaddr *peer)
{
	return host_rank(host, iqn, peer) >= 0;
}

static const struct access_host *find_host(const struct access_table *table,
	const struct access_target *target, const char *iqn,
	const struct sockaddr *peer)
{
	const struct access_host *best = NULL;
	int best_rank = -1;

	for (unsigned i = 0; i < table->hosts; i++) {
		const struct access_host *host = table->host[i];
		int rank = host_rank(host, iqn, peer);

		if (rank <= best_rank ||
			(target && !access_allows(target, host)))
			continue;
		best = host;
		best_rank = rank;
	}
	return best;
}

const struct access_host *access_find_host(const struct access_table *table,
	const char *iqn, const struct sockaddr *peer)
{
	return find_host(table, NULL, iqn, peer);
}

const struct access_host *access_find_host_for(const struct access_table *table,
	const struct access_target *target, const char *iqn,
	const struct sockaddr *peer)
{
	return find_host(table, target, iqn, peer);
}

static int compare_fits(const void *a, const void *b)
{
	const struct access_fit *first = a, *second = b;

	if (first->rank != second->rank)
		return first->rank > second->rank ? -1 : 1;
	return first->order < second->order ? -1 : 1;
}

unsigned access_list_fits(const struct access_table *table, const char *iqn,
	const struct sockaddr *peer, struct access_fit *fit)
{
	unsigned fits = 0;

	for (unsigned i = 0; i < table->hosts; i++) {
		int rank = host_rank(table->host[i], iqn, peer);

		if (rank >= 0)
			fit[fits++] =
				(struct access_fit){table->host[i], rank, i};
	}
	qsort(fit, fits, sizeof *fit, compare_fits);
	return fits;
}
