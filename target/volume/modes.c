/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hosts change through mode pages: write cache, software write protect,
 * sense format, task aborted status, who is told when space runs out. All of it is
 * flags of the volume, shared by every nexus; saved values are a blob of six bytes
 * in the volume's store: version, 0, mask of flags (be16), flags (be16).
 */
#include "blockcore/base/bytes.h"
#include "target/volume/volume.h"

#include <errno.h>

enum { MODES_VERSION = 1, MODES_BYTES = 6 };

static int modes_save_co(struct volume *volume, unsigned flags)
{
	uint8_t blob[MODES_BYTES] = {MODES_VERSION};

	if (!volume->store)
		return -EOPNOTSUPP;
	put_be16(blob + 2, VOLUME_MODE_FLAGS);
	put_be16(blob + 4, (uint16_t)flags);
	return volume->store->save_co(volume->store, volume->settings.uuid,
		"modepages", blob, sizeof blob, NULL);
}

static void modes_publish(struct volume *volume, unsigned mask, unsigned flags)
{
	atomic_fetch_and(&volume->flags, ~(mask & ~flags));
	atomic_fetch_or(&volume->flags, mask & flags);
}

/* Off goes the cache: what was acknowledged must be durable now. Without
 * volume->changing, for storage may take its time. */
static int modes_flush_co(struct volume *volume)
{
	struct block_source *source = atomic_load(&volume->source);

	if (!source)
		return 0;
	return volume_flushed(volume,
		block_transfer_co(source, block_core_lane(volume->core, 0),
			BLOCK_FLUSH, 0, 0, 0, NULL));
}

/* True: the write cache is to be off. A flush follows, also if it was off: that of
 * another who has switched it off may not have ended, or not well. */
static bool modes_set(struct volume *volume, unsigned mask, unsigned flags)
{
	modes_publish(volume, mask, flags);
	return mask & ~flags & VOLUME_WRITE_CACHE;
}

int volume_change_modes_co(
	struct volume *volume, unsigned mask, unsigned flags, bool save)
{
	unsigned saved;
	bool uncached = false;
	int result = 0;

	mask &= VOLUME_MODE_FLAGS;
	flags &= mask;
	co_mutex_lock_co(&volume->changing);
	saved = (volume->saved_flags & ~mask) | flags;
	if (save)
		result = modes_save_co(volume, saved);
	if (!result && save)
		volume->saved_flags = saved;
	if (!result)
		uncached = modes_set(volume, mask, flags);
	co_mutex_unlock(&volume->changing);
	return uncached ? modes_flush_co(volume) : result;
}

int volume_reset_modes_co(struct volume *volume)
{
	bool uncached;

	co_mutex_lock_co(&volume->changing);
	uncached = modes_set(volume, VOLUME_MODE_FLAGS,
		volume->saved_flags & VOLUME_MODE_FLAGS);
	co_mutex_unlock(&volume->changing);
	return uncached ? modes_flush_co(volume) : 0;
}

int volume_restore_modes(
	struct volume *volume, const void *blob, size_t bytes, struct err *err)
{
	const uint8_t *from = blob;
	unsigned mask;

	if (bytes != MODES_BYTES || from[0] != MODES_VERSION)
		return err_set(err, EINVAL,
			"volume %s: saved mode pages cannot be read",
			volume->settings.name);
	mask = get_be16(from + 2) & VOLUME_MODE_FLAGS;
	if (volume->settings.read_only)
		mask &= ~(unsigned)VOLUME_WRITE_PROTECT;
	volume->saved_flags =
		(volume->saved_flags & ~mask) | (get_be16(from + 4) & mask);
	modes_publish(volume, mask, volume->saved_flags);
	return 0;
}
