/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content of one file on a disk with a volatile cache: what is read now, what
 * is durable, and everything that a power cut may leave in between. Pure data, no
 * clock.
 *
 * A sector (512 bytes, never torn) that is not clean has a base, its durable
 * content, and versions, the contents that writes gave it since, in the order in
 * which they reached the cache; the newest one is read. The size of the file has
 * versions of the same kind.
 *
 * Invariants
 *  1. A version gets a stamp when its write completes. A flush makes durable, for
 *     each sector, the newest version of a write that had completed when the
 *     flush was submitted, and nothing younger.
 *  2. A flush that failed makes nothing durable, and what it should have covered
 *     is lost to later flushes too: the kernel takes the pages for clean and
 *     reports an error once. Only writing again helps. (The size is metadata:
 *     a later flush may still make it durable.)
 *  3. After a cut each sector holds its base or any of its versions, each sector
 *     independently of all others: torn and reordered in every way.
 */
#ifndef TESTS_LIB_SIM_DISK_H
#define TESTS_LIB_SIM_DISK_H

#include <stdbool.h>
#include <stdint.h>

#define SIM_SECTOR_BYTES 512u

struct sim_disk;

/* How much of what is not durable survives a cut. */
struct sim_cut {
	uint64_t *random; /* state of prng.h */
	unsigned percent_kept; /* 0: all lost, 100: all newest */
};

struct sim_disk *sim_disk_new(uint64_t size_bytes);
void sim_disk_free(struct sim_disk *disk);

/* -- what is there now ----------------------------------------------------- */

uint64_t sim_disk_size_bytes(const struct sim_disk *disk);
/* Bytes past the end are read as zeros. */
void sim_disk_read(
	const struct sim_disk *disk, uint64_t offset, void *to, uint64_t bytes);
/* Bytes up to where "holds data" changes; 0 at the end. */
uint64_t sim_disk_extent(
	const struct sim_disk *disk, uint64_t offset, bool *data);
/* Space in use, and what a write to the range would need besides. */
uint64_t sim_disk_space_bytes(const struct sim_disk *disk);
uint64_t sim_disk_missing_bytes(
	const struct sim_disk *disk, uint64_t offset, uint64_t bytes);
/* True if a power cut can lose nothing. */
bool sim_disk_is_clean(const struct sim_disk *disk);

/* -- changes: read at once, durable later ----------------------------------- */

/* `write` numbers the write. Makes the file longer if need be. */
void sim_disk_write(struct sim_disk *disk, uint64_t write, uint64_t offset,
	const void *from, uint64_t bytes);
/* Zeros; whole sectors hold no data then, and give up their space if asked. */
void sim_disk_zero(struct sim_disk *disk, uint64_t write, uint64_t offset,
	uint64_t bytes, bool give_up);
/* Reserves space. */
void sim_disk_allocate(struct sim_disk *disk, uint64_t offset, uint64_t bytes);
void sim_disk_resize(struct sim_disk *disk, uint64_t write, uint64_t bytes);

/* -- durability -------------------------------------------------------------- */

/* The write has completed; its versions get `stamp` (> 0, increasing). */
void sim_disk_done(struct sim_disk *disk, uint64_t write, uint64_t offset,
	uint64_t bytes, uint64_t stamp);
/* Makes this one write durable (RWF_DSYNC), with the size that it needs. */
void sim_disk_sync_write(
	struct sim_disk *disk, uint64_t write, uint64_t offset, uint64_t bytes);
/* A flush that was submitted when `stamp` was the newest has ended. */
void sim_disk_sync(struct sim_disk *disk, uint64_t stamp);
void sim_disk_sync_failed(struct sim_disk *disk, uint64_t stamp);
/* All is durable now (a clean shutdown). */
void sim_disk_settle(struct sim_disk *disk);

/* What a power cut leaves: a disk of its own, clean. */
struct sim_disk *sim_disk_after_cut(
	const struct sim_disk *disk, const struct sim_cut *cut);
/* One draw: does this survive? */
bool sim_cut_keeps(const struct sim_cut *cut);

#endif
