/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: group commit. All flushes that come while a commit runs share the next
 * one. See qcow2.h for the order of its steps, and why.
 *
 * Invariants
 *  1. One commit at a time; each asked for after it had begun waits for the next.
 *  2. An epoch is closed before its first fdatasync: what is changed later is
 *     not in its copies.
 *  3. Freed clusters are counted down only after the commit that wrote the last
 *     entry without them, and after a drain that began then.
 *  4. Tables are written by one at a time, a commit or a write ahead of it: two
 *     writes to one sector never overtake each other.
 */
#include "blockcore/format/qcow2/qcow2.h"

#include "blockcore/base/bytes.h"

#include <errno.h>
#include <stdlib.h>

#define COMMIT_AFTER_NS (1000ull * 1000 * 1000) /* without a flush */
#define DIRTY_MOST 2048u /* slices: 8 MiB */
#define BRIEF_MOST 64u /* entries of an epoch that was short */

/* -- what an epoch has to write ------------------------------------------- */

struct epoch {
	struct qcow2_write_list early, late;
	struct qcow2_freed_list freed;
	struct qcow2_slice_list closed; /* pinned until they are written */
	bool ordered; /* late writes follow an fdatasync of early ones and data */
};

static int close_slice(
	struct qcow2 *image, struct epoch *epoch, struct qcow2_slice *slice)
{
	const struct qcow2_geometry *g = &image->geometry;
	struct qcow2_table *table = qcow2_map_get(&image->map, slice->l1_index);
	uint64_t offset = (image->map.l1[slice->l1_index] & QCOW2_OFFSET_MASK) +
		(uint64_t)slice->slice_index * g->slice_bytes;
	bool fresh = table->fresh;

	return qcow2_io_add(image, fresh ? &epoch->early : &epoch->late,
		fresh ? PURPOSE_L2_ALLOC_UPDATE : PURPOSE_L2_UPDATE, offset,
		(const void *)slice->disk_word, g->slice_bytes);
}

static void epoch_init(struct epoch *epoch)
{
	STAILQ_INIT(&epoch->early);
	STAILQ_INIT(&epoch->late);
	TAILQ_INIT(&epoch->freed);
	TAILQ_INIT(&epoch->closed);
}

/* What is not in memory is read from the file, so slices stay until they are there. */
static void epoch_fini(struct epoch *epoch)
{
	struct qcow2_slice *slice;

	while ((slice = TAILQ_FIRST(&epoch->closed))) {
		TAILQ_REMOVE(&epoch->closed, slice, closed_link);
		qcow2_map_unpin(slice);
	}
	qcow2_io_free(&epoch->early);
	qcow2_io_free(&epoch->late);
}

static int close_slices(struct qcow2 *image, struct epoch *epoch)
{
	struct qcow2_epochs *e = &image->epochs;
	struct qcow2_slice *slice;

	while ((slice = TAILQ_FIRST(&e->dirty))) {
		int error = close_slice(image, epoch, slice);

		if (error)
			return error;
		slice->dirty = false;
		slice->pins++;
		TAILQ_INSERT_TAIL(&epoch->closed, slice, closed_link);
		TAILQ_REMOVE(&e->dirty, slice, dirty_link);
		e->dirty_count--;
	}
	return 0;
}

static int close_l1_sector(
	struct qcow2_map *map, struct epoch *epoch, uint32_t sector)
{
	uint8_t bytes[QCOW2_SECTOR_BYTES];
	uint32_t first = sector * QCOW2_L1_SECTOR_ENTRIES;

	for (uint32_t i = 0; i < QCOW2_L1_SECTOR_ENTRIES; i++) {
		struct qcow2_table *table = first + i < map->l1_entries
			? qcow2_map_get(map, first + i)
			: NULL;

		put_be64(bytes + 8 * i, map->l1[first + i]);
		if (table)
			table->fresh = false;
	}
	map->l1_dirty[sector] = 0;
	return qcow2_io_add(map->image, &epoch->late, PURPOSE_L1_UPDATE,
		map->l1_offset + (uint64_t)sector * QCOW2_SECTOR_BYTES, bytes,
		QCOW2_SECTOR_BYTES);
}

static int close_l1(struct qcow2 *image, struct epoch *epoch)
{
	struct qcow2_map *map = &image->map;
	uint64_t sectors =
		qcow2_map_l1_room(map->l1_entries) / QCOW2_L1_SECTOR_ENTRIES;

	if (!image->epochs.l1_dirty)
		return 0;
	image->epochs.l1_dirty = false;
	for (uint32_t i = 0; i < sectors; i++) {
		int error =
			map->l1_dirty[i] ? close_l1_sector(map, epoch, i) : 0;

		if (error)
			return error;
	}
	return 0;
}

/* Without a wait in it: a moment of the map. */
static int close_epoch(struct qcow2 *image, struct epoch *epoch)
{
	struct qcow2_epochs *e = &image->epochs;

	TAILQ_CONCAT(&epoch->freed, &e->freed, link);
	epoch->ordered = e->ordered;
	e->ordered = false;
	e->brief = e->changes <= BRIEF_MOST;
	e->changes = 0;
	int error = close_slices(image, epoch);

	return error ? error : close_l1(image, epoch);
}

/* -- a commit ------------------------------------------------------------- */

static int write_early_co(struct qcow2 *image, struct epoch *epoch)
{
	co_mutex_lock_co(&image->refcounts.write);
	int error = qcow2_refcount_collect(
		image, PURPOSE_REFBLOCK_UPDATE, &epoch->early);
	if (!error)
		error = qcow2_io_write_all_co(image, &epoch->early);
	co_mutex_unlock(&image->refcounts.write);
	return error;
}

static int write_epoch_co(struct qcow2 *image, struct epoch *epoch)
{
	int error = write_early_co(image, epoch);

	if (!error && epoch->ordered && !STAILQ_EMPTY(&epoch->late))
		error = qcow2_io_flush_co(image, PURPOSE_FLUSH_TO_OS);
	if (!error)
		error = qcow2_io_write_all_co(image, &epoch->late);
	return error ? error : qcow2_io_flush_co(image, PURPOSE_FLUSH_TO_DISK);
}

static void start_reclaiming(struct qcow2 *image);

static int commit_once_co(struct qcow2 *image)
{
	struct qcow2_epochs *e = &image->epochs;
	struct epoch epoch;

	if (image->failed)
		return -EIO;
	epoch_init(&epoch);
	loop_timer_clear(image->home->loop, &e->timer);
	e->commits++;
	int error = close_epoch(image, &epoch);
	if (!error)
		error = write_epoch_co(image, &epoch);
	epoch_fini(&epoch);
	TAILQ_CONCAT(&e->unnamed, &epoch.freed, link);
	if (error)
		return qcow2_io_failed(image, error, "tables");
	block_memory_add(&image->memory, 0); /* more of it can go now */
	if (TAILQ_EMPTY(&e->dirty) && !e->l1_dirty)
		image->uncommitted = false;
	else
		loop_timer_set(image->home->loop, &e->timer, COMMIT_AFTER_NS);
	start_reclaiming(image);
	return 0;
}

static void wake_waiters(struct qcow2_epochs *e)
{
	struct qcow2_waiter_list woken = STAILQ_HEAD_INITIALIZER(woken);
	struct qcow2_waiter *waiter;

	STAILQ_CONCAT(&woken, &e->waiters);
	while ((waiter = STAILQ_FIRST(&woken))) {
		STAILQ_REMOVE_HEAD(&woken, link);
		co_resume(waiter->co);
	}
}

/* Until a commit or a reclaim has ended. */
static void wait_co(struct qcow2_epochs *e)
{
	struct qcow2_waiter waiter = {.co = co_self()};

	STAILQ_INSERT_TAIL(&e->waiters, &waiter, link);
	co_yield ();
}

int qcow2_epoch_commit_co(struct qcow2 *image)
{
	struct qcow2_epochs *e = &image->epochs;
	uint64_t mine = ++e->asked;

	while (e->done < mine && !image->failed) {
		if (e->running) {
			wait_co(e);
			continue;
		}
		uint64_t covered = e->asked;
		e->running = true;
		if (!commit_once_co(image))
			e->done = covered;
		e->running = false;
		wake_waiters(e);
	}
	return e->done >= mine ? 0 : -EIO;
}

/* -- ahead of a commit ---------------------------------------------------- */

/* After a short epoch the next one is likely to be short, too: flushes follow each
 * other closely, as databases' do. Then what is changed in a turn is written at its
 * end, beside the data, and the flush finds it done. */
static bool may_write_ahead(const struct qcow2_epochs *e)
{
	return e->brief && e->changes <= BRIEF_MOST && !e->ordered &&
		!e->running;
}

static void write_ahead_locked_co(struct qcow2 *image)
{
	struct epoch epoch;

	epoch_init(&epoch);
	int error = close_slices(image, &epoch);
	if (!error)
		error = qcow2_io_write_all_co(image, &epoch.late);
	epoch_fini(&epoch);
	if (error)
		qcow2_io_failed(image, error, "tables");
}

static void write_ahead_co(void *argument)
{
	struct qcow2 *image = argument;
	struct qcow2_epochs *e = &image->epochs;

	if (may_write_ahead(e) && !image->failed) {
		e->running = true;
		write_ahead_locked_co(image);
		e->running = false;
		wake_waiters(e);
	}
	qcow2_io_helper_done(image);
}

static void turn_is_over(struct loop_message *message)
{
	struct qcow2 *image = container_of(message, struct qcow2, epochs.ahead);

	image->epochs.ahead_posted = false;
	qcow2_io_helper(image, write_ahead_co);
	qcow2_io_helper_done(image);
}

static void post_ahead(struct qcow2 *image)
{
	struct qcow2_epochs *e = &image->epochs;

	if (e->ahead_posted || !may_write_ahead(e))
		return;
	e->ahead_posted = true;
	atomic_fetch_add(&image->helpers, 1);
	loop_post(image->home->loop, &e->ahead);
}

/* -- without a flush ------------------------------------------------------ */

static void background_co(void *argument)
{
	struct qcow2 *image = argument;

	qcow2_epoch_commit_co(image);
	qcow2_io_helper_done(image);
}

static void time_is_up(struct loop_timer *timer)
{
	struct qcow2 *image = container_of(timer, struct qcow2, epochs.timer);

	if (!qcow2_io_helper(image, background_co))
		loop_timer_set(image->home->loop, timer, COMMIT_AFTER_NS);
}

void qcow2_epoch_touch(struct qcow2 *image)
{
	struct qcow2_epochs *e = &image->epochs;

	image->uncommitted = true;
	e->changes++;
	post_ahead(image);
	if (!e->timer.armed && !e->running)
		loop_timer_set(image->home->loop, &e->timer, COMMIT_AFTER_NS);
	if (e->dirty_count >= DIRTY_MOST && !e->running)
		qcow2_io_helper(image, background_co);
}

/* -- freeing -------------------------------------------------------------- */

void qcow2_epoch_free(struct qcow2 *image, uint64_t offset, uint64_t clusters)
{
	struct qcow2_epochs *e = &image->epochs;
	uint64_t bits = image->geometry.cluster_bits;
	struct qcow2_freed *last = TAILQ_LAST(&e->freed, qcow2_freed_list);

	if (last && last->offset_bytes + (last->clusters << bits) == offset) {
		last->clusters += clusters;
		return;
	}
	struct qcow2_freed *freed = malloc(sizeof *freed);
	if (!freed)
		return; /* a leak, which check finds */
	*freed = (struct qcow2_freed){
		.offset_bytes = offset, .clusters = clusters};
	TAILQ_INSERT_TAIL(&e->freed, freed, link);
}

void qcow2_epoch_free_entry(struct qcow2 *image, uint64_t word)
{
	struct qcow2_row row = qcow2_entry_row(&image->geometry, word);

	if (row.clusters)
		qcow2_epoch_free(image, row.offset, row.clusters);
}

static int reclaim_co(struct qcow2 *image)
{
	struct qcow2_freed_list *list = &image->epochs.drained;
	struct qcow2_freed *freed;
	int error = 0;

	TAILQ_CONCAT(list, &image->epochs.unnamed, link);
	image->drain_co(image);
	while ((freed = TAILQ_FIRST(list))) {
		if (!error)
			error = qcow2_release_co(
				image, freed->offset_bytes, freed->clusters);
		TAILQ_REMOVE(list, freed, link);
		free(freed);
	}
	return error;
}

static void reclaimer_co(void *argument)
{
	struct qcow2 *image = argument;

	while (!TAILQ_EMPTY(&image->epochs.unnamed) && !reclaim_co(image))
		;
	image->epochs.reclaiming = false;
	wake_waiters(&image->epochs);
	qcow2_io_helper_done(image);
}

static void start_reclaiming(struct qcow2 *image)
{
	struct qcow2_epochs *e = &image->epochs;

	if (e->reclaiming || TAILQ_EMPTY(&e->unnamed))
		return;
	e->reclaiming = true;
	if (!qcow2_io_helper(image, reclaimer_co))
		e->reclaiming = false;
}

static bool has_to_be_freed(const struct qcow2_epochs *e)
{
	return e->reclaiming || !TAILQ_EMPTY(&e->freed) ||
		!TAILQ_EMPTY(&e->unnamed);
}

/* Another one may have done it since the caller found no space. */
bool qcow2_epoch_reclaim_co(struct qcow2 *image)
{
	struct qcow2_epochs *e = &image->epochs;

	/* A commit that runs has what was set free before it. */
	while (e->running)
		wait_co(e);
	if (!has_to_be_freed(e))
		return qcow2_pool_may_have(image);
	if (qcow2_epoch_commit_co(image))
		return false;
	while (e->reclaiming)
		wait_co(e);
	return !image->failed;
}

/* -- begin and end -------------------------------------------------------- */

void qcow2_epoch_init(struct qcow2 *image)
{
	struct qcow2_epochs *e = &image->epochs;

	STAILQ_INIT(&e->waiters);
	TAILQ_INIT(&e->freed);
	TAILQ_INIT(&e->unnamed);
	TAILQ_INIT(&e->drained);
	TAILQ_INIT(&e->dirty);
	e->timer.expired = time_is_up;
	e->ahead.run = turn_is_over;
}

static void forget(struct qcow2_freed_list *list)
{
	struct qcow2_freed *freed;

	while ((freed = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, freed, link);
		free(freed);
	}
}

/* First the map; then what it has set free and the rest of the pool, counted
 * down: two commits. */
int qcow2_epoch_end_co(struct qcow2 *image)
{
	struct qcow2_epochs *e = &image->epochs;
	int error = 0;

	loop_timer_clear(image->home->loop, &e->timer);
	if (image->begun && !image->corrupt) {
		error = qcow2_epoch_commit_co(image);
		qcow2_io_wait_helpers_co(image);
		if (!error)
			error = qcow2_pool_return_co(image);
		if (!error)
			error = qcow2_epoch_commit_co(image);
		qcow2_io_wait_helpers_co(image);
	}
	loop_timer_clear(image->home->loop, &e->timer);
	forget(&e->freed);
	forget(&e->unnamed);
	return error;
}
