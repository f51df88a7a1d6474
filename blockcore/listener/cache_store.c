/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header.
 *
 * A shard has a table of entries, chains by hash, two queues linked by index, and
 * CHANGES counts of changes, which blocks share by hash: two blocks with one count only
 * make that something is not kept. A change of more blocks than a shard had entries
 * at first is counted once for all of them (`wide`): both its ends alike, whatever size
 * the store has by then.
 */
#include "blockcore/listener/cache_store.h"

#include "blockcore/base/iov.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS 16u
#define CHANGES 256u /* of a shard */
#define NONE UINT32_MAX
#define READ_MOST 3u /* reads that are counted */
#define LINE_BYTES 64u

enum queue { SMALL, MAIN, QUEUES };

struct entry {
	uint64_t block;
	uint32_t chain; /* next of its hash, or of the free ones */
	uint32_t newer, older; /* in its queue */
	uint8_t queue, reads;
};

/* `version` moves at each end of a change; while `running` nothing is kept. */
struct change {
	uint32_t version, running;
};

struct shard {
	pthread_mutex_t mutex;
	uint32_t entries, buckets, free, used;
	struct entry *entry;
	uint32_t *bucket;
	uint64_t *gone; /* numbers + 1 of blocks that left, by hash */
	uint8_t *data; /* begins the memory of all of these */
	struct {
		uint32_t newest, oldest, count;
	} queue[QUEUES];
	struct change wide, change[CHANGES];
	uint64_t kept, evicted;
} __attribute__((aligned(LINE_BYTES)));

struct cache_store {
	uint32_t block_bytes;
	uint64_t wide_blocks;
	struct shard shard[SHARDS];
};

/* -- numbers -------------------------------------------------------------- */

static uint64_t hash_of(uint64_t block)
{
	uint64_t h = block * 0x9e3779b97f4a7c15u;

	h ^= h >> 32;
	h *= 0xbf58476d1ce4e5b9u;
	return h ^ h >> 29;
}

static struct shard *shard_of(struct cache_store *store, uint64_t block)
{
	return &store->shard[hash_of(block) % SHARDS];
}

static uint32_t *bucket_of(struct shard *shard, uint64_t block)
{
	return &shard->bucket[(hash_of(block) / SHARDS) % shard->buckets];
}

static uint64_t *gone_of(struct shard *shard, uint64_t block)
{
	return &shard->gone[(hash_of(block) / SHARDS) % shard->entries];
}

static struct change *change_of(struct shard *shard, uint64_t block)
{
	return &shard->change[(hash_of(block) / SHARDS) % CHANGES];
}

/* -- queues --------------------------------------------------------------- */

static void queue_add(struct shard *shard, uint32_t index, enum queue queue)
{
	struct entry *e = &shard->entry[index];
	uint32_t newest = shard->queue[queue].newest;

	e->queue = (uint8_t)queue;
	e->newer = NONE;
	e->older = newest;
	if (newest == NONE)
		shard->queue[queue].oldest = index;
	else
		shard->entry[newest].newer = index;
	shard->queue[queue].newest = index;
	shard->queue[queue].count++;
}

static void queue_remove(struct shard *shard, uint32_t index)
{
	const struct entry *e = &shard->entry[index];

	if (e->newer == NONE)
		shard->queue[e->queue].newest = e->older;
	else
		shard->entry[e->newer].older = e->older;
	if (e->older == NONE)
		shard->queue[e->queue].oldest = e->newer;
	else
		shard->entry[e->older].newer = e->newer;
	shard->queue[e->queue].count--;
}

/* -- entries -------------------------------------------------------------- */

static uint32_t find(struct shard *shard, uint64_t block)
{
	uint32_t index = *bucket_of(shard, block);

	while (index != NONE && shard->entry[index].block != block)
		index = shard->entry[index].chain;
	return index;
}

static void drop(struct shard *shard, uint32_t index)
{
	struct entry *e = &shard->entry[index];
	uint32_t *at = bucket_of(shard, e->block);

	queue_remove(shard, index);
	while (*at != index)
		at = &shard->entry[*at].chain;
	*at = e->chain;
	e->chain = shard->free;
	shard->free = index;
	shard->used--;
}

static void evict(struct shard *shard, uint32_t index)
{
	uint64_t block = shard->entry[index].block;

	if (shard->entry[index].queue == SMALL)
		*gone_of(shard, block) = block + 1;
	shard->evicted++;
	drop(shard, index);
}

/* One goes; others change places on the way. Each step lowers what was read, or moves
 * one to the main queue, so it ends. */
static void make_room(struct shard *shard)
{
	while (shard->free == NONE) {
		bool small = shard->queue[MAIN].count == 0 ||
			shard->queue[SMALL].count > shard->entries / 10;
		uint32_t index = shard->queue[small ? SMALL : MAIN].oldest;
		struct entry *e = &shard->entry[index];

		if (!e->reads) {
			evict(shard, index);
			continue;
		}
		queue_remove(shard, index);
		e->reads = small ? 0 : (uint8_t)(e->reads - 1);
		queue_add(shard, index, MAIN);
	}
}

static uint32_t insert(struct shard *shard, uint64_t block)
{
	uint64_t *gone = gone_of(shard, block);
	bool back = *gone == block + 1;

	make_room(shard);
	uint32_t index = shard->free, *bucket = bucket_of(shard, block);
	struct entry *e = &shard->entry[index];
	shard->free = e->chain;
	e->block = block;
	e->reads = 0;
	e->chain = *bucket;
	*bucket = index;
	if (back)
		*gone = 0;
	queue_add(shard, index, back ? MAIN : SMALL);
	shard->used++;
	return index;
}

static uint8_t *data_of(
	const struct cache_store *store, struct shard *shard, uint32_t index)
{
	return shard->data + (uint64_t)index * store->block_bytes;
}

/* -- found and kept ------------------------------------------------------- */

bool cache_store_find(struct cache_store *store, uint64_t block,
	uint64_t offset_in_block, uint64_t bytes, const struct iovec *iov,
	unsigned count, uint64_t skip)
{
	struct shard *shard = shard_of(store, block);

	pthread_mutex_lock(&shard->mutex);
	uint32_t index = find(shard, block);
	if (index != NONE) {
		struct entry *e = &shard->entry[index];

		if (e->reads < READ_MOST)
			e->reads++;
		iov_from_flat(iov, count, skip,
			data_of(store, shard, index) + offset_in_block, bytes);
	}
	pthread_mutex_unlock(&shard->mutex);
	return index != NONE;
}

/* 0: a change is under way. */
static uint64_t ticket_now(struct shard *shard, uint64_t block)
{
	const struct change *change = change_of(shard, block);

	if (change->running || shard->wide.running)
		return 0;
	return 1 + ((uint64_t)shard->wide.version << 32 | change->version);
}

uint64_t cache_store_ticket(struct cache_store *store, uint64_t block)
{
	struct shard *shard = shard_of(store, block);

	pthread_mutex_lock(&shard->mutex);
	uint64_t ticket = ticket_now(shard, block);
	pthread_mutex_unlock(&shard->mutex);
	return ticket;
}

bool cache_store_keep(struct cache_store *store, uint64_t block,
	uint64_t ticket, const struct iovec *iov, unsigned count, uint64_t skip)
{
	struct shard *shard = shard_of(store, block);
	bool keeps = false;

	if (!ticket)
		return false;
	pthread_mutex_lock(&shard->mutex);
	if (ticket_now(shard, block) == ticket) {
		uint32_t index = find(shard, block);

		if (index == NONE) {
			index = insert(shard, block);
			shard->kept++;
			iov_to_flat(iov, count, skip,
				data_of(store, shard, index),
				store->block_bytes);
		}
		keeps = true;
	}
	pthread_mutex_unlock(&shard->mutex);
	return keeps;
}

/* -- changes -------------------------------------------------------------- */

static bool is_wide(struct cache_store *store, uint64_t first, uint64_t last)
{
	return last - first >= store->wide_blocks;
}

static void shard_drop(struct shard *shard, uint64_t first, uint64_t last)
{
	for (unsigned queue = 0; queue < QUEUES; queue++) {
		uint32_t index = shard->queue[queue].oldest;

		while (index != NONE) {
			uint32_t next = shard->entry[index].newer;
			uint64_t block = shard->entry[index].block;

			if (block >= first && block <= last)
				drop(shard, index);
			index = next;
		}
	}
}

static void change_wide(struct cache_store *store, uint64_t first,
	uint64_t last, uint32_t running)
{
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *shard = &store->shard[i];

		pthread_mutex_lock(&shard->mutex);
		shard->wide.running += running;
		shard->wide.version++;
		shard_drop(shard, first, last);
		pthread_mutex_unlock(&shard->mutex);
	}
}

/* `running` 1 or, at the end, -1. */
static void change(struct cache_store *store, uint64_t first, uint64_t last,
	uint32_t running)
{
	if (is_wide(store, first, last)) {
		change_wide(store, first, last, running);
		return;
	}
	for (uint64_t block = first; block <= last; block++) {
		struct shard *shard = shard_of(store, block);

		pthread_mutex_lock(&shard->mutex);
		struct change *change = change_of(shard, block);
		uint32_t index = find(shard, block);
		change->running += running;
		change->version++;
		if (index != NONE)
			drop(shard, index);
		pthread_mutex_unlock(&shard->mutex);
	}
}

void cache_store_change_begin(
	struct cache_store *store, uint64_t first, uint64_t last)
{
	change(store, first, last, 1);
}

void cache_store_change_end(
	struct cache_store *store, uint64_t first, uint64_t last)
{
	change(store, first, last, UINT32_MAX);
}

/* -- life ----------------------------------------------------------------- */

static uint32_t shard_entries(uint64_t bytes, uint32_t block_bytes)
{
	uint64_t entries = bytes / block_bytes / SHARDS;

	return entries ? (uint32_t)entries : 1;
}

static uint64_t shard_bytes(uint32_t entries, uint32_t block_bytes)
{
	return entries *
		(sizeof(struct entry) + 2 * sizeof(uint32_t) +
			sizeof(uint64_t) + (uint64_t)block_bytes);
}

uint64_t cache_store_overhead(uint64_t bytes, uint32_t block_bytes)
{
	uint32_t entries = shard_entries(bytes, block_bytes);

	return SHARDS * shard_bytes(entries, 0) + sizeof(struct cache_store);
}

/* What changes with the size of a shard. */
static void shard_lay(
	struct shard *shard, uint8_t *memory, uint32_t entries, uint32_t bytes)
{
	shard->entries = entries;
	shard->buckets = 2 * entries;
	shard->used = 0;
	shard->free = 0;
	shard->data = memory;
	memory += (uint64_t)entries * bytes;
	shard->gone = (void *)memory;
	memory += entries * sizeof(uint64_t);
	shard->entry = (void *)memory;
	memory += entries * sizeof(struct entry);
	shard->bucket = (void *)memory;
	for (unsigned queue = 0; queue < QUEUES; queue++) {
		shard->queue[queue].newest = shard->queue[queue].oldest = NONE;
		shard->queue[queue].count = 0;
	}
}

/* Memory as shard_lay expects it, without a block. */
static uint8_t *shard_memory(uint32_t entries, uint32_t block_bytes)
{
	uint8_t *memory = malloc(shard_bytes(entries, block_bytes));
	struct shard shard;

	if (!memory)
		return NULL;
	shard_lay(&shard, memory, entries, block_bytes);
	memset(shard.bucket, 0xff, shard.buckets * sizeof(uint32_t));
	memset(shard.gone, 0, entries * sizeof(uint64_t));
	for (uint32_t i = 0; i < entries; i++)
		shard.entry[i].chain = i + 1 < entries ? i + 1 : NONE;
	return memory;
}

/* Of all shards, or none. */
static bool memory_new(
	uint8_t *memory[SHARDS], uint32_t entries, uint32_t block_bytes)
{
	for (unsigned i = 0; i < SHARDS; i++) {
		memory[i] = shard_memory(entries, block_bytes);
		if (memory[i])
			continue;
		while (i-- > 0)
			free(memory[i]);
		return false;
	}
	return true;
}

struct cache_store *cache_store_new(uint64_t bytes, uint32_t block_bytes)
{
	uint32_t entries = shard_entries(bytes, block_bytes);
	struct cache_store *store =
		aligned_alloc(LINE_BYTES, sizeof(struct cache_store));
	uint8_t *memory[SHARDS];

	if (!store || !memory_new(memory, entries, block_bytes)) {
		free(store);
		return NULL;
	}
	memset(store, 0, sizeof *store);
	store->block_bytes = block_bytes;
	store->wide_blocks = entries;
	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&store->shard[i].mutex, NULL);
		shard_lay(&store->shard[i], memory[i], entries, block_bytes);
	}
	return store;
}

/* What takes long is done before anybody waits for it. */
bool cache_store_resize(struct cache_store *store, uint64_t bytes)
{
	uint32_t entries = shard_entries(bytes, store->block_bytes);
	uint8_t *memory[SHARDS];

	if (!memory_new(memory, entries, store->block_bytes))
		return false;
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *shard = &store->shard[i];

		pthread_mutex_lock(&shard->mutex);
		uint8_t *old = shard->data;
		shard_lay(shard, memory[i], entries, store->block_bytes);
		pthread_mutex_unlock(&shard->mutex);
		free(old);
	}
	return true;
}

void cache_store_free(struct cache_store *store)
{
	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_destroy(&store->shard[i].mutex);
		free(store->shard[i].data);
	}
	free(store);
}

void cache_store_figures(
	struct cache_store *store, struct cache_store_figures *figures)
{
	*figures = (struct cache_store_figures){0};
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *shard = &store->shard[i];

		pthread_mutex_lock(&shard->mutex);
		figures->entries += shard->entries;
		figures->used += shard->used;
		figures->kept += shard->kept;
		figures->evicted += shard->evicted;
		pthread_mutex_unlock(&shard->mutex);
	}
}
