/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What flushes make durable and what a power cut leaves; see sim_disk.h.
 */
#include <assert.h>
#include <string.h>

#include "blockcore/base/list.h"
#include "blockcore/base/prng.h"
#include "tests/lib/sim_disk_parts.h"

/* -- durability ----------------------------------------------------------------- */

/* `version` is durable: what is older can never come back. */
static void unclean_promote(
	struct sim_disk *disk, struct unclean *unclean, struct version *version)
{
	unclean->base = version->content;
	sim_disk_unclean_drop(disk, unclean, version);
}

static struct unclean *sector_unclean(
	const struct sim_disk *disk, uint64_t sector)
{
	struct page *page = sim_disk_page(disk, sector);
	return page ? page->unclean[sector % PAGE_SECTORS] : NULL;
}

static struct version *unclean_of_write(
	const struct unclean *unclean, uint64_t write)
{
	struct version *version = NULL;
	if (unclean)
		TAILQ_FOREACH (version, &unclean->versions, link)
			if (version->write == write)
				break;
	return version;
}

/* The size that a write made, or that it found made by another one which has not
 * completed yet: without it the write could not be read after a flush. */
static void size_done(
	struct sim_disk *disk, uint64_t write, uint64_t end, uint64_t stamp)
{
	struct size_version *size;
	bool reached = disk->base_size_bytes >= end;
	TAILQ_FOREACH (size, &disk->sizes, link) {
		bool first = !reached && size->bytes >= end;
		reached |= first;
		if (!size->stamp && (first || size->write == write))
			size->stamp = stamp;
	}
}

void sim_disk_done(struct sim_disk *disk, uint64_t write, uint64_t offset,
	uint64_t bytes, uint64_t stamp)
{
	assert(stamp);
	uint64_t sector = offset / SIM_SECTOR_BYTES;
	for (; sector * SIM_SECTOR_BYTES < offset + bytes; sector++) {
		struct version *version =
			unclean_of_write(sector_unclean(disk, sector), write);
		if (version)
			version->stamp = stamp;
	}
	size_done(disk, write, offset + bytes, stamp);
}

/* `version` is durable: sizes from before it can never come back. */
static void size_promote(struct sim_disk *disk, struct size_version *version)
{
	disk->base_size_bytes = version->bytes;
	while (TAILQ_FIRST(&disk->sizes) != version)
		sim_disk_size_drop(disk, TAILQ_FIRST(&disk->sizes));
	sim_disk_size_drop(disk, version);
}

/* Data without the size to reach it would not be durable. */
static void size_sync_write(struct sim_disk *disk, uint64_t write, uint64_t end)
{
	struct size_version *size, *next;
	TAILQ_FOREACH (size, &disk->sizes, link)
		if (size->write == write) {
			size_promote(disk, size);
			return;
		}
	if (disk->base_size_bytes >= end)
		return;
	disk->base_size_bytes = end;
	TAILQ_FOREACH_SAFE (size, &disk->sizes, link, next)
		if (size->bytes <= end)
			sim_disk_size_drop(disk, size);
}

void sim_disk_sync_write(
	struct sim_disk *disk, uint64_t write, uint64_t offset, uint64_t bytes)
{
	uint64_t end = offset + bytes;
	for (uint64_t sector = offset / SIM_SECTOR_BYTES;
		sector * SIM_SECTOR_BYTES < end; sector++) {
		struct unclean *unclean = sector_unclean(disk, sector);
		struct version *version = unclean_of_write(unclean, write);
		if (version)
			unclean_promote(disk, unclean, version);
	}
	size_sync_write(disk, write, end);
}

static bool is_covered(uint64_t version_stamp, bool lost, uint64_t stamp)
{
	return version_stamp && version_stamp <= stamp && !lost;
}

static void sizes_sync(struct sim_disk *disk, uint64_t stamp)
{
	struct size_version *size, *covered = NULL;
	TAILQ_FOREACH (size, &disk->sizes, link)
		if (is_covered(size->stamp, false, stamp))
			covered = size;
	if (covered)
		size_promote(disk, covered);
}

void sim_disk_sync(struct sim_disk *disk, uint64_t stamp)
{
	struct unclean *unclean, *next;
	TAILQ_FOREACH_SAFE (unclean, &disk->uncleans, link, next) {
		struct version *version, *covered = NULL;
		TAILQ_FOREACH (version, &unclean->versions, link)
			if (is_covered(version->stamp, version->lost, stamp))
				covered = version;
		if (covered)
			unclean_promote(disk, unclean, covered);
	}
	sizes_sync(disk, stamp);
}

void sim_disk_sync_failed(struct sim_disk *disk, uint64_t stamp)
{
	struct unclean *unclean;
	struct version *version;
	TAILQ_FOREACH (unclean, &disk->uncleans, link)
		TAILQ_FOREACH (version, &unclean->versions, link)
			if (is_covered(version->stamp, false, stamp))
				version->lost = true;
}

void sim_disk_settle(struct sim_disk *disk)
{
	struct unclean *unclean;
	while ((unclean = TAILQ_FIRST(&disk->uncleans)))
		sim_disk_unclean_drop(disk, unclean, NULL);
	while (!TAILQ_EMPTY(&disk->sizes))
		sim_disk_size_drop(disk, TAILQ_FIRST(&disk->sizes));
	disk->base_size_bytes = disk->size_bytes;
}

/* -- the power cut ------------------------------------------------------------- */

bool sim_cut_keeps(const struct sim_cut *cut)
{
	if (cut->percent_kept == 0 || cut->percent_kept == 100)
		return cut->percent_kept == 100;
	return prng_below(cut->random, 100) < cut->percent_kept;
}

/* Which of `count` versions, the oldest first; -1: the base. */
static int64_t cut_choose(const struct sim_cut *cut, uint64_t count)
{
	if (!sim_cut_keeps(cut))
		return -1;
	if (cut->percent_kept == 100)
		return (int64_t)count - 1;
	return (int64_t)prng_below(cut->random, count);
}

static const struct content *cut_sector(
	const struct unclean *unclean, const struct sim_cut *cut)
{
	const struct version *version;
	uint64_t count = 0;
	TAILQ_FOREACH (version, &unclean->versions, link)
		count++;
	int64_t chosen = cut_choose(cut, count);
	if (chosen < 0)
		return &unclean->base;
	version = TAILQ_FIRST(&unclean->versions);
	while (chosen--)
		version = TAILQ_NEXT(version, link);
	return &version->content;
}

static uint64_t cut_size(const struct sim_disk *disk, const struct sim_cut *cut)
{
	const struct size_version *size;
	uint64_t count = 0;
	TAILQ_FOREACH (size, &disk->sizes, link)
		count++;
	int64_t chosen = count ? cut_choose(cut, count) : -1;
	if (chosen < 0)
		return disk->base_size_bytes;
	size = TAILQ_FIRST(&disk->sizes);
	while (chosen--)
		size = TAILQ_NEXT(size, link);
	return size->bytes;
}

static struct sim_disk *disk_copy(const struct sim_disk *disk)
{
	struct sim_disk *copy = sim_disk_new(disk->size_bytes);
	copy->pages =
		sim_disk_memory((disk->page_count + 1) * sizeof *copy->pages);
	copy->page_count = disk->page_count;
	copy->space_sectors = disk->space_sectors;
	for (uint64_t i = 0; i < disk->page_count; i++) {
		if (!disk->pages[i])
			continue;
		struct page *page = sim_disk_memory(sizeof *page);
		memcpy(page->bytes, disk->pages[i]->bytes, PAGE_BYTES);
		page->has_data = disk->pages[i]->has_data;
		page->has_space = disk->pages[i]->has_space;
		copy->pages[i] = page;
	}
	return copy;
}

struct sim_disk *sim_disk_after_cut(
	const struct sim_disk *disk, const struct sim_cut *cut)
{
	struct sim_disk *after = disk_copy(disk);
	const struct unclean *unclean;
	TAILQ_FOREACH (unclean, &disk->uncleans, link)
		sim_disk_sector_set(
			after, unclean->sector, cut_sector(unclean, cut));
	/* The copy may be longer than what it holds: zero from its true end. */
	uint64_t size_bytes = cut_size(disk, cut);
	uint64_t reach = after->page_count * PAGE_BYTES;
	after->size_bytes = reach > size_bytes ? reach : size_bytes;
	sim_disk_resize(after, 0, size_bytes);
	sim_disk_settle(after);
	return after;
}
