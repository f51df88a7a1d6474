/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem: bytes in memory, in pages that are made when they are first written. For
 * tests and tools, and for scratch volumes whose content may go with the
 * process.
 *
 * Invariants
 *  1. The table of pages is made at open and never moves; any lane reads and
 *     writes. A page is made, read and written under one of a few mutexes, so
 *     that, as on a disk, no sector is ever torn; nothing waits for anything
 *     but a copy of at most one page.
 *  2. Zeroes and discards clear pages; they give none back.
 */
#include "blockcore/base/iov.h"
#include "blockcore/kinds.h"
#include "blockcore/protocol/protocol.h"
#include "blockcore/ring.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define MEM_PAGE_BYTES (64u << 10)
#define MEM_MUTEXES 64u
#define MEM_MAX_BYTES (1ull << 40) /* a table of 128 MiB */

struct mem_options {
	uint64_t size_bytes, max_size_bytes;
};

struct mem {
	struct block_driver driver;
	_Atomic(uint8_t *) *page;
	uint64_t pages;
	_Atomic uint64_t pages_made;
	pthread_mutex_t mutex[MEM_MUTEXES]; /* page i's: i % MEM_MUTEXES */
};

static const struct opt_spec mem_option_specs[] = {
	{.name = "size",
		.type = OPT_SIZE,
		.offset = offsetof(struct mem_options, size_bytes),
		.min = BLOCK_SECTOR_BYTES,
		.max = MEM_MAX_BYTES,
		.help = "size in bytes, a multiple of 512"},
	{.name = "max_size",
		.type = OPT_SIZE,
		.flags = OPT_OPTIONAL,
		.offset = offsetof(struct mem_options, max_size_bytes),
		.min = BLOCK_SECTOR_BYTES,
		.max = MEM_MAX_BYTES,
		.help = "size that it may grow to; as large as `size` if "
			"absent"},
	OPT_END,
};

static struct mem *mem_of(struct block_driver *driver)
{
	return container_of(driver, struct mem, driver);
}

static int mem_check(
	const struct doc *map, const void *options, struct err *err)
{
	const struct mem_options *o = options;

	return protocol_check_place(map, o->size_bytes, err);
}

static int mem_open_co(struct block_driver *driver, struct err *err)
{
	const struct mem_options *options = driver->options;
	struct mem *mem = mem_of(driver);
	int error = protocol_check_size(options->size_bytes, err);

	if (error)
		return error;
	uint64_t bytes = options->size_bytes;
	if (bytes < options->max_size_bytes)
		bytes = options->max_size_bytes;
	mem->pages = (bytes + MEM_PAGE_BYTES - 1) / MEM_PAGE_BYTES;
	mem->page = calloc(mem->pages, sizeof(*mem->page));
	if (!mem->page)
		return err_set(err, ENOMEM, "no memory for %" PRIu64 " pages",
			mem->pages);
	for (unsigned i = 0; i < MEM_MUTEXES; i++)
		pthread_mutex_init(&mem->mutex[i], NULL);
	driver->info = (struct block_info){
		.size_bytes = options->size_bytes,
		.physical_block_bytes = BLOCK_SECTOR_BYTES,
		.discard_bytes = BLOCK_SECTOR_BYTES,
		.ops = PROTOCOL_OPS,
	};
	return 0;
}

static void mem_close_co(struct block_driver *driver)
{
	struct mem *mem = mem_of(driver);

	for (uint64_t i = 0; i < mem->pages; i++)
		free(mem->page[i]);
	for (unsigned i = 0; i < MEM_MUTEXES; i++)
		pthread_mutex_destroy(&mem->mutex[i]);
	free(mem->page);
}

/* The page, made if it is absent; NULL without memory. Its mutex is held. */
static uint8_t *mem_page_make(struct mem *mem, uint64_t index)
{
	uint8_t *page = mem->page[index];

	if (page)
		return page;
	page = calloc(1, MEM_PAGE_BYTES);
	if (page)
		atomic_fetch_add(&mem->pages_made, 1);
	mem->page[index] = page;
	return page;
}

/* One page's part of a request, `skip` bytes into its data. */
static int mem_page_part(struct mem *mem, const struct block_request *r,
	uint64_t offset, size_t skip, size_t bytes)
{
	uint64_t index = offset / MEM_PAGE_BYTES;
	size_t within = offset % MEM_PAGE_BYTES;
	uint8_t *page = r->op == BLOCK_WRITE ? mem_page_make(mem, index)
					     : atomic_load(&mem->page[index]);

	switch (r->op) {
	case BLOCK_READ:
		if (page)
			iov_from_flat(r->iov, r->iov_count, skip, page + within,
				bytes);
		else
			iov_zero(r->iov, r->iov_count, skip, bytes);
		return 0;
	case BLOCK_WRITE:
		if (!page)
			return -ENOSPC;
		iov_to_flat(r->iov, r->iov_count, skip, page + within, bytes);
		return 0;
	default:
		if (page)
			memset(page + within, 0, bytes);
		return 0;
	}
}

static int mem_walk(struct mem *mem, const struct block_request *r)
{
	uint64_t done = 0;
	int error = 0;

	while (done < r->length_bytes && !error) {
		uint64_t offset = r->offset_bytes + done;
		uint64_t bytes = MEM_PAGE_BYTES - offset % MEM_PAGE_BYTES;

		if (bytes > r->length_bytes - done)
			bytes = r->length_bytes - done;
		pthread_mutex_t *mutex =
			&mem->mutex[offset / MEM_PAGE_BYTES % MEM_MUTEXES];
		pthread_mutex_lock(mutex);
		error = mem_page_part(mem, r, offset, done, bytes);
		pthread_mutex_unlock(mutex);
		done += bytes;
	}
	return error;
}

static void mem_extents(struct mem *mem, struct block_request *r)
{
	struct block_extents *out = r->extents;
	uint64_t offset = r->offset_bytes, end = offset + r->length_bytes;

	out->count = 0;
	while (offset < end) {
		uint64_t index = offset / MEM_PAGE_BYTES;
		uint64_t next = (index + 1) * MEM_PAGE_BYTES;
		unsigned flags = atomic_load(&mem->page[index])
			? BLOCK_EXTENT_DATA
			: BLOCK_EXTENT_ZERO;
		struct block_extent *last =
			out->count ? &out->extent[out->count - 1] : NULL;

		if (next > end)
			next = end;
		if (last && last->flags == flags)
			last->length_bytes += next - offset;
		else if (out->count == out->room)
			return;
		else
			out->extent[out->count++] = (struct block_extent){
				offset, next - offset, flags};
		offset = next;
	}
}

static void mem_submit(struct block_driver *driver, struct block_request *r)
{
	struct mem *mem = mem_of(driver);
	int result = 0;

	if (r->op == BLOCK_EXTENTS)
		mem_extents(mem, r);
	else if (r->op != BLOCK_FLUSH)
		result = mem_walk(mem, r);
	block_complete(r, result);
}

/* Within the table: it does not move while lanes look at it. */
static int mem_resize_co(
	struct block_driver *driver, uint64_t bytes, struct err *err)
{
	struct mem *mem = mem_of(driver);
	struct mem_options *options = driver->options;
	int error = protocol_check_size(bytes, err);

	if (error)
		return error;
	if (bytes > mem->pages * MEM_PAGE_BYTES)
		return err_set(err, EOPNOTSUPP,
			"mem '%s' cannot grow beyond %" PRIu64
			" bytes: open it with max_size",
			driver->name, mem->pages * MEM_PAGE_BYTES);
	options->size_bytes = driver->info.size_bytes = bytes;
	return 0;
}

static int mem_space_co(struct block_driver *driver, struct ring_space *space)
{
	*space = (struct ring_space){
		.used_bytes = atomic_load(&mem_of(driver)->pages_made) *
			MEM_PAGE_BYTES};
	return 0;
}

static void mem_status(struct block_driver *driver, FILE *out)
{
	struct mem *mem = mem_of(driver);

	fprintf(out, "\"memory_bytes\": %" PRIu64,
		atomic_load(&mem->pages_made) * MEM_PAGE_BYTES);
}

const struct block_kind mem_kind = {
	.name = "mem",
	.help = "bytes in memory, gone with the process",
	.role = BLOCK_PROTOCOL,
	.part = BLOCK_BACK,
	.anchor = BLOCK_IMAGE,
	.band = BAND_BOTTOM,
	.handles = PROTOCOL_OPS,
	.options = mem_option_specs,
	.options_bytes = sizeof(struct mem_options),
	.driver_bytes = sizeof(struct mem),
	.check = mem_check,
	.open_co = mem_open_co,
	.close_co = mem_close_co,
	.submit = mem_submit,
	.resize_co = mem_resize_co,
	.space_co = mem_space_co,
	.status = mem_status,
};
