/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: another snapshot table in place of the one that is there, and the mark of
 * an image whose counts do not agree with its tables for a while. See snapshots.h.
 */
#include "blockcore/format/qcow2/create.h"
#include "blockcore/format/qcow2/snapshots.h"

#include <errno.h>
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

int qcow2_area_write_co(struct qcow2 *image, struct qcow2_area *area)
{
	int error = qcow2_io_write_co(image, area->offset,
		area->clusters << image->geometry.cluster_bits, area->bytes);

	free(area->bytes);
	area->bytes = NULL;
	return error;
}

size_t qcow2_snapshots_used(const struct qcow2_snapshots *s)
{
	const struct qcow2_snapshot *last;

	if (!s->count)
		return 0;
	last = &s->snapshot[s->count - 1];
	return last->at + last->bytes;
}

int qcow2_snapshots_header_co(struct qcow2 *image)
{
	co_mutex_lock_co(&image->refcounts.write);
	int error = qcow2_io_header_co(image);
	co_mutex_unlock(&image->refcounts.write);
	return error ? qcow2_io_failed(image, error, "header") : 0;
}

int qcow2_snapshots_name_co(struct qcow2 *image,
	const struct qcow2_snapshots *s, uint64_t table, uint32_t count)
{
	struct qcow2_header *h = &image->header;
	uint64_t old = h->snapshots_offset, bytes = qcow2_snapshots_used(s);

	h->snapshots_offset = table;
	h->snapshots = count;
	int error = qcow2_snapshots_header_co(image);
	if (!error && bytes)
		qcow2_epoch_free(
			image, old, qcow2_clusters(&image->geometry, bytes));
	return error;
}

int qcow2_snapshots_unmark_co(struct qcow2 *image)
{
	if (image->soiled)
		return 0;
	image->header.incompatible &= ~(uint64_t)QCOW2_DIRTY;
	return qcow2_snapshots_header_co(image);
}
