/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: the pool of clusters to be given out. A run of free clusters is taken
 * ahead, zeroed and counted before the first of them is used. So an allocation is
 * an addition, a new cluster needs no zeroes around its data, and what a power cut
 * loses is the rest of one run, as leaks. With subclusters nothing is zeroed inside
 * the file: an entry says which parts of its cluster count, and who writes fills
 * those; blocks of the file that were written stay so, which makes it quicker.
 * Where the file is known to hold zeroes that is noted: commits are shorter then.
 * No flush is needed here: the epoch that is open when a run is taken is ordered,
 * so what names a cluster is written only after a fdatasync.
 *
 * Invariants
 *  1. What is in the pool is named by nothing, and its refcount of 1 has been
 *     written. Without subclusters it holds zeroes.
 *  2. pool->zeroes is true only if all of the run reads as zeroes.
 */
#include "blockcore/format/qcow2/qcow2.h"

#include "blockcore/figures.h"
#include "blockcore/format/qcow2/watch.h"

#include <errno.h>

#define RUN_BYTES_FIRST (1u << 20) /* the next is twice as long ... */
#define ALIGN_BYTES 4096u /* of the file's end */

void qcow2_pool_init(struct qcow2 *image)
{
	uint64_t most = qcow2_options(image)->pool_bytes;

	image->pool.run_clusters = qcow2_clusters(&image->geometry,
		most < RUN_BYTES_FIRST ? most : RUN_BYTES_FIRST);
	if (!image->pool.run_clusters)
		image->pool.run_clusters = 1;
	co_mutex_init(&image->pool.refill);
	image->pool.hint = 1;
	image->pool.untouched = image->sparse_from = UINT64_MAX;
}

int qcow2_pool_extend_co(struct qcow2 *image, uint64_t bytes)
{
	struct err err = {0};

	bytes = (bytes + ALIGN_BYTES - 1) & ~(uint64_t)(ALIGN_BYTES - 1);
	if (bytes <= image->file_bytes)
		return 0;
	int error = block_source_resize_co(image->format.file, bytes, &err);
	if (error)
		return error == -EOPNOTSUPP ? -ENOSPC : error;
	image->file_bytes =
		block_source_info(image->format.file, image->home).size_bytes;
	return 0;
}

/* -- looking for free ones ------------------------------------------------ */

/* The free clusters from `cluster` on, all counted by one block, at most `want`.
 * *found 0: none up to the end of the block, *next. */
struct search {
	uint64_t cluster, want;
	uint64_t start, found, next;
};

static int search_block_co(struct qcow2 *image, struct search *s)
{
	unsigned bits = qcow2_refcount_block_bits(image);
	uint64_t first = s->cluster >> bits << bits, end = 1ull << bits;
	struct qcow2_refblock *block;
	uint64_t i = s->cluster - first;
	int error = qcow2_refcount_load_co(image, s->cluster >> bits, &block);

	if (error)
		return error;
	while (i < end && qcow2_refcount_get(image, block->data, i))
		i++;
	s->start = first + i;
	while (i < end && s->found < s->want &&
		!qcow2_refcount_get(image, block->data, i) &&
		!qcow2_map_is_meta(
			image, (first + i) << image->geometry.cluster_bits)) {
		i++;
		s->found++;
	}
	s->next = s->found ? first + i : first + end;
	/* Free by its count, but a table lies there: it is not to be had. */
	if (!s->found && i < end)
		s->next = first + i + 1;
	return 0;
}

/* `write` is held. */
static int search_co(struct qcow2 *image, struct search *s)
{
	unsigned bits = qcow2_refcount_block_bits(image);
	int error;

	for (;;) {
		error = search_block_co(image, s);
		if (error == -EAGAIN)
			continue;
		if (error == -ENOENT) {
			error = qcow2_refcount_grow_co(
				image, s->cluster >> bits);
			if (!error)
				continue;
		}
		if (error || s->found)
			return error;
		s->cluster = s->next;
	}
}

/* -- taking a run --------------------------------------------------------- */

static int count_run_co(struct qcow2 *image, const struct search *s)
{
	unsigned bits = qcow2_refcount_block_bits(image);
	uint64_t first = s->start & ((1ull << bits) - 1);
	struct qcow2_write_list list = STAILQ_HEAD_INITIALIZER(list);
	struct qcow2_refblock *block;
	int error;

	do
		error = qcow2_refcount_load_co(image, s->start >> bits, &block);
	while (error == -EAGAIN);
	if (error)
		return error;
	qcow2_watch_note(image, s->start, s->found);
	for (uint64_t i = 0; i < s->found; i++)
		qcow2_refcount_set(image, block->data, first + i, 1);
	qcow2_refcount_dirty(image, block);
	error = qcow2_refcount_collect(image, PURPOSE_CLUSTER_ALLOC, &list);
	if (!error)
		error = qcow2_io_write_all_co(image, &list);
	qcow2_io_free(&list);
	return error;
}

/* Space that was never written to, or given back. */
static bool reads_zero_co(struct qcow2 *image, uint64_t offset, uint64_t bytes)
{
	struct block_extent extent = {.flags = 0};
	struct block_extents answer = {.extent = &extent, .room = 1};

	return !block_extents_co(image->format.file, image->home, 0, offset,
		       bytes, &answer) &&
		answer.count && (extent.flags & BLOCK_EXTENT_ZERO) &&
		extent.length_bytes >= bytes;
}

static int zero_run_co(
	struct qcow2 *image, const struct search *s, bool *zeroes)
{
	unsigned bits = image->geometry.cluster_bits;
	uint64_t offset = s->start << bits, bytes = s->found << bits;
	bool behind = offset >= image->file_bytes;
	bool sparse = offset >= image->sparse_from;
	int error = qcow2_pool_extend_co(image, offset + bytes);

	*zeroes = true;
	if (error || sparse || s->start >= image->pool.untouched)
		return error;
	if (!behind && image->geometry.extended && !image->filling) {
		*zeroes = reads_zero_co(image, offset, bytes);
		return 0;
	}
	return qcow2_io_vector_co(image, PURPOSE_CLUSTER_ALLOC_SPACE,
		image->format.file, BLOCK_WRITE_ZEROES, offset, bytes, NULL, 0);
}

/* `write` is held: nobody else counts. Without space for a long run, a short one
 * may do. */
static int take_run_co(struct qcow2 *image)
{
	struct qcow2_pool *pool = &image->pool;
	struct search s = {.cluster = pool->hint, .want = pool->run_clusters};
	int error = search_co(image, &s);
	bool zeroes = false;

	if (!error)
		error = zero_run_co(image, &s, &zeroes);
	if (error == -ENOSPC && pool->run_clusters > 1) {
		pool->run_clusters = 1;
		s = (struct search){.cluster = pool->hint, .want = 1};
		error = search_co(image, &s);
		if (!error)
			error = zero_run_co(image, &s, &zeroes);
	}
	if (error)
		return error;
	error = count_run_co(image, &s);
	if (error)
		return qcow2_io_failed(image, error, "refcounts");
	pool->next = s.start << image->geometry.cluster_bits;
	pool->end = (s.start + s.found) << image->geometry.cluster_bits;
	pool->zeroes = zeroes;
	pool->hint = s.start + s.found;
	/* No entry that names it is durable before its count is. */
	image->epochs.ordered = true;
	return 0;
}

static int refill_co(struct qcow2 *image)
{
	struct qcow2_pool *pool = &image->pool;
	uint64_t most = qcow2_clusters(
		&image->geometry, qcow2_options(image)->pool_bytes);

	co_mutex_lock_co(&image->refcounts.write);
	int error = image->failed ? -EIO : take_run_co(image);
	co_mutex_unlock(&image->refcounts.write);
	if (!error && pool->run_clusters < most)
		pool->run_clusters *= 2;
	if (pool->run_clusters > most)
		pool->run_clusters = most ? most : 1;
	return error;
}

int qcow2_pool_take_co(
	struct qcow2 *image, uint64_t want, struct qcow2_grant *grant)
{
	struct qcow2_pool *pool = &image->pool;
	int error = 0;

	while (pool->next == pool->end && !error) {
		co_mutex_lock_co(&pool->refill);
		if (pool->next == pool->end)
			error = refill_co(image);
		co_mutex_unlock(&pool->refill);
	}
	if (error)
		return error;
	uint64_t there =
		(pool->end - pool->next) >> image->geometry.cluster_bits;
	grant->clusters = want < there ? want : there;
	grant->offset = pool->next;
	grant->zeroes = pool->zeroes;
	pool->next += grant->clusters << image->geometry.cluster_bits;
	image->allocated_clusters += grant->clusters;
	return 0;
}

bool qcow2_pool_may_have(const struct qcow2 *image)
{
	const struct qcow2_pool *pool = &image->pool;

	return pool->next < pool->end ||
		pool->hint < image->file_bytes >> image->geometry.cluster_bits;
}

int qcow2_pool_return_co(struct qcow2 *image)
{
	struct qcow2_pool *pool = &image->pool;
	unsigned bits = image->geometry.cluster_bits;
	uint64_t offset = pool->next, bytes = pool->end - pool->next;

	pool->next = pool->end = 0;
	if (!bytes)
		return 0;
	int error = qcow2_refcount_drop_co(image, offset, bytes >> bits);
	/* The space; that it is not given back does no harm. */
	if (!error)
		qcow2_io_vector_co(image, PURPOSE_CLUSTER_FREE,
			image->format.file, BLOCK_DISCARD, offset, bytes, NULL,
			0);
	return error;
}
