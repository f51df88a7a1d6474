/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes of the appliance document: their settings; what they stand on is left
 * to blockcore (spec_check).
 */
#include "target/control/document/document_parts.h"

#include "blockcore/base/opts.h"
#include "blockcore/spec.h"
#include "target/control/document/names.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct volume_options {
	char *name, *uuid, *vendor, *product;
	const struct doc *source, *snapshots;
	int block_size;
	uint64_t physical_block_size, space_wait;
	bool read_only, removable, thin;
};

static const char *const block_sizes[] = {"512", "4096", NULL};
static const uint32_t block_size_bytes[] = {512, 4096};

#define VOLUME(field) offsetof(struct volume_options, field)
static const struct opt_spec volume_specs[] = {
	{.name = "name",
		.type = OPT_STRING,
		.offset = VOLUME(name),
		.help = "what exports call it"},
	{.name = "source",
		.type = OPT_DOC,
		.offset = VOLUME(source),
		.help = "listeners over one of protocol, format, source"},
	{.name = "uuid",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.offset = VOLUME(uuid),
		.help = "identity; without it one is made and kept"},
	{.name = "block_size",
		.type = OPT_ENUM,
		.offset = VOLUME(block_size),
		.choices = block_sizes,
		.fallback = "512",
		.help = "bytes of a block as hosts address it"},
	{.name = "physical_block_size",
		.type = OPT_SIZE,
		.flags = OPT_OPTIONAL,
		.offset = VOLUME(physical_block_size),
		.min = 512,
		.max = 1u << 20,
		.help = "block size that is good for speed; the source's"},
	{.name = "read_only",
		.type = OPT_BOOL,
		.offset = VOLUME(read_only),
		.fallback = "false",
		.help = "nobody may write"},
	{.name = "removable",
		.type = OPT_BOOL,
		.offset = VOLUME(removable),
		.fallback = "false",
		.help = "a medium that can be ejected"},
	{.name = "thin",
		.type = OPT_BOOL,
		.offset = VOLUME(thin),
		.fallback = "false",
		.help = "hosts may give space back (UNMAP)"},
	{.name = "space_wait",
		.type = OPT_UINT,
		.offset = VOLUME(space_wait),
		.max = 300,
		.fallback = "0",
		.help = "seconds that a write waits for space when none is "
			"left, fewer than hosts wait for it; 0: it fails"},
	{.name = "vendor",
		.type = OPT_STRING,
		.offset = VOLUME(vendor),
		.max = 8,
		.fallback = "CAIRN",
		.help = "as hosts see it"},
	{.name = "product",
		.type = OPT_STRING,
		.offset = VOLUME(product),
		.max = 16,
		.fallback = "VOLUME",
		.help = "as hosts see it"},
	{.name = "snapshots",
		.type = OPT_DOC,
		.flags = OPT_OPTIONAL,
		.offset = VOLUME(snapshots),
		.help = "names of images that its image stands on"},
	OPT_END};

struct snapshot_options {
	char *name, *path, *under;
	const struct doc *source;
	uint64_t created, size;
	bool merging;
};

/* An external snapshot, as REST writes it (snapshots_external.c there). */
#define SNAPSHOT(field) offsetof(struct snapshot_options, field)
static const struct opt_spec snapshot_specs[] = {
	{.name = "name",
		.type = OPT_STRING,
		.offset = SNAPSHOT(name),
		.help = "what it is called"},
	{.name = "path",
		.type = OPT_STRING,
		.offset = SNAPSHOT(path),
		.help = "file of the image that is as it was then"},
	{.name = "under",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.offset = SNAPSHOT(under),
		.help = "file of the image that was put over it"},
	{.name = "source",
		.type = OPT_DOC,
		.flags = OPT_OPTIONAL,
		.offset = SNAPSHOT(source),
		.help = "the image with what is below it, if the volume went "
			"back from it"},
	{.name = "created",
		.type = OPT_UINT,
		.offset = SNAPSHOT(created),
		.max = INT64_MAX,
		.help = "milliseconds since 1970"},
	{.name = "size",
		.type = OPT_SIZE,
		.offset = SNAPSHOT(size),
		.max = INT64_MAX,
		.help = "of the volume then"},
	{.name = "merging",
		.type = OPT_BOOL,
		.offset = SNAPSHOT(merging),
		.fallback = "false",
		.help = "a job writes to it, or has begun to"},
	OPT_END};

void document_print_volumes_help(FILE *out)
{
	fputs("Each of volumes:\n", out);
	opts_print_help(volume_specs, out);
}

void document_print_volume_schema(FILE *out)
{
	static const struct opt_schema more[] = {{"name", DOCUMENT_NAME_SCHEMA},
		{"source", "\"$ref\": \"/api/v1/schemas/source\", "},
		{"snapshots",
			"\"type\": \"array\", \"maxItems\": 256, \"items\": "
			"{\"type\": \"object\"}, "},
		{"uuid",
			"\"pattern\": \"^[0-9A-Fa-f]{8}(-?[0-9A-Fa-f]{4}){3}"
			"-?[0-9A-Fa-f]{12}$\", "},
		{"vendor", "\"pattern\": \"^[ -~]*$\", "},
		{"product", "\"pattern\": \"^[ -~]*$\", "}, {NULL, NULL}};
	fputs("\"volume\": ", out);
	opts_print_schema_with(volume_specs, more, out);
}

/* What INQUIRY shows is printable ASCII. */
static int check_inquiry_text(const struct doc *node, const char *member,
	const char *text, struct err *err)
{
	for (; *text; text++) {
		if (*text < 0x20 || *text > 0x7e)
			return doc_error(doc_find(node, member), err, EINVAL,
				"only printable ASCII is expected");
	}
	return 0;
}

/* -- references ------------------------------------------------------------- */

/* The name of a source is a volume's, one further up: thus nothing stands on
 * itself, and what is below is there first. */
static int check_name(const struct document *document, const struct doc *node,
	struct err *err)
{
	if (document_find_volume(document, node->text))
		return 0;
	return doc_error(node, err, ENOENT,
		"there is no volume \"%s\" further up in this document",
		node->text);
}

static int check_references(const struct document *document,
	const struct doc *source, struct err *err)
{
	const struct doc *format = doc_find(source, "format");
	const struct doc *below[] = {doc_find(source, "source"),
		format ? doc_find(format, "file") : NULL,
		format ? doc_find(format, "backing") : NULL};
	for (int i = 0; i < 3; i++) {
		if (!below[i])
			continue;
		int failed = below[i]->kind == DOC_SCALAR
			? check_name(document, below[i], err)
			: check_references(document, below[i], err);
		if (failed)
			return failed;
	}
	return 0;
}

/* -- one volume ------------------------------------------------------------- */

static int check_uuid(const struct document *document, const struct doc *node,
	const char *text, uint8_t uuid[16], struct err *err)
{
	if (!text)
		return 0;
	node = doc_find(node, "uuid");
	if (!volume_uuid_parse(text, uuid))
		return doc_error(node, err, EINVAL,
			"32 hex digits are expected, such as "
			"2b1f3ad6-8a77-4a1f-9d3e-6f0d0f2f6a11");
	const struct document_volume *other =
		map_find(&document->volume_uuids, uuid, 16);
	if (other)
		return doc_error(node, err, EEXIST,
			"volume \"%s\" has the same", other->settings.name);
	return 0;
}

/* What stands right on `path`, or that and what is below it. */
static int check_place(const struct snapshot_options *o, const struct doc *node,
	struct err *err)
{
	if (o->source)
		return spec_check(o->source, err);
	if (o->under)
		return 0;
	return doc_error(node, err, EINVAL,
		"give under (the file of the image that was put over it), or "
		"source (the image, if the volume went back from it)");
}

/* What the interface keeps of external snapshots: their form. */
static int check_snapshots(const struct doc *list, struct err *err)
{
	unsigned count;
	if (!list)
		return 0;
	if (document_count(list, DOCUMENT_MAX_SNAPSHOTS, &count, err))
		return -EINVAL;
	for (const struct doc *node = count ? list->first : NULL; node;
		node = node->next) {
		struct snapshot_options o;
		if (opts_parse(snapshot_specs, node, NULL, &o, sizeof o, err))
			return -EINVAL;
		bool plain = name_is_plain(o.name);
		if (!plain)
			doc_error(doc_find(node, "name"), err, EINVAL,
				NAME_PLAIN_RULE, o.name);
		bool whole = plain && !check_place(&o, node, err);
		opts_free(snapshot_specs, &o);
		if (!whole)
			return -EINVAL;
	}
	return 0;
}

static int check_volume(const struct document *document, const struct doc *node,
	const struct volume_options *o, struct err *err)
{
	if (!name_is_plain(o->name))
		return doc_error(doc_find(node, "name"), err, EINVAL,
			NAME_PLAIN_RULE, o->name);
	const struct document_volume *other =
		document_find_volume(document, o->name);
	if (other)
		return doc_error(doc_find(node, "name"), err, EEXIST,
			"a volume \"%s\" is there already, in line %u", o->name,
			other->at->line);
	uint64_t physical = o->physical_block_size;
	if (physical & (physical - 1) ||
		(physical && physical < block_size_bytes[o->block_size]))
		return doc_error(doc_find(node, "physical_block_size"), err,
			EINVAL,
			"a power of two is expected, not below block_size");
	int failed = check_inquiry_text(node, "vendor", o->vendor, err);
	if (!failed)
		failed = check_inquiry_text(node, "product", o->product, err);
	if (!failed)
		failed = check_snapshots(o->snapshots, err);
	if (!failed)
		failed = spec_check(o->source, err);
	return failed ? failed : check_references(document, o->source, err);
}

static void fill_volume(struct document_volume *volume, const struct doc *node,
	const struct volume_options *o)
{
	struct volume_settings *s = &volume->settings;
	volume->at = node;
	volume->source = o->source;
	volume->uuid_given = o->uuid;
	memccpy(s->name, o->name, 0, sizeof s->name);
	memccpy(s->vendor, o->vendor, 0, sizeof s->vendor);
	memccpy(s->product, o->product, 0, sizeof s->product);
	s->block_bytes = block_size_bytes[o->block_size];
	s->physical_block_bytes = (uint32_t)o->physical_block_size;
	s->read_only = o->read_only;
	s->removable = o->removable;
	s->thin = o->thin;
	s->space_wait_s = (uint32_t)o->space_wait;
}

static int list_volume(struct document *document,
	struct document_volume *volume, struct err *err)
{
	struct volume_settings *s = &volume->settings;
	document->volumes++;
	if (map_put_text(&document->volume_names, s->name, volume) ||
		(volume->uuid_given &&
			map_put(&document->volume_uuids, s->uuid, 16, volume)))
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

static int read_volume(
	struct document *document, const struct doc *node, struct err *err)
{
	struct volume_options o;
	if (opts_parse(volume_specs, node, NULL, &o, sizeof o, err))
		return -EINVAL;
	struct document_volume *volume = &document->volume[document->volumes];
	int failed = check_volume(document, node, &o, err);
	if (!failed)
		failed = check_uuid(
			document, node, o.uuid, volume->settings.uuid, err);
	if (!failed) {
		fill_volume(volume, node, &o);
		failed = list_volume(document, volume, err);
	}
	opts_free(volume_specs, &o);
	return failed;
}

int document_check_volume_keys(
	const struct doc *volume, const char *const *more, struct err *err)
{
	return opts_check_keys(volume_specs, volume, more, err);
}

int document_read_volumes(
	struct document *document, const struct doc *list, struct err *err)
{
	unsigned count;
	if (document_count(list, DOCUMENT_MAX_VOLUMES, &count, err))
		return -EINVAL;
	document->volume = calloc(count + 1, sizeof *document->volume);
	if (!document->volume)
		return err_set(err, ENOMEM, "out of memory");
	for (const struct doc *node = count ? list->first : NULL; node;
		node = node->next) {
		int failed = read_volume(document, node, err);
		if (failed)
			return failed;
	}
	return 0;
}
