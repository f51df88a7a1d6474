/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: changes of the map, at home. A table is made, or copied where a snapshot
 * names it, too, before its first entry is changed.
 *
 * Invariants
 *  1. A slice that is changed is in an L2 table of the image's own, and on the list
 *     of what the epoch that is open has to write.
 *  2. That epoch is ordered unless the change is known to be calm (qcow2.h).
 */
#include "blockcore/format/qcow2/qcow2.h"
#include "blockcore/format/qcow2/watch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void l1_set(struct qcow2_map *map, uint32_t l1_index, uint64_t table)
{
	qcow2_watch_note_entry(map->image, map->l1[l1_index]);
	qcow2_watch_note_entry(map->image, table);
	map->l1[l1_index] = table | QCOW2_COPIED;
	map->l1_dirty[l1_index / QCOW2_L1_SECTOR_ENTRIES] = 1;
	map->image->epochs.l1_dirty = true;
	map->image->epochs.ordered = true;
	qcow2_epoch_touch(map->image);
}

/* The COPIED bit of an L1 entry that check has found wrong. */
void qcow2_map_flip_l1(struct qcow2_map *map, uint32_t l1_index)
{
	uint64_t flipped = map->l1[l1_index] ^ QCOW2_COPIED;

	l1_set(map, l1_index, flipped & QCOW2_OFFSET_MASK);
	map->l1[l1_index] = flipped;
}

static void slice_dirty(struct qcow2 *image, struct qcow2_slice *slice)
{
	if (slice->dirty)
		return;
	slice->dirty = true;
	TAILQ_INSERT_TAIL(&image->epochs.dirty, slice, dirty_link);
	image->epochs.dirty_count++;
}

/* Durable with the epoch's first fdatasync, like data. */
static int table_zero_co(struct qcow2 *image, uint64_t to)
{
	uint64_t bytes = image->geometry.cluster_bytes;
	uint8_t *zeroes = qcow2_io_memory(bytes);
	int error;

	if (!zeroes)
		return -ENOMEM;
	memset(zeroes, 0, bytes);
	error = qcow2_io_write_co(
		image, PURPOSE_L2_ALLOC_WRITE, to, bytes, zeroes);
	free(zeroes);
	return error;
}

/* A table that others name, too: all of it goes to the new place. */
static int table_copy_co(struct qcow2_map *map, uint32_t l1_index, uint64_t to)
{
	const struct qcow2_geometry *g = &map->image->geometry;
	uint64_t first = (uint64_t)l1_index << (g->l2_bits + g->cluster_bits);
	unsigned slice_log = g->slice_bits + g->cluster_bits;
	uint64_t old = map->l1[l1_index] & QCOW2_OFFSET_MASK;
	struct qcow2_slice *slice = NULL;
	uint32_t i;
	int error = 0;

	for (i = 0; i < g->slices_per_table && !error; i++)
		error = qcow2_map_pin_co(
			map, first + ((uint64_t)i << slice_log), &slice);
	uint32_t pinned = error ? i - 1 : i;
	struct qcow2_table *table = qcow2_map_get(map, l1_index);
	/* Where nothing was ever set all share one slice, which is not written. */
	if (!error)
		error = table_zero_co(map->image, to);
	for (i = 0; i < pinned; i++) {
		slice = table->slice[i];
		qcow2_map_unpin(slice);
		if (!error && slice != map->image->hole)
			slice_dirty(map->image, slice);
	}
	if (error)
		return error;
	table->fresh = true;
	l1_set(map, l1_index, to);
	qcow2_epoch_free(map->image, old, 1);
	return 0;
}

static int table_make_co(struct qcow2_map *map, uint32_t l1_index, uint64_t to)
{
	struct qcow2 *image = map->image;
	struct qcow2_table *table;
	int error = table_zero_co(image, to);

	if (error)
		return error;
	table = qcow2_map_table_new(&image->geometry, image->hole);
	if (!table)
		return -ENOMEM;
	table->fresh = true;
	l1_set(map, l1_index, to);
	qcow2_map_put(map, l1_index, table);
	return 0;
}

static int table_own_locked_co(struct qcow2_map *map, uint32_t l1_index)
{
	struct qcow2 *image = map->image;
	struct qcow2_grant grant;

	if (map->l1[l1_index] & QCOW2_COPIED)
		return qcow2_map_check_l1(map, l1_index);
	int error = qcow2_pool_take_co(image, 1, &grant);
	uint64_t to = grant.offset;
	if (!error)
		error = qcow2_map_mark_meta(image, to, 1);
	if (error)
		return error;
	if (map->l1[l1_index] & QCOW2_OFFSET_MASK)
		error = table_copy_co(map, l1_index, to);
	else
		error = table_make_co(map, l1_index, to);
	if (error) {
		qcow2_map_unmark_meta(image, to, 1);
		qcow2_epoch_free(image, to, 1);
	}
	return error;
}

/* A slice of a new table, in place of the shared one of zeroes. */
static int slice_make(
	struct qcow2_map *map, uint64_t offset, struct qcow2_slice **out)
{
	struct qcow2 *image = map->image;
	const struct qcow2_geometry *g = &image->geometry;
	uint64_t number = offset >> (g->cluster_bits + g->slice_bits);
	struct qcow2_slice *slice = qcow2_map_slice_new(g);

	if (!slice)
		return -ENOMEM;
	slice->map = map;
	slice->l1_index = (uint32_t)(offset >> (g->cluster_bits + g->l2_bits));
	slice->slice_index = (uint32_t)(number & (g->slices_per_table - 1));
	slice->pins = 1;
	atomic_store_explicit(
		&qcow2_map_get(map, slice->l1_index)->slice[slice->slice_index],
		slice, memory_order_release);
	qcow2_cache_add(image, slice);
	*out = slice;
	return 0;
}

int qcow2_map_own_co(
	struct qcow2_map *map, uint64_t offset, struct qcow2_slice **slice)
{
	struct qcow2 *image = map->image;
	const struct qcow2_geometry *g = &image->geometry;
	uint32_t l1_index =
		(uint32_t)(offset >> (g->cluster_bits + g->l2_bits));

	co_mutex_lock_co(&image->tables);
	int error = table_own_locked_co(map, l1_index);
	co_mutex_unlock(&image->tables);
	if (!error)
		error = qcow2_map_pin_co(map, offset, slice);
	if (error || *slice != image->hole)
		return error;
	qcow2_map_unpin(*slice);
	/* While others ran it may have been made. */
	*slice = qcow2_map_slice(map, offset >> g->cluster_bits);
	if (*slice == image->hole)
		return slice_make(map, offset, slice);
	(*slice)->pins++;
	return 0;
}

static uint64_t number_in_slice(const struct qcow2_geometry *g, uint64_t offset)
{
	return (offset >> g->cluster_bits) & ((1ull << g->slice_bits) - 1);
}

bool qcow2_map_is_zeroed(const struct qcow2_map *map,
	const struct qcow2_slice *slice, uint64_t offset)
{
	const struct qcow2_geometry *g = &map->image->geometry;
	uint64_t number = number_in_slice(g, offset);

	return g->extended && (slice->zeroed[number / 64] >> number % 64 & 1);
}

void qcow2_map_doubt(
	const struct qcow2_map *map, struct qcow2_slice *slice, uint64_t offset)
{
	const struct qcow2_geometry *g = &map->image->geometry;
	uint64_t number = number_in_slice(g, offset);

	if (g->extended)
		slice->zeroed[number / 64] &= ~(1ull << number % 64);
}

static void set_word(struct qcow2_map *map, struct qcow2_slice *slice,
	uint64_t offset, const uint64_t word[2])
{
	const struct qcow2_geometry *g = &map->image->geometry;
	uint64_t in_slice = number_in_slice(g, offset);
	uint64_t at = in_slice * g->words;
	uint32_t sequence = slice->sequence;

	assert(slice->pins && slice != map->image->hole);
	qcow2_epoch_touch(map->image);
	qcow2_watch_note_entry(map->image, qcow2_slice_word(slice, at));
	qcow2_watch_note_entry(map->image, word[0]);
	slice_dirty(map->image, slice);
	atomic_store_explicit(
		&slice->sequence, sequence + 1, memory_order_relaxed);
	qcow2_slice_set_word(slice, at, word[0]);
	if (g->words == 2)
		qcow2_slice_set_word(slice, at + 1, word[1]);
	atomic_store_explicit(
		&slice->sequence, sequence + 2, memory_order_release);
}

void qcow2_map_set(struct qcow2_map *map, struct qcow2_slice *slice,
	uint64_t offset, const uint64_t word[2])
{
	map->image->epochs.ordered = true;
	qcow2_map_doubt(map, slice, offset);
	set_word(map, slice, offset, word);
}

void qcow2_map_set_calm(struct qcow2_map *map, struct qcow2_slice *slice,
	uint64_t offset, const uint64_t word[2])
{
	const struct qcow2_geometry *g = &map->image->geometry;
	uint64_t number = number_in_slice(g, offset);

	if (g->extended)
		slice->zeroed[number / 64] |= 1ull << number % 64;
	set_word(map, slice, offset, word);
}

/* Longer only: an image that becomes smaller keeps its L1 table. */
int qcow2_map_lengthen_co(struct qcow2_map *map, uint32_t l1_entries)
{
	struct qcow2_root *old = map->root,
			  *root = qcow2_map_root_new(l1_entries);
	uint64_t room = qcow2_map_l1_room(l1_entries) + QCOW2_L1_SECTOR_ENTRIES;
	uint64_t *l1 = calloc(room, 8);
	uint8_t *dirty = calloc(1, room / QCOW2_L1_SECTOR_ENTRIES);
	uint32_t both = map->l1_entries;

	assert(l1_entries >= both);
	if (!root || !l1 || !dirty) {
		free(root);
		free(l1);
		free(dirty);
		return -ENOMEM;
	}
	memcpy(l1, map->l1, both * sizeof *l1);
	memcpy(dirty, map->l1_dirty,
		qcow2_map_l1_room(both) / QCOW2_L1_SECTOR_ENTRIES);
	for (uint32_t i = 0; i < l1_entries; i++)
		root->table[i] = i < both ? (struct qcow2_table *)old->table[i]
					  : map->image->hole_table;
	free(map->l1);
	free(map->l1_dirty);
	map->l1 = l1;
	map->l1_dirty = dirty;
	map->l1_entries = l1_entries;
	atomic_store_explicit(&map->root, root, memory_order_release);
	qcow2_map_visit_lanes_co(map->image);
	free(old);
	return 0;
}
