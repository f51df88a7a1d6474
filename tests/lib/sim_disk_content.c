/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of sectors, and a record for each sector that is not clean: what is read
 * and written. What survives is in sim_disk_cut.c.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/sim_disk_parts.h"

void *sim_disk_memory(size_t bytes)
{
	void *memory = calloc(1, bytes);
	assert(memory);
	return memory;
}

/* -- pages and sectors ------------------------------------------------------- */

struct page *sim_disk_page(const struct sim_disk *disk, uint64_t sector)
{
	uint64_t at = sector / PAGE_SECTORS;
	return at < disk->page_count ? disk->pages[at] : NULL;
}

static struct page *page_make(struct sim_disk *disk, uint64_t sector)
{
	uint64_t at = sector / PAGE_SECTORS;
	if (at >= disk->page_count) {
		uint64_t count = at + 1 + at / 2;
		disk->pages = realloc(disk->pages, count * sizeof *disk->pages);
		assert(disk->pages);
		memset(disk->pages + disk->page_count, 0,
			(count - disk->page_count) * sizeof *disk->pages);
		disk->page_count = count;
	}
	if (!disk->pages[at])
		disk->pages[at] = sim_disk_memory(sizeof **disk->pages);
	return disk->pages[at];
}

static uint32_t sector_bit(uint64_t sector)
{
	return 1u << sector % PAGE_SECTORS;
}

static void sector_get(
	const struct sim_disk *disk, uint64_t sector, struct content *content)
{
	const struct page *page = sim_disk_page(disk, sector);
	memset(content, 0, sizeof *content);
	if (!page || !(page->has_data & sector_bit(sector)))
		return;
	content->has_data = true;
	memcpy(content->bytes,
		page->bytes + sector % PAGE_SECTORS * SIM_SECTOR_BYTES,
		SIM_SECTOR_BYTES);
}

static void sector_set_space(
	struct sim_disk *disk, struct page *page, uint64_t sector, bool space)
{
	bool had = page->has_space & sector_bit(sector);
	if (had == space)
		return;
	page->has_space ^= sector_bit(sector);
	disk->space_sectors += space ? 1 : UINT64_MAX;
}

void sim_disk_sector_set(
	struct sim_disk *disk, uint64_t sector, const struct content *content)
{
	struct page *page = page_make(disk, sector);
	if (content->has_data)
		page->has_data |= sector_bit(sector);
	else
		page->has_data &= ~sector_bit(sector);
	if (content->has_data)
		sector_set_space(disk, page, sector, true);
	memcpy(page->bytes + sector % PAGE_SECTORS * SIM_SECTOR_BYTES,
		content->bytes, SIM_SECTOR_BYTES);
}

/* -- versions ------------------------------------------------------------------ */

static void sector_add_version(struct sim_disk *disk, uint64_t sector,
	uint64_t write, const struct content *content)
{
	struct page *page = page_make(disk, sector);
	struct unclean *unclean = page->unclean[sector % PAGE_SECTORS];
	if (!unclean) {
		unclean = sim_disk_memory(sizeof *unclean);
		unclean->sector = sector;
		sector_get(disk, sector, &unclean->base);
		TAILQ_INIT(&unclean->versions);
		TAILQ_INSERT_TAIL(&disk->uncleans, unclean, link);
		page->unclean[sector % PAGE_SECTORS] = unclean;
	}
	struct version *version = sim_disk_memory(sizeof *version);
	version->write = write;
	version->content = *content;
	TAILQ_INSERT_TAIL(&unclean->versions, version, link);
	sim_disk_sector_set(disk, sector, content);
}

void sim_disk_unclean_drop(
	struct sim_disk *disk, struct unclean *unclean, struct version *last)
{
	struct version *version;
	bool more = true;
	while (more && (version = TAILQ_FIRST(&unclean->versions))) {
		more = version != last;
		TAILQ_REMOVE(&unclean->versions, version, link);
		free(version);
	}
	if (!TAILQ_EMPTY(&unclean->versions))
		return;
	sim_disk_page(disk, unclean->sector)
		->unclean[unclean->sector % PAGE_SECTORS] = NULL;
	TAILQ_REMOVE(&disk->uncleans, unclean, link);
	free(unclean);
}

static void size_set(struct sim_disk *disk, uint64_t write, uint64_t bytes)
{
	if (bytes == disk->size_bytes)
		return;
	struct size_version *version = sim_disk_memory(sizeof *version);
	version->write = write;
	version->bytes = disk->size_bytes = bytes;
	TAILQ_INSERT_TAIL(&disk->sizes, version, link);
}

void sim_disk_size_drop(struct sim_disk *disk, struct size_version *version)
{
	TAILQ_REMOVE(&disk->sizes, version, link);
	free(version);
}

/* -- what is there now ---------------------------------------------------------- */

uint64_t sim_disk_size_bytes(const struct sim_disk *disk)
{
	return disk->size_bytes;
}

void sim_disk_read(
	const struct sim_disk *disk, uint64_t offset, void *to, uint64_t bytes)
{
	uint8_t *out = to;
	while (bytes) {
		struct content content;
		uint64_t skip = offset % SIM_SECTOR_BYTES;
		uint64_t part = SIM_SECTOR_BYTES - skip;
		if (part > bytes)
			part = bytes;
		sector_get(disk, offset / SIM_SECTOR_BYTES, &content);
		memcpy(out, content.bytes + skip, part);
		out += part;
		offset += part;
		bytes -= part;
	}
}

static bool sector_has_data(const struct sim_disk *disk, uint64_t sector)
{
	const struct page *page = sim_disk_page(disk, sector);
	return page && page->has_data & sector_bit(sector);
}

uint64_t sim_disk_extent(
	const struct sim_disk *disk, uint64_t offset, bool *data)
{
	*data = false;
	if (offset >= disk->size_bytes)
		return 0;
	uint64_t sector = offset / SIM_SECTOR_BYTES;
	*data = sector_has_data(disk, sector);
	uint64_t end = offset;
	while (end < disk->size_bytes && sector_has_data(disk, sector) == *data)
		end = ++sector * SIM_SECTOR_BYTES;
	return (end < disk->size_bytes ? end : disk->size_bytes) - offset;
}

uint64_t sim_disk_space_bytes(const struct sim_disk *disk)
{
	return disk->space_sectors * SIM_SECTOR_BYTES;
}

uint64_t sim_disk_missing_bytes(
	const struct sim_disk *disk, uint64_t offset, uint64_t bytes)
{
	uint64_t missing = 0;
	uint64_t sector = offset / SIM_SECTOR_BYTES;
	for (; sector * SIM_SECTOR_BYTES < offset + bytes; sector++) {
		const struct page *page = sim_disk_page(disk, sector);
		if (!page || !(page->has_space & sector_bit(sector)))
			missing += SIM_SECTOR_BYTES;
	}
	return missing;
}

bool sim_disk_is_clean(const struct sim_disk *disk)
{
	return TAILQ_EMPTY(&disk->uncleans) && TAILQ_EMPTY(&disk->sizes);
}

/* -- changes ------------------------------------------------------------------ */

void sim_disk_write(struct sim_disk *disk, uint64_t write, uint64_t offset,
	const void *from, uint64_t bytes)
{
	const uint8_t *in = from;
	uint64_t end = offset + bytes;
	while (offset < end) {
		struct content content;
		uint64_t sector = offset / SIM_SECTOR_BYTES;
		uint64_t skip = offset % SIM_SECTOR_BYTES;
		uint64_t part = SIM_SECTOR_BYTES - skip;
		if (part > end - offset)
			part = end - offset;
		sector_get(disk, sector, &content);
		content.has_data = true;
		memcpy(content.bytes + skip, in, part);
		sector_add_version(disk, sector, write, &content);
		in += part;
		offset += part;
	}
	if (end > disk->size_bytes)
		size_set(disk, write, end);
}

/* Bytes from `offset` on that are zero and clean already, without a page. */
static uint64_t zero_skips(
	const struct sim_disk *disk, uint64_t offset, bool give_up)
{
	uint64_t sector = offset / SIM_SECTOR_BYTES;
	const struct page *page = sim_disk_page(disk, sector);
	if (!page)
		return give_up ? PAGE_BYTES - offset % PAGE_BYTES : 0;
	bool matters =
		(page->has_data | page->has_space) & sector_bit(sector) ||
		page->unclean[sector % PAGE_SECTORS] || !give_up;
	return matters ? 0 : SIM_SECTOR_BYTES - offset % SIM_SECTOR_BYTES;
}

void sim_disk_zero(struct sim_disk *disk, uint64_t write, uint64_t offset,
	uint64_t bytes, bool give_up)
{
	uint64_t end = offset + bytes;
	while (offset < end) {
		uint64_t clean = zero_skips(disk, offset, give_up);
		if (clean) {
			offset += clean;
			continue;
		}
		struct content content;
		uint64_t sector = offset / SIM_SECTOR_BYTES;
		uint64_t skip = offset % SIM_SECTOR_BYTES;
		uint64_t part = SIM_SECTOR_BYTES - skip;
		if (part > end - offset)
			part = end - offset;
		struct page *page = page_make(disk, sector);
		sector_get(disk, sector, &content);
		memset(content.bytes + skip, 0, part);
		if (part == SIM_SECTOR_BYTES) {
			content.has_data = false;
			sector_set_space(disk, page, sector, !give_up);
		}
		sector_add_version(disk, sector, write, &content);
		offset += part;
	}
	if (!give_up && end > disk->size_bytes)
		size_set(disk, write, end);
}

void sim_disk_allocate(struct sim_disk *disk, uint64_t offset, uint64_t bytes)
{
	uint64_t sector = offset / SIM_SECTOR_BYTES;
	for (; sector * SIM_SECTOR_BYTES < offset + bytes; sector++)
		sector_set_space(disk, page_make(disk, sector), sector, true);
}

/* What lies past the new end is zero if the file grows again. */
void sim_disk_resize(struct sim_disk *disk, uint64_t write, uint64_t bytes)
{
	if (bytes < disk->size_bytes) {
		uint64_t last = disk->page_count * PAGE_BYTES;
		if (last > disk->size_bytes)
			last = disk->size_bytes;
		/* To the end of the sector: a whole one holds no data. */
		last = (last + SIM_SECTOR_BYTES - 1) / SIM_SECTOR_BYTES *
			SIM_SECTOR_BYTES;
		if (last > bytes)
			sim_disk_zero(disk, write, bytes, last - bytes, true);
	}
	size_set(disk, write, bytes);
}

/* -- life --------------------------------------------------------------------- */

struct sim_disk *sim_disk_new(uint64_t size_bytes)
{
	struct sim_disk *disk = sim_disk_memory(sizeof *disk);
	disk->size_bytes = disk->base_size_bytes = size_bytes;
	TAILQ_INIT(&disk->uncleans);
	TAILQ_INIT(&disk->sizes);
	return disk;
}

void sim_disk_free(struct sim_disk *disk)
{
	sim_disk_settle(disk);
	for (uint64_t i = 0; i < disk->page_count; i++)
		free(disk->pages[i]);
	free(disk->pages);
	free(disk);
}
