/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access tables for tests: see tables.h.
 */
#include "tests/lib/tables.h"

#include "blockcore/base/err.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

/* The next word of a list, malloced; NULL at the end. */
static char *next_word(const char **at)
{
	size_t bytes;

	if (!*at)
		return NULL;
	*at += strspn(*at, " ");
	bytes = strcspn(*at, " ");
	if (!bytes)
		return NULL;
	*at += bytes;
	return strndup(*at - bytes, bytes);
}

static void build_host(struct access_host *host, const struct tables_host *from)
{
	const char *at = from->iqns;
	char *word;

	host->name = copy(from->name);
	host->iqn = calloc(16, sizeof *host->iqn);
	while ((word = next_word(&at)))
		host->iqn[host->iqns++] = word;
	host->network = calloc(16, sizeof *host->network);
	at = from->networks;
	while ((word = next_word(&at))) {
		struct err err = {0};
		int rc = access_parse_network(
			word, &host->network[host->networks++], &err);

		if (rc)
			fprintf(stderr, "%s\n", err.text);
		assert(rc == 0);
		free(word);
	}
	host->chap = (struct access_chap){copy(from->user), copy(from->secret),
		copy(from->mutual_user), copy(from->mutual_secret), from->weak};
}

static const struct access_host *find_host(
	const struct access_table *table, const char *name)
{
	for (unsigned i = 0; i < table->hosts; i++)
		if (!strcmp(table->host[i]->name, name))
			return table->host[i];
	abort(); /* the test names a host that it did not describe */
}

static void add_export(const struct access_table *table,
	struct access_target *target, const char *hosts)
{
	struct access_export *export = &target->export[target->exports];
	char *word;

	if (!hosts)
		return;
	export->lun = (uint16_t)target->exports++;
	export->host = calloc(16, sizeof *export->host);
	while ((word = next_word(&hosts))) {
		export->host[export->hosts++] = find_host(table, word);
		free(word);
	}
}

static void build_target(const struct access_table *table,
	struct access_target *target, const struct tables_target *from)
{
	const char *at = from->portals;
	char *word;

	target->iqn = copy(from->iqn);
	target->alias = copy(from->alias);
	target->export = calloc(2, sizeof *target->export);
	add_export(table, target, from->hosts);
	add_export(table, target, from->more_hosts);
	target->portal = calloc(16, sizeof(*target->portal));
	while ((word = next_word(&at))) {
		for (unsigned i = 0; i < table->portals; i++)
			if (!strcmp(table->portal[i]->name, word))
				target->portal[target->portals++] =
					access_portal_get(table->portal[i]);
		free(word);
	}
}

struct access_table *tables_build(const struct tables_host *hosts,
	const struct tables_portal *portals,
	const struct tables_target *targets)
{
	struct access_table *table = calloc(1, sizeof *table);

	atomic_init(&table->references, 1);
	for (unsigned n = 0; hosts[n].name; n++)
		table->hosts = n + 1;
	for (unsigned n = 0; portals[n].name; n++)
		table->portals = n + 1;
	for (unsigned n = 0; targets[n].iqn; n++)
		table->targets = n + 1;
	table->host = calloc(table->hosts + 1, sizeof *table->host);
	table->portal = calloc(table->portals + 1, sizeof *table->portal);
	table->target = calloc(table->targets + 1, sizeof *table->target);
	for (unsigned i = 0; i < table->hosts; i++) {
		table->host[i] = access_host_new();
		build_host(table->host[i], &hosts[i]);
	}
	for (unsigned i = 0; i < table->portals; i++) {
		struct access_portal *portal = access_portal_new();

		portal->name = copy(portals[i].name);
		portal->address = copy(portals[i].address);
		portal->port = portals[i].port;
		portal->advertised = copy(portals[i].advertised);
		portal->group = portals[i].group;
		table->portal[i] = portal;
	}
	for (unsigned i = 0; i < table->targets; i++) {
		table->target[i] = access_target_new();
		build_target(table, table->target[i], &targets[i]);
	}
	return table;
}

const struct access_export *tables_find_lun(const struct access_target *target,
	const struct access_host *host, uint16_t lun)
{
	for (unsigned i = 0; i < target->exports; i++)
		if (target->export[i].lun == lun &&
			access_names(&target->export[i], host))
			return &target->export[i];
	return NULL;
}
