/* SPDX-License-Identifier: Apache-2.0 */
/* See mirror_map.h. */
#include "blockcore/listener/mirror_map.h"

#include "blockcore/base/bits.h"
#include "blockcore/base/bytes.h"
#include "blockcore/base/crc32c.h"
#include "blockcore/base/log.h"
#include "blockcore/core/beside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1u
#define SECTOR BLOCK_SECTOR_BYTES
#define BLOCK_BYTES 4096u
#define BLOCK_SECTORS (BLOCK_BYTES / SECTOR)
#define BLOCK_WORDS (BLOCK_SECTORS * MIRROR_SECTOR_WORDS)
#define CHECKED_BYTES (SECTOR - 4u) /* the checksum is behind them */

enum state { MARKS = 1, ALL = 2 };

static const char magic[8] = {'C', 'A', 'I', 'R', 'N', 'M', 'I', 'R'};

struct header {
	uint32_t state, shift, number;
	uint64_t count, size_bytes, leg;
	uint64_t file; /* mirror->leg_file; 0: not known */
	bool of_all; /* it says "all" whichever leg there is */
};

static struct block_lane *lane_of(const struct mirror *mirror)
{
	return block_core_lane(mirror->driver.core, 0);
}

/* Durable when it returns 0. */
static int map_write_co(
	struct mirror *mirror, uint64_t offset, void *data, size_t bytes)
{
	if (!mirror->driver.store)
		return -ENODEV;
	return block_transfer_co(mirror->driver.store, lane_of(mirror),
		BLOCK_WRITE, BLOCK_FUA | BLOCK_INTERNAL, offset, bytes, data);
}

static int map_read_co(
	struct mirror *mirror, uint64_t offset, void *data, size_t bytes)
{
	return block_transfer_co(mirror->driver.store, lane_of(mirror),
		BLOCK_READ, BLOCK_INTERNAL, offset, bytes, data);
}

static uint8_t *map_buffer(void)
{
	uint8_t *bytes = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);

	if (bytes)
		memset(bytes, 0, BLOCK_BYTES);
	return bytes;
}

/* -- header --------------------------------------------------------------- */

static int header_write_co(struct mirror *mirror, enum state state)
{
	const struct mirror_marks *marks = &mirror->marks;
	uint8_t *bytes = map_buffer();

	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, magic, sizeof magic);
	put_le32(bytes + 8, VERSION);
	put_le32(bytes + 12, state);
	put_le32(bytes + 16, marks->shift);
	put_le32(bytes + 20, mirror->map.number);
	put_le64(bytes + 24, marks->count);
	put_le64(bytes + 32, mirror->size_bytes);
	put_le64(bytes + 40, mirror->map.leg);
	put_le64(bytes + 48, mirror->leg_file);
	put_le32(bytes + CHECKED_BYTES, crc32c(0, bytes, CHECKED_BYTES));
	int error = map_write_co(mirror, 0, bytes, BLOCK_BYTES);
	free(bytes);
	if (error)
		return error;
	mirror->map.all = state == ALL;
	mirror->map.size_bytes = mirror->size_bytes;
	return 0;
}

static bool is_zero(const uint8_t *bytes, size_t count)
{
	return bytes[0] == 0 && !memcmp(bytes, bytes + 1, count - 1);
}

/* h->state ALL: it is new, or says nothing. */
static int header_get(struct mirror *mirror, const uint8_t *bytes,
	struct header *h, struct err *err)
{
	const char *name = mirror->driver.name;

	*h = (struct header){.state = ALL, .of_all = true};
	if (is_zero(bytes, SECTOR))
		return 0;
	if (memcmp(bytes, magic, sizeof magic) ||
		get_le32(bytes + 8) != VERSION)
		return err_set(err, EINVAL,
			"its map holds something else than marks of this "
			"version; give another name, or remove the file");
	if (crc32c(0, bytes, CHECKED_BYTES) !=
		get_le32(bytes + CHECKED_BYTES)) {
		log_warning(name, "mirror",
			"its map is damaged: the leg lacks everything");
		return 0;
	}
	*h = (struct header){get_le32(bytes + 12), get_le32(bytes + 16),
		get_le32(bytes + 20), get_le64(bytes + 24),
		get_le64(bytes + 32), get_le64(bytes + 40),
		get_le64(bytes + 48), get_le32(bytes + 12) == ALL};
	bool other = h->file && mirror->leg_file && h->file != mirror->leg_file;
	if (h->state != MARKS || other || h->shift != mirror->marks.shift ||
		h->leg != mirror->map.leg ||
		mirror_marks_grow(&mirror->marks, h->count)) {
		log_info(name, "mirror",
			"its map is of another leg or granularity, or was left "
			"behind: the leg lacks everything");
		h->state = ALL;
	}
	return 0;
}

/* -- body ----------------------------------------------------------------- */

static uint64_t map_blocks(const struct mirror *mirror)
{
	return (BITS_WORDS(mirror->marks.count) + BLOCK_WORDS - 1) /
		BLOCK_WORDS;
}

static uint64_t block_offset(uint64_t block)
{
	return BLOCK_BYTES + block * BLOCK_BYTES;
}

/* As there are more granules than there were. */
static int map_enlarge_co(struct mirror *mirror, struct err *err)
{
	uint64_t needs = block_offset(map_blocks(mirror));

	if (!mirror->driver.store)
		return err_set(err, ENODEV, "its map is not open");
	struct block_info info =
		block_source_info(mirror->driver.store, lane_of(mirror));

	return info.size_bytes >= needs
		? 0
		: block_source_resize_co(mirror->driver.store, needs, err);
}

/* What is to be there, and of that what is wanted; 0 beyond the end. */
static uint64_t map_word(
	const struct mirror *mirror, uint64_t word, uint64_t *wanted)
{
	const struct mirror_marks *marks = &mirror->marks;

	*wanted = 0;
	if (word >= BITS_WORDS(marks->count))
		return 0;
	*wanted = atomic_load(&marks->wanted[word]);
	return *wanted | atomic_load(&marks->kept[word]) |
		atomic_load(&marks->dirty[word]);
}

/* `taken`: the wanted ones, BLOCK_WORDS. */
static void block_fill(const struct mirror *mirror, uint64_t block,
	uint8_t *bytes, uint64_t *taken)
{
	uint64_t word = block * BLOCK_WORDS;

	for (unsigned s = 0; s < BLOCK_SECTORS; s++) {
		uint8_t *sector = bytes + s * SECTOR;

		for (unsigned i = 0; i < MIRROR_SECTOR_WORDS; i++, word++)
			put_le64(sector + i * 8,
				map_word(mirror, word, taken++));
		put_le32(sector + MIRROR_SECTOR_WORDS * 8, mirror->map.number);
		put_le32(sector + CHECKED_BYTES,
			crc32c(0, sector, CHECKED_BYTES));
	}
}

/* What was wanted is kept then. */
static int block_write_co(struct mirror *mirror, uint64_t block)
{
	struct mirror_marks *marks = &mirror->marks;
	uint64_t words = BITS_WORDS(marks->count), first = block * BLOCK_WORDS;
	uint8_t *bytes = map_buffer();
	uint64_t *taken = calloc(BLOCK_WORDS, sizeof *taken);
	int error = -ENOMEM;

	if (bytes && taken) {
		block_fill(mirror, block, bytes, taken);
		error = map_write_co(
			mirror, block_offset(block), bytes, BLOCK_BYTES);
	}
	for (unsigned i = 0; !error && i < BLOCK_WORDS; i++) {
		if (first + i >= words || !taken[i])
			continue;
		atomic_fetch_and(&marks->wanted[first + i], ~taken[i]);
		atomic_fetch_or(&marks->kept[first + i], taken[i]);
	}
	free(bytes);
	free(taken);
	mirror->map.writes += !error;
	return error;
}

static void sector_get(struct mirror *mirror, const uint8_t *sector,
	uint64_t word, const struct header *h)
{
	struct mirror_marks *marks = &mirror->marks;
	bool good = get_le32(sector + MIRROR_SECTOR_WORDS * 8) == h->number &&
		crc32c(0, sector, CHECKED_BYTES) ==
			get_le32(sector + CHECKED_BYTES);

	for (unsigned i = 0; i < MIRROR_SECTOR_WORDS; i++, word++) {
		uint64_t first = word * 64;

		if (first >= marks->count)
			break;
		uint64_t last = first + 63 < marks->count ? first + 63
							  : marks->count - 1;
		uint64_t set = good ? get_le64(sector + i * 8) : UINT64_MAX;
		atomic_store(&marks->dirty[word],
			set & bits_mask(word, first, last));
	}
}

static int body_read_co(struct mirror *mirror, const struct header *h)
{
	struct mirror_marks *marks = &mirror->marks;
	uint8_t *bytes = map_buffer();
	int error = bytes ? 0 : -ENOMEM;

	for (uint64_t b = 0; !error && b < map_blocks(mirror); b++) {
		error = map_read_co(
			mirror, block_offset(b), bytes, BLOCK_BYTES);
		for (unsigned s = 0; !error && s < BLOCK_SECTORS; s++)
			sector_get(mirror, bytes + s * SECTOR,
				b * BLOCK_WORDS + s * MIRROR_SECTOR_WORDS, h);
	}
	free(bytes);
	for (uint64_t w = 0; w < BITS_WORDS(marks->count); w++)
		atomic_store(&marks->kept[w], atomic_load(&marks->dirty[w]));
	marks->dirty_count = bits_count(marks->dirty, marks->count);
	return error;
}

/* -- opening -------------------------------------------------------------- */

static int map_load_co(struct mirror *mirror, struct header *h, struct err *err)
{
	uint8_t *bytes = map_buffer();
	int error =
		bytes ? map_read_co(mirror, 0, bytes, BLOCK_BYTES) : -ENOMEM;

	if (error)
		err_set(err, -error, "its map cannot be read: %s",
			strerror(-error));
	else
		error = header_get(mirror, bytes, h, err);
	free(bytes);
	if (!error)
		error = map_enlarge_co(mirror, err);
	if (error || h->state == ALL)
		return error;
	error = body_read_co(mirror, h);
	return error ? err_set(err, -error, "its map cannot be read: %s",
			       strerror(-error))
		     : 0;
}

int mirror_map_open_co(struct mirror *mirror, uint64_t *size, struct err *err)
{
	struct mirror_map *map = &mirror->map;
	struct header h;

	*size = 0;
	co_mutex_init(&map->writing);
	map->leg = block_beside_print(&mirror->driver, "leg");
	int error = map_load_co(mirror, &h, err);
	if (error)
		return error;
	if (!mirror->leg_file)
		mirror->leg_file = h.file; /* it is not there */
	if (h.state == MARKS) {
		map->number = h.number;
		map->size_bytes = *size = h.size_bytes;
		return 0;
	}
	/* Sectors of what was there before are none of this one's. */
	map->number = (uint32_t)loop_random(lane_of(mirror)->loop);
	error = header_write_co(mirror, ALL);
	if (error && !h.of_all)
		return err_set(err, -error, "its map cannot be written: %s",
			strerror(-error));
	if (error)
		log_warning(mirror->driver.name, "mirror",
			"its map cannot be written: %s; it says that the leg "
			"lacks everything, until it can",
			strerror(-error));
	map->all = true;
	return 0;
}

/* What is changed from now on it does not see. */
void mirror_map_close_co(struct mirror *mirror)
{
	if (mirror->driver.detached)
		mirror_map_all_co(mirror);
}

/* -- while it is in use --------------------------------------------------- */

int mirror_map_all_co(struct mirror *mirror)
{
	co_mutex_lock_co(&mirror->map.writing);
	int error = mirror->map.all ? 0 : header_write_co(mirror, ALL);
	co_mutex_unlock(&mirror->map.writing);
	return error;
}

/* All that is wanted is kept: the header says so. */
static void map_keep_wanted(struct mirror *mirror)
{
	struct mirror_marks *marks = &mirror->marks;

	for (uint64_t w = 0; w < BITS_WORDS(marks->count); w++) {
		uint64_t wanted = atomic_exchange(&marks->wanted[w], 0);

		if (wanted)
			atomic_fetch_or(&marks->kept[w], wanted);
	}
}

static void map_failed_co(struct mirror *mirror, int error)
{
	struct mirror_map *map = &mirror->map;

	log_error(mirror->driver.name, "mirror",
		"its map cannot be written: %s; after a restart the leg lacks "
		"everything",
		strerror(-error));
	if (!map->all)
		error = header_write_co(mirror, ALL);
	else
		error = 0;
	if (error && mirror->disown_co && !mirror->disown_co(mirror)) {
		map->all = true;
		error = 0;
	}
	atomic_store(&map->error, error);
	if (error)
		log_error(mirror->driver.name, "mirror",
			"nor can that be written: changes fail until the map "
			"can be opened again, or the mirror is detached");
}

static bool block_is_wanted(const struct mirror *mirror, uint64_t block)
{
	const struct mirror_marks *marks = &mirror->marks;
	uint64_t first = block * BLOCK_WORDS * 64;
	uint64_t last = first + BLOCK_WORDS * 64 - 1;

	if (last >= marks->count)
		last = marks->count - 1;
	return bits_any(marks->wanted, first, last);
}

int mirror_map_again_co(struct mirror *mirror,
	int (*open_co)(
		struct block_driver *driver, void *argument, struct err *err),
	void *argument, struct err *err)
{
	struct block_driver *driver = &mirror->driver;

	co_mutex_lock_co(&mirror->map.writing);
	if (driver->store)
		block_source_put_co(driver->store);
	driver->store = NULL;
	int error = open_co(driver, argument, err);
	if (!error) {
		error = header_write_co(mirror, ALL);
		if (error)
			err_set(err, -error, "it cannot be written: %s",
				strerror(-error));
	}
	atomic_store(&mirror->map.error, error);
	co_mutex_unlock(&mirror->map.writing);
	return error ? err_wrap(err, "the map") : 0;
}

void mirror_map_keep_co(struct mirror *mirror)
{
	int error = 0;

	co_mutex_lock_co(&mirror->map.writing);
	if (!mirror->map.all)
		error = map_enlarge_co(mirror, NULL);
	for (uint64_t b = 0; !error && b < map_blocks(mirror); b++) {
		if (!mirror->map.all && block_is_wanted(mirror, b))
			error = block_write_co(mirror, b);
	}
	if (error)
		map_failed_co(mirror, error);
	else
		atomic_store(&mirror->map.error, 0);
	if (mirror->map.all)
		map_keep_wanted(mirror);
	co_mutex_unlock(&mirror->map.writing);
}

void mirror_map_of_leg_co(struct mirror *mirror)
{
	struct mirror_map *map = &mirror->map;

	co_mutex_lock_co(&map->writing);
	map->leg = block_beside_print(&mirror->driver, "leg");
	int error = header_write_co(mirror, map->all ? ALL : MARKS);
	co_mutex_unlock(&map->writing);
	if (error)
		log_warning(mirror->driver.name, "mirror",
			"its map is still of the old leg: %s; after a restart "
			"the leg lacks everything",
			strerror(-error));
}

int mirror_map_settle_co(struct mirror *mirror)
{
	struct mirror_map *map = &mirror->map;
	int error = 0;

	co_mutex_lock_co(&map->writing);
	bool whole = map->all || map->size_bytes != mirror->size_bytes;
	error = map_enlarge_co(mirror, NULL);
	for (uint64_t b = 0; !error && b < map_blocks(mirror); b++) {
		if (whole ||
			(map->first_gone < (b + 1) * BLOCK_WORDS &&
				map->end_gone > b * BLOCK_WORDS))
			error = block_write_co(mirror, b);
	}
	if (!error && whole)
		error = header_write_co(mirror, MARKS);
	if (!error)
		map->first_gone = map->end_gone = 0;
	co_mutex_unlock(&map->writing);
	return error;
}
