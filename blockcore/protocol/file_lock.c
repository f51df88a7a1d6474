/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol file: order between a read-modify-write and every other change
 * of the same blocks.
 *
 * A request for 512 bytes of a 4 KiB block reads the block, changes a part and
 * writes all of it: whatever another request wrote to the rest in between would
 * be lost, also if the two do not overlap for the host. So a change of a part
 * of a block is exclusive in its blocks; changes of whole blocks are shared.
 *
 * Most files never see such a request, so no lane pays for it before the first
 * one: until then a lane only counts its changes in the kernel (`untracked`).
 * The first read-modify-write turns the file, once and for good:
 *
 *	lane n	 ask ->  lane 0  turn -> every lane: new changes enter the table
 *			 lane 0 <- answer: once the counted ones are done
 *			 lane 0	 go ->   every lane: exclusive locks can be had
 *
 * Invariants
 *  1. Entries are granted in order of arrival among those that conflict:
 *     ranges overlap and at least one is exclusive.
 *  2. An io holds at most one lock and waits for nothing but the kernel while
 *     it holds it, so there is no deadlock.
 *  3. A driver is not closed before `go` has reached the lane that asked, and
 *     every `go` is posted before any message that stops a lane.
 */
#include "blockcore/protocol/file.h"

#include "blockcore/base/list.h"

#include <assert.h>
#include <errno.h>

static struct file_lane *lane_at(struct file_driver *file, unsigned index)
{
	return block_driver_lane(
		&file->driver, block_core_lane(file->driver.core, index));
}

/* -- the table ------------------------------------------------------------ */

static bool conflict(const struct file_lock *a, const struct file_lock *b)
{
	return (a->exclusive || b->exclusive) && a->start < b->end &&
		b->start < a->end;
}

/* Under the mutex: no conflict with an entry that came before. */
static bool is_first(struct file_locks *locks, struct file_io *io)
{
	struct file_io *other;

	TAILQ_FOREACH (other, &locks->list, lock.link) {
		if (other == io)
			return true;
		if (conflict(&other->lock, &io->lock))
			return false;
	}
	return true;
}

static void granted_on_lane(struct loop_message *message)
{
	struct file_io *io = container_of(message, struct file_io, message);

	block_unhold(io->request);
	io->lock.granted(io);
}

/* Under the mutex: `gone` has left; grants what waited for it. */
static void wake(struct file_locks *locks, const struct file_lock *gone)
{
	struct file_io *io;

	TAILQ_FOREACH (io, &locks->list, lock.link) {
		if (io->lock.state != FILE_LOCK_WAITING ||
			!conflict(&io->lock, gone) || !is_first(locks, io))
			continue;
		io->lock.state = FILE_LOCK_HELD;
		io->message.run = granted_on_lane;
		loop_post(io->lane->lane->loop, &io->message);
	}
}

/* Cancelled while it waits in the table; too late if `wake` was faster. */
static void cancel_waiting(struct block_request *request)
{
	struct file_io *io = request->held_by;
	struct file_locks *locks = &io->file->locks;
	bool waited;

	pthread_mutex_lock(&locks->mutex);
	waited = io->lock.state == FILE_LOCK_WAITING;
	if (waited) {
		io->lock.state = FILE_LOCK_NONE;
		TAILQ_REMOVE(&locks->list, io, lock.link);
		wake(locks, &io->lock);
	}
	pthread_mutex_unlock(&locks->mutex);
	if (waited) {
		block_unhold(request);
		io->lock.refused(io, -ECANCELED);
	}
}

static void enter(struct file_io *io)
{
	struct file_locks *locks = &io->file->locks;
	bool held;

	/* Held before it can be granted by another thread. */
	block_hold(io->request, cancel_waiting, io);
	pthread_mutex_lock(&locks->mutex);
	held = is_first(locks, io);
	io->lock.state = held ? FILE_LOCK_HELD : FILE_LOCK_WAITING;
	TAILQ_INSERT_TAIL(&locks->list, io, lock.link);
	pthread_mutex_unlock(&locks->mutex);
	if (!held)
		return;
	block_unhold(io->request);
	io->lock.granted(io);
}

/* -- from counting to the table ------------------------------------------- */

static void lane_go(struct loop_message *message)
{
	struct file_lane *lane = container_of(message, struct file_lane, go);
	struct file_io *io;

	lane->ordered = true;
	while ((io = TAILQ_FIRST(&lane->parked))) {
		TAILQ_REMOVE(&lane->parked, io, link);
		block_unhold(io->request);
		enter(io);
	}
}

/* On lane 0: another lane has no uncounted change in the kernel any more. */
static void lane_answered(struct loop_message *message)
{
	struct file_lane *lane =
		container_of(message, struct file_lane, answer);
	struct file_driver *file = lane->file;
	unsigned i;

	if (--file->locks.answers_left)
		return;
	for (i = 0; i < block_core_lanes(file->driver.core); i++) {
		lane = lane_at(file, i);
		lane->go.run = lane_go;
		loop_post(lane->lane->loop, &lane->go);
	}
}

static void lane_answer(struct file_lane *lane)
{
	lane->answer_due = false;
	lane->answer.run = lane_answered;
	loop_post(block_core_lane(lane->file->driver.core, 0)->loop,
		&lane->answer);
}

static void lane_turn(struct loop_message *message)
{
	struct file_lane *lane = container_of(message, struct file_lane, turn);

	lane->tracked = true;
	lane->answer_due = true;
	if (!lane->untracked)
		lane_answer(lane);
}

/* On lane 0: some lane has a part of a block to write. */
static void lane_asks(struct loop_message *message)
{
	struct file_lane *lane = container_of(message, struct file_lane, ask);
	struct file_driver *file = lane->file;
	unsigned i;

	if (file->locks.turned)
		return;
	file->locks.turned = true;
	file->locks.answers_left = block_core_lanes(file->driver.core);
	for (i = 0; i < block_core_lanes(file->driver.core); i++) {
		lane = lane_at(file, i);
		lane->turn.run = lane_turn;
		loop_post(lane->lane->loop, &lane->turn);
	}
}

static void cancel_parked(struct block_request *request)
{
	struct file_io *io = request->held_by;

	TAILQ_REMOVE(&io->lane->parked, io, link);
	io->lock.state = FILE_LOCK_NONE;
	block_unhold(request);
	io->lock.refused(io, -ECANCELED);
}

static void park(struct file_io *io)
{
	struct file_lane *lane = io->lane;

	io->lock.state = FILE_LOCK_PARKED;
	TAILQ_INSERT_TAIL(&lane->parked, io, link);
	block_hold(io->request, cancel_parked, io);
	if (lane->asked)
		return;
	lane->asked = true;
	lane->ask.run = lane_asks;
	loop_post(block_core_lane(io->file->driver.core, 0)->loop, &lane->ask);
}

/* -- the door ------------------------------------------------------------- */

void file_lock_take(struct file_io *io, uint64_t start, uint64_t end,
	bool exclusive, void (*granted)(struct file_io *io),
	void (*refused)(struct file_io *io, int result))
{
	struct file_lane *lane = io->lane;

	assert(io->lock.state == FILE_LOCK_NONE);
	if (!exclusive && !lane->tracked) {
		lane->untracked++;
		io->lock.state = FILE_LOCK_COUNTED;
		granted(io);
		return;
	}
	io->lock = (struct file_lock){.exclusive = exclusive,
		.start = start,
		.end = end,
		.granted = granted,
		.refused = refused};
	if (exclusive && !lane->ordered)
		park(io);
	else
		enter(io);
}

void file_lock_release(struct file_io *io)
{
	struct file_locks *locks = &io->file->locks;
	struct file_lane *lane = io->lane;

	if (io->lock.state == FILE_LOCK_COUNTED) {
		io->lock.state = FILE_LOCK_NONE;
		if (!--lane->untracked && lane->answer_due)
			lane_answer(lane);
		return;
	}
	assert(io->lock.state == FILE_LOCK_HELD);
	pthread_mutex_lock(&locks->mutex);
	io->lock.state = FILE_LOCK_NONE;
	TAILQ_REMOVE(&locks->list, io, lock.link);
	wake(locks, &io->lock);
	pthread_mutex_unlock(&locks->mutex);
}

void file_lock_lane_init(struct file_lane *lane)
{
	TAILQ_INIT(&lane->parked);
}

void file_lock_init(struct file_driver *file)
{
	pthread_mutex_init(&file->locks.mutex, NULL);
	TAILQ_INIT(&file->locks.list);
}

void file_lock_fini(struct file_driver *file)
{
	assert(TAILQ_EMPTY(&file->locks.list));
	pthread_mutex_destroy(&file->locks.mutex);
}
