/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See share.h.
 */
#include "blockcore/format/qcow2/share.h"

#include "blockcore/base/log.h"
#include "blockcore/format/qcow2/snapshots.h"
#include "blockcore/format/qcow2/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* -- the name goes -------------------------------------------------------- */

/* By where its map lies: a view may have been asked for by its id. */
static int check_unseen(const struct qcow2 *image,
	const struct qcow2_snapshot *snapshot, struct err *err)
{
	const struct block_view *view;

	LIST_FOREACH (view, &image->format.views, link) {
		const struct qcow2_view *mine =
			container_of(view, const struct qcow2_view, view);

		if (view->snapshot[0] &&
			mine->own.l1_offset == snapshot->l1_offset)
			return err_set(err, EBUSY,
				"source '%s' shows it: take that away first",
				view->holder);
	}
	return 0;
}

/* The table without one entry. *offset 0: it was the last. */
static int write_table_co(struct qcow2 *image, const struct qcow2_snapshots *s,
	const struct qcow2_snapshot *gone, uint64_t *offset)
{
	size_t used = qcow2_snapshots_used(s), end = gone->at + gone->bytes;
	struct qcow2_area table = {0};

	*offset = 0;
	if (used == gone->bytes)
		return 0;
	int error = qcow2_area_new_co(image, used - gone->bytes, &table);
	if (!error) {
		memcpy(table.bytes, s->table, gone->at);
		memcpy(table.bytes + gone->at, s->table + end, used - end);
		error = qcow2_area_write_co(
			image, PURPOSE_SNAPSHOT_TABLE_WRITE, &table);
	}
	free(table.bytes);
	*offset = table.offset;
	return error;
}

static int unname_found_co(struct qcow2 *image, const struct qcow2_snapshots *s,
	const struct qcow2_snapshot *gone)
{
	uint64_t table;
	int error = write_table_co(image, s, gone, &table);

	/* What counts the new table, and the table: before the header says so. */
	if (!error)
		error = qcow2_epoch_commit_co(image);
	if (!error)
		error = qcow2_io_flush_co(image, PURPOSE_SNAPSHOT_FLUSH);
	if (error)
		return error;
	image->soiled = image->header.incompatible & QCOW2_DIRTY;
	image->header.incompatible |= QCOW2_DIRTY;
	return qcow2_snapshots_name_co(image, s, table, s->count - 1);
}

/* `names` is held. *map: what the snapshot had. */
static int unname_locked_co(struct qcow2 *image, const char *name,
	struct qcow2_map *map, struct err *err)
{
	const struct qcow2_snapshot *gone;
	struct qcow2_snapshots s;
	int error = qcow2_snapshots_read_co(image, &s, err);

	gone = error ? NULL : qcow2_snapshots_find(&s, name);
	if (!error && !gone)
		error = err_set(err, ENOENT, "there is no snapshot '%s'", name);
	if (!error)
		error = check_unseen(image, gone, err);
	if (!error)
		error = qcow2_map_open_co(
			image, map, gone->l1_offset, gone->l1_entries, err);
	if (!error) {
		error = unname_found_co(image, &s, gone);
		if (error)
			err_set(err, -error,
				"the snapshot table cannot be written: %s",
				strerror(-error));
	}
	qcow2_snapshots_free(&s);
	return error;
}

static int unname_co(struct qcow2 *image, const char *name,
	struct qcow2_map *map, struct err *err)
{
	co_mutex_lock_co(&image->names);
	int error = unname_locked_co(image, name, map, err);
	co_mutex_unlock(&image->names);
	return error;
}

/* -- counts go down ------------------------------------------------------- */

static int drop_entry_co(struct qcow2 *image, uint64_t word)
{
	struct qcow2_row row = qcow2_entry_row(&image->geometry, word);

	return qcow2_refcount_drop_co(image, row.offset, row.clusters);
}

/* What the table names, then the table. */
int qcow2_unshare_table_co(struct qcow2_map *map, uint32_t l1_index)
{
	static const struct qcow2_share_walk walk = {.entry_co = drop_entry_co};
	int error = qcow2_share_walk_co(map, l1_index, &walk);

	return error ? error
		     : qcow2_refcount_drop_co(map->image,
			       map->l1[l1_index] & QCOW2_OFFSET_MASK, 1);
}

/* -- what is the image's own again ---------------------------------------- */

/* No count at all is for check to find. */
static int is_single_co(struct qcow2 *image, uint64_t offset, bool *single)
{
	uint64_t count;
	int error = qcow2_share_count_co(
		image, offset >> image->geometry.cluster_bits, &count);

	*single = !error && count == 1;
	return error;
}

static int regain_entry_co(
	struct qcow2 *image, struct qcow2_slice *slice, uint64_t guest)
{
	uint64_t word[2];
	bool single;
	int error;

	qcow2_map_entry(&image->map, guest, word);
	if ((word[0] & (QCOW2_COMPRESSED | QCOW2_COPIED)) ||
		!qcow2_entry_cluster(word[0]))
		return 0;
	error = is_single_co(image, qcow2_entry_cluster(word[0]), &single);
	if (error || !single)
		return error;
	word[0] |= QCOW2_COPIED;
	qcow2_map_set(&image->map, slice, guest, word);
	return 0;
}

static int regain_slice_locked_co(struct qcow2 *image, uint64_t guest)
{
	const struct qcow2_geometry *g = &image->geometry;
	struct qcow2_slice *slice;
	int error = qcow2_map_pin_co(&image->map, guest, &slice);

	if (error)
		return error;
	for (uint64_t i = 0; i < 1ull << g->slice_bits && !error; i++)
		error = regain_entry_co(
			image, slice, guest + (i << g->cluster_bits));
	qcow2_map_unpin(slice);
	return error;
}

/* Locked: invariant 4. */
static int regain_slice_co(struct qcow2 *image, uint64_t guest)
{
	const struct qcow2_geometry *g = &image->geometry;
	struct qcow2_op lock = {.image = image};
	uint64_t first = guest >> g->cluster_bits;

	qcow2_lock_co(&lock, first, first + (1ull << g->slice_bits) - 1);
	int error = regain_slice_locked_co(image, guest);
	qcow2_unlock(&lock);
	return error;
}

/* `tables` is held. True: the table is the image's own. */
static int regain_l1_co(struct qcow2 *image, uint32_t l1_index, bool *own)
{
	struct qcow2_map *map = &image->map;
	uint64_t entry = map->l1[l1_index];
	int error = 0;

	*own = entry & QCOW2_COPIED;
	if (*own || !(entry & QCOW2_OFFSET_MASK))
		return 0;
	error = is_single_co(image, entry & QCOW2_OFFSET_MASK, own);
	if (!error && *own)
		qcow2_map_flip_l1(map, l1_index);
	return error;
}

static int regain_table_co(struct qcow2 *image, uint32_t l1_index)
{
	const struct qcow2_geometry *g = &image->geometry;
	uint64_t guest = (uint64_t)l1_index << (g->l2_bits + g->cluster_bits);
	unsigned slice_log = g->slice_bits + g->cluster_bits;
	bool own;

	if (l1_index >= image->map.l1_entries)
		return 0;
	co_mutex_lock_co(&image->tables);
	int error = regain_l1_co(image, l1_index, &own);
	co_mutex_unlock(&image->tables);
	for (uint32_t i = 0; i < g->slices_per_table && !error && own; i++)
		error = regain_slice_co(
			image, guest + ((uint64_t)i << slice_log));
	return error;
}

/* -- all of it ------------------------------------------------------------ */

static int give_back_co(struct qcow2 *image, struct qcow2_map *map)
{
	int error = 0;

	for (uint32_t i = 0; i < map->l1_entries && !error; i++) {
		if (!(map->l1[i] & QCOW2_OFFSET_MASK))
			continue;
		error = qcow2_release_table_co(map, i);
		if (!error)
			error = regain_table_co(image, i);
		qcow2_map_visit_lanes_co(image); /* others have their turn */
	}
	if (!error)
		error = qcow2_release_co(image, map->l1_offset,
			qcow2_clusters(&image->geometry,
				8 * (uint64_t)map->l1_entries));
	/* Counts and bits: before the mark goes. */
	if (!error)
		error = qcow2_epoch_commit_co(image);
	return error ? error : qcow2_snapshots_unmark_co(image);
}

static int unshare_co(struct qcow2 *image, const char *name, struct err *err)
{
	struct qcow2_map map = {.image = image};
	int error = qcow2_write_begin_co(image);

	if (error)
		return qcow2_io_refuse(image, error, err);
	error = unname_co(image, name, &map, err);
	if (!error) {
		error = give_back_co(image, &map);
		if (error)
			err_set(err, -error,
				"it is deleted, but its space is given back "
				"only when the image is opened next: %s",
				strerror(-error));
	}
	if (map.root) {
		qcow2_map_forget(&map);
		qcow2_map_close(&map);
	}
	return error;
}

int qcow2_unshare_co(
	struct block_format *format, const char *name, struct err *err)
{
	struct qcow2 *image = qcow2_of(format);
	int error = qcow2_share_check_idle(image, err);

	if (error)
		return error;
	qcow2_watch_disturb(image, "a snapshot is being deleted");
	image->deleting = true;
	error = unshare_co(image, name, err);
	image->deleting = false;
	return error;
}
