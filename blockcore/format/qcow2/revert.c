/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See share.h.
 */
#include "blockcore/format/qcow2/share.h"

#include "blockcore/base/bytes.h"
#include "blockcore/base/log.h"
#include "blockcore/base/wall.h"
#include "blockcore/format/qcow2/snapshots.h"
#include "blockcore/format/qcow2/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct qcow2_revert {
	struct qcow2_map from; /* the snapshot's */
	struct qcow2_map
		next; /* the current one to be; or of no use any more */
	struct qcow2_snapshots snapshots;
	struct qcow2_area l1, table;
	uint64_t size_bytes;
	uint32_t l1_entries; /* that the size needs: no VM state */
};

/* -- what is gone back to ------------------------------------------------- */

static int look_at(struct qcow2 *image, const struct qcow2_snapshot *snapshot,
	struct err *err)
{
	struct qcow2_revert *revert = image->revert;
	unsigned covers =
		image->geometry.l2_bits + image->geometry.cluster_bits;

	revert->size_bytes = snapshot->size_bytes;
	revert->l1_entries =
		(uint32_t)((snapshot->size_bytes + (1ull << covers) - 1) >>
			covers);
	return revert->l1_entries
		? 0
		: err_set(err, ENOTSUP, "the snapshot has no bytes");
}

static int find_co(struct qcow2 *image, const char *name, const char *safety,
	struct err *err)
{
	struct qcow2_revert *revert = image->revert;
	const struct qcow2_snapshots *s = &revert->snapshots;
	const struct qcow2_snapshot *found;

	co_mutex_lock_co(&image->names);
	int error = qcow2_snapshots_read_co(image, &revert->snapshots, err);
	co_mutex_unlock(&image->names);
	if (error)
		return error;
	found = qcow2_snapshots_find(s, name);
	if (!found)
		return err_set(err, ENOENT, "there is no snapshot '%s'", name);
	if (qcow2_snapshots_find(s, safety))
		return err_set(err, EEXIST, "there is a snapshot '%s' already",
			safety);
	error = look_at(image, found, err);
	return error ? error
		     : qcow2_map_open_co(image, &revert->from, found->l1_offset,
			       revert->l1_entries, err);
}

/* -- its tables ----------------------------------------------------------- */

/* The slice in the file without COPIED bits. No current map reads it: those are
 * without, so nothing is written for what a current map shares. */
static int clear_slice_co(
	struct qcow2_map *map, struct qcow2_slice *slice, uint64_t guest)
{
	struct qcow2 *image = map->image;
	const struct qcow2_geometry *g = &image->geometry;
	uint8_t *bytes = qcow2_io_memory(g->slice_bytes);
	bool any = false;
	int error = 0;

	(void)guest;
	if (!bytes)
		return -ENOMEM;
	for (uint32_t i = 0; i < g->slice_bytes / 8; i++) {
		uint64_t word = qcow2_slice_word(slice, i);

		if (i % g->words == 0 && (word & QCOW2_COPIED)) {
			word &= ~QCOW2_COPIED;
			any = true;
		}
		put_be64(bytes + 8 * (size_t)i, word);
	}
	if (any)
		error = qcow2_io_write_co(image, PURPOSE_SNAPSHOT_L2_UPDATE,
			(map->l1[slice->l1_index] & QCOW2_OFFSET_MASK) +
				(uint64_t)slice->slice_index * g->slice_bytes,
			g->slice_bytes, bytes);
	free(bytes);
	return error;
}

static int raise_table_co(struct qcow2_map *map, uint32_t l1_index)
{
	static const struct qcow2_share_walk walk = {
		.entry_co = qcow2_share_raise_entry_co,
		.slice_co = clear_slice_co};
	uint64_t table = map->l1[l1_index] & QCOW2_OFFSET_MASK;
	int error = qcow2_share_raise_co(
		map->image, table >> map->image->geometry.cluster_bits);

	return error ? error : qcow2_share_walk_co(map, l1_index, &walk);
}

static int each_table_co(struct qcow2_map *map,
	int (*run_co)(struct qcow2_map *map, uint32_t l1_index))
{
	int error = 0;

	for (uint32_t i = 0; i < map->l1_entries && !error; i++) {
		if (map->l1[i] & QCOW2_OFFSET_MASK)
			error = run_co(map, i);
		qcow2_map_visit_lanes_co(map->image); /* others' turn */
	}
	return error;
}

/* -- begin ---------------------------------------------------------------- */

static int write_l1_co(struct qcow2 *image)
{
	struct qcow2_revert *revert = image->revert;
	int error = qcow2_area_new_co(
		image, 8ull * revert->l1_entries, &revert->l1);

	if (error)
		return error;
	for (uint32_t i = 0; i < revert->l1_entries; i++)
		put_be64(revert->l1.bytes + 8ull * i,
			revert->from.l1[i] & QCOW2_OFFSET_MASK);
	return qcow2_area_write_co(
		image, PURPOSE_SNAPSHOT_L1_WRITE, &revert->l1);
}

/* What is current becomes a snapshot where its L1 table lies. */
static int write_table_co(struct qcow2 *image, const char *safety)
{
	struct qcow2_revert *revert = image->revert;
	struct qcow2_snapshot made = {.l1_offset = image->header.l1_offset,
		.l1_entries = image->header.l1_entries,
		.size_bytes = image->header.size_bytes};
	struct timespec now;

	wall_now(&now);
	made.seconds = (uint32_t)now.tv_sec;
	made.nanoseconds = (uint32_t)now.tv_nsec;
	snprintf(made.name, sizeof made.name, "%s", safety);
	return qcow2_snapshots_add_co(
		image, &revert->snapshots, &made, &revert->table);
}

/* Nothing of it in memory yet but the L1 table. */
static int open_next_co(struct qcow2 *image, struct err *err)
{
	struct qcow2_revert *revert = image->revert;
	struct qcow2_map *next = &revert->next;
	int error = qcow2_map_open_co(
		image, next, revert->l1.offset, revert->l1_entries, err);

	for (uint32_t i = 0; i < revert->l1_entries && !error; i++) {
		if (!next->l1[i])
			continue;
		error = qcow2_map_mark_meta(image, next->l1[i], 1);
		if (error)
			err_set(err, -error, "no memory for tables");
	}
	return error;
}

static void revert_free(struct qcow2 *image)
{
	struct qcow2_revert *revert = image->revert;

	if (revert->from.root) {
		qcow2_map_forget(&revert->from);
		qcow2_map_close(&revert->from);
	}
	if (revert->next.root)
		qcow2_map_close(&revert->next);
	qcow2_snapshots_free(&revert->snapshots);
	free(revert->l1.bytes);
	free(revert->table.bytes);
	free(revert);
	image->revert = NULL;
}

/* Counted again as before; the mark goes. */
static int undo_co(struct qcow2 *image)
{
	struct qcow2_revert *revert = image->revert;
	int error = each_table_co(&revert->from, qcow2_unshare_table_co);

	if (revert->l1.offset)
		qcow2_epoch_free(image, revert->l1.offset, revert->l1.clusters);
	if (revert->table.offset)
		qcow2_epoch_free(
			image, revert->table.offset, revert->table.clusters);
	if (!error)
		error = qcow2_epoch_commit_co(image);
	return error ? error : qcow2_snapshots_unmark_co(image);
}

static int prepare_co(struct qcow2 *image, const char *safety, struct err *err)
{
	int error = each_table_co(&image->revert->from, raise_table_co);

	if (error)
		return err_set(err, -error,
			"what it holds cannot be counted: %s; what has been is "
			"given back when the image is opened next",
			strerror(-error));
	error = write_l1_co(image);
	if (!error)
		error = write_table_co(image, safety);
	if (error)
		err_set(err, -error, "its tables cannot be written: %s",
			strerror(-error));
	else
		error = open_next_co(image, err);
	if (error)
		undo_co(image);
	return error;
}

int qcow2_revert_begin_co(struct block_format *format, const char *name,
	const char *safety, struct err *err)
{
	struct qcow2 *image = qcow2_of(format);
	int error = qcow2_share_check_possible(image, err);

	if (error)
		return error;
	qcow2_watch_disturb(image, "it goes back to a snapshot");
	image->revert = calloc(1, sizeof *image->revert);
	if (!image->revert)
		return err_set(err, ENOMEM, "no memory to go back");
	error = qcow2_write_begin_co(image);
	if (error)
		qcow2_io_refuse(image, error, err);
	else
		error = find_co(image, name, safety, err);
	if (!error)
		error = qcow2_snapshots_mark_co(image, err);
	if (!error)
		error = prepare_co(image, safety, err);
	if (error)
		revert_free(image);
	return error;
}

/* -- take ----------------------------------------------------------------- */

static int name_it_co(struct qcow2 *image)
{
	struct qcow2_revert *revert = image->revert;
	struct qcow2_header *h = &image->header;

	h->l1_offset = revert->l1.offset;
	h->l1_entries = revert->l1_entries;
	h->size_bytes = revert->size_bytes;
	if (!image->soiled)
		h->incompatible &= ~(uint64_t)QCOW2_DIRTY;
	co_mutex_lock_co(&image->names);
	int error = qcow2_snapshots_name_co(image, &revert->snapshots,
		revert->table.offset, revert->snapshots.count + 1);
	co_mutex_unlock(&image->names);
	return error;
}

/* No request is in the view: no lane looks anything up. */
static void change_maps(struct qcow2 *image)
{
	struct qcow2_revert *revert = image->revert;
	struct qcow2_map old = image->map;

	qcow2_map_forget(&image->map);
	image->map = revert->next;
	revert->next = old;
}

int qcow2_revert_take_co(struct block_format *format, struct err *err)
{
	struct qcow2 *image = qcow2_of(format);
	/* Counts, tables, all that hosts wrote: before the header says so. */
	int error = qcow2_epoch_commit_co(image);

	if (!error)
		error = qcow2_io_flush_co(image, PURPOSE_SNAPSHOT_FLUSH);
	if (!error)
		error = name_it_co(image);
	if (error)
		return qcow2_io_refuse(image, error, err);
	change_maps(image);
	qcow2_view_show(image);
	return 0;
}

int qcow2_revert_end_co(
	struct block_format *format, bool taken, struct err *err)
{
	struct qcow2 *image = qcow2_of(format);
	int error = taken ? 0 : undo_co(image);

	if (error)
		err_set(err, -error,
			"what was counted for it is given back when the image "
			"is opened next: %s",
			strerror(-error));
	revert_free(image);
	return error;
}
