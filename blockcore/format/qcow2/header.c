/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header: docs/interop/qcow2 of QEMU has the layout.
 */
#include "blockcore/format/qcow2/header.h"

#include "blockcore/base/bytes.h"
#include "blockcore/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* Where the fields lie. */
enum {
	AT_MAGIC = 0,
	AT_VERSION = 4,
	AT_BACKING_OFFSET = 8,
	AT_BACKING_BYTES = 16,
	AT_CLUSTER_BITS = 20,
	AT_SIZE = 24,
	AT_CRYPT = 32,
	AT_L1_ENTRIES = 36,
	AT_L1_OFFSET = 40,
	AT_REFTABLE_OFFSET = 48,
	AT_REFTABLE_CLUSTERS = 56,
	AT_SNAPSHOTS = 60,
	AT_SNAPSHOTS_OFFSET = 64,
	AT_INCOMPATIBLE = 72,
	AT_COMPATIBLE = 80,
	AT_AUTOCLEAR = 88,
	AT_REFCOUNT_ORDER = 96,
	AT_HEADER_BYTES = 100,
	AT_COMPRESSION = 104,
};
#define V2_BYTES 72u
#define V3_BYTES 104u
#define FEATURE_BYTES 48u
#define FEATURE_NAME_BYTES 46u
#define EXTENSIONS_MAX 64u

static const struct {
	uint64_t bit;
	const char *name;
} known_features[] = {
	{QCOW2_DIRTY, "dirty bit"},
	{QCOW2_CORRUPT, "corrupt bit"},
	{QCOW2_DATA_FILE, "external data file"},
	{QCOW2_COMPRESSION, "compression type"},
	{QCOW2_EXTENDED_L2, "extended L2 entries"},
};
#define KNOWN_FEATURES (sizeof known_features / sizeof known_features[0])
#define SUPPORTED \
	(QCOW2_DIRTY | QCOW2_CORRUPT | QCOW2_COMPRESSION | QCOW2_EXTENDED_L2)

/* -- fields --------------------------------------------------------------- */

int qcow2_header_probe(const uint8_t *bytes, size_t count,
	unsigned *cluster_bits, struct err *err)
{
	if (count < V2_BYTES || get_be32(bytes + AT_MAGIC) != QCOW2_MAGIC)
		return err_set(err, EINVAL,
			"is no qcow2 image: the first four bytes are wrong; "
			"bring the image back, say its format, or, for a new "
			"image in an empty file, give the format a size");
	uint32_t version = get_be32(bytes + AT_VERSION);
	if (version != 2 && version != 3)
		return err_set(err, ENOTSUP,
			"qcow2 version %u; there are 2 and 3", version);
	uint32_t bits = get_be32(bytes + AT_CLUSTER_BITS);
	if (bits < QCOW2_CLUSTER_BITS_MIN || bits > QCOW2_CLUSTER_BITS_MAX)
		return err_set(err, EINVAL,
			"cluster_bits %u; clusters have 512 bytes to 2 MiB, so "
			"9 to 21",
			bits);
	*cluster_bits = bits;
	return 0;
}

static void take_fields(const uint8_t *bytes, struct qcow2_header *h)
{
	h->version = get_be32(bytes + AT_VERSION);
	h->cluster_bits = get_be32(bytes + AT_CLUSTER_BITS);
	h->size_bytes = get_be64(bytes + AT_SIZE);
	h->l1_entries = get_be32(bytes + AT_L1_ENTRIES);
	h->l1_offset = get_be64(bytes + AT_L1_OFFSET);
	h->reftable_offset = get_be64(bytes + AT_REFTABLE_OFFSET);
	h->reftable_clusters = get_be32(bytes + AT_REFTABLE_CLUSTERS);
	h->snapshots = get_be32(bytes + AT_SNAPSHOTS);
	h->snapshots_offset = get_be64(bytes + AT_SNAPSHOTS_OFFSET);
	h->header_bytes = V2_BYTES;
	h->refcount_order = 4;
	if (h->version == 2)
		return;
	h->incompatible = get_be64(bytes + AT_INCOMPATIBLE);
	h->compatible = get_be64(bytes + AT_COMPATIBLE);
	h->autoclear = get_be64(bytes + AT_AUTOCLEAR);
	h->refcount_order = get_be32(bytes + AT_REFCOUNT_ORDER);
	h->header_bytes = get_be32(bytes + AT_HEADER_BYTES);
}

static int check_v3(
	const uint8_t *bytes, struct qcow2_header *h, struct err *err)
{
	if (h->header_bytes < V3_BYTES || h->header_bytes % 8 ||
		h->header_bytes > (1u << h->cluster_bits))
		return err_set(err, EINVAL,
			"header_length %u is none: 104 or more, in steps of 8",
			h->header_bytes);
	if (h->refcount_order > 6)
		return err_set(err, EINVAL,
			"refcount_order %u; there are 0 to 6 (64 bits)",
			h->refcount_order);
	if (h->header_bytes > AT_COMPRESSION)
		h->compression = bytes[AT_COMPRESSION];
	if (h->compression > QCOW2_ZSTD)
		return err_set(err, ENOTSUP,
			"compression type %u; known are 0 (deflate) and 1 "
			"(zstd)",
			h->compression);
	if (!(h->incompatible & QCOW2_COMPRESSION) != !h->compression)
		return err_set(err, EINVAL,
			"compression type %u does not agree with the bit that "
			"says there is one",
			h->compression);
	if ((h->incompatible & QCOW2_EXTENDED_L2) &&
		h->cluster_bits < QCOW2_EXTENDED_BITS_MIN)
		return err_set(err, EINVAL,
			"extended L2 entries need clusters of 16 KiB or more");
	return 0;
}

/* A table of the file: on a cluster, and not behind any possible end. */
static bool is_place(const struct qcow2_header *h, uint64_t offset)
{
	return !(offset & ((1ull << h->cluster_bits) - 1)) &&
		offset < QCOW2_SIZE_MAX;
}

static int check_tables(const struct qcow2_header *h, struct err *err)
{
	unsigned entry = h->incompatible & QCOW2_EXTENDED_L2 ? 4 : 3;
	unsigned covered_bits = 2 * h->cluster_bits - entry;
	uint64_t covered = (uint64_t)h->l1_entries << covered_bits;

	if (h->l1_entries > QCOW2_L1_BYTES_MAX / 8)
		return err_set(err, EFBIG,
			"L1 table of %u entries; at most 32 MiB are allowed",
			h->l1_entries);
	if (h->size_bytes > QCOW2_SIZE_MAX || covered < h->size_bytes)
		return err_set(err, EINVAL,
			"L1 table of %u entries is too small for %" PRIu64
			" bytes",
			h->l1_entries, h->size_bytes);
	if (!is_place(h, h->l1_offset) || (h->l1_entries && !h->l1_offset))
		return err_set(err, EINVAL,
			"L1 table offset %#" PRIx64 " is wrong", h->l1_offset);
	if (h->reftable_clusters == 0 ||
		h->reftable_clusters > QCOW2_REFTABLE_BYTES_MAX >>
			h->cluster_bits)
		return err_set(err, EFBIG,
			"refcount table of %u clusters; 1 to %u (8 MiB) are "
			"allowed",
			h->reftable_clusters,
			QCOW2_REFTABLE_BYTES_MAX >> h->cluster_bits);
	if (!is_place(h, h->reftable_offset) || !h->reftable_offset)
		return err_set(err, EINVAL,
			"refcount table offset %#" PRIx64 " is wrong",
			h->reftable_offset);
	if (h->snapshots > QCOW2_SNAPSHOTS_MAX)
		return err_set(err, EFBIG, "%u snapshots; at most 65536",
			h->snapshots);
	if (h->snapshots &&
		(!is_place(h, h->snapshots_offset) || !h->snapshots_offset))
		return err_set(err, EINVAL,
			"snapshot table offset %#" PRIx64 " is wrong",
			h->snapshots_offset);
	return 0;
}

static int check_crypt(const uint8_t *bytes, struct err *err)
{
	uint32_t method = get_be32(bytes + AT_CRYPT);

	static const char *const names[] = {
		[1] = "AES", [2] = "LUKS", [3] = "a method without a name"};

	if (!method)
		return 0;
	return err_set(err, ENOTSUP,
		"is encrypted (%s), which is not supported; convert it",
		names[method < 3 ? method : 3]);
}

/* -- features ------------------------------------------------------------- */

/* The name that the image's own table gives an incompatible bit. */
static bool feature_name(const uint8_t *table, size_t bytes, unsigned bit,
	char name[FEATURE_NAME_BYTES * 4 + 1])
{
	for (size_t at = 0; at + FEATURE_BYTES <= bytes; at += FEATURE_BYTES) {
		const uint8_t *entry = table + at;

		if (entry[0] != 0 || entry[1] != bit || !entry[2])
			continue;
		log_escape(name, FEATURE_NAME_BYTES * 4 + 1, entry + 2,
			(unsigned)strnlen(
				(const char *)entry + 2, FEATURE_NAME_BYTES));
		return true;
	}
	return false;
}

static const char *feature_known(unsigned bit)
{
	for (unsigned i = 0; i < KNOWN_FEATURES; i++) {
		if (known_features[i].bit == 1ull << bit)
			return known_features[i].name;
	}
	return NULL;
}

static int refuse_features(const struct qcow2_header *h, const uint8_t *table,
	size_t table_bytes, struct err *err)
{
	uint64_t unknown = h->incompatible & ~(uint64_t)SUPPORTED;
	char name[FEATURE_NAME_BYTES * 4 + 1];

	if (!unknown)
		return 0;
	unsigned bit = (unsigned)__builtin_ctzll(unknown);
	const char *known = feature_known(bit);
	if (!known && feature_name(table, table_bytes, bit, name))
		known = name;
	return err_set(err, ENOTSUP,
		"needs the feature '%s' (incompatible bit %u), which is not "
		"supported; convert the image with the program that made it",
		known ? known : "without a name", bit);
}

/* -- extensions and the backing file -------------------------------------- */

struct extensions {
	const uint8_t *features;
	size_t features_bytes;
};

static int take_extension(struct qcow2_header *h, struct extensions *found,
	uint32_t type, const uint8_t *data, uint32_t bytes, struct err *err)
{
	switch (type) {
	case QCOW2_EXT_BACKING_FORMAT:
		if (bytes >= sizeof h->backing_format)
			return err_set(err, EINVAL,
				"backing format name of %u bytes: too long",
				bytes);
		memcpy(h->backing_format, data, bytes);
		h->backing_format[bytes] = 0;
		return 0;
	case QCOW2_EXT_FEATURES:
		found->features = data;
		found->features_bytes = bytes;
		return 0;
	case QCOW2_EXT_BITMAPS: h->has_bitmaps = true; return 0;
	default: return 0; /* kept: they are never rewritten */
	}
}

static int walk_extensions(const uint8_t *bytes, size_t end,
	struct qcow2_header *h, struct extensions *found, struct err *err)
{
	size_t at = h->header_bytes;

	for (unsigned i = 0; i < EXTENSIONS_MAX && at + 8 <= end; i++) {
		uint32_t type = get_be32(bytes + at);
		uint32_t length = get_be32(bytes + at + 4);

		if (type == QCOW2_EXT_END)
			return 0;
		at += 8;
		if (length > end - at)
			return err_set(err, EINVAL,
				"header extension %#x of %u bytes does not "
				"fit",
				type, length);
		int error =
			take_extension(h, found, type, bytes + at, length, err);
		if (error)
			return error;
		at += ((size_t)length + 7) & ~(size_t)7;
	}
	return 0;
}

static int take_backing(const uint8_t *bytes, size_t count,
	struct qcow2_header *h, struct err *err)
{
	uint64_t offset = get_be64(bytes + AT_BACKING_OFFSET);
	uint32_t length = get_be32(bytes + AT_BACKING_BYTES);

	if (!offset || !length)
		return 0;
	if (length >= QCOW2_NAME_BYTES || offset > count ||
		length > count - offset)
		return err_set(err, EINVAL,
			"the name of the backing file (%u bytes at %" PRIu64
			") does not lie in the first cluster, or is longer "
			"than 1023 bytes",
			length, offset);
	if (memchr(bytes + offset, 0, length))
		return err_set(err, EINVAL,
			"the name of the backing file has a zero byte in it");
	memcpy(h->backing, bytes + offset, length);
	h->backing[length] = 0;
	return 0;
}

/* Extensions end where the backing file's name starts, if that lies behind. */
static size_t extensions_end(
	const uint8_t *bytes, size_t count, const struct qcow2_header *h)
{
	uint64_t name = get_be64(bytes + AT_BACKING_OFFSET);

	return name > h->header_bytes && name < count ? (size_t)name : count;
}

int qcow2_header_parse(const uint8_t *bytes, size_t count,
	struct qcow2_header *h, struct err *err)
{
	struct extensions found = {0};
	unsigned cluster_bits;
	int error = qcow2_header_probe(bytes, count, &cluster_bits, err);

	if (error)
		return error;
	if (count > 1u << cluster_bits)
		count = 1u << cluster_bits;
	memset(h, 0, sizeof *h);
	if (get_be32(bytes + AT_VERSION) == 3 && count < V3_BYTES)
		return err_set(err, EINVAL, "the header is cut off");
	take_fields(bytes, h);
	if (h->version == 3)
		error = check_v3(bytes, h, err);
	if (!error && h->header_bytes > count)
		error = err_set(err, EINVAL, "the header is cut off");
	if (!error)
		error = walk_extensions(
			bytes, extensions_end(bytes, count, h), h, &found, err);
	if (!error)
		error = refuse_features(
			h, found.features, found.features_bytes, err);
	if (!error)
		error = check_crypt(bytes, err);
	if (!error)
		error = check_tables(h, err);
	if (!error)
		error = take_backing(bytes, count, h, err);
	return error;
}

/* -- writing -------------------------------------------------------------- */

void qcow2_header_patch(const struct qcow2_header *h, uint8_t *sector)
{
	put_be64(sector + AT_SIZE, h->size_bytes);
	put_be32(sector + AT_L1_ENTRIES, h->l1_entries);
	put_be64(sector + AT_L1_OFFSET, h->l1_offset);
	put_be64(sector + AT_REFTABLE_OFFSET, h->reftable_offset);
	put_be32(sector + AT_REFTABLE_CLUSTERS, h->reftable_clusters);
	put_be32(sector + AT_SNAPSHOTS, h->snapshots);
	put_be64(sector + AT_SNAPSHOTS_OFFSET, h->snapshots_offset);
	if (h->version == 2)
		return;
	put_be64(sector + AT_INCOMPATIBLE, h->incompatible);
	put_be64(sector + AT_COMPATIBLE, h->compatible);
	put_be64(sector + AT_AUTOCLEAR, h->autoclear);
}

/* Appends one extension, padded to 8. */
static size_t put_extension(uint8_t *bytes, size_t at, uint32_t type,
	const void *data, uint32_t length)
{
	put_be32(bytes + at, type);
	put_be32(bytes + at + 4, length);
	memcpy(bytes + at + 8, data, length);
	return at + 8 + (((size_t)length + 7) & ~(size_t)7);
}

static size_t put_features(uint8_t *bytes, size_t at)
{
	uint8_t table[(KNOWN_FEATURES + 1) * FEATURE_BYTES] = {0};
	static const char lazy[] = "lazy refcounts";

	for (unsigned i = 0; i < KNOWN_FEATURES; i++) {
		uint8_t *entry = table + i * FEATURE_BYTES;

		entry[1] = (uint8_t)__builtin_ctzll(known_features[i].bit);
		memcpy(entry + 2, known_features[i].name,
			strlen(known_features[i].name));
	}
	uint8_t *entry = table + KNOWN_FEATURES * FEATURE_BYTES;
	entry[0] = 1; /* compatible, bit 0 */
	memcpy(entry + 2, lazy, sizeof lazy - 1);
	return put_extension(
		bytes, at, QCOW2_EXT_FEATURES, table, sizeof table);
}

static size_t v3_bytes(const struct qcow2_header *h)
{
	size_t format = strlen(h->backing_format);

	return QCOW2_HEADER_BYTES + (format ? 8 + ((format + 7) & ~7u) : 0) +
		8 + (KNOWN_FEATURES + 1) * FEATURE_BYTES + 8;
}

/* Without the table of names where it does not fit, as in 512 bytes. */
static size_t put_extensions(
	const struct qcow2_header *h, uint8_t *bytes, size_t at, size_t room)
{
	if (h->backing_format[0])
		at = put_extension(bytes, at, QCOW2_EXT_BACKING_FORMAT,
			h->backing_format, (uint32_t)strlen(h->backing_format));
	if (h->version == 3 && v3_bytes(h) + strlen(h->backing) <= room)
		at = put_features(bytes, at);
	return at + 8; /* the end */
}

int qcow2_header_write(
	const struct qcow2_header *h, uint8_t *bytes, size_t room)
{
	size_t name = strlen(h->backing);
	size_t at = h->version == 2 ? V2_BYTES : QCOW2_HEADER_BYTES;

	if (at + 8 + 40 + 8 + name > room)
		return -ENOSPC;
	put_be32(bytes + AT_MAGIC, QCOW2_MAGIC);
	put_be32(bytes + AT_VERSION, h->version);
	put_be32(bytes + AT_CLUSTER_BITS, h->cluster_bits);
	if (h->version == 3) {
		put_be32(bytes + AT_REFCOUNT_ORDER, h->refcount_order);
		put_be32(bytes + AT_HEADER_BYTES, QCOW2_HEADER_BYTES);
		bytes[AT_COMPRESSION] = (uint8_t)h->compression;
	}
	qcow2_header_patch(h, bytes);
	at = put_extensions(h, bytes, at, room);
	if (name) {
		put_be64(bytes + AT_BACKING_OFFSET, at);
		put_be32(bytes + AT_BACKING_BYTES, (uint32_t)name);
		memcpy(bytes + at, h->backing, name);
	}
	return 0;
}
