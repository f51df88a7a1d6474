/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: a new image in an empty file, and how large it will be.
 *
 *	header | refcount table | refcount blocks | L1 table
 *
 * Invariant: a mark is durable in the place of the header before anything else is
 * written, and the header is written last, after all else is durable: a power cut
 * leaves an empty file, a mark (both are made into an image the next time) or an
 * image.
 */
#include "blockcore/format/qcow2/create.h"

#include "blockcore/base/bytes.h"
#include "blockcore/base/iov.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_BYTES (64u << 10) /* of zeroes make a file empty */
#define CLUSTER_BYTES_DEFAULT (64u << 10)
#define EXTENDED_BYTES_DEFAULT (128u << 10) /* subclusters of 4 KiB */

/* In the place of a header while the rest is being written. */
static const char half_made[QCOW2_SECTOR_BYTES] =
	"cairn: a qcow2 image is being made here\n";

struct layout {
	struct qcow2_header header;
	struct qcow2_geometry geometry;
	uint64_t blocks, l1_clusters, clusters; /* clusters: of the whole */
};

/* -- layout --------------------------------------------------------------- */

static bool is_extended(const struct qcow2_options *o)
{
	if (o->subclusters != QCOW2_SUBCLUSTERS_AUTO)
		return o->subclusters == QCOW2_SUBCLUSTERS_ON;
	return o->version == QCOW2_VERSION_3 &&
		(!o->cluster_bytes ||
			o->cluster_bytes >= EXTENDED_BYTES_DEFAULT);
}

static int choose(
	const struct qcow2_options *o, struct qcow2_header *h, struct err *err)
{
	uint64_t cluster = o->cluster_bytes;

	h->version = o->version == QCOW2_VERSION_2 ? 2 : 3;
	if (is_extended(o))
		h->incompatible |= QCOW2_EXTENDED_L2;
	if (!cluster)
		cluster = is_extended(o) ? EXTENDED_BYTES_DEFAULT
					 : CLUSTER_BYTES_DEFAULT;
	h->cluster_bits = (unsigned)__builtin_ctzll(cluster);
	h->refcount_order = (unsigned)__builtin_ctzll(o->refcount_bits);
	if ((cluster & (cluster - 1)) || cluster < 512 || cluster > 2u << 20)
		return err_set(err, EINVAL,
			"cluster_size %" PRIu64
			": a power of two from 512 to 2M",
			cluster);
	if ((o->refcount_bits & (o->refcount_bits - 1)) ||
		o->refcount_bits > 64)
		return err_set(err, EINVAL,
			"refcount_bits %" PRIu64 ": 1, 2, 4 ... 64",
			o->refcount_bits);
	if (h->version == 2 && (h->incompatible || o->refcount_bits != 16))
		return err_set(err, EINVAL,
			"version 2 has refcounts of 16 bits and no "
			"subclusters");
	if (h->incompatible && cluster < 16u << 10)
		return err_set(err, EINVAL,
			"subclusters need clusters of 16 KiB or more");
	return 0;
}

static int choose_backing(
	const struct qcow2_options *o, struct qcow2_header *h, struct err *err)
{
	if (!o->backing_name)
		return 0;
	if (!o->backing_format)
		return err_set(err, EINVAL,
			"backing_format is missing: it is never guessed");
	if (strlen(o->backing_name) >= sizeof h->backing ||
		strlen(o->backing_format) >= sizeof h->backing_format)
		return err_set(err, EINVAL, "backing_name is too long");
	strcpy(h->backing, o->backing_name);
	strcpy(h->backing_format, o->backing_format);
	return 0;
}

static int plan(const struct qcow2_options *o, uint64_t size, struct layout *l,
	struct err *err)
{
	struct qcow2_header *h = &l->header;
	int error = choose(o, h, err);

	if (!error)
		error = choose_backing(o, h, err);
	if (error)
		return error;
	qcow2_geometry_set(&l->geometry, h->version, h->cluster_bits,
		h->incompatible & QCOW2_EXTENDED_L2);
	unsigned covers = l->geometry.l2_bits + h->cluster_bits;
	unsigned counts = h->cluster_bits + 3 - h->refcount_order;
	uint64_t entries = (size + (1ull << covers) - 1) >> covers;
	if (entries > QCOW2_L1_BYTES_MAX / 8)
		return err_set(err, EFBIG,
			"%" PRIu64 " bytes are too many for clusters of "
			"%" PRIu64 " bytes: at most %" PRIu64
			", or choose larger ones",
			size, l->geometry.cluster_bytes,
			qcow2_most_bytes(&l->geometry));
	h->size_bytes = size;
	h->l1_entries = entries ? (uint32_t)entries : 1;
	l->l1_clusters =
		qcow2_clusters(&l->geometry, 8 * (uint64_t)h->l1_entries);
	h->reftable_clusters = 1;
	l->blocks = 1;
	do {
		h->reftable_clusters =
			(uint32_t)qcow2_clusters(&l->geometry, 8 * l->blocks);
		l->clusters =
			1 + h->reftable_clusters + l->blocks + l->l1_clusters;
	} while (l->clusters > l->blocks << counts && ++l->blocks);
	h->reftable_offset = l->geometry.cluster_bytes;
	h->l1_offset = (l->clusters - l->l1_clusters) << h->cluster_bits;
	return 0;
}

/* -- writing -------------------------------------------------------------- */

static void put_counts(const struct layout *l, uint8_t *area)
{
	struct qcow2 image = {.header = l->header};
	uint64_t per_block = 1ull << qcow2_refcount_block_bits(&image);
	unsigned bits = l->header.cluster_bits;
	uint64_t first = 1 + l->header.reftable_clusters;

	for (uint64_t i = 0; i < l->blocks; i++)
		put_be64(area + l->header.reftable_offset + 8 * i,
			(first + i) << bits);
	for (uint64_t i = 0; i < l->clusters; i++)
		qcow2_refcount_set(&image,
			area + ((first + i / per_block) << bits), i % per_block,
			1);
}

static int transfer_co(struct block_core *core, struct block_source *file,
	enum block_purpose purpose, enum block_opcode op, uint64_t offset,
	uint64_t bytes, uint8_t *data)
{
	while (bytes || op == BLOCK_FLUSH) {
		uint64_t step = bytes < BLOCK_MAX_DATA_BYTES
			? bytes
			: BLOCK_MAX_DATA_BYTES;
		struct iovec iov = {data, step};
		int error = qcow2_io_transfer_co(block_core_lane(core, 0),
			purpose, file, op, offset, step, &iov, data ? 1 : 0);

		if (error || op == BLOCK_FLUSH)
			return error;
		offset += step;
		data += step;
		bytes -= step;
	}
	return 0;
}

int qcow2_create_undo_co(struct block_core *core, struct block_source *file)
{
	uint8_t *mark = qcow2_io_memory(QCOW2_SECTOR_BYTES);

	if (!mark)
		return -ENOMEM;
	memcpy(mark, half_made, sizeof half_made);
	int error = transfer_co(core, file, PURPOSE_CREATE_MARK, BLOCK_WRITE, 0,
		QCOW2_SECTOR_BYTES, mark);
	free(mark);
	return error ? error
		     : transfer_co(core, file, PURPOSE_CREATE_MARK, BLOCK_FLUSH,
			       0, 0, NULL);
}

static int write_all_co(struct block_core *core, struct block_source *file,
	const struct layout *l, uint8_t *area)
{
	uint64_t cluster = l->geometry.cluster_bytes;
	uint64_t bytes = l->clusters << l->header.cluster_bits;
	int error;

	put_counts(l, area);
	error = qcow2_create_undo_co(core, file);
	if (!error)
		error = transfer_co(core, file, PURPOSE_CREATE_TABLES,
			BLOCK_WRITE, cluster, bytes - cluster, area + cluster);
	if (!error)
		error = transfer_co(core, file, PURPOSE_CREATE_TABLES,
			BLOCK_FLUSH, 0, 0, NULL);
	if (!error)
		error = qcow2_header_write(&l->header, area, cluster);
	if (!error)
		error = transfer_co(core, file, PURPOSE_CREATE_HEADER,
			BLOCK_WRITE, 0, cluster, area);
	if (!error)
		error = transfer_co(core, file, PURPOSE_CREATE_HEADER,
			BLOCK_FLUSH, 0, 0, NULL);
	return error;
}

static int write_image_co(struct block_core *core, struct block_source *file,
	const struct layout *l, struct err *err)
{
	uint64_t bytes = l->clusters << l->header.cluster_bits;
	uint64_t room = (bytes + 4095) & ~4095ull;
	uint8_t *area = qcow2_io_memory(bytes);
	int error = 0;

	if (!area)
		return err_set(err, ENOMEM, "no memory for the tables");
	memset(area, 0, bytes);
	if (block_source_info(file, block_core_lane(core, 0)).size_bytes < room)
		error = block_source_resize_co(file, room, err);
	if (!error) {
		error = write_all_co(core, file, l, area);
		if (error)
			err_set(err, -error, "the tables cannot be written: %s",
				strerror(-error));
	}
	free(area);
	return error;
}

int qcow2_create_co(struct block_core *core, struct block_source *file,
	const struct qcow2_options *options, uint64_t size_bytes,
	struct err *err)
{
	struct layout *l = calloc(1, sizeof *l);
	int error;

	if (!l)
		return err_set(err, ENOMEM, "no memory for a new image");
	error = plan(options, size_bytes, l, err);
	if (!error)
		error = write_image_co(core, file, l, err);
	free(l);
	return error ? err_wrap(err, "new image") : 0;
}

uint64_t qcow2_create_clusters(const struct qcow2_header *header)
{
	uint64_t end = header->l1_offset + 8 * (uint64_t)header->l1_entries;
	uint64_t mask = (1ull << header->cluster_bits) - 1;

	return (end + mask) >> header->cluster_bits;
}

bool qcow2_create_is_empty_co(
	struct block_core *core, struct block_source *file)
{
	struct block_lane *home = block_core_lane(core, 0);
	uint64_t bytes = block_source_info(file, home).size_bytes;
	bool empty = false;

	bytes = bytes < LOOK_BYTES ? bytes : LOOK_BYTES;
	uint8_t *data = qcow2_io_memory(bytes);
	if (data &&
		!block_transfer_co(file, home, BLOCK_READ, 0, 0, bytes, data))
		empty = bytes_are_zero(data, bytes) ||
			(bytes >= sizeof half_made &&
				!memcmp(data, half_made, sizeof half_made));
	free(data);
	return empty;
}

/* -- preallocation -------------------------------------------------------- */

static int write_zeroes_co(
	struct qcow2 *image, uint64_t host, uint64_t bytes, uint8_t *zeroes)
{
	int error = 0;

	for (uint64_t at = 0; at < bytes && !error; at += LOOK_BYTES) {
		uint64_t step =
			bytes - at < LOOK_BYTES ? bytes - at : LOOK_BYTES;

		error = qcow2_io_write_co(
			image, PURPOSE_WRITE_AIO, host + at, step, zeroes);
	}
	return error;
}

static int allocate_co(
	struct qcow2 *image, uint64_t *cluster, uint64_t end, uint8_t *zeroes)
{
	const struct qcow2_geometry *g = &image->geometry;
	uint64_t stop = (*cluster | ((1ull << g->slice_bits) - 1)) + 1;
	uint64_t guest = *cluster << g->cluster_bits;
	struct qcow2_grant grant = {.clusters = 0};
	struct qcow2_slice *slice;
	int error = qcow2_map_own_co(&image->map, guest, &slice);

	if (error)
		return error;
	stop = stop < end ? stop : end;
	error = qcow2_pool_take_co(image, stop - *cluster, &grant);
	if (!error && zeroes)
		error = write_zeroes_co(image, grant.offset,
			grant.clusters << g->cluster_bits, zeroes);
	for (uint64_t i = 0; i < grant.clusters && !error; i++) {
		uint64_t word[2] = {
			(grant.offset + (i << g->cluster_bits)) | QCOW2_COPIED,
			g->extended ? 0xffffffffull : 0};

		qcow2_map_set(&image->map, slice,
			guest + (i << g->cluster_bits), word);
	}
	qcow2_map_unpin(slice);
	*cluster += grant.clusters;
	return error;
}

int qcow2_create_fill_co(struct qcow2 *image, struct err *err)
{
	int mode = qcow2_options(image)->preallocation;
	uint64_t end =
		qcow2_clusters(&image->geometry, image->header.size_bytes);
	uint8_t *zeroes = NULL;
	uint64_t cluster = 0;

	if (mode == QCOW2_PREALLOCATE_OFF)
		return 0;
	if (image->format.backing)
		return err_set(err, EINVAL,
			"preallocation and a backing file exclude each other");
	int error = qcow2_write_begin_co(image);
	if (!error && mode == QCOW2_PREALLOCATE_FULL) {
		zeroes = qcow2_io_memory(LOOK_BYTES);
		if (zeroes)
			memset(zeroes, 0, LOOK_BYTES);
		else
			error = -ENOMEM;
	}
	image->filling = true;
	if (mode == QCOW2_PREALLOCATE_METADATA)
		image->sparse_from = image->file_bytes;
	/* At once: each time that it grows it is flushed. */
	if (!error)
		error = qcow2_pool_extend_co(image,
			image->file_bytes +
				(end << image->geometry.cluster_bits));
	while (cluster < end && !error)
		error = allocate_co(image, &cluster, end, zeroes);
	image->sparse_from = UINT64_MAX;
	image->filling = false;
	free(zeroes);
	if (!error)
		error = qcow2_epoch_commit_co(image);
	return error
		? err_set(err, -error, "preallocation: %s", strerror(-error))
		: 0;
}

/* -- measuring ------------------------------------------------------------ */

/* Clusters of refcount table and blocks beside `all` others, which count as well. */
static uint64_t count_clusters(const struct layout *l, uint64_t all)
{
	const struct qcow2_geometry *g = &l->geometry;
	unsigned bits = l->header.cluster_bits + 3 - l->header.refcount_order;
	uint64_t per_block = 1ull << bits, blocks = 0, table = 0, before;

	do {
		before = blocks;
		blocks = (all + blocks + table + per_block - 1) / per_block;
		table = qcow2_clusters(g, 8 * blocks);
	} while (blocks != before);
	return blocks + table;
}

int qcow2_create_measure(const void *options, uint64_t size_bytes,
	struct format_measure *measure, struct err *err)
{
	const struct qcow2_options *o = options;
	struct layout *l = calloc(1, sizeof *l);
	int error = l ? plan(o, size_bytes, l, err)
		      : err_set(err, ENOMEM, "no memory for a new image");

	if (!error) {
		unsigned bits = l->header.cluster_bits;
		uint64_t tables = size_bytes ? l->header.l1_entries : 0;
		uint64_t all = 1 + l->l1_clusters + tables +
			qcow2_clusters(&l->geometry, size_bytes);

		*measure = (struct format_measure){
			.unit_bytes = l->geometry.cluster_bytes,
			.at_once =
				o->preallocation >= QCOW2_PREALLOCATE_FALLOC};
		measure->full_bytes = (all + count_clusters(l, all)) << bits;
	}
	free(l);
	return error ? err_wrap(err, "new image") : 0;
}
