/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: another snapshot table in place of the one that is there, and the mark of
 * an image whose counts do not agree with its tables for a while. See snapshots.h.
 */
#include "blockcore/base/bytes.h"
#include "blockcore/format/qcow2/create.h"
#include "blockcore/format/qcow2/snapshots.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int qcow2_area_new_co(
	struct qcow2 *image, uint64_t bytes, struct qcow2_area *area)
{
	area->clusters = qcow2_clusters(&image->geometry, bytes);
	uint64_t room = area->clusters << image->geometry.cluster_bits;
	area->bytes = qcow2_io_memory(room);
	if (!area->bytes)
		return -ENOMEM;
	memset(area->bytes, 0, room);
	return qcow2_resize_take_row_co(image, area->clusters, &area->offset);
}

int qcow2_area_write_co(struct qcow2 *image, enum block_purpose purpose,
	struct qcow2_area *area)
{
	int error = qcow2_io_write_co(image, purpose, area->offset,
		area->clusters << image->geometry.cluster_bits, area->bytes);

	free(area->bytes);
	area->bytes = NULL;
	return error;
}

/* One more than the largest that is in use. */
static uint64_t next_id(const struct qcow2_snapshots *s)
{
	uint64_t most = 0;

	for (uint32_t i = 0; i < s->count; i++) {
		uint64_t id = strtoull(s->snapshot[i].id, NULL, 10);

		most = id > most && id < UINT64_MAX ? id : most;
	}
	return most + 1;
}

static void entry_put(uint8_t *to, const struct qcow2_snapshot *made)
{
	size_t id_bytes = strlen(made->id), name_bytes = strlen(made->name);

	put_be64(to, made->l1_offset);
	put_be32(to + 8, made->l1_entries);
	put_be16(to + 12, (uint16_t)id_bytes);
	put_be16(to + 14, (uint16_t)name_bytes);
	put_be32(to + 16, made->seconds);
	put_be32(to + 20, made->nanoseconds);
	put_be32(to + 36, 24); /* extra: VM state, size, no icount */
	put_be64(to + 48, made->size_bytes);
	put_be64(to + 56, UINT64_MAX);
	memcpy(to + 64, made->id, id_bytes);
	memcpy(to + 64 + id_bytes, made->name, name_bytes);
}

size_t qcow2_snapshots_used(const struct qcow2_snapshots *s)
{
	const struct qcow2_snapshot *last;

	if (!s->count)
		return 0;
	last = &s->snapshot[s->count - 1];
	return last->at + last->bytes;
}

/* The old entries as they were, and the new one. */
int qcow2_snapshots_add_co(struct qcow2 *image, const struct qcow2_snapshots *s,
	struct qcow2_snapshot *made, struct qcow2_area *table)
{
	size_t entry, used = qcow2_snapshots_used(s);
	int error;

	snprintf(made->id, sizeof made->id, "%" PRIu64, next_id(s));
	entry = 64 + strlen(made->id) + strlen(made->name);
	error = qcow2_area_new_co(image, used + entry, table);
	if (error)
		return error;
	if (used)
		memcpy(table->bytes, s->table, used);
	entry_put(table->bytes + used, made);
	return qcow2_area_write_co(image, PURPOSE_SNAPSHOT_TABLE_WRITE, table);
}

int qcow2_snapshots_header_co(struct qcow2 *image, enum block_purpose purpose)
{
	co_mutex_lock_co(&image->refcounts.write);
	int error = qcow2_io_header_co(image, purpose);
	co_mutex_unlock(&image->refcounts.write);
	return error ? qcow2_io_failed(image, error, "header") : 0;
}

int qcow2_snapshots_name_co(struct qcow2 *image,
	const struct qcow2_snapshots *s, uint64_t table, uint32_t count)
{
	struct qcow2_header *h = &image->header;
	uint64_t old = h->snapshots_offset, bytes = qcow2_snapshots_used(s);

	image->naming++;
	h->snapshots_offset = table;
	h->snapshots = count;
	int error = qcow2_snapshots_header_co(image, PURPOSE_HEADER_SNAPSHOTS);
	if (!error && bytes)
		qcow2_epoch_free(
			image, old, qcow2_clusters(&image->geometry, bytes));
	return error;
}

int qcow2_snapshots_mark_co(struct qcow2 *image, struct err *err)
{
	int error = qcow2_epoch_commit_co(image);

	image->soiled = image->header.incompatible & QCOW2_DIRTY;
	image->header.incompatible |= QCOW2_DIRTY;
	if (!error)
		error = qcow2_snapshots_header_co(image, PURPOSE_HEADER_DIRTY);
	return error
		? err_set(err, -error, "the image cannot be written to: %s",
			  strerror(-error))
		: 0;
}

int qcow2_snapshots_unmark_co(struct qcow2 *image)
{
	if (image->soiled)
		return 0;
	image->header.incompatible &= ~(uint64_t)QCOW2_DIRTY;
	return qcow2_snapshots_header_co(image, PURPOSE_HEADER_CLEAN);
}
