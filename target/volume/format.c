/* SPDX-License-Identifier: Apache-2.0 */
/* See format.h. */
#include "target/volume/format.h"

#include <errno.h>
#include <string.h>

#define PROGRESS_WHOLE 65536u

bool volume_format_claim(struct volume *volume)
{
	unsigned old = atomic_fetch_or(&volume->flags, VOLUME_FORMATTING);

	if (old & VOLUME_FORMATTING)
		return false;
	atomic_store(&volume->format.progress, 0);
	return true;
}

/* The last step would be "done": that is for the end to say. */
void volume_format_progress(
	struct volume *volume, uint64_t done_bytes, uint64_t all_bytes)
{
	unsigned part = (unsigned)((double)done_bytes / (double)all_bytes *
		(PROGRESS_WHOLE - 1));

	atomic_store(&volume->format.progress, part);
}

void volume_format_drop(struct volume *volume)
{
	atomic_fetch_and(&volume->flags, ~(unsigned)VOLUME_FORMATTING);
}

void volume_format_end(struct volume *volume, bool well)
{
	if (well)
		atomic_fetch_and(
			&volume->flags, ~(unsigned)VOLUME_FORMAT_CORRUPT);
	else
		atomic_fetch_or(&volume->flags, VOLUME_FORMAT_CORRUPT);
	volume_format_drop(volume);
}

enum block_opcode volume_format_op(
	const struct volume *volume, const struct block_info *info)
{
	return volume->settings.thin && info->ops & BLOCK_OP(BLOCK_DISCARD)
		? BLOCK_DISCARD
		: BLOCK_WRITE_ZEROES;
}

/* -- behind the host's back ----------------------------------------------- */

static int format_transfer_co(struct volume *volume,
	struct block_source *source, enum block_opcode op, uint64_t offset,
	uint64_t bytes)
{
	return block_transfer_noted_co(source, block_core_lane(volume->core, 0),
		op, 0, offset, bytes, NULL, &volume->format.moving);
}

static int format_all_co(struct volume *volume, struct block_source *source)
{
	struct block_lane *lane = block_core_lane(volume->core, 0);
	struct block_info info = block_source_info(source, lane);
	enum block_opcode op = volume_format_op(volume, &info);
	uint64_t at = 0, all = info.size_bytes;
	int result = 0;

	while (at < all && !result) {
		uint64_t bytes = all - at;

		if (volume->format.stop)
			return -ECANCELED;
		if (bytes > volume_format_piece_bytes(op))
			bytes = volume_format_piece_bytes(op);
		result = format_transfer_co(volume, source, op, at, bytes);
		at += bytes;
		volume_format_progress(volume, at, all);
		loop_sleep_co(lane->loop, 0); /* others have a turn */
	}
	if (!result)
		result = volume_flushed(volume,
			format_transfer_co(volume, source, BLOCK_FLUSH, 0, 0));
	return result;
}

void volume_format_run_co(struct volume *volume)
{
	struct volume_format *format = &volume->format;
	struct block_source *source = atomic_load(&volume->source);
	int result = -ENODEV;

	format->stop = false;
	format->running = true;
	if (source) {
		block_source_get(source);
		result = format_all_co(volume, source);
		block_source_put_co(source);
	}
	if (result)
		log_error(volume->settings.name, "format",
			"formatting the volume, as a host asked, has %s; it "
			"has to be done again, or the volume repaired",
			result == -ECANCELED ? "been stopped" : "failed");
	volume_format_end(volume, !result);
	format->running = false;
}
