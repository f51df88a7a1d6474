/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener backup: who copies granules has them alone, who reads them below has
 * them with other readers; whoever comes first, over all lanes.
 *
 * Invariants
 *  1. An operation has one lock, and asks for the next when it has given that back:
 *     no circle of waiters. Under a lock it waits for I/O only.
 *  2. A lock is granted when nothing before it in the list is in conflict with it: so
 *     nobody starves. There are few: as many as operations at work.
 *  3. A waiter is woken by a message to its own lane.
 */
#include "blockcore/listener/backup.h"

#include "blockcore/base/list.h"

static bool conflict(const struct backup_lock *a, const struct backup_lock *b)
{
	return (a->alone || b->alone) && a->first <= b->last &&
		b->first <= a->last;
}

static bool is_first(
	const struct backup_driver *backup, const struct backup_lock *lock)
{
	const struct backup_lock *before;

	TAILQ_FOREACH (before, &backup->locks, link) {
		if (before == lock)
			return true;
		if (conflict(before, lock))
			return false;
	}
	return true;
}

static void woken(struct loop_message *message)
{
	struct backup_op *op =
		container_of(message, struct backup_op, lock.wake);

	op->lock.go(op);
}

void backup_lock(struct backup_op *op, uint64_t first, uint64_t last,
	bool alone, void (*go)(struct backup_op *op))
{
	struct backup_driver *backup = op->lane->backup;
	struct backup_lock *lock = &op->lock;

	lock->first = first;
	lock->last = last;
	lock->alone = alone;
	lock->go = go;
	lock->wake.run = woken;
	pthread_mutex_lock(&backup->mutex);
	TAILQ_INSERT_TAIL(&backup->locks, lock, link);
	bool granted = lock->granted = is_first(backup, lock);
	pthread_mutex_unlock(&backup->mutex);
	if (granted)
		go(op);
	else
		counter_add(&op->lane->waited, 1);
}

void backup_unlock(struct backup_op *op)
{
	struct backup_driver *backup = op->lane->backup;
	struct backup_lock *gone = &op->lock, *lock;

	pthread_mutex_lock(&backup->mutex);
	TAILQ_REMOVE(&backup->locks, gone, link);
	TAILQ_FOREACH (lock, &backup->locks, link) {
		struct backup_op *other =
			container_of(lock, struct backup_op, lock);

		if (lock->granted || !conflict(lock, gone) ||
			!is_first(backup, lock))
			continue;
		lock->granted = true;
		loop_post(other->lane->loop, &lock->wake);
	}
	pthread_mutex_unlock(&backup->mutex);
}
