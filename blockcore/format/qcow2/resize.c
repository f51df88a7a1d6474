/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: another size. A larger image may need a longer L1 table, which is written
 * whole before the header names it; a smaller one keeps its table.
 *
 * Invariants
 *  1. Old and new size, and the tables that go with them, are one sector: a power
 *     cut leaves either.
 *  2. What was not in the image before reads as zeroes, also where the backing
 *     file is longer.
 *  3. Data is never cut off: a size below it is refused.
 */
#include "blockcore/format/qcow2/create.h"

#include "blockcore/base/bytes.h"
#include "blockcore/format/qcow2/snapshots.h"
#include "blockcore/format/qcow2/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* -- a longer L1 table ---------------------------------------------------- */

/* Clusters in a row: what is left of a run may be too short. */
int qcow2_resize_take_row_co(
	struct qcow2 *image, uint64_t clusters, uint64_t *offset)
{
	struct qcow2_grant grant;

	if (clusters > image->pool.run_clusters)
		image->pool.run_clusters = clusters;
	for (unsigned i = 0; i < 1000; i++) {
		int error = qcow2_pool_take_co(image, clusters, &grant);

		if (error)
			return error;
		*offset = grant.offset;
		if (grant.clusters == clusters)
			return qcow2_map_mark_meta(image, *offset, clusters);
		qcow2_epoch_free(image, grant.offset, grant.clusters);
	}
	return -ENOSPC;
}

static int write_l1_co(struct qcow2 *image, uint64_t offset, uint64_t clusters)
{
	uint64_t bytes = clusters << image->geometry.cluster_bits;
	uint8_t *table = qcow2_io_memory(bytes);
	int error;

	if (!table)
		return -ENOMEM;
	memset(table, 0, bytes);
	for (uint32_t i = 0; i < image->map.l1_entries; i++)
		put_be64(table + 8 * (size_t)i, image->map.l1[i]);
	error = qcow2_io_write_co(
		image, PURPOSE_L1_GROW_WRITE_TABLE, offset, bytes, table);
	free(table);
	return error ? error
		     : qcow2_io_flush_co(image, PURPOSE_L1_GROW_WRITE_TABLE);
}

static int write_header_co(struct qcow2 *image, enum block_purpose purpose)
{
	co_mutex_lock_co(&image->refcounts.write);
	int error = qcow2_io_header_co(image, purpose);
	co_mutex_unlock(&image->refcounts.write);
	return error ? qcow2_io_failed(image, error, "header") : 0;
}

/* `tables` is held: no L1 entry changes; all are on disk. */
static int lengthen_locked_co(struct qcow2 *image, uint32_t entries)
{
	struct qcow2_header *h = &image->header;
	uint64_t clusters =
		qcow2_clusters(&image->geometry, 8 * (uint64_t)entries);
	uint64_t old_clusters =
		qcow2_clusters(&image->geometry, 8 * (uint64_t)h->l1_entries);
	uint64_t old = h->l1_offset, offset;
	int error = qcow2_resize_take_row_co(image, clusters, &offset);

	if (!error)
		error = qcow2_epoch_commit_co(image);
	if (!error)
		error = write_l1_co(image, offset, clusters);
	if (!error)
		error = qcow2_map_lengthen_co(&image->map, entries);
	if (error)
		return error;
	image->map.l1_offset = h->l1_offset = offset;
	h->l1_entries = entries;
	error = write_header_co(image, PURPOSE_L1_GROW_ACTIVATE_TABLE);
	if (!error)
		qcow2_epoch_free(image, old, old_clusters);
	return error;
}

static int lengthen_co(struct qcow2 *image, uint64_t bytes)
{
	const struct qcow2_geometry *g = &image->geometry;
	unsigned covers = g->l2_bits + g->cluster_bits;
	uint64_t entries = (bytes + (1ull << covers) - 1) >> covers;
	int error;

	if (entries <= image->header.l1_entries)
		return 0;
	co_mutex_lock_co(&image->tables);
	error = lengthen_locked_co(image, (uint32_t)entries);
	co_mutex_unlock(&image->tables);
	return error;
}

/* -- larger and smaller --------------------------------------------------- */

static int grow_co(struct qcow2 *image, uint64_t bytes)
{
	uint64_t old = image->header.size_bytes;
	uint64_t below = image->backing_bytes, stop;
	unsigned bits = image->geometry.cluster_bits;
	struct qcow2_op lock = {.image = image};
	int error = lengthen_co(image, bytes);

	/* Behind the old end: the rest of its cluster, and what lies below. */
	stop = (old | (image->geometry.cluster_bytes - 1)) + 1;
	stop = below > stop ? below : stop;
	stop = bytes < stop ? bytes : stop;
	if (!error && stop > old) {
		qcow2_lock_co(&lock, old >> bits, (stop - 1) >> bits);
		error = qcow2_zero_range_co(image, old, stop - old, true);
		qcow2_unlock(&lock);
	}
	if (!error)
		error = qcow2_epoch_commit_co(image);
	if (error)
		return error;
	image->header.size_bytes = bytes;
	return write_header_co(image, PURPOSE_HEADER_SIZE);
}

/* Whether there is anything in [from, end). */
static int has_data_co(
	struct qcow2 *image, uint64_t from, uint64_t end, bool *found)
{
	struct qcow2_piece piece;
	int error = 0;

	*found = false;
	while (from < end && !error && !*found) {
		qcow2_map_look(&image->map, from, end - from, &piece);
		if (piece.state == QCOW2_ABSENT) {
			error = qcow2_map_load_co(&image->map, from);
			continue;
		}
		*found = piece.state == QCOW2_DATA ||
			piece.state == QCOW2_PACKED;
		from += piece.bytes;
	}
	return error;
}

/* Clusters that are reserved there and read as zeroes. */
static int free_reserved_co(struct qcow2 *image, uint64_t from, uint64_t end)
{
	unsigned bits = image->geometry.cluster_bits;
	struct qcow2_piece piece;
	int error = 0;

	for (; from < end && !error; from += piece.bytes) {
		struct qcow2_op lock = {.image = image};

		qcow2_map_look(&image->map, from, end - from, &piece);
		if (piece.state == QCOW2_ABSENT) {
			error = qcow2_map_load_co(&image->map, from);
			piece.bytes = 0;
			continue;
		}
		if (piece.state != QCOW2_ZEROES)
			continue;
		qcow2_lock_co(
			&lock, from >> bits, (from + piece.bytes - 1) >> bits);
		error = qcow2_zero_range_co(image, from, piece.bytes, true);
		qcow2_unlock(&lock);
	}
	return error;
}

static int shrink_co(struct qcow2 *image, uint64_t bytes, struct err *err)
{
	uint64_t mask = image->geometry.cluster_bytes - 1;
	uint64_t from = (bytes + mask) & ~mask;
	bool found;
	int error = qcow2_snapshots_refuse_shrink_co(image, err);

	if (error)
		return error;
	error = has_data_co(image, from, image->header.size_bytes, &found);
	if (!error && found)
		return err_set(err, EBUSY,
			"data lies behind %" PRIu64
			" bytes: discard what may go, then resize",
			bytes);
	if (!error)
		error = free_reserved_co(image, from, image->header.size_bytes);
	if (!error) {
		image->header.size_bytes = bytes;
		error = write_header_co(image, PURPOSE_HEADER_SIZE);
	}
	return error ? err_set(err, -error,
			       "the image cannot become smaller: "
			       "%s",
			       strerror(-error))
		     : 0;
}

static int resize_co(struct qcow2 *image, uint64_t bytes, struct err *err)
{
	int error;

	if (bytes % BLOCK_SECTOR_BYTES)
		return err_set(err, EINVAL,
			"size %" PRIu64 " is not a multiple of 512", bytes);
	error = qcow2_write_begin_co(image);
	if (error)
		return qcow2_io_refuse(image, error, err);
	if (bytes < image->header.size_bytes)
		return shrink_co(image, bytes, err);
	if (bytes > qcow2_most_bytes(&image->geometry))
		return err_set(err, EFBIG,
			"%" PRIu64 " bytes are too many for its clusters: "
			"at most %" PRIu64,
			bytes, qcow2_most_bytes(&image->geometry));
	error = grow_co(image, bytes);
	return error ? err_set(err, -error, "the image cannot grow: %s",
			       strerror(-error))
		     : 0;
}

int qcow2_resize_co(struct qcow2 *image, uint64_t bytes, struct err *err)
{
	qcow2_watch_disturb(image, "the size of the image is being changed");
	image->resizing = true;
	int error = resize_co(image, bytes, err);
	image->resizing = false;
	return error;
}
