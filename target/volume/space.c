/* SPDX-License-Identifier: Apache-2.0 */
/* See space.h. */
#include "target/volume/space.h"

#include <string.h>

void volume_space_note(
	struct volume_space *self, const struct ring_space *space)
{
	static const struct ring_space unknown;

	if (!space || !space->file_system)
		space = &unknown;
	self->file_system = space->file_system;
	atomic_store(&self->used_bytes, space->used_bytes);
	atomic_store(&self->free_bytes, space->free_bytes);
	atomic_store(&self->total_bytes, space->total_bytes);
}

void volume_space_get(const struct volume_space *self, struct volume_room *room)
{
	struct volume_space *from = (struct volume_space *)self;

	memset(room, 0, sizeof *room);
	room->total_bytes = atomic_load(&from->total_bytes);
	if (!room->total_bytes)
		return;
	room->used_bytes = atomic_load(&from->used_bytes);
	room->free_bytes = atomic_load(&from->free_bytes);
	if (room->free_bytes > room->total_bytes) /* of two answers */
		room->free_bytes = room->total_bytes;
	room->reached = atomic_load(&from->reached);
	if (self->watch)
		room->threshold_percent = self->watch->threshold_percent;
}

void volume_space_short(struct volume_space *self)
{
	struct volume_space_watch *watch = self->watch;

	if (watch && !atomic_exchange(&watch->asked, true))
		loop_post(watch->loop, &watch->look_soon);
}

uint64_t volume_space_share(uint64_t total_bytes, unsigned percent)
{
	return total_bytes / 100 * percent + total_bytes % 100 * percent / 100;
}
