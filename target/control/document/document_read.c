/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The appliance document as a whole: its parts, identities, what is kept.
 */
#include "target/control/document/document_parts.h"

#include "blockcore/base/opts.h"
#include "target/control/document/portals.h"
#include "target/control/schedule/schedule.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* -- the whole -------------------------------------------------------------- */

struct top_options {
	const struct doc *volumes, *hosts, *portals, *targets, *exports,
		*schedules;
};

#define LIST(key, text) \
	{ \
		.name = #key, .type = OPT_DOC, .flags = OPT_OPTIONAL, \
		.offset = offsetof(struct top_options, key), .help = text \
	}
static const struct opt_spec top_specs[] = {
	LIST(volumes, "what there is to export"),
	LIST(hosts, "who may connect"),
	LIST(portals, "addresses to listen on; none: they stay"),
	LIST(targets, "names that hosts connect to"),
	LIST(exports, "which volume which host sees where"),
	LIST(schedules, "when snapshots are made, and which stay"), OPT_END};

void document_print_help(FILE *out)
{
	fputs("The appliance document (such as etc/demo.yaml):\n", out);
	opts_print_help(top_specs, out);
	document_print_volumes_help(out);
	document_print_hosts_help(out);
	portals_print_help(out);
	document_print_targets_help(out);
	schedule_print_help(out);
}

#define ITEMS(key, kind, most) \
	{ \
		key, \
			"\"type\": [\"array\", \"null\"], " \
			"\"maxItems\": " most ", \"items\": {\"$ref\": " \
			"\"#/$defs/" kind "\"}, " \
	}
void document_print_schema(FILE *out)
{
	static const struct opt_schema more[] = {
		ITEMS("volumes", "volume", "4096"),
		ITEMS("hosts", "host", "4096"),
		ITEMS("portals", "portal", "64, \"minItems\": 1"),
		ITEMS("targets", "target", "1024"),
		ITEMS("exports", "export", "16384"),
		ITEMS("schedules", "schedule", "256"), {NULL, NULL}};
	_Static_assert(DOCUMENT_MAX_VOLUMES == 4096 &&
			DOCUMENT_MAX_HOSTS == 4096 &&
			SETTINGS_MAX_PORTALS == 64 &&
			DOCUMENT_MAX_TARGETS == 1024 &&
			DOCUMENT_MAX_EXPORTS == 16384 &&
			DOCUMENT_MAX_SCHEDULES == 256,
		"as the schema says");
	fputs("{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\","
	      "\n\"title\": \"Appliance document\", \"$ref\": "
	      "\"#/$defs/appliance\",\n\"$defs\": {\"name\": {\"type\": "
	      "\"string\", \"pattern\": "
	      "\"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$\"},\n\"appliance\": ",
		out);
	opts_print_schema_with(top_specs, more, out);
	fputs(",\n", out);
	document_print_volume_schema(out);
	fputs(",\n", out);
	document_print_host_schema(out);
	fputs(",\n", out);
	document_print_portal_schema(out);
	fputs(",\n", out);
	document_print_target_schema(out);
	fputs(",\n", out);
	document_print_schedule_schema(out);
	fputs("}}\n", out);
}

int document_count(
	const struct doc *list, uint32_t max, unsigned *count, struct err *err)
{
	*count = 0;
	if (!list || list->kind == DOC_NULL)
		return 0;
	if (list->kind != DOC_LIST)
		return doc_error(list, err, EINVAL, "a list is expected");
	*count = doc_count(list);
	if (*count > max)
		return doc_error(list, err, EINVAL,
			"%u are too many: at most %u are allowed", *count, max);
	return 0;
}

static int read_parts(struct document *document, const struct doc *portals,
	const struct settings *settings, struct err *err)
{
	struct top_options top;
	int failed = opts_parse(
		top_specs, document->root, NULL, &top, sizeof top, err);
	if (!failed)
		failed = document_read_volumes(document, top.volumes, err);
	if (!failed)
		failed = document_read_hosts(document, top.hosts, err);
	if (!failed && top.portals && top.portals->kind != DOC_NULL)
		portals = top.portals;
	if (!failed)
		failed =
			document_read_portals(document, portals, settings, err);
	if (!failed)
		failed = document_read_targets(
			document, top.targets, settings, err);
	if (!failed)
		failed = document_read_exports(
			document, top.exports, settings, err);
	if (!failed)
		failed = document_read_schedules(document, top.schedules, err);
	return failed;
}

struct document *document_read_over(struct doc *root, const struct doc *portals,
	const struct settings *settings, struct err *err)
{
	struct document *document = calloc(1, sizeof *document);
	if (document)
		document->table = calloc(1, sizeof *document->table);
	if (!document || !document->table) {
		err_set(err, ENOMEM, "out of memory");
		free(document);
		doc_free(root);
		return NULL;
	}
	document->root = root;
	atomic_init(&document->table->references, 1);
	if (!read_parts(document, portals, settings, err))
		return document;
	document_free(document);
	return NULL;
}

struct document *document_read(
	struct doc *root, const struct settings *settings, struct err *err)
{
	return document_read_over(root, NULL, settings, err);
}

struct doc *document_load_tree(const char *path, struct err *err)
{
	struct doc *root = doc_parse_file(path, err);
	if (!root || root->kind != DOC_NULL)
		return root;
	/* More likely a file cut off than a wish to export nothing. */
	doc_error(root, err, EINVAL,
		"the document is empty; to export nothing, write {}");
	doc_free(root);
	return NULL;
}

struct document *document_load(
	const char *path, const struct settings *settings, struct err *err)
{
	struct doc *root = document_load_tree(path, err);
	return root ? document_read(root, settings, err) : NULL;
}

void document_free(struct document *document)
{
	if (!document)
		return;
	access_put(document->table);
	map_free(&document->volume_names);
	map_free(&document->volume_uuids);
	map_free(&document->host_names);
	map_free(&document->target_names);
	map_free(&document->places);
	free(document->volume);
	free(document->host);
	free(document->export);
	free(document->schedule);
	doc_free(document->root);
	free(document);
}

const struct document_volume *document_find_volume(
	const struct document *document, const char *name)
{
	return map_find_text(&document->volume_names, name);
}

/* -- identities ------------------------------------------------------------- */

/* So few names are asked for one by one; of more, all that are kept are read. */
#define FEW_VOLUMES 16u

/* Version 4, variant 1 (RFC 4122 4.4). */
static int make_uuid(uint8_t uuid[16], struct err *err)
{
	if (getrandom(uuid, 16, 0) != 16)
		return err_set(err, EIO, "no random numbers for a UUID");
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
	return 0;
}

/* Whether the volume of that name, which has an identity now, will have it no more. */
static bool lets_go(const struct document *document, const char *name)
{
	const struct document_part *part = document->part;
	const struct document_volume *volume =
		map_find_text(&document->volume_names, name);
	if (volume)
		return volume->uuid_given; /* another: no two are given one */
	for (unsigned i = 0; part && i < part->gone_volumes; i++) {
		if (!strcmp(part->gone_volume[i], name))
			return true;
	}
	return !part;
}

/* Two volumes of one identity would be one to hosts, which would mix their data. */
static int refuse_taken(
	const struct document_volume *volume, const char *name, struct err *err)
{
	return doc_error(doc_find(volume->at, "uuid"), err, EEXIST,
		"volume \"%s\" has the same: an identity goes to another "
		"volume only when the first goes",
		name);
}

struct identities {
	struct document *document;
	struct err *err;
	int failed;
};

static void take_identity(
	void *argument, const char *name, const uint8_t uuid[16])
{
	struct identities *identities = argument;
	struct document *document = identities->document;
	const struct document_volume *given =
		map_find(&document->volume_uuids, uuid, 16);
	struct document_volume *volume =
		map_find_text(&document->volume_names, name);
	if (given && given != volume && !lets_go(document, name))
		identities->failed = refuse_taken(given, name, identities->err);
	if (!volume || volume->uuid_given)
		return;
	memcpy(volume->settings.uuid, uuid, 16);
	volume->uuid_kept = true;
}

static int check_given(const struct document *document,
	const struct document_volume *volume, struct state *state,
	struct err *err)
{
	char name[BLOCK_NAME_BYTES];
	int failed = state_find_uuid(
		state, volume->settings.uuid, name, sizeof name, err);
	if (failed)
		return failed == -ENOENT ? 0 : failed;
	return !strcmp(name, volume->settings.name) || lets_go(document, name)
		? 0
		: refuse_taken(volume, name, err);
}

static int find_identity(const struct document *document,
	struct document_volume *volume, struct state *state, struct err *err)
{
	struct volume_settings *s = &volume->settings;
	if (volume->uuid_given)
		return check_given(document, volume, state, err);
	int failed = state_find_volume(state, s->name, s->uuid, err);
	volume->uuid_kept = !failed;
	return failed == -ENOENT ? 0 : failed;
}

static int find_identities(
	struct document *document, struct state *state, struct err *err)
{
	struct identities identities = {.document = document, .err = err};
	int failed = 0;
	if (document->volumes > FEW_VOLUMES) {
		failed = state_each_volume(
			state, take_identity, &identities, err);
		return failed ? failed : identities.failed;
	}
	for (unsigned i = 0; !failed && i < document->volumes; i++)
		failed = find_identity(
			document, &document->volume[i], state, err);
	return failed;
}

int document_identify(
	struct document *document, struct state *state, struct err *err)
{
	int failed = find_identities(document, state, err);
	for (unsigned i = 0; !failed && i < document->volumes; i++) {
		struct document_volume *volume = &document->volume[i];
		if (!volume->uuid_given && !volume->uuid_kept)
			failed = make_uuid(volume->settings.uuid, err);
	}
	return failed;
}

/* -- what is kept ----------------------------------------------------------- */

char *document_json(const struct document *document)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	if (!out)
		return NULL;
	if (document->root->kind == DOC_NULL)
		fputs("{}", out);
	else
		doc_print_json(document->root, out);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

struct access_table *document_take_table(
	struct document *document, struct volume *const *volume)
{
	struct access_table *table = document->table;
	for (unsigned i = 0; i < document->exports; i++) {
		const struct document_export *e = &document->export[i];
		struct access_export *export =
			&table->target[e->target]->export[e->slot];
		export->volume = volume[e->volume];
		export->through = e->through == DOCUMENT_NO_VOLUME
			? NULL
			: volume[e->through];
	}
	document->table = NULL;
	return table;
}
