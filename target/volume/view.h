/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume as people and scripts see it now: for REST, metrics, the panel. Figures
 * of I/O are in figures.h.
 */
#ifndef TARGET_VOLUME_VIEW_H
#define TARGET_VOLUME_VIEW_H

#include "target/reservation/reservation.h"
#include "target/volume/volume.h"

struct volume_view {
	bool online;
	const char *offline_reason; /* "" while online */
	bool failed; /* a flush failed; waits for volume_repaired */
	bool ejected; /* removable: a host has taken the medium out */
	bool read_only; /* nobody may write: settings, or a host's mode page */
	bool write_cache; /* hosts must flush */
	bool removal_prevented;
	uint32_t block_bytes, physical_block_bytes;
	/* While online: of the source. `size_bytes` is a multiple of the block
	 * size, as hosts see it. */
	struct block_info info;
	uint64_t size_bytes;
	uint64_t nexuses; /* a session's view of a LUN each, open now */
	/* NULL: there has never been a reservation or registration; else see
	 * there for type, holder, registrants. */
	const struct reservation_table *reservations;
	const struct reservation_registrant *holder; /* NULL: nobody, or all */
};

/* On the control lane; what it points to is valid until the caller yields or
 * returns to the loop. */
void volume_view_get(const struct volume *volume, struct volume_view *view);

/* Space below the volume; see block_source_space_co. -ENODEV: it is offline. In a
 * coroutine on the control lane. */
int volume_space_co(struct volume *volume, struct ring_space *space);

#endif
