/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Range locks: what overlaps is done in order of arrival, whichever lanes it
 * comes from.
 *
 * Invariants
 *  1. Only changes (WRITE, WRITE_ZEROES, DISCARD, COMPARE_AND_WRITE) of tracked
 *     sources take them; all are exclusive. Reads do not.
 *  2. The byte range is cut at multiples of 16 MiB into shards; a shard's mutex
 *     is held for a walk through its list only, never two at a time.
 *  3. A shard's list is in order of arrival. An entry is granted when nothing
 *     before it overlaps; so nobody starves.
 *  4. A request takes its (at most two) locks in order of offset and waits for
 *     the first before it asks for the second: no circle of waiters.
 *  5. A waiter is woken by a message to its own lane, so a request is touched
 *     by its lane only.
 */
#include "blockcore/core/range_lock.h"

#include "blockcore/core/core.h"
#include "blockcore/core/request.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define RANGE_LOCK_SHARDS 64u /* a source larger than 1 GiB shares them */

struct range_lock_shard {
	pthread_mutex_t mutex;
	TAILQ_HEAD(range_lock_list, range_lock) locks;
} __attribute__((aligned(BLOCK_LINE_BYTES)));

struct range_lock_table {
	struct range_lock_shard shard[RANGE_LOCK_SHARDS];
};

struct range_lock_table *range_lock_table_new(void)
{
	struct range_lock_table *table =
		aligned_alloc(BLOCK_LINE_BYTES, sizeof(*table));

	for (unsigned i = 0; table && i < RANGE_LOCK_SHARDS; i++) {
		pthread_mutex_init(&table->shard[i].mutex, NULL);
		TAILQ_INIT(&table->shard[i].locks);
	}
	return table;
}

void range_lock_table_free(struct range_lock_table *table)
{
	for (unsigned i = 0; table && i < RANGE_LOCK_SHARDS; i++) {
		assert(TAILQ_EMPTY(&table->shard[i].locks));
		pthread_mutex_destroy(&table->shard[i].mutex);
	}
	free(table);
}

/* -- the list of a shard (with its mutex) --------------------------------- */

static bool range_lock_overlaps(
	const struct range_lock *a, const struct range_lock *b)
{
	return a->first <= b->last && b->first <= a->last;
}

static bool range_lock_is_first(
	const struct range_lock_shard *shard, const struct range_lock *lock)
{
	const struct range_lock *before;

	TAILQ_FOREACH (before, &shard->locks, link) {
		if (before == lock)
			return true;
		if (range_lock_overlaps(before, lock))
			return false;
	}
	return true;
}

static void range_lock_remove(
	struct range_lock_shard *shard, struct range_lock *gone)
{
	struct range_lock *lock;

	TAILQ_REMOVE(&shard->locks, gone, link);
	TAILQ_FOREACH (lock, &shard->locks, link) {
		if (lock->granted || !range_lock_overlaps(lock, gone) ||
			!range_lock_is_first(shard, lock))
			continue;
		lock->granted = true;
		loop_post(lock->request->lane->loop, &lock->wake);
	}
}

/* -- a request ------------------------------------------------------------ */

static struct range_lock_shard *range_lock_shard(const struct range_lock *lock)
{
	struct range_lock_table *table = lock->request->source->locks;

	return &table->shard[lock->shard];
}

static void range_lock_woken(struct loop_message *message);

/* True if it is granted at once. */
static bool range_lock_take(struct range_lock *lock)
{
	struct range_lock_shard *shard = range_lock_shard(lock);

	lock->wake.run = range_lock_woken;
	pthread_mutex_lock(&shard->mutex);
	TAILQ_INSERT_TAIL(&shard->locks, lock, link);
	bool granted = range_lock_is_first(shard, lock);
	lock->granted = granted;
	pthread_mutex_unlock(&shard->mutex);
	return granted;
}

static void range_lock_cancel(struct block_request *request)
{
	struct range_lock *lock = request->held_by;
	struct range_lock_shard *shard = range_lock_shard(lock);

	pthread_mutex_lock(&shard->mutex);
	bool granted = lock->granted;
	if (!granted)
		range_lock_remove(shard, lock);
	pthread_mutex_unlock(&shard->mutex);
	if (granted)
		return; /* its message is on the way and will see */
	request->lock_count--;
	block_unhold(request);
	block_complete(request, -ECANCELED);
}

/* The part of the request's range in the shard where its next lock lies. */
static void range_lock_set(
	struct block_request *request, struct range_lock *lock, uint64_t first)
{
	uint64_t shard = first / RANGE_LOCK_SHARD_BYTES;
	uint64_t shard_last = first | (RANGE_LOCK_SHARD_BYTES - 1);
	uint64_t last = request->offset_bytes + request->length_bytes - 1;

	lock->request = request;
	lock->shard = (uint32_t)(shard % RANGE_LOCK_SHARDS);
	lock->first = first;
	lock->last = last < shard_last ? last : shard_last;
}

static void range_lock_go(struct block_request *request,
	void (*go)(struct block_request *request))
{
	uint64_t next = request->offset_bytes;
	uint64_t end = next + request->length_bytes;

	if (request->lock_count)
		next = request->lock[request->lock_count - 1].last + 1;
	while (next < end) {
		struct range_lock *lock = &request->lock[request->lock_count++];

		range_lock_set(request, lock, next);
		lock->go = go;
		next = lock->last + 1;
		if (!range_lock_take(lock)) {
			block_hold(request, range_lock_cancel, lock);
			return;
		}
	}
	go(request);
}

static void range_lock_woken(struct loop_message *message)
{
	struct range_lock *lock =
		container_of(message, struct range_lock, wake);
	struct block_request *request = lock->request;

	block_unhold(request);
	if (request->cancelled)
		block_complete(request, -ECANCELED);
	else
		range_lock_go(request, lock->go);
}

void range_lock_release(struct block_request *request)
{
	while (request->lock_count) {
		struct range_lock *lock = &request->lock[--request->lock_count];
		struct range_lock_shard *shard = range_lock_shard(lock);

		pthread_mutex_lock(&shard->mutex);
		range_lock_remove(shard, lock);
		pthread_mutex_unlock(&shard->mutex);
	}
}

/* -- pieces --------------------------------------------------------------- */

static void range_lock_piece(struct block_request *request, uint64_t offset);

static void range_piece_cancel(struct block_request *request)
{
	block_cancel(request->held_by);
}

static bool range_piece_unlock(
	struct block_request *child, struct block_frame *frame)
{
	(void)frame;
	range_lock_release(child);
	return true;
}

static void range_piece_done(struct block_request *child)
{
	struct block_request *request = child->parent;
	uint64_t next = child->offset_bytes + child->length_bytes;
	int result = child->result;

	block_child_put(child);
	block_unhold(request);
	if (result == 0 && request->cancelled)
		result = -ECANCELED;
	if (result || next == request->offset_bytes + request->length_bytes)
		block_complete(request, result);
	else
		range_lock_piece(request, next);
}

static void range_lock_piece(struct block_request *request, uint64_t offset)
{
	uint64_t end = request->offset_bytes + request->length_bytes;
	uint64_t shard_end = (offset | (RANGE_LOCK_SHARD_BYTES - 1)) + 1;
	struct block_request *child = block_child_get(request);

	if (!child) {
		block_complete(request, -ENOMEM);
		return;
	}
	child->offset_bytes = offset;
	child->length_bytes = (end < shard_end ? end : shard_end) - offset;
	child->done = range_piece_done;
	block_push(child, range_piece_unlock, NULL, 0);
	block_hold(request, range_piece_cancel, child);
	range_lock_go(child, block_pass);
}

void range_lock_enter(struct block_request *request,
	void (*go)(struct block_request *request))
{
	if (request->length_bytes > RANGE_LOCK_SHARD_BYTES)
		range_lock_piece(request, request->offset_bytes);
	else
		range_lock_go(request, go);
}
