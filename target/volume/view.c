/* SPDX-License-Identifier: Apache-2.0 */
/* See view.h. */
#include "target/volume/view.h"

#include "blockcore/figures.h"

#include <errno.h>
#include <string.h>

static void view_reservations(
	const struct volume *volume, struct volume_view *view)
{
	const struct reservation_table *table = atomic_load_explicit(
		&((struct volume *)volume)->reservations, memory_order_acquire);

	view->reservations = table;
	for (unsigned i = 0; table && i < table->registrants; i++)
		if (table->registrant[i].holder &&
			!reservation_all_registrants(table->type))
			view->holder = &table->registrant[i];
}

static void view_source(const struct volume *volume, struct volume_view *view)
{
	uint32_t block = volume->settings.block_bytes;

	view->online = volume_info(
		volume, block_core_lane(volume->core, 0), &view->info);
	if (!view->online)
		return;
	view->size_bytes = view->info.size_bytes / block * block;
	if (!view->physical_block_bytes)
		view->physical_block_bytes = view->info.physical_block_bytes;
}

void volume_view_get(const struct volume *volume, struct volume_view *view)
{
	unsigned flags = volume_flags(volume);

	memset(view, 0, sizeof *view);
	view->offline_reason = volume->offline_reason;
	view->failed = flags & VOLUME_FAILED;
	view->ejected = flags & VOLUME_EJECTED;
	view->write_cache = flags & VOLUME_WRITE_CACHE;
	view->removal_prevented =
		atomic_load(&((struct volume *)volume)->removal_prevented);
	view->block_bytes = volume->settings.block_bytes;
	view->physical_block_bytes = volume->settings.physical_block_bytes;
	view_source(volume, view);
	view->read_only = volume_read_only(volume) ||
		(view->online && view->info.read_only);
	view->nexuses = volume_book_nexuses(&volume->book);
	view_reservations(volume, view);
}

/* No reference is taken: closing the source waits for us as a change of it does,
 * and who takes the volume offline finds the source closed when that is done. */
int volume_space_co(struct volume *volume, struct ring_space *space)
{
	struct block_source *source = atomic_load(&volume->source);

	return source ? block_source_space_co(source, space) : -ENODEV;
}
