/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: refcounts: a table of blocks, each one cluster of counts of 1 to 64
 * bits. Blocks are kept as they lie on disk.
 *
 * Invariants
 *  1. A count goes up durably before anything durable names the cluster
 *     (pool.c), and down after nothing does any more (epoch.c).
 *  2. A block that is dirty stays in memory until an epoch has written it.
 *  3. Two writes of refcounts are never out together (`write`).
 */
#include "blockcore/format/qcow2/qcow2.h"
#include "blockcore/format/qcow2/watch.h"

#include "blockcore/base/bytes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS_BYTES_MAX (16u << 20) /* in memory, beside dirty ones ... */
#define BLOCKS_BYTES_LEAST (128u << 10) /* ... where memory is short */
#define TABLE_SECTOR_ENTRIES (QCOW2_SECTOR_BYTES / 8)

/* -- counts --------------------------------------------------------------- */

uint64_t qcow2_refcount_get(
	const struct qcow2 *image, const uint8_t *block, uint64_t index)
{
	unsigned order = image->header.refcount_order;

	switch (order) {
	case 3: return block[index];
	case 4: return get_be16(block + 2 * index);
	case 5: return get_be32(block + 4 * index);
	case 6: return get_be64(block + 8 * index);
	default: {
		unsigned bits = 1u << order, per_byte = 8 / bits;

		return block[index / per_byte] >> (index % per_byte * bits) &
			((1u << bits) - 1);
	}
	}
}

void qcow2_refcount_set(const struct qcow2 *image, uint8_t *block,
	uint64_t index, uint64_t value)
{
	unsigned order = image->header.refcount_order;

	switch (order) {
	case 3: block[index] = (uint8_t)value; return;
	case 4: put_be16(block + 2 * index, (uint16_t)value); return;
	case 5: put_be32(block + 4 * index, (uint32_t)value); return;
	case 6: put_be64(block + 8 * index, value); return;
	default: {
		unsigned bits = 1u << order, per_byte = 8 / bits;
		unsigned shift = (unsigned)(index % per_byte) * bits;
		unsigned mask = ((1u << bits) - 1) << shift;
		uint8_t *byte = &block[index / per_byte];

		*byte = (uint8_t)((*byte & ~mask) | (value << shift & mask));
	}
	}
}

/* -- blocks in memory ----------------------------------------------------- */

static int64_t bytes_of(const struct qcow2 *image)
{
	return (int64_t)(sizeof(struct qcow2_refblock) +
		image->geometry.cluster_bytes);
}

void qcow2_refcount_trim(struct qcow2 *image, uint64_t bytes)
{
	struct qcow2_refcounts *r = &image->refcounts;
	uint64_t most = bytes >> image->geometry.cluster_bits;
	struct qcow2_refblock *block, *next;

	/* A block that is being written is not dirty, but not to be read from
	 * the file yet either. */
	if (r->write.locked)
		return;
	TAILQ_FOREACH_SAFE (block, &r->blocks, link, next) {
		if (r->count <= most)
			return;
		if (block->dirty)
			continue;
		TAILQ_REMOVE(&r->blocks, block, link);
		r->block[block->index] = NULL;
		r->count--;
		block_memory_add(&image->memory, -bytes_of(image));
		free(block);
	}
}

static struct qcow2_refblock *block_new(struct qcow2 *image, uint64_t index)
{
	struct qcow2_refblock *block =
		calloc(1, sizeof *block + image->geometry.cluster_bytes);

	if (block)
		block->index = index;
	return block;
}

static void block_keep(struct qcow2 *image, struct qcow2_refblock *block)
{
	struct qcow2_refcounts *r = &image->refcounts;

	qcow2_refcount_trim(image,
		block_memory_is_full(image->format.core) ? BLOCKS_BYTES_LEAST
							 : BLOCKS_BYTES_MAX);
	r->block[block->index] = block;
	TAILQ_INSERT_TAIL(&r->blocks, block, link);
	r->count++;
	block_memory_add(&image->memory, bytes_of(image));
}

static int block_read_co(
	struct qcow2 *image, uint64_t index, struct qcow2_refblock **out)
{
	uint64_t bytes = image->geometry.cluster_bytes;
	uint64_t offset = image->refcounts.table[index];
	uint8_t *data = qcow2_io_memory(bytes);
	struct qcow2_refblock *block = block_new(image, index);
	int error = data && block ? 0 : -ENOMEM;

	if (!error && (offset & (bytes - 1) || offset >= image->file_bytes))
		error = qcow2_io_corrupt(
			image, "misplaced refcount block", offset);
	if (!error)
		error = qcow2_io_read_co(
			image, PURPOSE_REFBLOCK_LOAD, offset, bytes, data);
	if (!error)
		memcpy(block->data, data, bytes);
	free(data);
	if (error) {
		free(block);
		return error;
	}
	block_keep(image, block);
	*out = block;
	return 0;
}

int qcow2_refcount_load_co(
	struct qcow2 *image, uint64_t index, struct qcow2_refblock **block)
{
	struct qcow2_refcounts *r = &image->refcounts;
	int error = 0;

	if (index >= r->entries || !r->table[index])
		return -ENOENT;
	co_mutex_lock_co(&r->load);
	if (!r->block[index])
		error = block_read_co(image, index, block);
	co_mutex_unlock(&r->load);
	/* Unlocking may have run others. */
	*block = error ? NULL : r->block[index];
	if (!*block)
		return error ? error : -EAGAIN;
	TAILQ_REMOVE(&r->blocks, *block, link);
	TAILQ_INSERT_TAIL(&r->blocks, *block, link);
	return 0;
}

void qcow2_refcount_dirty(struct qcow2 *image, struct qcow2_refblock *block)
{
	if (!block->dirty)
		image->refcounts.dirty++;
	block->dirty = true;
}

int qcow2_refcount_collect(struct qcow2 *image, enum block_purpose purpose,
	struct qcow2_write_list *list)
{
	struct qcow2_refcounts *r = &image->refcounts;
	struct qcow2_refblock *block;

	TAILQ_FOREACH (block, &r->blocks, link) {
		if (!r->dirty)
			break;
		if (!block->dirty)
			continue;
		int error = qcow2_io_add(image, list, purpose,
			r->table[block->index], block->data,
			(uint32_t)image->geometry.cluster_bytes);
		if (error)
			return error;
		block->dirty = false;
		r->dirty--;
	}
	return 0;
}

/* -- going down ----------------------------------------------------------- */

static int drop_one_co(struct qcow2 *image, uint64_t cluster)
{
	unsigned bits = qcow2_refcount_block_bits(image);
	uint64_t index = cluster & ((1ull << bits) - 1);
	struct qcow2_refblock *block;
	int error = qcow2_refcount_load_co(image, cluster >> bits, &block);

	if (error == -EAGAIN)
		return error;
	if (error && error != -ENOENT)
		return error;
	uint64_t count =
		error ? 0 : qcow2_refcount_get(image, block->data, index);
	if (!count)
		return qcow2_io_corrupt(image, "refcount below zero",
			cluster << image->geometry.cluster_bits);
	qcow2_watch_note(image, cluster, 1);
	qcow2_refcount_set(image, block->data, index, count - 1);
	qcow2_refcount_dirty(image, block);
	if (count == 1) {
		qcow2_map_unmark_meta(
			image, cluster << image->geometry.cluster_bits, 1);
		if (cluster < image->pool.hint)
			image->pool.hint = cluster;
		if (cluster >= image->pool.untouched)
			image->pool.untouched = cluster + 1;
	}
	return 0;
}

int qcow2_refcount_drop_co(
	struct qcow2 *image, uint64_t offset, uint64_t clusters)
{
	uint64_t first = offset >> image->geometry.cluster_bits;
	int error = 0;

	for (uint64_t i = 0; i < clusters && !error; i++) {
		do
			error = drop_one_co(image, first + i);
		while (error == -EAGAIN);
	}
	return error;
}

/* -- growing -------------------------------------------------------------- */

/* The sector of the table that has the entry. */
static int table_write_co(struct qcow2 *image, uint64_t index)
{
	struct qcow2_refcounts *r = &image->refcounts;
	uint64_t first = index & ~(uint64_t)(TABLE_SECTOR_ENTRIES - 1);
	uint8_t *sector = qcow2_io_memory(QCOW2_SECTOR_BYTES);
	int error;

	if (!sector)
		return -ENOMEM;
	for (unsigned i = 0; i < TABLE_SECTOR_ENTRIES; i++)
		put_be64(sector + 8 * i,
			first + i < r->entries ? r->table[first + i] : 0);
	error = qcow2_io_write_co(image, PURPOSE_REFBLOCK_ALLOC_HOOKUP,
		image->header.reftable_offset + first * 8, QCOW2_SECTOR_BYTES,
		sector);
	free(sector);
	return error ? error
		     : qcow2_io_flush_co(image, PURPOSE_REFBLOCK_ALLOC_HOOKUP);
}

/* It is durable before the table names it, and counts itself if it can. */
int qcow2_refcount_make_co(struct qcow2 *image, uint64_t index, uint64_t offset)
{
	struct qcow2_refcounts *r = &image->refcounts;
	const struct qcow2_geometry *g = &image->geometry;
	uint64_t cluster = offset >> g->cluster_bits;
	unsigned bits = qcow2_refcount_block_bits(image);
	struct qcow2_refblock *block = block_new(image, index);
	int error;

	if (!block)
		return -ENOMEM;
	if (qcow2_map_is_meta(image, offset)) {
		free(block);
		return qcow2_io_corrupt(image, "uncounted table", offset);
	}
	qcow2_watch_note(image, cluster, 1);
	if (cluster >> bits == index)
		qcow2_refcount_set(
			image, block->data, cluster & ((1ull << bits) - 1), 1);
	error = qcow2_pool_extend_co(image, offset + g->cluster_bytes);
	if (!error)
		error = qcow2_map_mark_meta(image, offset, 1);
	if (!error)
		error = qcow2_io_write_co(image, PURPOSE_REFBLOCK_ALLOC_WRITE,
			offset, g->cluster_bytes, block->data);
	if (!error)
		error = qcow2_io_flush_co(image, PURPOSE_REFBLOCK_ALLOC_WRITE);
	if (error) { /* nothing names it: the cluster is free as before */
		qcow2_map_unmark_meta(image, offset, 1);
		free(block);
		return error;
	}
	r->table[index] = offset;
	block_keep(image, block);
	error = table_write_co(image, index);
	return error ? qcow2_io_failed(image, error, "refcount table") : 0;
}

/* Memory for a table of so many entries. */
static int table_room(struct qcow2 *image, uint64_t entries)
{
	struct qcow2_refcounts *r = &image->refcounts;
	uint64_t *table = calloc(entries, sizeof *table);
	struct qcow2_refblock **block = calloc(entries, sizeof(void *));

	if (!table || !block) {
		free(table);
		free(block);
		return -ENOMEM;
	}
	if (r->entries) {
		memcpy(table, r->table, r->entries * sizeof *table);
		memcpy(block, r->block, r->entries * sizeof(void *));
	}
	free(r->table);
	free(r->block);
	r->table = table;
	r->block = block;
	r->entries = entries;
	return 0;
}

/* A larger table lies, with the blocks that count it, where no count reaches yet:
 * blocks first, then the table. */
struct growth {
	uint64_t first; /* block index: where the new area starts */
	uint64_t blocks, table_clusters, offset;
};

static void growth_plan(
	const struct qcow2 *image, uint64_t index, struct growth *growth)
{
	const struct qcow2_geometry *g = &image->geometry;
	unsigned bits = qcow2_refcount_block_bits(image);
	uint64_t per_cluster = g->cluster_bytes / 8;
	uint64_t entries = image->refcounts.entries;

	/* `index` itself is behind the area, or in it. */
	growth->first = entries;
	growth->table_clusters =
		2 * entries / per_cluster + index / per_cluster + 1;
	growth->blocks = 1;
	while (growth->blocks + growth->table_clusters > growth->blocks << bits)
		growth->blocks++;
	while ((growth->first + growth->blocks) >
		growth->table_clusters * per_cluster)
		growth->table_clusters++;
	growth->offset = growth->first << (bits + g->cluster_bits);
}

static int growth_write_co(struct qcow2 *image, const struct growth *growth)
{
	const struct qcow2_geometry *g = &image->geometry;
	struct qcow2_refcounts *r = &image->refcounts;
	uint64_t used = growth->blocks + growth->table_clusters;
	uint64_t bytes = used << g->cluster_bits;
	uint64_t per_block = 1ull << qcow2_refcount_block_bits(image);
	uint8_t *area = qcow2_io_memory(bytes);
	int error;

	if (!area)
		return -ENOMEM;
	memset(area, 0, bytes);
	qcow2_watch_note(image, growth->offset >> g->cluster_bits, used);
	for (uint64_t i = 0; i < used; i++)
		qcow2_refcount_set(image,
			area + (i / per_block << g->cluster_bits),
			i % per_block, 1);
	uint8_t *table = area + (growth->blocks << g->cluster_bits);
	for (uint64_t i = 0; i < growth->first; i++)
		put_be64(table + 8 * i, r->table[i]);
	for (uint64_t i = 0; i < growth->blocks; i++)
		put_be64(table + 8 * (growth->first + i),
			growth->offset + (i << g->cluster_bits));
	error = qcow2_pool_extend_co(image, growth->offset + bytes);
	if (!error)
		error = qcow2_map_mark_meta(image, growth->offset, used);
	if (!error)
		error = qcow2_io_write_co(image,
			PURPOSE_REFBLOCK_ALLOC_WRITE_TABLE, growth->offset,
			bytes, area);
	free(area);
	return error
		? error
		: qcow2_io_flush_co(image, PURPOSE_REFBLOCK_ALLOC_WRITE_TABLE);
}

static int table_grow_co(struct qcow2 *image, uint64_t index)
{
	const struct qcow2_geometry *g = &image->geometry;
	struct qcow2_refcounts *r = &image->refcounts;
	uint64_t old = image->header.reftable_offset;
	uint32_t old_clusters = image->header.reftable_clusters;
	struct growth growth;

	growth_plan(image, index, &growth);
	if (growth.table_clusters << g->cluster_bits > QCOW2_REFTABLE_BYTES_MAX)
		return -EFBIG;
	int error = growth_write_co(image, &growth);
	if (!error)
		error = table_room(
			image, growth.table_clusters << (g->cluster_bits - 3));
	if (error) {
		qcow2_map_unmark_meta(image, growth.offset,
			growth.blocks + growth.table_clusters);
		return error;
	}
	for (uint64_t i = 0; i < growth.blocks; i++)
		r->table[growth.first + i] =
			growth.offset + (i << g->cluster_bits);
	image->header.reftable_offset =
		growth.offset + (growth.blocks << g->cluster_bits);
	image->header.reftable_clusters = (uint32_t)growth.table_clusters;
	error = qcow2_io_header_co(image, PURPOSE_REFBLOCK_ALLOC_SWITCH_TABLE);
	if (error)
		return qcow2_io_failed(image, error, "header");
	qcow2_epoch_free(image, old, old_clusters);
	return 0;
}

int qcow2_refcount_grow_co(struct qcow2 *image, uint64_t index)
{
	struct qcow2_refcounts *r = &image->refcounts;

	if (index >= r->entries) {
		int error = table_grow_co(image, index);

		if (error)
			return error;
	}
	/* A new block is the first cluster of those that it counts. */
	return r->table[index]
		? 0
		: qcow2_refcount_make_co(image, index,
			  index << (qcow2_refcount_block_bits(image) +
				  image->geometry.cluster_bits));
}

/* -- opening -------------------------------------------------------------- */

int qcow2_refcount_open_co(struct qcow2 *image, struct err *err)
{
	struct qcow2_refcounts *r = &image->refcounts;
	uint64_t bytes = (uint64_t)image->header.reftable_clusters
		<< image->geometry.cluster_bits;
	uint8_t *table = qcow2_io_memory(bytes);

	TAILQ_INIT(&r->blocks);
	co_mutex_init(&r->load);
	co_mutex_init(&r->write);
	int error = table ? table_room(image, bytes / 8) : -ENOMEM;
	if (!error)
		error = qcow2_io_read_co(image, PURPOSE_REFTABLE_LOAD,
			image->header.reftable_offset, bytes, table);
	for (uint64_t i = 0; !error && i < r->entries; i++)
		r->table[i] = get_be64(table + 8 * i) & ~511ull;
	free(table);
	return error
		? err_set(err, -error, "the refcount table cannot be read: %s",
			  strerror(-error))
		: 0;
}

void qcow2_refcount_close(struct qcow2 *image)
{
	struct qcow2_refcounts *r = &image->refcounts;
	struct qcow2_refblock *block;

	while ((block = TAILQ_FIRST(&r->blocks))) {
		TAILQ_REMOVE(&r->blocks, block, link);
		free(block);
	}
	free(r->table);
	free(r->block);
	r->table = NULL;
	r->block = NULL;
}
