/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: which slices of L2 tables stay in memory: as many as the bound for all images
 * together has room for (blockcore/memory.h), and as the option `cache` lets this one
 * have, if it is given. The oldest go that nobody has looked at since they were last
 * asked. At home.
 *
 * Invariants
 *  1. What is taken out of the map is freed after every lane has been visited once:
 *     no lane holds a pointer to it any more.
 *  2. Dirty and pinned slices stay. The cache is larger than its limit by those at
 *     most.
 */
#include "blockcore/format/qcow2/qcow2.h"

#include <assert.h>
#include <stdlib.h>

/* Of what an image that has to give some back keeps, this part at most is refcounts. */
#define BLOCKS_SHARE 4u

static int64_t bytes_of(const struct qcow2 *image)
{
	return (int64_t)(sizeof(struct qcow2_slice) +
		image->geometry.slice_bytes);
}

void qcow2_cache_put(
	struct qcow2_table *table, uint32_t index, struct qcow2_slice *slice)
{
	atomic_store_explicit(
		&table->slice[index], slice, memory_order_release);
}

void qcow2_cache_add(struct qcow2 *image, struct qcow2_slice *slice)
{
	TAILQ_INSERT_TAIL(&image->slices, slice, link);
	image->cached_bytes += image->geometry.slice_bytes;
	block_memory_add(&image->memory, bytes_of(image));
}

static void take_out(struct qcow2 *image, struct qcow2_slice *slice)
{
	TAILQ_REMOVE(&image->slices, slice, link);
	image->cached_bytes -= image->geometry.slice_bytes;
	block_memory_add(&image->memory, -bytes_of(image));
}

/* -- throwing out --------------------------------------------------------- */

static void visit_nothing(struct block_lane *lane, void *argument)
{
	(void)lane;
	(void)argument;
}

void qcow2_map_visit_lanes_co(struct qcow2 *image)
{
	block_broadcast_co(image->format.core, visit_nothing, NULL);
}

static void slices_free(struct qcow2_slice_list *list)
{
	struct qcow2_slice *slice;

	while ((slice = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, slice, link);
		free(slice);
	}
}

/* Until `keep` bytes are left, if as many can go. */
static void pick_victims(
	struct qcow2 *image, uint64_t keep, struct qcow2_slice_list *out)
{
	uint64_t rounds = 2 * image->cached_bytes / image->geometry.slice_bytes;
	struct qcow2_slice *slice;

	while (image->cached_bytes > keep && rounds-- &&
		(slice = TAILQ_FIRST(&image->slices))) {
		bool used = atomic_exchange_explicit(
			&slice->used, false, memory_order_relaxed);
		if (used || slice->dirty || slice->pins) {
			TAILQ_REMOVE(&image->slices, slice, link);
			TAILQ_INSERT_TAIL(&image->slices, slice, link);
			continue;
		}
		qcow2_cache_put(qcow2_map_get(slice->map, slice->l1_index),
			slice->slice_index, NULL);
		take_out(image, slice);
		TAILQ_INSERT_TAIL(out, slice, link);
	}
}

static void evict_co(void *argument)
{
	struct qcow2 *image = argument;
	struct qcow2_slice_list out = TAILQ_HEAD_INITIALIZER(out);

	pick_victims(image, image->keep_bytes, &out);
	qcow2_map_visit_lanes_co(image);
	slices_free(&out);
	image->evicting = false;
	qcow2_io_helper_done(image);
}

static void evict(struct qcow2 *image, uint64_t keep)
{
	if (image->evicting)
		return;
	image->keep_bytes = keep;
	image->evicting = true;
	if (!qcow2_io_helper(image, evict_co))
		image->evicting = false;
}

/* Slices of the image may take what its refcount blocks do not. */
static uint64_t slices_room(const struct qcow2 *image, uint64_t bytes)
{
	uint64_t slices = image->cached_bytes / image->geometry.slice_bytes;
	uint64_t blocks =
		image->memory.bytes - slices * (uint64_t)bytes_of(image);

	return (bytes > blocks ? bytes - blocks : 0) /
		(uint64_t)bytes_of(image) * image->geometry.slice_bytes;
}

void qcow2_cache_trim(struct qcow2 *image)
{
	uint64_t limit = qcow2_options(image)->cache_bytes;

	if (image->asked)
		qcow2_refcount_trim(image, image->asked_bytes / BLOCKS_SHARE);
	if (limit && image->cached_bytes > limit)
		evict(image, limit - limit / 8);
	else if (image->asked)
		evict(image, slices_room(image, image->asked_bytes));
	image->asked = false;
}

/* Somebody, perhaps this image, has just put another one in: it goes on first. */
static void shrink(struct block_memory_user *user, uint64_t bytes)
{
	struct qcow2 *image = container_of(user, struct qcow2, memory);

	image->asked = true;
	image->asked_bytes = bytes;
	if (!image->trim_posted) {
		image->trim_posted = true;
		atomic_fetch_add(&image->helpers, 1);
		loop_post(image->home->loop, &image->trim);
	}
}

static void trim_now(struct loop_message *message)
{
	struct qcow2 *image = container_of(message, struct qcow2, trim);

	image->trim_posted = false;
	qcow2_cache_trim(image);
	qcow2_io_helper_done(image);
}

/* -- all of it ------------------------------------------------------------ */

void qcow2_map_forget(struct qcow2_map *map)
{
	struct qcow2 *image = map->image;
	struct qcow2_slice *slice, *next;

	TAILQ_FOREACH_SAFE (slice, &image->slices, link, next) {
		if (slice->map != map)
			continue;
		assert(!slice->dirty && !slice->pins);
		take_out(image, slice);
		free(slice);
	}
}

void qcow2_cache_init(struct qcow2 *image)
{
	TAILQ_INIT(&image->slices);
	image->trim.run = trim_now;
	image->memory.shrink = shrink;
	block_memory_join(image->format.core, &image->memory);
}

void qcow2_cache_fini(struct qcow2 *image)
{
	slices_free(&image->slices);
	block_memory_leave(&image->memory);
}
