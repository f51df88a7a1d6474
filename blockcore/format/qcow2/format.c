/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: options; how an image is opened and closed; which backing file it names.
 *
 * Invariants
 *  1. An image is never shown without the backing file that it needs.
 *  2. What a backing file is, is said by the image or the document, never
 *     guessed from its content: a guest can write anything into a raw image.
 *  3. A corrupt image is shown read-only.
 */
#include "blockcore/format/qcow2/check.h"
#include "blockcore/format/qcow2/create.h"
#include "blockcore/format/qcow2/share.h"
#include "blockcore/format/qcow2/snapshots.h"

#include "blockcore/base/log.h"
#include "blockcore/kinds.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const versions[] = {"3", "2", NULL};
static const char *const subclusters[] = {"auto", "on", "off", NULL};
static const char *const preallocations[] = {
	"off", "metadata", "falloc", "full", NULL};

#define FIELD(name) offsetof(struct qcow2_options, name)
static const struct opt_spec options[] = {
	{.name = "cache",
		.type = OPT_SIZE,
		.flags = OPT_OPTIONAL,
		.offset = FIELD(cache_bytes),
		.min = 64u << 10,
		.max = 1ull << 40,
		.help = "most memory for its L2 tables; without, what all "
			"images may have; 8 MiB serve 64 GiB"},
	{.name = "pool",
		.type = OPT_SIZE,
		.offset = FIELD(pool_bytes),
		.max = 1ull << 30,
		.fallback = "64M",
		.help = "most space reserved ahead for writes; what a power "
			"cut may leave as leaks"},
	{.name = "size",
		.type = OPT_SIZE,
		.flags = OPT_OPTIONAL,
		.offset = FIELD(size_bytes),
		.min = BLOCK_SECTOR_BYTES,
		.max = QCOW2_SIZE_MAX,
		.help = "if the file holds nothing but zeroes, make an image "
			"of this size in it"},
	{.name = "zeroed",
		.type = OPT_BOOL,
		.offset = FIELD(zeroed),
		.fallback = "false",
		.help = "of a new image: the file is known to hold zeroes to "
			"its end, so new clusters need none written"},
	{.name = "version",
		.type = OPT_ENUM,
		.offset = FIELD(version),
		.choices = versions,
		.fallback = "3",
		.help = "of a new image"},
	{.name = "cluster_size",
		.type = OPT_SIZE,
		.flags = OPT_OPTIONAL,
		.offset = FIELD(cluster_bytes),
		.min = 512,
		.max = 2u << 20,
		.help = "of a new image; 128K with subclusters, else 64K"},
	{.name = "subclusters",
		.type = OPT_ENUM,
		.offset = FIELD(subclusters),
		.choices = subclusters,
		.fallback = "auto",
		.help = "of a new image: 32 in a cluster; auto: if clusters "
			"have 128K or more"},
	{.name = "refcount_bits",
		.type = OPT_UINT,
		.offset = FIELD(refcount_bits),
		.min = 1,
		.max = 64,
		.fallback = "16",
		.help = "of a new image: 1, 2, 4 ... 64"},
	{.name = "preallocation",
		.type = OPT_ENUM,
		.offset = FIELD(preallocation),
		.choices = preallocations,
		.fallback = "off",
		.help = "of a new image: tables, space too, zeroes written "
			"too"},
	{.name = "backing_name",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.offset = FIELD(backing_name),
		.max = QCOW2_NAME_BYTES - 1,
		.help = "of a new image: its backing file, for others to find"},
	{.name = "backing_format",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.offset = FIELD(backing_format),
		.max = 15,
		.help = "of a new image: raw or qcow2"},
	OPT_END};

/* -- the header ----------------------------------------------------------- */

static int read_co(struct block_core *core, struct block_source *file,
	uint64_t bytes, uint8_t *to, struct err *err)
{
	struct iovec iov = {to, bytes};
	int error = qcow2_io_transfer_co(block_core_lane(core, 0),
		PURPOSE_HEADER_LOAD, file, BLOCK_READ, 0, bytes, &iov, 1);

	return error ? err_set(err, -error, "the header cannot be read: %s",
			       strerror(-error))
		     : 0;
}

/* The first cluster, or as much as the file has, to be freed. Nothing of a format
 * is needed: the backing file is asked for before there is one. */
static int read_area_co(struct block_core *core, struct block_source *file,
	uint8_t **area, uint64_t *bytes, struct err *err)
{
	uint64_t end =
		block_source_info(file, block_core_lane(core, 0)).size_bytes;
	uint8_t *first = qcow2_io_memory(QCOW2_HEADER_SECTOR);
	unsigned bits = 0;

	if (!first)
		return err_set(err, ENOMEM, "no memory for the header");
	int error = read_co(core, file, QCOW2_HEADER_SECTOR, first, err);
	if (!error)
		error = qcow2_header_probe(
			first, QCOW2_HEADER_SECTOR, &bits, err);
	free(first);
	if (error)
		return error;
	*bytes = end < 1ull << bits ? end : 1ull << bits;
	*area = qcow2_io_memory(*bytes);
	if (!*area)
		return err_set(err, ENOMEM, "no memory for the header");
	error = read_co(core, file, *bytes, *area, err);
	if (error)
		free(*area);
	return error;
}

static int read_header_co(struct block_core *core, struct block_source *file,
	struct qcow2_header *header, uint8_t *sector, struct err *err)
{
	uint64_t bytes = 0;
	uint8_t *area;
	int error = read_area_co(core, file, &area, &bytes, err);

	if (error)
		return error;
	error = qcow2_header_parse(area, bytes, header, err);
	if (!error && sector)
		memcpy(sector, area, QCOW2_HEADER_SECTOR);
	free(area);
	return error;
}

/* -- the backing file that the image names -------------------------------- */

/* {"format": {"type": "qcow2", "file": {"protocol": {...}}}} */
static int print_backing(struct block_source *file, const char *name,
	const char *format, FILE *out, struct err *err)
{
	bool raw = !strcmp(format, "raw");
	int error;

	if (!raw && strcmp(format, "qcow2"))
		return err_set(err, ENOTSUP,
			"'%s' has the format '%s'; supported are raw and "
			"qcow2",
			name, format);
	fputs(raw ? "{\"protocol\": "
		  : "{\"format\": {\"type\": \"qcow2\", \"file\": "
		    "{\"protocol\": ",
		out);
	error = block_source_beside(file, name, out, err);
	fputs(raw ? "}" : "}}}", out);
	return error;
}

/* "file:x" is a file; "json:..." and "nbd://..." are none. */
static int check_name(const char **name, struct err *err)
{
	size_t plain = strcspn(*name, ":/");

	if ((*name)[plain] != ':')
		return 0;
	if (!strncmp(*name, "file:", 5)) {
		*name += 5;
		return 0;
	}
	return err_set(err, ENOTSUP,
		"the image names '%s', which is no file; say in the document "
		"(backing:) what it is",
		*name);
}

static int name_backing(const struct qcow2_header *header,
	struct block_source *file, char **document, struct err *err)
{
	const char *name = header->backing;
	size_t bytes;
	FILE *out;
	int error = check_name(&name, err);

	if (error)
		return error;
	if (!header->backing_format[0])
		return err_set(err, EINVAL,
			"the image names '%s' but not its format, which is not "
			"guessed; give backing: in the document, or say it in "
			"the image (qemu-img rebase -u -b %s -F FORMAT)",
			name, name);
	out = open_memstream(document, &bytes);
	if (!out)
		return err_set(err, ENOMEM, "no memory for a document");
	error = print_backing(file, name, header->backing_format, out, err);
	fclose(out);
	if (error) {
		free(*document);
		*document = NULL;
	}
	return error;
}

static int backing_co(struct block_core *core, struct block_source *file,
	char **document, struct err *err)
{
	struct qcow2_header *header;
	int error;

	*document = NULL;
	if (qcow2_create_is_empty_co(core, file))
		return 0; /* an image that is to be made */
	header = malloc(sizeof *header);
	if (!header)
		return err_set(err, ENOMEM, "no memory for the header");
	error = read_header_co(core, file, header, NULL, err);
	if (error)
		error = err_wrap(err, "qcow2 in '%s'", block_source_name(file));
	else if (header->backing[0])
		error = name_backing(header, file, document, err);
	free(header);
	return error;
}

/* -- opening -------------------------------------------------------------- */

static void free_all(struct qcow2 *image)
{
	qcow2_map_close(&image->map);
	qcow2_map_fini(image);
	qcow2_refcount_close(image);
}

static void take_sizes(struct qcow2 *image)
{
	struct block_format *format = &image->format;

	image->file_bytes =
		block_source_info(format->file, image->home).size_bytes;
	if (format->backing)
		image->backing_bytes =
			block_source_info(format->backing, image->home)
				.size_bytes;
	image->backing_reach = image->backing_bytes;
	qcow2_geometry_set(&image->geometry, image->header.version,
		image->header.cluster_bits,
		image->header.incompatible & QCOW2_EXTENDED_L2);
}

static void show_read_only(struct qcow2 *image, const char *why)
{
	image->corrupt = true;
	image->format.read_only = true;
	log_warning(block_source_name(image->format.file), "corrupt",
		"qcow2: %s: it is shown read-only until it has been repaired "
		"(qemu-img check -r all)",
		why);
}

/* False: another table lies there. */
static bool mark(struct qcow2 *image, uint64_t offset, uint64_t clusters)
{
	unsigned bits = image->geometry.cluster_bits;

	if (offset & (image->geometry.cluster_bytes - 1))
		return false;
	if (offset >= image->file_bytes)
		return false;
	for (uint64_t i = 0; i < clusters; i++) {
		if (qcow2_map_is_meta(image, offset + (i << bits)))
			return false;
	}
	return qcow2_map_mark_meta(image, offset, clusters) == 0;
}

/* Where tables lie; false if two lie on each other or one cannot be there. */
static bool mark_all(struct qcow2 *image)
{
	const struct qcow2_header *h = &image->header;
	const struct qcow2_refcounts *r = &image->refcounts;
	const struct qcow2_map *map = &image->map;
	bool good = mark(image, 0, 1) &&
		mark(image, h->reftable_offset, h->reftable_clusters);

	if (h->l1_entries)
		good = good &&
			mark(image, h->l1_offset,
				qcow2_clusters(&image->geometry,
					8 * (uint64_t)h->l1_entries));
	for (uint64_t i = 0; i < r->entries && good; i++) {
		if (r->table[i])
			good = mark(image, r->table[i], 1);
	}
	for (uint32_t i = 0; i < map->l1_entries && good; i++) {
		if (map->l1[i] & QCOW2_OFFSET_MASK)
			good = mark(image, map->l1[i] & QCOW2_OFFSET_MASK, 1);
	}
	return good;
}

/* Whoever wrote it last did not close it, and had put off its refcounts: they are
 * counted anew, made durable, and only then the bit is cleared. */
static int recount_co(struct qcow2 *image, struct err *err)
{
	struct block_check check = {
		.repair_leaks = true, .repair_errors = true};

	log_info(block_source_name(image->format.file), "dirty",
		"qcow2: was not closed: refcounts are counted anew");
	int error = qcow2_write_begin_co(image);
	if (error)
		return qcow2_io_refuse(image, error, err);
	error = qcow2_check_co(image, &check, err);
	if (!error && check.errors > check.fixed_errors)
		error = err_set(err, EIO,
			"is dirty and cannot be repaired here (%s); use "
			"qemu-img check -r all",
			check.first);
	if (error)
		return error;
	image->header.incompatible &= ~(uint64_t)QCOW2_DIRTY;
	error = qcow2_io_header_co(image, PURPOSE_HEADER_CLEAN);
	return error ? err_set(err, -error, "the header cannot be written") : 0;
}

/* A process that was killed may have written tables and not flushed them. What is
 * read of them is relied on: a cluster that they say is free is written to while,
 * after a power cut, the old tables would still name it. */
static int settle_co(struct qcow2 *image, struct err *err)
{
	int error = qcow2_io_flush_co(image, PURPOSE_OPEN_FLUSH);

	return error ? err_set(err, -error,
			       "what was written before cannot be flushed: %s",
			       strerror(-error))
		     : 0;
}

static int open_for_writing_co(struct qcow2 *image, struct err *err)
{
	int error = settle_co(image, err);

	if (error)
		return error;
	qcow2_pool_init(image);
	error = qcow2_refcount_open_co(image, err);
	if (error)
		return error;
	if (!mark_all(image)) {
		show_read_only(image, "tables lie on each other or nowhere");
		return 0;
	}
	return image->header.incompatible & QCOW2_DIRTY ? recount_co(image, err)
							: 0;
}

static int open_tables_co(struct qcow2 *image, struct err *err)
{
	int error;

	if (qcow2_map_init(image))
		return err_set(err, ENOMEM, "no memory for tables");
	qcow2_epoch_init(image);
	TAILQ_INIT(&image->active);
	TAILQ_INIT(&image->waiting);
	image->drain_co = qcow2_view_drain_co;
	error = qcow2_map_open_co(image, &image->map, image->header.l1_offset,
		image->header.l1_entries, err);
	if (!error && !image->format.read_only)
		error = open_for_writing_co(image, err);
	return error;
}

/* True if it has been made. */
static int create_co(struct block_format *format, bool *made, struct err *err)
{
	const struct qcow2_options *o = format->options;

	*made = o->size_bytes && !format->read_only &&
		qcow2_create_is_empty_co(format->core, format->file);
	return *made ? qcow2_create_co(format->core, format->file, o,
			       o->size_bytes, err)
		     : 0;
}

static void abandon_co(struct qcow2 *image)
{
	image->failed = true;
	qcow2_io_wait_helpers_co(image);
	if (image->view == NULL && image->map.root)
		qcow2_epoch_end_co(image);
	free_all(image);
}

static int open_co(struct block_format *format, struct err *err)
{
	struct qcow2 *image = qcow2_of(format);
	bool made;
	int error = create_co(format, &made, err);

	image->home = block_core_lane(format->core, 0);
	if (!error)
		error = read_header_co(format->core, format->file,
			&image->header, image->sector, err);
	if (error)
		return error;
	if (image->header.backing[0] && !format->backing)
		return err_set(err, ENOENT,
			"the backing file '%s' is missing: bring it back, or "
			"say in the document (backing:) where it is",
			image->header.backing);
	take_sizes(image);
	if (image->header.incompatible & QCOW2_CORRUPT)
		show_read_only(image, "the image is marked corrupt");
	error = open_tables_co(image, err);
	if (!error && made && qcow2_options(image)->zeroed)
		image->pool.untouched = qcow2_create_clusters(&image->header);
	if (!error && made)
		error = qcow2_create_fill_co(image, err);
	if (error)
		abandon_co(image);
	return error;
}

static void close_co(struct block_format *format)
{
	struct qcow2 *image = qcow2_of(format);
	int error;

	qcow2_io_wait_helpers_co(image);
	error = qcow2_epoch_end_co(image);
	if (error)
		log_error(block_source_name(format->file), "close",
			"qcow2: what was not flushed may be lost: %s",
			strerror(-error));
	qcow2_io_wait_helpers_co(image);
	free_all(image);
}

const struct block_format_kind qcow2_format_kind = {
	.name = "qcow2",
	.help = "QEMU's copy-on-write format, versions 2 and 3",
	.has_backing = true,
	.options = options,
	.options_bytes = sizeof(struct qcow2_options),
	.format_bytes = sizeof(struct qcow2),
	.view = &qcow2_view_kind,
	.backing_co = backing_co,
	.is_empty_co = qcow2_create_is_empty_co,
	.unmake_co = qcow2_create_undo_co,
	.backing_free = qcow2_backing_free,
	.backing_drop_co = qcow2_backing_drop_co,
	.backing_name_co = qcow2_backing_name_co,
	.backing_reach = qcow2_backing_reach,
	.backing_swap_co = qcow2_backing_swap_co,
	.backing_leave_co = qcow2_backing_leave_co,
	.measure = qcow2_create_measure,
	.open_co = open_co,
	.close_co = close_co,
	.find_snapshot_co = qcow2_snapshots_look_co,
	.snapshot_begin_co = qcow2_share_begin_co,
	.snapshot_take_co = qcow2_share_take_co,
	.snapshot_end_co = qcow2_share_end_co,
	.snapshots_print_co = qcow2_snapshots_print_co,
	.snapshot_delete_co = qcow2_unshare_co,
	.revert_begin_co = qcow2_revert_begin_co,
	.revert_take_co = qcow2_revert_take_co,
	.revert_end_co = qcow2_revert_end_co,
};
