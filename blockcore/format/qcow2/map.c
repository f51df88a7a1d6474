/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: the map from guest offsets to places in the file. L1 tables are in
 * memory whole; of L2 tables, slices of 4 KiB, as many as cache.c lets stay.
 *
 *	lanes:	root -> table of slices -> slice -> word	no lock, no wait
 *	home:	loads, changes, throws out
 *
 * Invariants
 *  1. A lane holds no pointer to a slice beyond one call (cache.c).
 *  2. Where the L1 entry is 0 there is one table and one slice of zeroes for
 *     all: a sparse image of any size costs no memory to read.
 */
#include "blockcore/format/qcow2/qcow2.h"

#include "blockcore/base/bytes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_ENTRIES_MAX 32768u /* in one look: a lane has other work, too */

/* -- looking -------------------------------------------------------------- */

struct qcow2_slice *qcow2_map_slice(
	const struct qcow2_map *map, uint64_t cluster)
{
	const struct qcow2_geometry *g = &map->image->geometry;
	struct qcow2_root *root =
		atomic_load_explicit(&map->root, memory_order_acquire);
	uint64_t l1_index = cluster >> g->l2_bits;
	uint64_t in_table = cluster & ((1ull << g->l2_bits) - 1);

	if (l1_index >= root->entries)
		return NULL;
	struct qcow2_table *table = atomic_load_explicit(
		&root->table[l1_index], memory_order_acquire);
	return table
		? atomic_load_explicit(&table->slice[in_table >> g->slice_bits],
			  memory_order_acquire)
		: NULL;
}

/* The entry as one: false if home is just changing it. */
static bool slice_read(const struct qcow2_geometry *g,
	struct qcow2_slice *slice, uint64_t cluster, uint64_t word[2])
{
	uint64_t in_slice = cluster & ((1ull << g->slice_bits) - 1);
	uint32_t sequence =
		atomic_load_explicit(&slice->sequence, memory_order_acquire);
	uint64_t at = in_slice * g->words;

	word[0] = qcow2_slice_word(slice, at);
	word[1] = g->words == 2 ? qcow2_slice_word(slice, at + 1) : 0;
	return !(sequence & 1) &&
		atomic_load_explicit(&slice->sequence, memory_order_relaxed) ==
		sequence;
}

/* What the map says of one cluster from `offset` on. */
static void look_once(
	struct qcow2_map *map, uint64_t offset, struct qcow2_piece *piece)
{
	const struct qcow2_geometry *g = &map->image->geometry;
	uint64_t cluster = offset >> g->cluster_bits, word[2];
	struct qcow2_slice *slice = qcow2_map_slice(map, cluster);

	piece->state = QCOW2_ABSENT;
	piece->bytes = g->cluster_bytes;
	if (!slice || !slice_read(g, slice, cluster, word))
		return;
	if (!atomic_load_explicit(&slice->used, memory_order_relaxed))
		atomic_store_explicit(&slice->used, true, memory_order_relaxed);
	qcow2_entry_look(g, word, offset & (g->cluster_bytes - 1), piece);
	if (slice == map->image->hole) /* one step over all of it */
		piece->bytes = (((cluster >> g->slice_bits) + 1)
				       << (g->slice_bits + g->cluster_bits)) -
			offset;
}

static bool goes_on(
	const struct qcow2_piece *piece, const struct qcow2_piece *next)
{
	if (next->state != piece->state)
		return false;
	switch (piece->state) {
	case QCOW2_DATA:
		return next->ours == piece->ours &&
			next->host == piece->host + piece->bytes;
	case QCOW2_HOLE:
	case QCOW2_ZEROES: return true;
	default: return false;
	}
}

void qcow2_map_look(struct qcow2_map *map, uint64_t offset, uint64_t want,
	struct qcow2_piece *piece)
{
	struct qcow2_piece next;

	look_once(map, offset, piece);
	for (unsigned i = 0; piece->bytes < want && i < LOOK_ENTRIES_MAX; i++) {
		look_once(map, offset + piece->bytes, &next);
		if (!goes_on(piece, &next))
			break;
		piece->bytes += next.bytes;
	}
	if (piece->bytes > want)
		piece->bytes = want;
}

void qcow2_map_entry(struct qcow2_map *map, uint64_t offset, uint64_t word[2])
{
	const struct qcow2_geometry *g = &map->image->geometry;
	uint64_t cluster = offset >> g->cluster_bits;
	struct qcow2_slice *slice = qcow2_map_slice(map, cluster);

	assert(slice);
	slice_read(g, slice, cluster, word);
}

/* -- memory --------------------------------------------------------------- */

struct qcow2_slice *qcow2_map_slice_new(const struct qcow2_geometry *g)
{
	return calloc(1, sizeof(struct qcow2_slice) + g->slice_bytes);
}

struct qcow2_table *qcow2_map_table_new(
	const struct qcow2_geometry *g, struct qcow2_slice *all)
{
	struct qcow2_table *table = calloc(1,
		sizeof *table + g->slices_per_table * sizeof(table->slice[0]));

	for (uint32_t i = 0; table && i < g->slices_per_table; i++)
		atomic_store_explicit(
			&table->slice[i], all, memory_order_relaxed);
	return table;
}

void qcow2_map_put(
	struct qcow2_map *map, uint32_t l1_index, struct qcow2_table *table)
{
	struct qcow2_root *root =
		atomic_load_explicit(&map->root, memory_order_relaxed);

	atomic_store_explicit(
		&root->table[l1_index], table, memory_order_release);
}

struct qcow2_table *qcow2_map_get(
	const struct qcow2_map *map, uint32_t l1_index)
{
	struct qcow2_root *root =
		atomic_load_explicit(&map->root, memory_order_relaxed);

	return atomic_load_explicit(
		&root->table[l1_index], memory_order_relaxed);
}

/* -- loading -------------------------------------------------------------- */

/* An entry that is written through must point to a cluster of data. */
static int slice_check(struct qcow2 *image, const struct qcow2_slice *slice)
{
	const struct qcow2_geometry *g = &image->geometry;
	unsigned words = (unsigned)(g->slice_bytes / 8);

	for (unsigned i = 0; i < words; i += g->words) {
		uint64_t host = qcow2_entry_cluster(qcow2_slice_word(slice, i));

		if (!host)
			continue;
		if (host & (g->cluster_bytes - 1))
			return qcow2_io_corrupt(
				image, "misplaced data cluster", host);
		if (qcow2_map_is_meta(image, host))
			return qcow2_io_corrupt(
				image, "data cluster on a table", host);
		if (host >= image->file_bytes)
			return qcow2_io_corrupt(
				image, "data cluster behind the end", host);
	}
	return 0;
}

static int slice_read_co(struct qcow2_map *map, struct qcow2_slice *slice)
{
	struct qcow2 *image = map->image;
	const struct qcow2_geometry *g = &image->geometry;
	uint64_t table = map->l1[slice->l1_index] & QCOW2_OFFSET_MASK;
	uint8_t *bytes = qcow2_io_memory(g->slice_bytes);
	int error;

	if (!bytes)
		return -ENOMEM;
	error = qcow2_io_read_co(image, PURPOSE_L2_LOAD,
		table + (uint64_t)slice->slice_index * g->slice_bytes,
		g->slice_bytes, bytes);
	if (!error) /* no lane knows it yet */
		memcpy((void *)slice->disk_word, bytes, g->slice_bytes);
	free(bytes);
	image->loads++;
	return error ? error : slice_check(image, slice);
}

int qcow2_map_check_l1(struct qcow2_map *map, uint32_t l1_index)
{
	struct qcow2 *image = map->image;
	uint64_t table = map->l1[l1_index] & QCOW2_OFFSET_MASK;

	if (table & (image->geometry.cluster_bytes - 1))
		return qcow2_io_corrupt(image, "misplaced L2 table", table);
	if (table >= image->file_bytes)
		return qcow2_io_corrupt(
			image, "L2 table behind the end", table);
	return 0;
}

/* The table object of the entry; makes it if it is not there. */
static int table_load(
	struct qcow2_map *map, uint32_t l1_index, struct qcow2_table **table)
{
	struct qcow2 *image = map->image;

	*table = qcow2_map_get(map, l1_index);
	if (*table)
		return 0;
	int error = qcow2_map_check_l1(map, l1_index);
	if (error)
		return error;
	*table = qcow2_map_table_new(&image->geometry, NULL);
	if (!*table)
		return -ENOMEM;
	qcow2_map_put(map, l1_index, *table);
	return 0;
}

static int slice_load_locked_co(struct qcow2_map *map, uint32_t l1_index,
	uint32_t slice_index, struct qcow2_slice **out)
{
	struct qcow2 *image = map->image;
	struct qcow2_table *table;
	int error = table_load(map, l1_index, &table);

	if (error)
		return error;
	*out = table->slice[slice_index];
	if (*out)
		return 0;
	struct qcow2_slice *slice = qcow2_map_slice_new(&image->geometry);
	if (!slice)
		return -ENOMEM;
	slice->map = map;
	slice->l1_index = l1_index;
	slice->slice_index = slice_index;
	slice->used = true;
	error = slice_read_co(map, slice);
	if (error) {
		free(slice);
		return error;
	}
	qcow2_cache_add(image, slice);
	/* The table may have become the image's own meanwhile, with the same
	 * content: its object stays. */
	qcow2_cache_put(qcow2_map_get(map, l1_index), slice_index, slice);
	*out = slice;
	return 0;
}

int qcow2_map_pin_co(
	struct qcow2_map *map, uint64_t offset, struct qcow2_slice **out)
{
	struct qcow2 *image = map->image;
	const struct qcow2_geometry *g = &image->geometry;
	uint64_t cluster = offset >> g->cluster_bits;
	uint64_t number = cluster >> g->slice_bits;
	uint32_t l1_index = (uint32_t)(cluster >> g->l2_bits);
	struct co_mutex *mutex = &image->load[number % 16];

	if (cluster >> g->l2_bits >= map->l1_entries)
		return -ERANGE;
	co_mutex_lock_co(mutex);
	int error = slice_load_locked_co(map, l1_index,
		(uint32_t)(number & (g->slices_per_table - 1)), out);
	if (!error)
		(*out)->pins++;
	co_mutex_unlock(mutex);
	qcow2_cache_trim(image);
	return error;
}

int qcow2_map_load_co(struct qcow2_map *map, uint64_t offset)
{
	struct qcow2_slice *slice;
	int error = qcow2_map_pin_co(map, offset, &slice);

	if (!error)
		qcow2_map_unpin(slice);
	return error;
}

/* -- opening -------------------------------------------------------------- */

uint64_t qcow2_map_l1_room(uint32_t entries)
{
	return ((uint64_t)entries + QCOW2_L1_SECTOR_ENTRIES - 1) &
		~(uint64_t)(QCOW2_L1_SECTOR_ENTRIES - 1);
}

static int l1_read_co(struct qcow2_map *map, struct err *err)
{
	uint64_t room = qcow2_map_l1_room(map->l1_entries);
	uint8_t *bytes = qcow2_io_memory(room * 8 + 1);

	if (!bytes)
		return err_set(err, ENOMEM, "no memory for the L1 table");
	int error = qcow2_io_read_co(
		map->image, PURPOSE_L1_LOAD, map->l1_offset, room * 8, bytes);
	for (uint32_t i = 0; !error && i < map->l1_entries; i++) {
		map->l1[i] = get_be64(bytes + 8 * (size_t)i);
		if (!(map->l1[i] & QCOW2_OFFSET_MASK))
			qcow2_map_put(map, i, map->image->hole_table);
	}
	free(bytes);
	return error ? err_set(err, -error, "the L1 table cannot be read: %s",
			       strerror(-error))
		     : 0;
}

struct qcow2_root *qcow2_map_root_new(uint64_t entries)
{
	struct qcow2_root *root =
		calloc(1, sizeof *root + entries * sizeof(root->table[0]));

	if (root)
		root->entries = entries;
	return root;
}

int qcow2_map_open_co(struct qcow2 *image, struct qcow2_map *map,
	uint64_t l1_offset, uint32_t l1_entries, struct err *err)
{
	uint64_t room = qcow2_map_l1_room(l1_entries) + QCOW2_L1_SECTOR_ENTRIES;

	*map = (struct qcow2_map){.image = image,
		.l1_offset = l1_offset,
		.l1_entries = l1_entries};
	map->l1 = calloc(room, 8);
	map->l1_dirty = calloc(1, room / QCOW2_L1_SECTOR_ENTRIES);
	map->root = qcow2_map_root_new(l1_entries);
	if (!map->l1 || !map->l1_dirty || !map->root)
		return err_set(err, ENOMEM, "no memory for the L1 table");
	return l1_read_co(map, err);
}

/* No lane looks any more. */
void qcow2_map_close(struct qcow2_map *map)
{
	struct qcow2_root *root = map->root;

	for (uint64_t i = 0; root && i < root->entries; i++) {
		if (root->table[i] != map->image->hole_table)
			free(root->table[i]);
	}
	free(root);
	free(map->l1);
	free(map->l1_dirty);
	map->root = NULL;
}

int qcow2_map_init(struct qcow2 *image)
{
	for (unsigned i = 0; i < 16; i++)
		co_mutex_init(&image->load[i]);
	co_mutex_init(&image->tables);
	co_mutex_init(&image->begin);
	co_mutex_init(&image->names);
	qcow2_cache_init(image);
	image->hole = qcow2_map_slice_new(&image->geometry);
	if (image->hole)
		image->hole_table =
			qcow2_map_table_new(&image->geometry, image->hole);
	return image->hole_table ? 0 : -ENOMEM;
}

void qcow2_map_fini(struct qcow2 *image)
{
	qcow2_cache_fini(image);
	free(image->hole_table);
	free(image->hole);
	free(image->meta);
}
