/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener cache: what hosts read again comes from memory. It keeps blocks as they
 * were read (cache_store.h says which stay), and forgets what is changed.
 *
 *	read	all its blocks are kept: from memory. Else from below, whole; the
 *		blocks that it covers are kept
 *	change	forgotten before it begins and again when it has ended; what is read
 *		meanwhile is not kept
 *
 * Invariants
 *  1. A read that begins after a change has ended never sees what was there before, on
 *     whatever lanes they are: what a read brings is kept only if no change of the
 *     block was under way since that read began.
 *  2. Writes are never held back: a flush, a power cut and an error are none of its
 *     business.
 *  3. What a job reads (a scrub, a copy) comes from below, and is not kept; so is a read
 *     of more than `largest` bytes.
 *  4. All memory is allocated when it is opened or gets another size, of the room that
 *     all caches share (memory.h), but small objects of reads on their way, which come
 *     from a slab of the lane.
 */
#include "blockcore/base/counter.h"
#include "blockcore/base/slab.h"
#include "blockcore/figures.h"
#include "blockcore/kinds.h"
#include "blockcore/listener/cache_store.h"
#include "blockcore/memory.h"

#include <errno.h>
#include <stdio.h>

#define BLOCKS_MOST 128u /* of a read that is kept */

struct cache_options {
	uint64_t size_bytes, block_bytes, largest_bytes;
};

struct cache_driver {
	struct block_driver driver;
	struct cache_store *store;
	unsigned shift;
	uint64_t largest_bytes;
	uint64_t size_bytes; /* of the source */
	uint64_t memory_bytes; /* taken of what all caches may have */
};

struct cache_lane {
	struct cache_driver *cache;
	struct slab reads;
	struct counter hits, misses, past, hit_bytes;
};

/* A read on its way, and the blocks that it covers whole. */
struct cache_read {
	struct cache_lane *lane;
	uint64_t first;
	uint32_t count;
	uint64_t ticket[BLOCKS_MOST];
};

#define FIELD(name) offsetof(struct cache_options, name)
static const struct opt_spec options[] = {
	{.name = "size",
		.type = OPT_SIZE,
		.flags = OPT_LIVE,
		.offset = FIELD(size_bytes),
		.min = 1u << 20,
		.max = 1ull << 40,
		.fallback = "64M",
		.help = "memory for blocks; what keeps account of them comes "
			"on "
			"top"},
	{.name = "block",
		.type = OPT_SIZE,
		.offset = FIELD(block_bytes),
		.min = BLOCK_SECTOR_BYTES,
		.max = 64u << 10,
		.fallback = "4K",
		.help = "bytes that are kept together, a power of two"},
	{.name = "largest",
		.type = OPT_SIZE,
		.offset = FIELD(largest_bytes),
		.min = BLOCK_SECTOR_BYTES,
		.max = BLOCK_MAX_DATA_BYTES,
		.fallback = "256K",
		.help = "larger reads go past it"},
	OPT_END};

static struct cache_driver *cache_of(struct block_driver *driver)
{
	return (struct cache_driver *)driver;
}

/* -- reads ---------------------------------------------------------------- */

static bool read_kept(
	struct cache_lane *lane, const struct block_request *request)
{
	unsigned shift = lane->cache->shift;
	uint64_t at = request->offset_bytes;
	uint64_t end = at + request->length_bytes;

	while (at < end) {
		uint64_t block = at >> shift;
		uint64_t stop = (block + 1) << shift;

		if (stop > end)
			stop = end;
		if (!cache_store_find(lane->cache->store, block,
			    at - (block << shift), stop - at, request->iov,
			    request->iov_count, at - request->offset_bytes))
			return false;
		at = stop;
	}
	return true;
}

static bool read_ended(struct block_request *request, struct block_frame *frame)
{
	struct cache_read *read = frame->context;
	struct cache_lane *lane = read->lane;
	unsigned shift = lane->cache->shift;

	for (uint32_t i = 0; i < read->count && !request->result; i++)
		cache_store_keep(lane->cache->store, read->first + i,
			read->ticket[i], request->iov, request->iov_count,
			((read->first + i) << shift) - request->offset_bytes);
	slab_put(&lane->reads, read);
	return true;
}

/* Its blocks are to be kept. Out of memory: then not. */
static void note_read(struct cache_lane *lane, struct block_request *request)
{
	unsigned shift = lane->cache->shift;
	uint64_t block_bytes = 1ull << shift;
	uint64_t first = (request->offset_bytes + block_bytes - 1) >> shift;
	uint64_t end = (request->offset_bytes + request->length_bytes) >> shift;
	struct cache_read *read;

	if (first >= end || end - first > BLOCKS_MOST)
		return;
	read = slab_get(&lane->reads);
	if (!read)
		return;
	read->lane = lane;
	read->first = first;
	read->count = (uint32_t)(end - first);
	for (uint32_t i = 0; i < read->count; i++)
		read->ticket[i] =
			cache_store_ticket(lane->cache->store, first + i);
	block_push(request, read_ended, read, 0);
}

static void submit_read(struct cache_lane *lane, struct block_request *request)
{
	if (request->flags & (BLOCK_INTERNAL | BLOCK_POINT) ||
		request->length_bytes > lane->cache->largest_bytes) {
		counter_add(&lane->past, 1);
	} else if (read_kept(lane, request)) {
		counter_add(&lane->hits, 1);
		counter_add(&lane->hit_bytes, request->length_bytes);
		block_complete(request, 0);
		return;
	} else {
		counter_add(&lane->misses, 1);
		note_read(lane, request);
	}
	block_pass(request);
}

/* -- changes -------------------------------------------------------------- */

static uint64_t last_block(const struct cache_driver *cache,
	uint64_t offset_bytes, uint64_t length_bytes)
{
	return (offset_bytes + length_bytes - 1) >> cache->shift;
}

static bool change_ended(
	struct block_request *request, struct block_frame *frame)
{
	struct cache_driver *cache = frame->context;

	cache_store_change_end(cache->store,
		request->offset_bytes >> cache->shift,
		last_block(
			cache, request->offset_bytes, request->length_bytes));
	return true;
}

static void cache_submit(
	struct block_driver *driver, struct block_request *request)
{
	struct cache_lane *lane = block_driver_lane(driver, request->lane);
	struct cache_driver *cache = lane->cache;

	if (request->op == BLOCK_READ) {
		submit_read(lane, request);
		return;
	}
	if (BLOCK_OP(request->op) & BLOCK_OPS_CHANGE && request->length_bytes) {
		cache_store_change_begin(cache->store,
			request->offset_bytes >> cache->shift,
			last_block(cache, request->offset_bytes,
				request->length_bytes));
		block_push(request, change_ended, cache, 0);
	}
	block_pass(request);
}

static void cache_content_changed(struct block_driver *driver,
	uint64_t offset_bytes, uint64_t length_bytes)
{
	struct cache_driver *cache = cache_of(driver);
	uint64_t first = offset_bytes >> cache->shift;

	if (!length_bytes)
		return;
	cache_store_change_begin(cache->store, first,
		last_block(cache, offset_bytes, length_bytes));
	cache_store_change_end(cache->store, first,
		last_block(cache, offset_bytes, length_bytes));
}

/* Narrows nothing: what is cut off and comes again reads as zeroes. */
static void cache_narrow(struct block_driver *driver, struct block_info *info)
{
	struct cache_driver *cache = cache_of(driver);
	uint64_t old = cache->size_bytes, new = info->size_bytes;

	cache->size_bytes = new;
	if (old && old != new)
		cache_content_changed(driver, old < new ? old : new,
			old < new ? new - old : old - new);
}

/* -- life ----------------------------------------------------------------- */

static int cache_check(
	const struct doc *map, const void *values, struct err *err)
{
	const struct cache_options *o = values;

	if (o->block_bytes & (o->block_bytes - 1))
		return doc_error(doc_find(map, "block"), err, EINVAL,
			"expected a power of two");
	return 0;
}

static uint64_t memory_of(const struct cache_options *o)
{
	return o->size_bytes +
		cache_store_overhead(o->size_bytes, (uint32_t)o->block_bytes);
}

static int no_memory(const struct cache_options *o, struct err *err)
{
	return err_set(err, ENOMEM,
		"no memory for %llu bytes of blocks: give a smaller size",
		(unsigned long long)o->size_bytes);
}

static int cache_open_co(struct block_driver *driver, struct err *err)
{
	struct cache_driver *cache = cache_of(driver);
	const struct cache_options *o = driver->options;
	int error = block_cache_take(driver->core, memory_of(o), err);

	if (error)
		return error;
	cache->memory_bytes = memory_of(o);
	cache->largest_bytes = o->largest_bytes;
	cache->shift = (unsigned)__builtin_ctzll(o->block_bytes);
	cache->store = cache_store_new(o->size_bytes, (uint32_t)o->block_bytes);
	if (cache->store)
		return 0;
	block_cache_give(driver->core, cache->memory_bytes);
	return no_memory(o, err);
}

static void cache_close_co(struct block_driver *driver)
{
	struct cache_driver *cache = cache_of(driver);

	cache_store_free(cache->store);
	block_cache_give(driver->core, cache->memory_bytes);
}

/* For a moment there is memory for both sizes; room is what counts afterwards. */
static int cache_set_size(struct cache_driver *cache,
	const struct cache_options *new, struct err *err)
{
	struct block_core *core = cache->driver.core;

	block_cache_give(core, cache->memory_bytes);
	int error = block_cache_take(core, memory_of(new), err);
	if (!error && !cache_store_resize(cache->store, new->size_bytes)) {
		block_cache_give(core, memory_of(new));
		error = no_memory(new, err);
	}
	if (error)
		/* What it had is still there: nobody came in between. */
		block_cache_take(core, cache->memory_bytes, NULL);
	else
		cache->memory_bytes = memory_of(new);
	return error;
}

static int cache_configure_co(
	struct block_driver *driver, void *values, struct err *err)
{
	struct cache_options *new = values, *now = driver->options;
	struct cache_options old = *now;
	int error = new->size_bytes == old.size_bytes
		? 0
		: cache_set_size(cache_of(driver), new, err);

	if (error)
		return error;
	*now = *new;
	*new = old;
	return 0;
}

static int cache_lane_start(
	struct block_driver *driver, struct block_lane *lane)
{
	struct cache_lane *l = block_driver_lane(driver, lane);

	l->cache = cache_of(driver);
	slab_init(&l->reads, sizeof(struct cache_read), 0);
	return 0;
}

static void cache_lane_stop(
	struct block_driver *driver, struct block_lane *lane)
{
	struct cache_lane *l = block_driver_lane(driver, lane);

	slab_fini(&l->reads);
}

static void cache_cached(
	struct block_driver *driver, struct block_cached *cached)
{
	struct cache_driver *cache = cache_of(driver);
	const struct cache_options *o = driver->options;
	struct cache_store_figures f;

	for (unsigned i = 0; i < block_core_lanes(driver->core); i++) {
		struct cache_lane *lane = block_driver_lane(
			driver, block_core_lane(driver->core, i));

		cached->hits += counter_get(&lane->hits);
		cached->misses += counter_get(&lane->misses);
		cached->past += counter_get(&lane->past);
		cached->hit_bytes += counter_get(&lane->hit_bytes);
	}
	cache_store_figures(cache->store, &f);
	cached->blocks = f.entries;
	cached->size_bytes = f.entries * o->block_bytes;
	cached->used_bytes = f.used * o->block_bytes;
	cached->overhead_bytes = cache->memory_bytes - o->size_bytes;
	cached->kept = f.kept;
	cached->evicted = f.evicted;
}

static void cache_status(struct block_driver *driver, FILE *out)
{
	const struct cache_options *o = driver->options;
	struct block_cached c = {0};

	cache_cached(driver, &c);
	fprintf(out,
		"\"hits\": %llu, \"misses\": %llu, \"past\": %llu, "
		"\"hit_bytes\": %llu, \"blocks\": %llu, \"blocks_used\": %llu, "
		"\"kept\": %llu, \"evicted\": %llu, \"overhead_bytes\": %llu",
		(unsigned long long)c.hits, (unsigned long long)c.misses,
		(unsigned long long)c.past, (unsigned long long)c.hit_bytes,
		(unsigned long long)c.blocks,
		(unsigned long long)(c.used_bytes / o->block_bytes),
		(unsigned long long)c.kept, (unsigned long long)c.evicted,
		(unsigned long long)c.overhead_bytes);
}

const struct block_kind cache_kind = {
	.name = "cache",
	.help = "keep in memory what is read again",
	.role = BLOCK_LISTENER,
	.part = BLOCK_BACK,
	.anchor = BLOCK_IMAGE,
	.band = BAND_CACHE,
	.handles = BLOCK_OPS_CHANGE | BLOCK_OP(BLOCK_READ),
	.transparent = BLOCK_OP(BLOCK_FLUSH) | BLOCK_OP(BLOCK_EXTENTS),
	.options = options,
	.options_bytes = sizeof(struct cache_options),
	.driver_bytes = sizeof(struct cache_driver),
	.lane_bytes = sizeof(struct cache_lane),
	.check = cache_check,
	.open_co = cache_open_co,
	.close_co = cache_close_co,
	.lane_start = cache_lane_start,
	.lane_stop = cache_lane_stop,
	.submit = cache_submit,
	.narrow = cache_narrow,
	.content_changed = cache_content_changed,
	.configure_co = cache_configure_co,
	.cached = cache_cached,
	.status = cache_status,
};
