/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sim_disk_content.c and sim_disk_cut.c (durability) share.
 */
#ifndef TESTS_LIB_SIM_DISK_PARTS_H
#define TESTS_LIB_SIM_DISK_PARTS_H

#include <stddef.h>
#include <sys/queue.h>

#include "tests/lib/sim_disk.h"

#define PAGE_SECTORS 32u
#define PAGE_BYTES (PAGE_SECTORS * SIM_SECTOR_BYTES)

struct content {
	bool has_data; /* false: reads zero, a hole or only reserved */
	uint8_t bytes[SIM_SECTOR_BYTES];
};

struct version {
	uint64_t write, stamp; /* stamp 0: not completed */
	bool lost; /* a flush failed on it */
	struct content content;
	TAILQ_ENTRY(version) link;
};

struct unclean {
	uint64_t sector;
	struct content base;
	TAILQ_HEAD(version_list, version) versions;
	TAILQ_ENTRY(unclean) link;
};

struct size_version {
	uint64_t write, stamp, bytes;
	TAILQ_ENTRY(size_version) link;
};

/* What is read now. */
struct page {
	uint8_t bytes[PAGE_BYTES];
	uint32_t has_data, has_space; /* a bit per sector */
	struct unclean *unclean[PAGE_SECTORS];
};

struct sim_disk {
	struct page **pages;
	uint64_t page_count;
	uint64_t size_bytes, base_size_bytes;
	uint64_t space_sectors;
	TAILQ_HEAD(, unclean) uncleans;
	TAILQ_HEAD(, size_version) sizes;
};

void *sim_disk_memory(size_t bytes);
struct page *sim_disk_page(const struct sim_disk *disk, uint64_t sector);
/* What is read from now on; takes space, never gives it back. */
void sim_disk_sector_set(
	struct sim_disk *disk, uint64_t sector, const struct content *content);
/* Forgets versions up to and including `last`; a sector without is clean. */
void sim_disk_unclean_drop(
	struct sim_disk *disk, struct unclean *unclean, struct version *last);
void sim_disk_size_drop(struct sim_disk *disk, struct size_version *version);

#endif
