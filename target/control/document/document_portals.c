/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Portals of the appliance document. One that has no list of them leaves those as
 * they are; where nothing is known of any yet, they are those of the settings.
 */
#include "target/control/document/document_parts.h"

#include "target/control/document/portals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void document_print_portal_schema(FILE *out)
{
	fputs("\"portal\": ", out);
	portals_print_schema(out);
}

static struct access_portal *add(struct access_table *table, struct err *err)
{
	struct access_portal *portal = access_portal_new();
	if (!portal) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	table->portal[table->portals++] = portal;
	return portal;
}

static int copy_settings(struct access_table *table,
	const struct settings *settings, struct err *err)
{
	for (unsigned i = 0; i < settings->portals; i++) {
		struct access_portal *to = add(table, err);
		if (!to)
			return -ENOMEM;
		if (!access_portal_copy(to, &settings->portal[i]))
			return err_set(err, ENOMEM, "out of memory");
	}
	return 0;
}

static int read_portal(
	struct access_table *table, const struct doc *node, struct err *err)
{
	struct access_portal *portal = add(table, err);
	int failed = portal ? portals_read(node, portal, err) : -ENOMEM;
	for (unsigned i = 0; !failed && i + 1 < table->portals; i++)
		failed = portals_check(node, portal, table->portal[i], err);
	return failed;
}

int document_read_portals(struct document *document, const struct doc *list,
	const struct settings *settings, struct err *err)
{
	struct access_table *table = document->table;
	unsigned count;
	int failed = document_count(list, SETTINGS_MAX_PORTALS, &count, err);
	if (failed)
		return failed;
	table->portal = calloc(SETTINGS_MAX_PORTALS + 1, sizeof *table->portal);
	if (settings->api.url)
		table->management_url = strdup(settings->api.url);
	if (!table->portal || (settings->api.url && !table->management_url))
		return err_set(err, ENOMEM, "out of memory");
	if (!list || list->kind == DOC_NULL)
		return copy_settings(table, settings, err);
	for (const struct doc *node = list->first; node && !failed;
		node = node->next)
		failed = read_portal(table, node, err);
	return failed;
}
