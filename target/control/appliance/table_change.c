/* SPDX-License-Identifier: Apache-2.0 */
/* See table_change.h. */
#include "target/control/appliance/table_change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct making {
	const struct table_change *change;
	const struct document *document;
	const struct document_part *part;
	struct access_table *table; /* that is made */
	struct map gone_hosts, gone_portals, gone_targets; /* names */
	bool portals_change;
	struct map exports; /* ids of those that change or go */
	struct map touched; /* names of targets with exports that come or go */
	/* Hosts as others of the old table or of the document name them, to those
	 * of the new one. */
	struct table_swap *hosts;
	unsigned host_swaps;
	bool failed; /* no memory */
};

static void note(
	struct making *m, struct map *map, const void *key, size_t bytes)
{
	int failed = map_put(map, key, bytes, m);
	m->failed |= failed && failed != -EEXIST;
}

static const void *swapped(
	const struct table_swap *swaps, unsigned count, const void *one)
{
	for (unsigned i = 0; i < count; i++) {
		if (swaps[i].before == one)
			return swaps[i].after;
	}
	return one;
}

/* -- what is touched ---------------------------------------------------------- */

static struct access_target *target_of(
	const struct making *m, const struct document_export *export)
{
	return m->document->table->target[export->target];
}

static void note_exports(struct making *m)
{
	for (unsigned i = 0; i < m->document->exports; i++) {
		const struct document_export *e = &m->document->export[i];
		const struct access_target *target = target_of(m, e);
		if (m->part->export_stays[i])
			continue;
		note(m, &m->touched, target->iqn, strlen(target->iqn));
		note(m, &m->exports, &target->export[e->slot].id,
			sizeof(uint64_t));
	}
	for (unsigned i = 0; i < m->part->gone_exports; i++)
		note(m, &m->exports, &m->part->gone_export[i],
			sizeof(uint64_t));
}

static void note_gone(struct making *m)
{
	const struct document_part *part = m->part;
	for (unsigned i = 0; i < part->gone_hosts; i++)
		note(m, &m->gone_hosts, part->gone_host[i],
			strlen(part->gone_host[i]));
	for (unsigned i = 0; i < part->gone_portals; i++)
		note(m, &m->gone_portals, part->gone_portal[i],
			strlen(part->gone_portal[i]));
	for (unsigned i = 0; i < part->gone_targets; i++)
		note(m, &m->gone_targets, part->gone_target[i],
			strlen(part->gone_target[i]));
}

/* -- hosts -------------------------------------------------------------------- */

/* The host of the document that takes this one's place, or is it. */
static struct access_host *host_in_document(
	const struct making *m, const char *name, bool *stays)
{
	struct access_host *host =
		map_find_text(&m->document->host_names, name);
	for (unsigned i = 0; host && i < m->document->hosts; i++) {
		if (m->document->table->host[i] == host)
			*stays = m->part->host_stays[i];
	}
	return host;
}

static void swap_host(struct making *m, const void *before, const void *after)
{
	m->hosts[m->host_swaps++] = (struct table_swap){before, after};
}

static void carry_host(struct making *m, struct access_host *old)
{
	bool stays = true;
	if (map_find_text(&m->gone_hosts, old->name))
		return;
	struct access_host *other = host_in_document(m, old->name, &stays);
	struct access_host *host = stays ? old : other;
	m->table->host[m->table->hosts++] = access_host_get(host);
	if (!other)
		return;
	if (stays)
		swap_host(m, other, old);
	else
		swap_host(m, old, other);
}

static bool has_host(const struct making *m, const struct access_host *host)
{
	for (unsigned i = 0; i < m->host_swaps; i++) {
		if (m->hosts[i].before == host || m->hosts[i].after == host)
			return true;
	}
	return false;
}

static void make_hosts(struct making *m)
{
	const struct access_table *old = m->change->table;
	for (unsigned i = 0; i < old->hosts; i++)
		carry_host(m, old->host[i]);
	for (unsigned i = 0; i < m->document->hosts; i++) {
		struct access_host *host = m->document->table->host[i];
		if (!has_host(m, host))
			m->table->host[m->table->hosts++] =
				access_host_get(host);
	}
}

/* -- portals ------------------------------------------------------------------ */

static void add_portal(struct making *m, struct access_portal *portal)
{
	m->table->portal[m->table->portals++] = access_portal_get(portal);
}

/* In their order; new ones come last. */
static void make_portals(struct making *m)
{
	const struct access_table *old = m->change->table;
	const struct access_table *more = m->document->table;
	m->portals_change = m->part->gone_portals;
	for (unsigned i = 0; i < more->portals; i++)
		m->portals_change |= !m->part->portal_stays[i];
	for (unsigned i = 0; i < old->portals; i++) {
		struct access_portal *portal = old->portal[i];
		struct access_portal *other =
			access_find_portal(more, portal->name);
		if (map_find_text(&m->gone_portals, portal->name))
			continue;
		add_portal(m, other && m->portals_change ? other : portal);
	}
	for (unsigned i = 0; i < more->portals; i++) {
		if (!access_find_portal(old, more->portal[i]->name))
			add_portal(m, more->portal[i]);
	}
}

/* It names a portal that was made anew. */
static bool moves(const struct making *m, const struct access_target *target)
{
	for (unsigned i = 0; m->portals_change && i < target->portals; i++) {
		const struct access_portal *portal = target->portal[i];
		if (access_find_portal(m->table, portal->name) != portal)
			return true;
	}
	return false;
}

/* -- targets ------------------------------------------------------------------ */

/* Made anew under its name, perhaps. */
static struct volume *volume_after(
	const struct making *m, const struct volume *volume)
{
	return (struct volume *)swapped(
		m->change->volumes, m->change->volume_swaps, volume);
}

static bool is_touched(const struct making *m,
	const struct access_target *target, const struct access_target *other)
{
	if (other || map_find_text(&m->touched, target->iqn) ||
		moves(m, target))
		return true;
	for (unsigned i = 0; i < target->exports; i++) {
		const struct access_export *e = &target->export[i];
		if (map_find(&m->exports, &e->id, sizeof e->id) ||
			volume_after(m, e->volume) != e->volume ||
			volume_after(m, e->through) != e->through)
			return true;
		for (unsigned h = 0; m->host_swaps && h < e->hosts; h++) {
			if (swapped(m->hosts, m->host_swaps, e->host[h]) !=
				e->host[h])
				return true;
		}
	}
	return false;
}

static void add_export(struct making *m, struct access_target *target,
	const struct access_export *from, struct volume *volume,
	struct volume *through)
{
	struct access_export *to = &target->export[target->exports];
	*to = *from;
	to->volume = volume;
	to->through = through;
	to->host = calloc(from->hosts + 1, sizeof *to->host);
	m->failed |= !to->host;
	if (!to->host)
		return;
	for (unsigned h = 0; h < from->hosts; h++)
		to->host[h] = swapped(m->hosts, m->host_swaps, from->host[h]);
	target->exports++;
}

/* What it has already and keeps, and what the document adds. */
static void fill_exports(struct making *m, struct access_target *target,
	const struct access_target *old)
{
	const struct table_change *change = m->change;
	for (unsigned i = 0; old && i < old->exports && !m->failed; i++) {
		const struct access_export *e = &old->export[i];
		if (!map_find(&m->exports, &e->id, sizeof e->id))
			add_export(m, target, e, volume_after(m, e->volume),
				volume_after(m, e->through));
	}
	for (unsigned i = 0; i < m->document->exports && !m->failed; i++) {
		const struct document_export *e = &m->document->export[i];
		const struct access_target *of = target_of(m, e);
		if (!m->part->export_stays[i] && !strcmp(of->iqn, target->iqn))
			add_export(m, target, &of->export[e->slot],
				change -> volume[e->volume],
				e -> through == DOCUMENT_NO_VOLUME
					? NULL
					: change -> volume[e->through]);
	}
}

/* A copy of `from` with the exports of `old` as they will be. */
static void make_target(struct making *m, const struct access_target *from,
	const struct access_target *old)
{
	struct access_target *target = access_target_new();
	m->failed |= !target;
	if (!target)
		return;
	m->table->target[m->table->targets++] = target;
	target->iqn = strdup(from->iqn);
	target->alias = from->alias ? strdup(from->alias) : NULL;
	target->portal = calloc(from->portals + 1, sizeof *target->portal);
	target->export =
		calloc((old ? old->exports : 0) + m->document->exports + 1,
			sizeof *target->export);
	m->failed |= !target->iqn || (from->alias && !target->alias) ||
		!target->portal || !target->export;
	if (m->failed)
		return;
	for (unsigned i = 0; i < from->portals; i++) {
		struct access_portal *portal =
			access_find_portal(m->table, from->portal[i]->name);
		target->portal[target->portals++] =
			access_portal_get(portal ? portal : from->portal[i]);
	}
	fill_exports(m, target, old);
}

/* The document's target of that name, if it changes. */
static const struct access_target *changed_target(
	const struct making *m, const char *iqn)
{
	struct access_target **slot =
		map_find_text(&m->document->target_names, iqn);
	if (!slot || m->part->target_stays[slot - m->document->table->target])
		return NULL;
	return *slot;
}

static void make_targets(struct making *m)
{
	const struct access_table *old = m->change->table;
	struct map known = {0};
	for (unsigned i = 0; i < old->targets && !m->failed; i++) {
		struct access_target *target = old->target[i];
		const struct access_target *other =
			changed_target(m, target->iqn);
		if (other)
			note(m, &known, other->iqn, strlen(other->iqn));
		if (map_find_text(&m->gone_targets, target->iqn))
			continue;
		if (is_touched(m, target, other))
			make_target(m, other ? other : target, target);
		else
			m->table->target[m->table->targets++] =
				access_target_get(target);
	}
	for (unsigned i = 0; i < m->document->table->targets && !m->failed;
		i++) {
		const struct access_target *one = m->document->table->target[i];
		if (!m->part->target_stays[i] &&
			!map_find_text(&known, one->iqn))
			make_target(m, one, NULL);
	}
	map_free(&known);
}

/* -- the table ---------------------------------------------------------------- */

static bool begin(struct making *m)
{
	const struct access_table *old = m->change->table;
	const struct access_table *more = m->document->table;
	struct access_table *table = calloc(1, sizeof *table);
	m->hosts = calloc(more->hosts + 1, sizeof *m->hosts);
	m->table = table;
	if (!table || !m->hosts)
		return false;
	atomic_init(&table->references, 1);
	table->host = calloc(old->hosts + more->hosts + 1, sizeof *table->host);
	table->portal =
		calloc(old->portals + more->portals + 1, sizeof *table->portal);
	table->target =
		calloc(old->targets + more->targets + 1, sizeof *table->target);
	if (old->management_url)
		table->management_url = strdup(old->management_url);
	return table->host && table->portal && table->target &&
		(!old->management_url || table->management_url);
}

static void make(struct making *m)
{
	m->failed = !begin(m);
	if (m->failed)
		return;
	note_exports(m);
	note_gone(m);
	make_hosts(m);
	make_portals(m);
	make_targets(m);
}

struct access_table *table_change(const struct table_change *change)
{
	struct making m = {.change = change,
		.document = change->document,
		.part = change->document->part};
	make(&m);
	map_free(&m.gone_hosts);
	map_free(&m.gone_portals);
	map_free(&m.gone_targets);
	map_free(&m.exports);
	map_free(&m.touched);
	free(m.hosts);
	if (!m.failed)
		return m.table;
	access_put(m.table);
	return NULL;
}
