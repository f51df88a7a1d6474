/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener backup: the file in which it keeps which granules are in the target, so
 * that the moment outlives the daemon, also one that is killed, and a power cut.
 *
 *	header		what it is, whether the moment is whole, of which target, size,
 *	4 KiB		granularity; a checksum at the end of its first sector
 *	body		a bit for each granule, in sectors of BACKUP_SECTOR_WORDS words,
 *			each with the map's number and a checksum
 *
 * Invariants
 *  1. A mark is written when the data it speaks of are durable in the target.
 *  2. The header says "active" only when what was below at the moment is durable
 *     there, all of the body is this moment's, and every change below of what has no
 *     mark is still to come.
 *  3. Sectors are old or new as a whole; one that is neither is damaged, and then so
 *     is the moment: where the header cannot be written, a damaged body says that it
 *     is broken. A file that is something else is refused.
 *  4. One coroutine at a time writes (map->writing).
 */
#include "blockcore/listener/backup.h"

#include "blockcore/base/bits.h"
#include "blockcore/base/bytes.h"
#include "blockcore/base/crc32c.h"
#include "blockcore/base/prng.h"
#include "blockcore/core/beside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1u
#define SECTOR BLOCK_SECTOR_BYTES
#define BLOCK BACKUP_BLOCK_BYTES
#define WORDS BACKUP_BLOCK_WORDS
#define CHECKED_BYTES (SECTOR - 4u) /* the checksum is behind them */
#define WHY_AT 72u

_Static_assert(WHY_AT + BACKUP_WHY_BYTES <= CHECKED_BYTES, "all in one sector");

static const char magic[8] = {'C', 'A', 'I', 'R', 'N', 'B', 'A', 'K'};

static int transfer_co(struct backup_driver *backup, enum block_opcode op,
	unsigned flags, uint64_t offset, size_t bytes, void *data)
{
	if (!backup->driver.store)
		return -EIO; /* it could not be opened again */
	return block_transfer_co(backup->driver.store,
		block_core_lane(backup->driver.core, 0), op,
		(uint16_t)(flags | BLOCK_INTERNAL), offset, bytes, data);
}

static int target_flush_co(struct backup_driver *backup)
{
	return block_transfer_co(backup->driver.others[0],
		block_core_lane(backup->driver.core, 0), BLOCK_FLUSH,
		BLOCK_INTERNAL, 0, 0, NULL);
}

static uint64_t block_offset(uint64_t block)
{
	return BLOCK + block * BLOCK;
}

static uint64_t blocks_of(uint64_t granules)
{
	return (BITS_WORDS(granules) + WORDS - 1) / WORDS;
}

/* -- header --------------------------------------------------------------- */

/* Which target it is: what is kept in another one is lost. */
static uint64_t target_print(const struct backup_driver *backup)
{
	if (backup->without_target)
		return 0;
	uint64_t state = block_beside_print(&backup->driver, "target") ^
		block_beside_file(backup->driver.others[0]);

	return prng_next(&state);
}

int backup_map_header_co(
	struct backup_driver *backup, enum backup_state state, const char *why)
{
	struct backup_map *map = &backup->map;
	const struct backup_header *h = &map->header;
	uint8_t *bytes = map->batch;

	memset(bytes, 0, BLOCK);
	memcpy(bytes, magic, sizeof magic);
	put_le32(bytes + 8, VERSION);
	put_le32(bytes + 12, state);
	put_le32(bytes + 16, backup->shift);
	put_le32(bytes + 20, h->number);
	put_le64(bytes + 24, backup->granules);
	put_le64(bytes + 32, backup->size_bytes);
	put_le64(bytes + 40, backup->id);
	put_le64(bytes + 48, h->target);
	put_le64(bytes + 56, h->image);
	put_le32(bytes + 64, h->clean);
	snprintf((char *)bytes + WHY_AT, BACKUP_WHY_BYTES, "%s", why);
	put_le32(bytes + CHECKED_BYTES, crc32c(0, bytes, CHECKED_BYTES));
	if (state == BACKUP_ACTIVE)
		atomic_store(&map->active, true); /* it may be, from here on */
	int error =
		transfer_co(backup, BLOCK_WRITE, BLOCK_FUA, 0, BLOCK, bytes);
	if (!error)
		atomic_store(&map->active, state == BACKUP_ACTIVE);
	return error;
}

static bool is_zero(const uint8_t *bytes, size_t count)
{
	return bytes[0] == 0 && !memcmp(bytes, bytes + 1, count - 1);
}

static void header_breaks(struct backup_header *h, const char *why)
{
	h->state = BACKUP_BROKEN;
	snprintf(h->why, sizeof h->why, "%s", why);
}

static void header_get(
	struct backup_driver *backup, const uint8_t *bytes, uint64_t target)
{
	struct backup_header *h = &backup->map.header;

	*h = (struct backup_header){.state = get_le32(bytes + 12),
		.shift = get_le32(bytes + 16),
		.number = get_le32(bytes + 20),
		.granules = get_le64(bytes + 24),
		.size_bytes = get_le64(bytes + 32),
		.id = get_le64(bytes + 40),
		.target = target,
		.image = get_le64(bytes + 56),
		.clean = get_le32(bytes + 64)};
	memcpy(h->why, bytes + WHY_AT, BACKUP_WHY_BYTES);
	h->why[BACKUP_WHY_BYTES - 1] = 0;
	if (h->state != BACKUP_ACTIVE)
		return;
	if (backup->without_target)
		header_breaks(h, backup->lacks);
	else if (h->shift != backup->shift || get_le64(bytes + 48) != target)
		header_breaks(h, "its map is of another target or granularity");
	else if (!h->id || !h->size_bytes || h->granules > backup->bits ||
		h->granules !=
			(h->size_bytes + (1ull << h->shift) - 1) >> h->shift)
		header_breaks(h, "the target is smaller than it was");
}

static int header_load_co(struct backup_driver *backup, struct err *err)
{
	struct backup_header *h = &backup->map.header;
	uint8_t *bytes = backup->map.batch;
	uint64_t target = target_print(backup);
	int error = transfer_co(backup, BLOCK_READ, 0, 0, BLOCK, bytes);

	if (error)
		return err_set(err, -error, "its map cannot be read: %s",
			strerror(-error));
	*h = (struct backup_header){.target = target};
	if (is_zero(bytes, SECTOR))
		return 0;
	if (memcmp(bytes, magic, sizeof magic) ||
		get_le32(bytes + 8) != VERSION)
		return err_set(err, EINVAL,
			"its map holds something else than marks of this "
			"version; give another name, or remove the file");
	if (crc32c(0, bytes, CHECKED_BYTES) == get_le32(bytes + CHECKED_BYTES))
		header_get(backup, bytes, target);
	else
		header_breaks(h, "its map is damaged");
	return 0;
}

int backup_map_open_co(struct backup_driver *backup, struct err *err)
{
	uint64_t needs = block_offset(blocks_of(backup->bits));
	struct block_info info = block_source_info(
		backup->driver.store, block_core_lane(backup->driver.core, 0));
	int error = info.size_bytes >= needs
		? 0
		: block_source_resize_co(backup->driver.store, needs, err);

	return error ? error : header_load_co(backup, err);
}

/* -- body ----------------------------------------------------------------- */

/* Marks that `block` is to have: those of `words`, and what else is kept. */
static void block_fill(struct backup_driver *backup, uint64_t block,
	_Atomic uint64_t *words, bool take, uint8_t *bytes)
{
	const struct backup_map *map = &backup->map;
	uint64_t count = BITS_WORDS(backup->granules), word = block * WORDS;

	for (unsigned s = 0; s < BLOCK / SECTOR; s++, bytes += SECTOR) {
		for (unsigned i = 0; i < BACKUP_SECTOR_WORDS; i++, word++) {
			uint64_t bits = 0;

			if (word < count)
				bits = (take ? atomic_exchange(&words[word], 0)
					     : atomic_load(&words[word])) |
					atomic_load(&map->kept[word]);
			put_le64(bytes + i * 8, bits);
		}
		put_le32(bytes + BACKUP_SECTOR_WORDS * 8, map->header.number);
		put_le32(
			bytes + CHECKED_BYTES, crc32c(0, bytes, CHECKED_BYTES));
	}
}

/* What was written is kept. */
static void block_kept(
	struct backup_driver *backup, uint64_t block, const uint8_t *bytes)
{
	uint64_t count = BITS_WORDS(backup->granules), word = block * WORDS;

	for (unsigned s = 0; s < BLOCK / SECTOR; s++, bytes += SECTOR) {
		for (unsigned i = 0; i < BACKUP_SECTOR_WORDS && word < count;
			i++, word++)
			atomic_fetch_or(&backup->map.kept[word],
				get_le64(bytes + i * 8));
	}
}

int backup_map_batch_co(struct backup_driver *backup, bool *more)
{
	struct backup_map *map = &backup->map;
	uint64_t block[BACKUP_BATCH], blocks = blocks_of(backup->granules);
	unsigned count = 0;
	uint64_t at = bits_next(map->blocks, 0, blocks, true);
	int error = 0;

	for (; at < blocks && count < BACKUP_BATCH; count++) {
		bits_clear(map->blocks, at,
			at); /* first: who comes later says so */
		block[count] = at;
		block_fill(backup, at, map->wanted, true,
			map->batch + count * BLOCK);
		at = bits_next(map->blocks, at + 1, blocks, true);
	}
	*more = at < blocks;
	if (count)
		error = target_flush_co(backup);
	for (unsigned i = 0; i < count && !error; i++) {
		uint8_t *bytes = map->batch + i * BLOCK;

		error = transfer_co(backup, BLOCK_WRITE, BLOCK_FUA,
			block_offset(block[i]), BLOCK, bytes);
		if (!error)
			block_kept(backup, block[i], bytes);
	}
	return error;
}

static int say_broken_co(struct backup_driver *backup)
{
	return backup_map_header_co(backup, BACKUP_BROKEN, backup->why);
}

static int spoil_body_co(struct backup_driver *backup)
{
	memset(backup->map.batch, 0, BLOCK);
	return transfer_co(backup, BLOCK_WRITE, BLOCK_FUA, block_offset(0),
		BLOCK, backup->map.batch);
}

static int cut_body_off_co(struct backup_driver *backup)
{
	struct err err = {0};
	int error = block_source_resize_co(
		backup->driver.store, block_offset(0), &err);

	return error ? error : transfer_co(backup, BLOCK_FLUSH, 0, 0, 0, NULL);
}

int backup_map_broken_co(struct backup_driver *backup)
{
	static int (*const ways_co[])(struct backup_driver * backup) = {
		say_broken_co, spoil_body_co, cut_body_off_co};
	struct block_driver *driver = &backup->driver;
	struct err err = {0};
	int first = say_broken_co(backup), error = first;

	/* A file that has failed once takes nothing more until it is opened anew. */
	for (unsigned i = 0; error && i < sizeof ways_co / sizeof *ways_co;
		i++) {
		if (driver->store_again_co(driver, &err))
			return first;
		error = ways_co[i](backup);
	}
	if (!error)
		atomic_store(&backup->map.active, false);
	return error ? first : 0;
}

int backup_map_whole_co(struct backup_driver *backup)
{
	uint64_t blocks = blocks_of(backup->granules);
	uint8_t *bytes = backup->map.batch;
	int error = 0;

	for (uint64_t b = 0; b < blocks && !error; b++) {
		block_fill(backup, b, backup->copied, false, bytes);
		error = transfer_co(
			backup, BLOCK_WRITE, 0, block_offset(b), BLOCK, bytes);
		if (!error)
			block_kept(backup, b, bytes);
	}
	if (!error)
		error = target_flush_co(backup);
	if (!error)
		error = transfer_co(backup, BLOCK_FLUSH, 0, 0, 0, NULL);
	return error;
}

static bool sector_is_good(
	const struct backup_driver *backup, const uint8_t *sector)
{
	return get_le32(sector + BACKUP_SECTOR_WORDS * 8) ==
		backup->map.header.number &&
		crc32c(0, sector, CHECKED_BYTES) ==
		get_le32(sector + CHECKED_BYTES);
}

static int block_get(
	struct backup_driver *backup, uint64_t block, const uint8_t *bytes)
{
	uint64_t count = BITS_WORDS(backup->granules), word = block * WORDS;

	for (unsigned s = 0; s < BLOCK / SECTOR; s++, bytes += SECTOR) {
		if (word < count && !sector_is_good(backup, bytes))
			return -EILSEQ;
		for (unsigned i = 0; i < BACKUP_SECTOR_WORDS && word < count;
			i++, word++)
			atomic_store(&backup->copied[word],
				get_le64(bytes + i * 8) &
					bits_mask(word, word * 64,
						word + 1 < count
							? word * 64 + 63
							: backup->granules -
								1));
	}
	return 0;
}

int backup_map_load_co(struct backup_driver *backup)
{
	uint64_t blocks = blocks_of(backup->granules);
	uint8_t *bytes = backup->map.batch;
	int error = 0;

	for (uint64_t b = 0; b < blocks && !error; b++) {
		error = transfer_co(
			backup, BLOCK_READ, 0, block_offset(b), BLOCK, bytes);
		if (!error)
			error = block_get(backup, b, bytes);
	}
	for (uint64_t w = 0; w < BITS_WORDS(backup->granules); w++)
		atomic_store(
			&backup->map.kept[w], atomic_load(&backup->copied[w]));
	atomic_store(&backup->copied_count,
		bits_count(backup->copied, backup->granules));
	return error;
}
