/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header.
 */
#include "blockcore/format/qcow2/share.h"

#include "blockcore/base/bytes.h"
#include "blockcore/base/log.h"
#include "blockcore/base/wall.h"
#include "blockcore/format/qcow2/snapshots.h"
#include "blockcore/format/qcow2/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct qcow2_share {
	char name[FORMAT_SNAPSHOT_BYTES];
	struct co_mutex mutex; /* held while a table is shared */
	bool *waits; /* by L1 index */
	uint64_t *l1; /* of the moment */
	uint32_t l1_entries;
	uint64_t size_bytes;
	struct timespec when;
	int error; /* the first one */
};

/* -- begin ---------------------------------------------------------------- */

static int check_name_co(struct qcow2 *image, const char *name, struct err *err)
{
	struct qcow2_snapshots s;

	co_mutex_lock_co(&image->names);
	int error = qcow2_snapshots_read_co(image, &s, err);
	co_mutex_unlock(&image->names);
	if (!error && qcow2_snapshots_find(&s, name))
		error = err_set(
			err, EEXIST, "there is a snapshot '%s' already", name);
	qcow2_snapshots_free(&s);
	return error;
}

int qcow2_share_check_idle(const struct qcow2 *image, struct err *err)
{
	if (image->share || image->revert || image->deleting)
		return err_set(err, EBUSY,
			"a snapshot of this image is being made or deleted: "
			"try again when it is done");
	if (image->header.version < 3)
		return err_set(err, ENOTSUP,
			"an image of version 2 cannot be marked as being "
			"changed; qemu-img amend -o compat=1.1 makes it one "
			"of version 3");
	return 0;
}

int qcow2_share_check_possible(const struct qcow2 *image, struct err *err)
{
	const struct qcow2_header *h = &image->header;
	int error = qcow2_share_check_idle(image, err);

	if (error)
		return error;
	if (!h->l1_entries)
		return err_set(err, ENOTSUP,
			"the image has no bytes: resize it first");
	if (h->snapshots >= QCOW2_SNAPSHOTS_MAX ||
		h->snapshots + 2ull > qcow2_refcount_max(image))
		return err_set(err, ENOSPC,
			"there are %u snapshots; refcounts of %u bits allow no "
			"more: delete some",
			h->snapshots, 1u << h->refcount_order);
	return 0;
}

static void share_free(struct qcow2 *image)
{
	free(image->share->waits);
	free(image->share->l1);
	free(image->share);
	image->share = NULL;
}

int qcow2_share_begin_co(
	struct block_format *format, const char *name, struct err *err)
{
	struct qcow2 *image = qcow2_of(format);
	int error = qcow2_write_begin_co(image);

	if (error)
		return qcow2_io_refuse(image, error, err);
	error = qcow2_share_check_possible(image, err);
	if (!error)
		error = check_name_co(image, name, err);
	if (!error)
		error = qcow2_share_check_possible(
			image, err); /* after a wait */
	if (error)
		return error;
	qcow2_watch_disturb(image, "a snapshot is being made");
	image->share = calloc(1, sizeof *image->share);
	if (!image->share)
		return err_set(err, ENOMEM, "no memory for a snapshot");
	snprintf(image->share->name, sizeof image->share->name, "%s", name);
	co_mutex_init(&image->share->mutex);
	error = qcow2_snapshots_mark_co(image, err);
	if (error)
		share_free(image);
	return error;
}

/* -- take ----------------------------------------------------------------- */

int qcow2_share_take_co(struct block_format *format, struct err *err)
{
	struct qcow2 *image = qcow2_of(format);
	struct qcow2_share *share = image->share;
	const struct qcow2_map *map = &image->map;
	uint32_t n = map->l1_entries;
	int error = qcow2_epoch_commit_co(image);

	if (error)
		return err_set(err, -error, "the image cannot be flushed: %s",
			strerror(-error));
	share->waits = calloc(n + 1, sizeof *share->waits);
	share->l1 = calloc(n + 1, sizeof *share->l1);
	if (!share->waits || !share->l1)
		return err_set(err, ENOMEM, "no memory for a snapshot");
	for (uint32_t i = 0; i < n; i++) {
		share->l1[i] = map->l1[i] & QCOW2_OFFSET_MASK;
		share->waits[i] = share->l1[i] != 0;
	}
	share->l1_entries = n;
	share->size_bytes = image->header.size_bytes;
	wall_now(&share->when);
	image->sharing = true;
	return 0;
}

/* -- a table -------------------------------------------------------------- */

int qcow2_share_count_co(struct qcow2 *image, uint64_t cluster, uint64_t *count)
{
	unsigned bits = qcow2_refcount_block_bits(image);
	struct qcow2_refblock *block;
	int error;

	do
		error = qcow2_refcount_load_co(image, cluster >> bits, &block);
	while (error == -EAGAIN);
	*count = error ? 0
		       : qcow2_refcount_get(image, block->data,
				 cluster & ((1ull << bits) - 1));
	return error == -ENOENT ? 0 : error;
}

int qcow2_share_raise_co(struct qcow2 *image, uint64_t cluster)
{
	unsigned bits = qcow2_refcount_block_bits(image);
	uint64_t index = cluster & ((1ull << bits) - 1), count;
	struct qcow2_refblock *block;
	int error;

	do
		error = qcow2_refcount_load_co(image, cluster >> bits, &block);
	while (error == -EAGAIN);
	if (error && error != -ENOENT)
		return error;
	count = error ? 0 : qcow2_refcount_get(image, block->data, index);
	if (!count)
		return qcow2_io_corrupt(image, "cluster without a count",
			cluster << image->geometry.cluster_bits);
	if (count == qcow2_refcount_max(image))
		return -ERANGE;
	qcow2_watch_note(image, cluster, 1);
	qcow2_refcount_set(image, block->data, index, count + 1);
	qcow2_refcount_dirty(image, block);
	return 0;
}

int qcow2_share_raise_entry_co(struct qcow2 *image, uint64_t word)
{
	const struct qcow2_geometry *g = &image->geometry;
	struct qcow2_row row = qcow2_entry_row(g, word);
	int error = 0;

	for (uint64_t i = 0; i < row.clusters && !error; i++)
		error = qcow2_share_raise_co(
			image, (row.offset >> g->cluster_bits) + i);
	return error;
}

static int walk_slice_co(struct qcow2_map *map, uint64_t guest,
	const struct qcow2_share_walk *walk)
{
	const struct qcow2_geometry *g = &map->image->geometry;
	struct qcow2_slice *slice;
	uint64_t word[2];
	int error = qcow2_map_pin_co(map, guest, &slice);

	if (error)
		return error;
	for (uint64_t i = 0;
		walk->entry_co && i < 1ull << g->slice_bits && !error; i++) {
		qcow2_map_entry(map, guest + (i << g->cluster_bits), word);
		error = walk->entry_co(map->image, word[0]);
	}
	if (!error && walk->slice_co)
		error = walk->slice_co(map, slice, guest);
	qcow2_map_unpin(slice);
	return error;
}

int qcow2_share_walk_co(struct qcow2_map *map, uint32_t l1_index,
	const struct qcow2_share_walk *walk)
{
	const struct qcow2_geometry *g = &map->image->geometry;
	uint64_t guest = (uint64_t)l1_index << (g->l2_bits + g->cluster_bits);
	unsigned slice_log = g->slice_bits + g->cluster_bits;
	int error = 0;

	for (uint32_t i = 0; i < g->slices_per_table && !error; i++)
		error = walk_slice_co(
			map, guest + ((uint64_t)i << slice_log), walk);
	return error;
}

/* Takes the COPIED bits of the slice. */
static int share_slice_co(
	struct qcow2_map *map, struct qcow2_slice *slice, uint64_t guest)
{
	const struct qcow2_geometry *g = &map->image->geometry;
	uint64_t word[2];

	for (uint64_t i = 0; i < 1ull << g->slice_bits; i++) {
		qcow2_map_entry(map, guest + (i << g->cluster_bits), word);
		if (!(word[0] & QCOW2_COPIED))
			continue;
		word[0] &= ~QCOW2_COPIED;
		qcow2_map_set(map, slice, guest + (i << g->cluster_bits), word);
	}
	return 0;
}

static int share_table_co(struct qcow2 *image, uint32_t l1_index)
{
	static const struct qcow2_share_walk walk = {
		.entry_co = qcow2_share_raise_entry_co,
		.slice_co = share_slice_co};
	uint64_t table = image->share->l1[l1_index];
	int error = qcow2_share_raise_co(
		image, table >> image->geometry.cluster_bits);

	if (!error && (image->map.l1[l1_index] & QCOW2_COPIED))
		qcow2_map_flip_l1(&image->map, l1_index);
	return error ? error
		     : qcow2_share_walk_co(&image->map, l1_index, &walk);
}

/* Once one has failed there will be no snapshot: hosts go on without. */
static void settle_one_co(struct qcow2 *image, uint32_t l1_index)
{
	struct qcow2_share *share = image->share;

	if (l1_index >= share->l1_entries || !share->waits[l1_index])
		return;
	co_mutex_lock_co(&share->mutex);
	if (share->waits[l1_index] && !share->error) {
		share->error = share_table_co(image, l1_index);
		share->waits[l1_index] = share->error != 0;
	}
	co_mutex_unlock(&share->mutex);
}

void qcow2_share_settle_co(struct qcow2 *image, uint64_t offset, uint64_t bytes)
{
	const struct qcow2_geometry *g = &image->geometry;
	unsigned covers = g->l2_bits + g->cluster_bits;
	uint64_t last = (offset + bytes - 1) >> covers;

	for (uint64_t i = offset >> covers; i <= last && image->sharing; i++)
		settle_one_co(image, (uint32_t)i);
}

/* -- the snapshot table --------------------------------------------------- */

static int write_l1_co(struct qcow2 *image, struct qcow2_area *l1)
{
	const struct qcow2_share *share = image->share;
	int error = qcow2_area_new_co(image, 8ull * share->l1_entries, l1);

	for (uint32_t i = 0; i < share->l1_entries && !error; i++)
		put_be64(l1->bytes + 8ull * i, share->l1[i]);
	return error
		? error
		: qcow2_area_write_co(image, PURPOSE_SNAPSHOT_L1_WRITE, l1);
}

static int write_table_co(struct qcow2 *image, const struct qcow2_snapshots *s,
	uint64_t l1_offset, struct qcow2_area *table)
{
	const struct qcow2_share *share = image->share;
	struct qcow2_snapshot made = {.l1_offset = l1_offset,
		.l1_entries = share->l1_entries,
		.seconds = (uint32_t)share->when.tv_sec,
		.nanoseconds = (uint32_t)share->when.tv_nsec,
		.size_bytes = share->size_bytes};

	snprintf(made.name, sizeof made.name, "%s", share->name);
	return qcow2_snapshots_add_co(image, s, &made, table);
}

static int name_it_co(
	struct qcow2 *image, const struct qcow2_snapshots *s, uint64_t table)
{
	if (!image->soiled)
		image->header.incompatible &= ~(uint64_t)QCOW2_DIRTY;
	return qcow2_snapshots_name_co(image, s, table, s->count + 1);
}

static int finish_co(struct qcow2 *image, const struct qcow2_snapshots *s)
{
	struct qcow2_area l1 = {0}, table = {0};
	int error = write_l1_co(image, &l1);

	if (!error)
		error = write_table_co(image, s, l1.offset, &table);
	free(l1.bytes);
	free(table.bytes);
	/* Counts, bits, both tables: before the header says so. */
	if (!error)
		error = qcow2_epoch_commit_co(image);
	if (!error)
		error = qcow2_io_flush_co(image, PURPOSE_SNAPSHOT_FLUSH);
	return error ? error : name_it_co(image, s, table.offset);
}

/* -- end ------------------------------------------------------------------ */

static int cannot_count(struct qcow2 *image, int error, struct err *err)
{
	if (error == -ERANGE)
		return err_set(err, ENOSPC,
			"a cluster is named as often as refcounts of %u bits "
			"can say: delete a snapshot, or copy the image to one "
			"with larger ones",
			1u << image->header.refcount_order);
	return err_set(err, -error, "its clusters cannot be counted: %s",
		strerror(-error));
}

static int complete_co(struct qcow2 *image, struct err *err)
{
	struct qcow2_snapshots s;
	int error;

	for (uint32_t i = 0; i < image->share->l1_entries; i++) {
		settle_one_co(image, i);
		qcow2_map_visit_lanes_co(image); /* others have their turn */
	}
	error = image->share->error;
	if (error)
		return cannot_count(image, error, err);
	co_mutex_lock_co(&image->names);
	error = qcow2_snapshots_read_co(image, &s, err);
	if (!error) {
		error = finish_co(image, &s);
		if (error)
			err_set(err, -error, "its tables cannot be written: %s",
				strerror(-error));
	}
	co_mutex_unlock(&image->names);
	qcow2_snapshots_free(&s);
	return error;
}

int qcow2_share_end_co(struct block_format *format, bool taken, struct err *err)
{
	struct qcow2 *image = qcow2_of(format);
	int error = taken ? complete_co(image, err)
			  : qcow2_snapshots_unmark_co(image);

	if (taken && error)
		log_warning(block_source_name(format->file), "snapshot",
			"qcow2: snapshot '%s' was not made; what has been "
			"counted for it is given back when the image is opened "
			"next",
			image->share->name);
	image->sharing = false;
	/* Whoever waits for a table has gone on. */
	co_mutex_lock_co(&image->share->mutex);
	co_mutex_unlock(&image->share->mutex);
	share_free(image);
	return error;
}
