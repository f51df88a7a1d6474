/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener backup with a map: the moment over a stop. A source that opens finds
 * what the map has kept, or why that is no moment any more; one that closes writes what
 * it lies in (core/image.h), so that who changes the image meanwhile breaks the moment.
 *
 * After a crash nothing tells whether somebody else has changed the image since:
 * the files are not as they were at the last stop anyway.
 */
#include "blockcore/listener/backup.h"

#include "blockcore/base/bits.h"
#include "blockcore/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static _Atomic uint64_t *bits_new(uint64_t bits)
{
	return calloc(BITS_WORDS(bits) + 1, sizeof(uint64_t));
}

static void keep_free(struct backup_map *map)
{
	free(map->kept);
	free(map->wanted);
	free(map->blocks);
	free(map->batch);
	block_image_free(&map->closed);
}

int backup_moment_open_co(struct backup_driver *backup, struct err *err)
{
	struct backup_map *map = &backup->map;

	map->kept = bits_new(backup->bits);
	map->wanted = bits_new(backup->bits);
	map->blocks = bits_new(backup->bits / 64 / BACKUP_BLOCK_WORDS + 1);
	map->batch = aligned_alloc(
		BACKUP_BLOCK_BYTES, BACKUP_BATCH * BACKUP_BLOCK_BYTES);
	int error = map->kept && map->wanted && map->blocks && map->batch
		? backup_map_open_co(backup, err)
		: err_set(err, ENOMEM, "no memory for a map");
	if (error) {
		keep_free(map);
		return error;
	}
	backup_keep_start(backup);
	return 0;
}

struct digest {
	const struct block_image *image;
	bool opened;
	uint64_t print;
};

static int digest_work(void *argument)
{
	struct digest *digest = argument;

	digest->print = block_image_digest(digest->image, digest->opened);
	return 0;
}

/* Of all files of an image; 0: it has none that tells. */
static uint64_t digest_co(struct backup_driver *backup,
	const struct block_image *image, bool opened)
{
	struct digest digest = {image, opened, 0};

	loop_work_co(block_core_lane(backup->driver.core, 0)->loop, digest_work,
		&digest);
	return digest.print;
}

/* Why the moment that the map has cannot go on; NULL: it can. */
static const char *resume_co(
	struct backup_driver *backup, struct block_image *image)
{
	const struct backup_header *h = &backup->map.header;

	if (h->state == BACKUP_BROKEN)
		return h->why;
	if (h->clean && h->image && h->image != digest_co(backup, image, true))
		return "the image was changed while the listener was not "
		       "there, or is another one";
	backup->granules = h->granules;
	backup->size_bytes = h->size_bytes;
	backup->id = h->id;
	int error = backup_map_load_co(backup);
	return error == -EILSEQ ? "its map is damaged"
		: error		? "its map cannot be read"
				: NULL;
}

void backup_moment_resume_co(
	struct backup_driver *backup, struct block_image *image)
{
	struct backup_map *map = &backup->map;
	const char *why;

	if (map->header.state == BACKUP_NONE)
		return;
	atomic_store(&map->active, map->header.state == BACKUP_ACTIVE);
	why = resume_co(backup, image);
	atomic_store(&backup->state, BACKUP_ACTIVE);
	map->settled = true;
	map->header.clean = false;
	atomic_store(&map->keeping, true);
	if (!why && backup_map_header_co(backup, BACKUP_ACTIVE, ""))
		why = "its map cannot be written";
	if (!why)
		return;
	backup_break(backup, "%s", why);
	backup_keep_broken_co(backup);
}

void backup_moment_close_co(struct backup_driver *backup)
{
	struct backup_map *map = &backup->map;
	bool active = backup_is_active(backup);
	int error = 0;

	backup_keep_stop_co(backup);
	if (backup->driver.detached) {
		error = backup_map_header_co(backup, BACKUP_NONE, "");
		if (error && !backup_map_broken_co(backup))
			error = 0;
	} else if (active && map->settled) {
		map->header.clean = true;
		map->header.image = digest_co(backup, &map->closed, false);
		error = backup_map_whole_co(backup);
		if (!error)
			error = backup_map_header_co(backup, BACKUP_ACTIVE, "");
	} else if (atomic_load(&backup->state) == BACKUP_BROKEN) {
		error = backup_map_broken_co(backup);
	}
	if (error)
		log_error(backup->driver.name, "backup",
			"its map cannot be written: %s", strerror(-error));
	keep_free(map);
}
