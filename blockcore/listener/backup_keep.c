/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener backup with a map (backup_map.c): the moment outlives the daemon.
 *
 *	begins	nothing on disk says that there is a moment; changes copy and go on
 *	settles	all of the source is flushed; from now on changes wait for the map; all
 *		that was copied till now is written, then the header: it is whole
 *	kept	what a change has copied is durable in the target, then its mark in the
 *		map, then the change goes below. One coroutine on the control lane does
 *		that for all that wait together
 *	doubt	other content is to come (going back to a snapshot, a smaller size):
 *		until that has come, or has not and the moment has settled again, the
 *		header says that it is broken
 *	breaks	the header says so before the change goes on whose old data are lost;
 *		where that cannot be written the body is spoilt
 *	ends	a clean stop writes what the source lies in (core/image.h), so that who
 *		changes the image meanwhile breaks the moment; without the listener
 *		there is none any more
 *
 * Invariants
 *  1. While the header says that the moment is whole, every granule that may differ
 *     from it below has a durable mark.
 *  2. A change that sees no `keeping` has marked what it copied before it looked, and
 *     settling looks at the marks after it said so (both sequentially consistent): one
 *     of the two sees the other.
 *  3. What must be durable and cannot be breaks the moment. Where not even that can be
 *     written hosts go on (on_error: break), and it is tried again until it can: a
 *     crash before that would bring the moment back. With another on_error changes of
 *     what the moment needs below fail until then, or until the listener leaves.
 */
#include "blockcore/listener/backup.h"

#include "blockcore/base/bits.h"
#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "blockcore/core/driver_flush.h"

#include <errno.h>
#include <string.h>

#define SOON_NS (10ull * 1000 * 1000)
#define AGAIN_NS (1000ull * 1000 * 1000) /* the map is tried again */

static struct loop *control_of(const struct backup_driver *backup)
{
	return block_core_lane(backup->driver.core, 0)->loop;
}

static struct backup_lane *lane_of(struct backup_driver *backup, unsigned index)
{
	return block_driver_lane(
		&backup->driver, block_core_lane(backup->driver.core, index));
}

/* -- who waits ------------------------------------------------------------ */

struct backup_granules {
	uint64_t first, last;
};

bool backup_keep_needed(
	struct backup_driver *backup, uint64_t first, uint64_t last)
{
	struct backup_map *map = &backup->map;

	switch (atomic_load(&backup->state)) {
	case BACKUP_ACTIVE:
		return atomic_load(&map->keeping) &&
			!bits_all(map->kept, first, last);
	case BACKUP_BROKEN:
		return atomic_load(&map->active) && !atomic_load(&map->unsaid);
	}
	return false;
}

static struct backup_granules granules_of(const struct backup_op *op)
{
	unsigned shift = op->lane->backup->shift;

	return (struct backup_granules){
		op->request->offset_bytes >> shift, (op->end - 1) >> shift};
}

static void keep_ask(struct backup_lane *lane)
{
	if (!atomic_exchange(&lane->asked, true))
		loop_post(control_of(lane->backup), &lane->ask);
}

void backup_keep(struct backup_op *op)
{
	struct backup_lane *lane = op->lane;
	struct backup_map *map = &lane->backup->map;
	struct backup_granules g = granules_of(op);

	if (op->request->op == BLOCK_READ) {
		atomic_store(&map->all, true);
	} else {
		bits_set(map->wanted, g.first, g.last);
		bits_set(map->blocks, g.first / 64 / BACKUP_BLOCK_WORDS,
			g.last / 64 / BACKUP_BLOCK_WORDS);
	}
	TAILQ_INSERT_TAIL(&lane->keeping, op, keep);
	keep_ask(lane);
}

/* True: it has ended or goes on. */
static bool op_goes(struct backup_op *op)
{
	struct backup_driver *backup = op->lane->backup;
	struct backup_granules g = granules_of(op);
	int error = atomic_load(&backup->map.error);

	if (op->request->cancelled)
		backup_work_end(op, -ECANCELED);
	else if (op->request->op == BLOCK_READ)
		backup_work_end(op,
			error				   ? error
				: backup_is_active(backup) ? 0
							   : -EIO);
	else if (!backup_keep_needed(backup, g.first, g.last))
		backup_work_pass(op);
	else if (error)
		backup_work_end(op, error);
	else
		return false;
	return true;
}

static void lane_goes(struct loop_message *message)
{
	struct backup_lane *lane =
		container_of(message, struct backup_lane, go);
	struct backup_op *op, *next;
	bool waits = false;

	atomic_store(&lane->going, false);
	for (op = TAILQ_FIRST(&lane->keeping); op; op = next) {
		next = TAILQ_NEXT(op, keep);
		TAILQ_REMOVE(&lane->keeping, op, keep);
		if (op_goes(op))
			continue;
		if (next)
			TAILQ_INSERT_BEFORE(next, op, keep);
		else
			TAILQ_INSERT_TAIL(&lane->keeping, op, keep);
		waits = true;
	}
	if (waits)
		keep_ask(lane);
}

/* -- the control lane ----------------------------------------------------- */

static void say_later(struct backup_driver *backup)
{
	struct backup_map *map = &backup->map;

	if (atomic_load(&map->unsaid) && !map->timer.armed && !map->settling &&
		!map->closer)
		loop_timer_set(control_of(backup), &map->timer, AGAIN_NS);
}

static void map_failed(const struct backup_driver *backup, int error)
{
	log_error(backup->driver.name, "backup",
		"nor can its map say so: %s; %s", strerror(-error),
		atomic_load(&backup->map.unsaid)
			? "a crash before it can would bring the moment back: "
			  "detach the listener, or take the map's file away"
			: "changes of what is not in the target fail until it "
			  "can, or the listener is detached");
}

int backup_keep_broken_co(struct backup_driver *backup)
{
	const struct backup_options *o = backup->driver.options;
	struct backup_map *map = &backup->map;

	co_mutex_lock_co(&map->writing);
	map->header.clean = false;
	int error = atomic_load(&map->active) || map->doubt
		? backup_map_broken_co(backup)
		: 0;
	bool goes_on = error && o->on_error == BACKUP_BREAK;
	bool news = error && !atomic_load(&map->mute);
	atomic_store(&map->mute, error);
	map->doubt &= error != 0;
	atomic_store(&map->unsaid, goes_on);
	atomic_store(&map->error, goes_on ? 0 : error);
	co_mutex_unlock(&map->writing);
	if (news)
		map_failed(backup, error);
	say_later(backup);
	return error;
}

/* All that is copied is wanted. */
static void want_all(struct backup_driver *backup)
{
	struct backup_map *map = &backup->map;

	for (uint64_t w = 0; w < BITS_WORDS(backup->granules); w++) {
		uint64_t more = atomic_load(&backup->copied[w]) &
			~atomic_load(&map->kept[w]);
		uint64_t block = w / BACKUP_BLOCK_WORDS;

		if (!more)
			continue;
		atomic_fetch_or(&map->wanted[w], more);
		bits_set(map->blocks, block, block);
	}
}

static void keep_once_co(struct backup_driver *backup)
{
	struct backup_map *map = &backup->map;
	bool more = backup_is_active(backup) && atomic_load(&map->keeping);
	int error = 0;

	co_mutex_lock_co(&map->writing);
	if (more && atomic_exchange(&map->all, false))
		want_all(backup);
	while (more && !error)
		error = backup_map_batch_co(backup, &more);
	co_mutex_unlock(&map->writing);
	if (error)
		backup_break(backup,
			"what it copies cannot be made durable: %s",
			strerror(-error));
	if (!backup_is_active(backup))
		backup_keep_broken_co(backup);
}

static void errand_ended(struct backup_driver *backup)
{
	if (backup->map.closer)
		co_resume(backup->map.closer);
}

/* For all that have asked, until nobody has. */
static void keep_run_co(void *argument)
{
	struct backup_driver *backup = argument;
	unsigned lanes = block_core_lanes(backup->driver.core);
	bool any;

	do {
		uint64_t asked = 0;

		for (unsigned i = 0; i < lanes; i++) {
			asked |= (uint64_t)lane_of(backup, i)->asking << i;
			lane_of(backup, i)->asking = false;
		}
		keep_once_co(backup);
		any = false;
		for (unsigned i = 0; i < lanes; i++) {
			struct backup_lane *lane = lane_of(backup, i);

			any |= lane->asking;
			if ((asked >> i & 1) &&
				!atomic_exchange(&lane->going, true))
				loop_post(lane->loop, &lane->go);
		}
	} while (any);
	backup->map.working = false;
	errand_ended(backup);
}

static void lane_asks(struct loop_message *message)
{
	struct backup_lane *lane =
		container_of(message, struct backup_lane, ask);
	struct backup_driver *backup = lane->backup;

	atomic_store(&lane->asked, false);
	lane->asking = true;
	if (backup->map.working)
		return;
	backup->map.working = true;
	loop_errand(
		control_of(backup), &backup->map.errand, keep_run_co, backup);
}

/* -- settling ------------------------------------------------------------- */

void backup_keep_soon(struct backup_driver *backup)
{
	struct backup_map *map = &backup->map;

	if (!map->timer.armed && !map->settling && !map->closer)
		loop_timer_set(control_of(backup), &map->timer, SOON_NS);
}

/* What was below at the moment has been flushed. */
static int settle_write_co(struct backup_driver *backup)
{
	struct backup_map *map = &backup->map;

	atomic_store(&map->keeping, true);
	int error = backup_map_whole_co(backup);
	map->header.clean = false;
	if (!error && backup_is_active(backup))
		error = backup_map_header_co(backup, BACKUP_ACTIVE, "");
	map->doubt &= error != 0;
	map->settled = !error;
	return error;
}

/* True: it is to be tried again. */
static bool settle_co(struct backup_driver *backup)
{
	struct backup_map *map = &backup->map;
	uint64_t doubts = map->doubts;
	int error = block_driver_flush_co(&backup->driver);

	if (error == -ENODEV)
		return !backup->driver.detached; /* not there yet */
	co_mutex_lock_co(&map->writing);
	bool again = doubts != map->doubts;
	if (!error && !again && backup_is_active(backup))
		error = settle_write_co(backup);
	co_mutex_unlock(&map->writing);
	if (error)
		backup_break(backup, "the moment cannot be made durable: %s",
			strerror(-error));
	return again && backup_is_active(backup);
}

static void settle_run_co(void *argument)
{
	struct backup_driver *backup = argument;
	struct backup_map *map = &backup->map;
	bool again = false;

	if (backup_is_active(backup) && !map->settled)
		again = settle_co(backup);
	if (!backup_is_active(backup))
		backup_keep_broken_co(backup);
	map->settling = false;
	if (again)
		backup_keep_soon(backup);
	else
		say_later(backup);
	errand_ended(backup);
}

static void settle_soon(struct loop_timer *timer)
{
	struct backup_driver *backup =
		container_of(timer, struct backup_driver, map.timer);

	backup->map.settling = true;
	loop_errand(
		control_of(backup), &backup->map.settle, settle_run_co, backup);
}

static const char in_doubt[] =
	"the daemon ended before the moment was durable, or while the source "
	"was to show other content";

int backup_keep_doubt_co(struct backup_driver *backup, struct err *err)
{
	struct backup_map *map = &backup->map;
	bool joins = !backup->driver.references;

	if (!joins && !backup_is_active(backup))
		return 0;
	co_mutex_lock_co(&map->writing);
	map->doubts++;
	map->doubt = true;
	map->settled = false;
	map->header.clean = false;
	/* Sectors of what was there before are none of this moment's. */
	if (joins)
		map->header.number = (uint32_t)loop_random(control_of(backup));
	int error = backup_map_header_co(backup, BACKUP_BROKEN, in_doubt);
	co_mutex_unlock(&map->writing);
	backup_keep_soon(backup);
	return error ? err_set(err, -error, "its map cannot be written: %s",
			       strerror(-error))
		     : 0;
}

/* -- life ----------------------------------------------------------------- */

void backup_keep_start(struct backup_driver *backup)
{
	co_mutex_init(&backup->map.writing);
	backup->map.timer.expired = settle_soon;
	for (unsigned i = 0; i < block_core_lanes(backup->driver.core); i++) {
		struct backup_lane *lane = lane_of(backup, i);

		TAILQ_INIT(&lane->keeping);
		lane->ask.run = lane_asks;
		lane->go.run = lane_goes;
	}
}

void backup_keep_stop_co(struct backup_driver *backup)
{
	struct backup_map *map = &backup->map;

	loop_timer_clear(control_of(backup), &map->timer);
	while (map->settling || map->working) {
		map->closer = co_self();
		co_yield ();
		map->closer = NULL;
	}
	loop_timer_clear(control_of(backup), &map->timer);
}
