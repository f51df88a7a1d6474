/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data buffers: the buddy system described in buf.h.
 *
 * Every 4 KiB of the region has a descriptor; the one at a block's first page
 * describes the block. A block is used (refs > 0), on its class's short list,
 * or joinable and on its class's free list. Descriptors of pages inside a block
 * have refs 0 and joinable 0.
 */
#include "blockcore/base/buf.h"

#include "blockcore/base/asan.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SHORT_LIST_MAX 64u
#define TOP_CLASS (BUF_CLASSES - 1)

enum { NOT_QUEUED, WAITING, WAKING };

LIST_HEAD(buf_list, buf);
TAILQ_HEAD(waiter_list, buf_waiter);

struct buf_pool {
	uint8_t *base;
	size_t region_bytes; /* whole blocks of BUF_MAX_BYTES */
	size_t carved_bytes; /* taken from the region so far */
	size_t budget_bytes, used_bytes;
	struct buf *pages;
	struct buf_list free[BUF_CLASSES];
	struct buf_list recent[BUF_CLASSES]; /* the short lists */
	uint32_t recent_count[BUF_CLASSES];
	struct waiter_list waiting, waking;
	int returned; /* a buffer came back since the last wake */
	bool *wake_wanted; /* buf_pool_notify's, or NULL */

	/* The claim: who has it, where, how much of the budget; what is free
	 * there is on lists of its own. */
	const struct buf_waiter *claimant; /* NULL: none */
	const uint8_t *claim; /* BUF_MAX_BYTES; NULL: none */
	size_t claimed_bytes;
	struct buf_list claimed[BUF_CLASSES];
};

/* Reserves `bytes` aligned to BUF_MAX_BYTES, so that huge pages fit in. */
static void *reserve(size_t bytes)
{
	size_t all = bytes + BUF_MAX_BYTES, before;
	uint8_t *map = mmap(NULL, all, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)map & (BUF_MAX_BYTES - 1);
	if (before)
		munmap(map, before);
	munmap(map + before + bytes, BUF_MAX_BYTES - before);
	madvise(map + before, bytes, MADV_HUGEPAGE);
	return map + before;
}

struct buf_pool *buf_pool_new(size_t budget_bytes)
{
	struct buf_pool *pool;

	assert(budget_bytes >= BUF_MIN_BYTES);
	pool = calloc(1, sizeof *pool);
	if (!pool)
		return NULL;
	pool->budget_bytes = budget_bytes;
	pool->region_bytes = (budget_bytes + BUF_MAX_BYTES - 1) &
		~(size_t)(BUF_MAX_BYTES - 1);
	TAILQ_INIT(&pool->waiting);
	TAILQ_INIT(&pool->waking);
	pool->pages =
		calloc(pool->region_bytes / BUF_MIN_BYTES, sizeof *pool->pages);
	if (pool->pages)
		pool->base = reserve(pool->region_bytes);
	if (!pool->base) {
		free(pool->pages);
		free(pool);
		return NULL;
	}
	asan_poison(pool->base, pool->region_bytes);
	return pool;
}

void buf_pool_free(struct buf_pool *pool)
{
	assert(pool->used_bytes == 0);
	assert(TAILQ_EMPTY(&pool->waiting) && TAILQ_EMPTY(&pool->waking));
	assert(!pool->claimant);
	asan_unpoison(pool->base, pool->region_bytes);
	munmap(pool->base, pool->region_bytes);
	free(pool->pages);
	free(pool);
}

void buf_pool_region(const struct buf_pool *pool, void **base, size_t *bytes)
{
	*base = pool->base;
	*bytes = pool->region_bytes;
}

static struct buf *block_at(struct buf_pool *pool, size_t offset)
{
	return &pool->pages[offset / BUF_MIN_BYTES];
}

static size_t offset_of(const struct buf *block)
{
	return (size_t)(block - block->pool->pages) * BUF_MIN_BYTES;
}

/* Makes the free block of `class` at `offset`. */
static struct buf *make_block(
	struct buf_pool *pool, size_t offset, unsigned class)
{
	struct buf *block = block_at(pool, offset);

	*block = (struct buf){
		.data = pool->base + offset,
		.capacity = BUF_MIN_BYTES << class,
		.pool = pool,
		.class = (uint8_t) class,
	};
	return block;
}

static bool is_claimed(const struct buf_pool *pool, const struct buf *block)
{
	return pool->claim && block->data >= pool->claim &&
		block->data < pool->claim + BUF_MAX_BYTES;
}

static void add_free(struct buf_pool *pool, struct buf *block)
{
	struct buf_list *list =
		is_claimed(pool, block) ? pool->claimed : pool->free;

	block->joinable = 1;
	LIST_INSERT_HEAD(&list[block->class], block, link);
}

static void remove_free(struct buf *block)
{
	block->joinable = 0;
	LIST_REMOVE(block, link);
}

/* Joins a free block with its buddy as often as that one is free too. */
static void join(struct buf_pool *pool, struct buf *block)
{
	while (block->class < TOP_CLASS) {
		size_t offset = offset_of(block);
		struct buf *buddy = block_at(pool, offset ^ block->capacity);
		if (!buddy->joinable || buddy->class != block->class)
			break;
		remove_free(buddy);
		block = make_block(pool, offset & ~(size_t)block->capacity,
			block->class + 1u);
	}
	add_free(pool, block);
}

/* Empties the short lists; false if they were empty. */
static int join_recent(struct buf_pool *pool)
{
	int any = 0;

	for (unsigned class = 0; class < BUF_CLASSES; class ++) {
		struct buf *block;
		while ((block = LIST_FIRST(&pool->recent[class]))) {
			LIST_REMOVE(block, link);
			join(pool, block);
			any = 1;
		}
		pool->recent_count[class] = 0;
	}
	return any;
}

/* The smallest free block that is large enough, NULL if there is none. */
static struct buf *take_listed(const struct buf_list *list, unsigned class)
{
	struct buf *block;

	for (; class < BUF_CLASSES; class ++) {
		block = LIST_FIRST(&list[class]);
		if (block) {
			remove_free(block);
			return block;
		}
	}
	return NULL;
}

/* What no one has used yet; there is some. */
static struct buf *carve(struct buf_pool *pool)
{
	struct buf *block = make_block(pool, pool->carved_bytes, TOP_CLASS);

	pool->carved_bytes += BUF_MAX_BYTES;
	return block;
}

static struct buf *take_free(struct buf_pool *pool, unsigned class)
{
	struct buf *block = take_listed(pool->free, class);

	if (!block && pool->carved_bytes < pool->region_bytes)
		block = carve(pool);
	return block;
}

/* Halves a block, giving the upper halves back, until it is of `class`. */
static struct buf *split(
	struct buf_pool *pool, struct buf *block, unsigned class)
{
	size_t offset = offset_of(block);

	for (unsigned half = block->class; half-- > class;)
		add_free(pool,
			make_block(
				pool, offset + (BUF_MIN_BYTES << half), half));
	return make_block(pool, offset, class);
}

static unsigned class_of(uint32_t bytes)
{
	uint32_t pages = (bytes + BUF_MIN_BYTES - 1) / BUF_MIN_BYTES;

	return pages > 1 ? 32u - (unsigned)__builtin_clz(pages - 1) : 0;
}

static struct buf *find_block(
	struct buf_pool *pool, unsigned class, bool claimant)
{
	struct buf *block = LIST_FIRST(&pool->recent[class]);

	if (block) {
		LIST_REMOVE(block, link);
		pool->recent_count[class]--;
		return block;
	}
	block = take_free(pool, class);
	if (!block && join_recent(pool))
		block = take_free(pool, class);
	if (!block && claimant)
		block = take_listed(pool->claimed, class);
	if (block && block->class > class)
		block = split(pool, block, class);
	return block;
}

static struct buf *get(struct buf_pool *pool, uint32_t bytes, bool claimant)
{
	size_t others = claimant ? 0 : pool->claimed_bytes;
	struct buf *block;
	unsigned class;

	assert(bytes > 0 && bytes <= BUF_MAX_BYTES);
	class = class_of(bytes);
	if (pool->used_bytes + others + (BUF_MIN_BYTES << class) >
		pool->budget_bytes)
		return NULL;
	block = find_block(pool, class, claimant);
	if (!block)
		return NULL;
	asan_unpoison(block->data, block->capacity);
	block->refs = 1;
	pool->used_bytes += block->capacity;
	return block;
}

struct buf *buf_get(struct buf_pool *pool, uint32_t bytes)
{
	return get(pool, bytes, false);
}

/* -- claims ---------------------------------------------------------------- */

/* Bytes in use of 8 MiB that are carved: blocks lie side by side. */
static size_t used_at(const struct buf_pool *pool, size_t offset)
{
	size_t end = offset + BUF_MAX_BYTES, used = 0;

	while (offset < end) {
		const struct buf *block = &pool->pages[offset / BUF_MIN_BYTES];

		used += block->refs ? block->capacity : 0;
		offset += block->capacity;
	}
	return used;
}

/* Where the least is to be waited for. */
static size_t emptiest(const struct buf_pool *pool)
{
	size_t best = 0, least = SIZE_MAX;

	for (size_t at = 0; at < pool->carved_bytes; at += BUF_MAX_BYTES) {
		size_t used = used_at(pool, at);

		if (used < least) {
			least = used;
			best = at;
		}
	}
	return best;
}

/* Puts the free blocks of the claim onto the lists where they belong now. */
static void sort_free(struct buf_pool *pool, struct buf_list *from)
{
	for (unsigned class = 0; class < BUF_CLASSES; class ++) {
		struct buf_list all = from[class];
		struct buf *block, *next;

		if (LIST_FIRST(&all))
			LIST_FIRST(&all)->link.le_prev = &all.lh_first;
		LIST_INIT(&from[class]);
		for (block = LIST_FIRST(&all); block; block = next) {
			next = LIST_NEXT(block, link);
			remove_free(block);
			add_free(pool, block);
		}
	}
}

static void claim_begin(
	struct buf_pool *pool, const struct buf_waiter *waiter, uint32_t bytes)
{
	join_recent(pool);
	while (pool->carved_bytes < pool->region_bytes)
		add_free(pool, carve(pool));
	pool->claimant = waiter;
	pool->claim = pool->base + emptiest(pool);
	pool->claimed_bytes = BUF_MIN_BYTES << class_of(bytes);
	sort_free(pool, pool->free);
}

static void claim_end(struct buf_pool *pool, struct buf_waiter *waiter)
{
	waiter->refused = 0;
	if (pool->claimant != waiter)
		return;
	pool->claimant = NULL;
	pool->claim = NULL;
	pool->claimed_bytes = 0;
	sort_free(pool, pool->claimed);
}

struct buf *buf_get_or_wait(
	struct buf_pool *pool, uint32_t bytes, struct buf_waiter *waiter)
{
	struct buf *block = get(pool, bytes, pool->claimant == waiter);

	if (block) {
		if (waiter->refused)
			claim_end(pool, waiter);
		return block;
	}
	waiter->refused++;
	if (pool->claimant == waiter && waiter->refused >= BUF_CLAIM_TRIES)
		claim_end(pool, waiter);
	else if (!pool->claimant && waiter->refused >= BUF_PATIENCE)
		claim_begin(pool, waiter, bytes);
	buf_wait(pool, waiter);
	return NULL;
}

/* -- back ------------------------------------------------------------------ */

void buf_ref(struct buf *buf)
{
	assert(buf->refs > 0);
	buf->refs++;
}

/* Somebody waits, and a buffer has come back. */
static void want_wake(struct buf_pool *pool)
{
	if (pool->wake_wanted && pool->returned && !TAILQ_EMPTY(&pool->waiting))
		*pool->wake_wanted = true;
}

void buf_put(struct buf *buf)
{
	struct buf_pool *pool = buf->pool;

	assert(buf->refs > 0);
	if (--buf->refs > 0)
		return;
	asan_poison(buf->data, buf->capacity);
	pool->used_bytes -= buf->capacity;
	pool->returned = 1;
	want_wake(pool);
	if (pool->recent_count[buf->class] < SHORT_LIST_MAX &&
		!is_claimed(pool, buf)) {
		LIST_INSERT_HEAD(&pool->recent[buf->class], buf, link);
		pool->recent_count[buf->class]++;
	} else {
		join(pool, buf);
	}
}

void buf_wait(struct buf_pool *pool, struct buf_waiter *waiter)
{
	if (waiter->queued != NOT_QUEUED)
		return;
	TAILQ_INSERT_TAIL(&pool->waiting, waiter, link);
	waiter->queued = WAITING;
	want_wake(pool);
}

void buf_wait_cancel(struct buf_pool *pool, struct buf_waiter *waiter)
{
	if (waiter->queued == WAITING)
		TAILQ_REMOVE(&pool->waiting, waiter, link);
	else if (waiter->queued == WAKING)
		TAILQ_REMOVE(&pool->waking, waiter, link);
	waiter->queued = NOT_QUEUED;
	if (waiter->refused)
		claim_end(pool, waiter);
}

/* All are called, not only as many as memory would do for: one that asks for
 * much and fails must not keep those behind it from asking for little. */
void buf_pool_wake(struct buf_pool *pool)
{
	struct buf_waiter *waiter;

	if (!pool->returned)
		return;
	pool->returned = 0;
	TAILQ_FOREACH (waiter, &pool->waiting, link)
		waiter->queued = WAKING;
	TAILQ_CONCAT(&pool->waking, &pool->waiting, link);
	while ((waiter = TAILQ_FIRST(&pool->waking))) {
		TAILQ_REMOVE(&pool->waking, waiter, link);
		waiter->queued = NOT_QUEUED;
		waiter->ready(waiter);
	}
}

void buf_pool_notify(struct buf_pool *pool, bool *wake_wanted)
{
	pool->wake_wanted = wake_wanted;
}

size_t buf_pool_used_bytes(const struct buf_pool *pool)
{
	return pool->used_bytes;
}
