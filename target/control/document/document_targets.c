/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Targets and exports of the appliance document: the names that hosts connect to,
 * and which volume which host sees there as which LUN.
 */
#include "target/control/document/document_parts.h"

#include "blockcore/base/opts.h"
#include "target/control/document/names.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LUN 16383u /* flat addressing: SAM-5 4.7.6.3 */

struct target_options {
	char *iqn, *name, *alias;
	const struct doc *portals;
};
struct export_options {
	char *volume, *through, *target;
	const struct doc *hosts;
	uint64_t lun;
	bool read_only;
};

#define ROW(of, key, kind, more, text) \
	{ \
		.name = #key, .type = kind, .flags = more, \
		.offset = offsetof(struct of, key), .help = text \
	}
static const struct opt_spec target_specs[] = {
	ROW(target_options, iqn, OPT_STRING, OPT_OPTIONAL, "its whole name"),
	ROW(target_options, name, OPT_STRING, OPT_OPTIONAL,
		"the end of its name, behind the naming authority and ':'"),
	{.name = "alias",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.offset = offsetof(struct target_options, alias),
		.max = 255,
		.help = "a text for people, shown at login"},
	ROW(target_options, portals, OPT_DOC, OPT_OPTIONAL,
		"names of portals; none: all"),
	OPT_END};
static const struct opt_spec export_specs[] = {
	ROW(export_options, volume, OPT_STRING, 0, "name of a volume"),
	ROW(export_options, through, OPT_STRING, OPT_OPTIONAL,
		"an alias of it, whose listeners these hosts meet; its "
		"identity stays the volume's"),
	ROW(export_options, target, OPT_STRING, 0, "iqn or name of a target"),
	{.name = "lun",
		.type = OPT_UINT,
		.offset = offsetof(struct export_options, lun),
		.max = MAX_LUN,
		.help = "number that hosts see"},
	ROW(export_options, hosts, OPT_DOC, 0, "names of hosts that see it"),
	{.name = "read_only",
		.type = OPT_BOOL,
		.offset = offsetof(struct export_options, read_only),
		.fallback = "false",
		.help = "these hosts may not write"},
	OPT_END};

void document_print_targets_help(FILE *out)
{
	fputs("Each of targets:\n", out);
	opts_print_help(target_specs, out);
	fputs("Each of exports:\n", out);
	opts_print_help(export_specs, out);
}

void document_print_target_schema(FILE *out)
{
	static const struct opt_schema target[] = {
		{"",
			"\"oneOf\": [{\"required\": [\"iqn\"]}, "
			"{\"required\": [\"name\"]}], "},
		{"iqn", "\"minLength\": 1, \"maxLength\": 223, "},
		{"name", "\"minLength\": 1, \"maxLength\": 223, "},
		{"portals", DOCUMENT_NAMES_SCHEMA}, {NULL, NULL}};
	static const struct opt_schema export[] = {
		{"volume", DOCUMENT_NAME_SCHEMA},
		{"through", DOCUMENT_NAME_SCHEMA},
		{"target", "\"minLength\": 1, \"maxLength\": 223, "},
		{"hosts", DOCUMENT_NAMES_SCHEMA}, {NULL, NULL}};
	fputs("\"target\": ", out);
	opts_print_schema_with(target_specs, target, out);
	fputs(",\n\"export\": ", out);
	opts_print_schema_with(export_specs, export, out);
}

/* A copy with malloc, NULL with *err. */
static char *copy_text(const char *text, struct err *err)
{
	char *copy = strdup(text);
	if (!copy)
		err_set(err, ENOMEM, "out of memory");
	return copy;
}

/* The whole, folded name of what a document calls `text`; NULL if it is none. */
static const char *whole_name(char folded[ACCESS_NAME_BYTES], const char *text,
	const struct settings *settings, bool short_form)
{
	char whole[2 * ACCESS_NAME_BYTES];
	int length = short_form ? snprintf(whole, sizeof whole, "%s:%s",
					  settings->naming_authority, text)
				: snprintf(whole, sizeof whole, "%s", text);
	if (length >= (int)ACCESS_NAME_BYTES ||
		!access_fold_name(folded, whole, (size_t)length))
		return NULL;
	return folded;
}

/* -- portals ---------------------------------------------------------------- */

static int read_target_portals(const struct access_table *table,
	struct access_target *target, const struct doc *list, struct err *err)
{
	unsigned count;
	if (document_count(list, SETTINGS_MAX_PORTALS, &count, err))
		return -EINVAL;
	if (list && !count)
		return doc_error(list, err, EINVAL,
			"an empty list closes the target; leave the key out "
			"for all portals");
	target->portal = calloc(count + 1, sizeof *target->portal);
	if (!target->portal)
		return err_set(err, ENOMEM, "out of memory");
	for (const struct doc *node = count ? list->first : NULL; node;
		node = node->next) {
		const char *name;
		int failed = doc_text(node, &name, err);
		if (failed)
			return failed;
		struct access_portal *portal = access_find_portal(table, name);
		if (!portal)
			return doc_error(node, err, ENOENT,
				"there is no portal \"%s\"", name);
		target->portal[target->portals++] = access_portal_get(portal);
	}
	return 0;
}

/* -- targets ---------------------------------------------------------------- */

/* `slot` has it in the table. */
static int name_target(struct document *document, struct access_target **slot,
	const struct doc *node, const struct target_options *o,
	const struct settings *settings, struct err *err)
{
	char folded[ACCESS_NAME_BYTES];
	if (!o->iqn == !o->name)
		return doc_error(
			node, err, EINVAL, "either iqn or name is expected");
	const struct doc *at = doc_find(node, o->iqn ? "iqn" : "name");
	if (o->name && !*o->name)
		return doc_error(at, err, EINVAL,
			"it is empty: a name has one character at least");
	if (!whole_name(folded, o->iqn ? o->iqn : o->name, settings, !o->iqn))
		return doc_error(at, err, EINVAL, NAME_IQN_RULE,
			o->iqn ? o->iqn : o->name);
	if (map_find_text(&document->target_names, folded))
		return doc_error(at, err, EEXIST,
			"a target \"%s\" is there already", folded);
	(*slot)->iqn = copy_text(folded, err);
	if (!(*slot)->iqn)
		return -ENOMEM;
	return map_put_text(&document->target_names, (*slot)->iqn, slot)
		? err_set(err, ENOMEM, "out of memory")
		: 0;
}

static int read_target(struct document *document, const struct doc *node,
	const struct settings *settings, struct err *err)
{
	struct access_table *table = document->table;
	struct target_options o;
	if (opts_parse(target_specs, node, NULL, &o, sizeof o, err))
		return -EINVAL;
	struct access_target *target = access_target_new();
	if (!target) {
		opts_free(target_specs, &o);
		return err_set(err, ENOMEM, "out of memory");
	}
	struct access_target **slot = &table->target[table->targets++];
	*slot = target;
	int failed = name_target(document, slot, node, &o, settings, err);
	if (!failed) {
		target->alias = o.alias;
		o.alias = NULL;
		failed = read_target_portals(table, target, o.portals, err);
	}
	opts_free(target_specs, &o);
	return failed;
}

int document_read_targets(struct document *document, const struct doc *list,
	const struct settings *settings, struct err *err)
{
	struct access_table *table = document->table;
	unsigned count;
	int failed = document_count(list, DOCUMENT_MAX_TARGETS, &count, err);
	if (failed)
		return failed;
	table->target = calloc(count + 1, sizeof *table->target);
	if (!table->target)
		return err_set(err, ENOMEM, "out of memory");
	for (const struct doc *node = count ? list->first : NULL;
		node && !failed; node = node->next)
		failed = read_target(document, node, settings, err);
	return failed;
}

/* -- exports ---------------------------------------------------------------- */

/* Where it stands in the table. */
static struct access_target **find_target(const struct document *document,
	const char *text, const struct settings *settings)
{
	char folded[ACCESS_NAME_BYTES];
	struct access_target **target = NULL;
	if (whole_name(folded, text, settings, false))
		target = map_find_text(&document->target_names, folded);
	if (!target && whole_name(folded, text, settings, true))
		target = map_find_text(&document->target_names, folded);
	return target;
}

static const struct access_export *export_of(
	const struct document *document, const struct document_export *place)
{
	return &document->table->target[place->target]->export[place->slot];
}

/* A host that both name. */
static const struct access_host *shared_host(
	const struct access_export *one, const struct access_export *other)
{
	for (unsigned h = 0; h < one->hosts * other->hosts; h++) {
		if (one->host[h % one->hosts] == other->host[h / one->hosts])
			return one->host[h % one->hosts];
	}
	return NULL;
}

/* No host may see two volumes under one number. Those at one place are in a chain,
 * the first one stays at its head. */
static int check_place(struct document *document, struct document_export *place,
	const struct doc *node, struct err *err)
{
	const struct access_export *export = export_of(document, place);
	struct document_export *first =
		map_find(&document->places, place->place, sizeof place->place);
	for (struct document_export *other = first; other;
		other = other->below) {
		const struct access_host *host =
			shared_host(export_of(document, other), export);
		if (host)
			return doc_error(doc_find(node, "lun"), err, EEXIST,
				"host \"%s\" sees volume \"%s\" as LUN %u of "
				"this target already",
				host->name,
				document->volume[other->volume].settings.name,
				export->lun);
	}
	if (first) {
		place->below = first->below;
		first->below = place;
		return 0;
	}
	return map_put(&document->places, place->place, sizeof place->place,
		       place)
		? err_set(err, ENOMEM, "out of memory")
		: 0;
}

static int read_export_hosts(const struct document *document,
	struct access_export *export, const struct doc *list, struct err *err)
{
	unsigned count;
	if (document_count(list, DOCUMENT_MAX_HOSTS, &count, err))
		return -EINVAL;
	if (!count)
		return doc_error(list, err, EINVAL,
			"at least one host is expected: who is not named does "
			"not see the volume");
	export->host = calloc(count, sizeof *export->host);
	if (!export->host)
		return err_set(err, ENOMEM, "out of memory");
	for (const struct doc *node = list->first; node; node = node->next) {
		const char *name;
		int failed = doc_text(node, &name, err);
		if (failed)
			return failed;
		const struct access_host *host =
			map_find_text(&document->host_names, name);
		if (!host)
			return doc_error(node, err, ENOENT,
				"there is no host \"%s\"", name);
		export->host[export->hosts++] = host;
	}
	return 0;
}

/* Room for one more. */
static struct access_export *grow_exports(
	struct access_target *target, struct err *err)
{
	struct access_export *larger = realloc(
		target->export, (target->exports + 1) * sizeof *target->export);
	if (!larger) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	target->export = larger;
	memset(&larger[target->exports], 0, sizeof *larger);
	return &larger[target->exports];
}

#define ALIASES_MOST 16u /* of aliases */

/* Whether it shows `volume` and nothing else: an alias of it, or of one. */
static bool is_alias_of(const struct document *document,
	const struct document_volume *alias, const char *volume)
{
	for (unsigned i = 0; alias && i < ALIASES_MOST; i++) {
		const struct doc *below = doc_find(alias->source, "source");
		if (!below || below->kind != DOC_SCALAR ||
			doc_find(alias->source, "view"))
			return false;
		if (!strcmp(below->text, volume))
			return true;
		alias = document_find_volume(document, below->text);
	}
	return false;
}

static int read_through(struct document *document, const struct doc *node,
	const struct export_options *o, struct document_export *place,
	struct err *err)
{
	const struct document_volume *through;
	place->through = DOCUMENT_NO_VOLUME;
	if (!o->through)
		return 0;
	through = document_find_volume(document, o->through);
	if (!through)
		return doc_error(doc_find(node, "through"), err, ENOENT,
			"there is no volume \"%s\"", o->through);
	if (!is_alias_of(document, through, o->volume))
		return doc_error(doc_find(node, "through"), err, EINVAL,
			"volume \"%s\" is no alias of volume \"%s\": its "
			"source "
			"has to be {source: %s}, with listeners",
			o->through, o->volume, o->volume);
	if (through->settings.block_bytes !=
		document->volume[place->volume].settings.block_bytes)
		return doc_error(doc_find(node, "through"), err, EINVAL,
			"volume \"%s\" has blocks of another size than volume "
			"\"%s\"",
			o->through, o->volume);
	place->through = (unsigned)(through - document->volume);
	return 0;
}

static int read_references(struct document *document, const struct doc *node,
	const struct export_options *o, const struct settings *settings,
	struct document_export *place, struct err *err)
{
	const struct document_volume *volume =
		document_find_volume(document, o->volume);
	if (!volume)
		return doc_error(doc_find(node, "volume"), err, ENOENT,
			"there is no volume \"%s\"", o->volume);
	struct access_target **target =
		find_target(document, o->target, settings);
	if (!target)
		return doc_error(doc_find(node, "target"), err, ENOENT,
			"there is no target \"%s\"", o->target);
	place->at = node;
	place->volume = (unsigned)(volume - document->volume);
	place->target = (unsigned)(target - document->table->target);
	place->slot = (*target)->exports;
	place->place[0] = place->target;
	place->place[1] = (uint32_t)o->lun;
	return read_through(document, node, o, place, err);
}

static int add_export(struct document *document, const struct doc *node,
	const struct export_options *o, const struct settings *settings,
	struct err *err)
{
	struct document_export *place = &document->export[document->exports];
	int failed = read_references(document, node, o, settings, place, err);
	if (failed)
		return failed;
	struct access_target *target = document->table->target[place->target];
	struct access_export *export = grow_exports(target, err);
	if (!export)
		return -ENOMEM;
	export->lun = (uint16_t)o->lun;
	export->read_only = o->read_only;
	target->exports++; /* also with a mistake: it owns its list of hosts */
	failed = read_export_hosts(document, export, o->hosts, err);
	if (!failed)
		failed = check_place(document, place, node, err);
	document->exports++;
	return failed;
}

int document_read_exports(struct document *document, const struct doc *list,
	const struct settings *settings, struct err *err)
{
	unsigned count;
	int failed = document_count(list, DOCUMENT_MAX_EXPORTS, &count, err);
	if (failed)
		return failed;
	document->export = calloc(count + 1, sizeof *document->export);
	if (!document->export)
		return err_set(err, ENOMEM, "out of memory");
	for (const struct doc *node = count ? list->first : NULL;
		node && !failed; node = node->next) {
		struct export_options o;
		failed =
			opts_parse(export_specs, node, NULL, &o, sizeof o, err);
		if (failed)
			break;
		failed = add_export(document, node, &o, settings, err);
		opts_free(export_specs, &o);
	}
	return failed;
}
