/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file in which a mirror keeps its marks: what may differ after a crash.
 *
 *	header		what it is, what it is true of, whether marks count or all
 *	4 KiB		may differ
 *	body		a bit for each granule, in sectors of MIRROR_SECTOR_WORDS
 *			words, each with the map's number and a checksum
 *
 * Invariants
 *  1. A mark is durable there before mirror.h calls it kept, but for those that are
 *     set while the header says "all".
 *  2. "all" is durable before what is below changes without the mirror's seeing it: it
 *     joins, leaves, another content comes, the size changes. Marks count again when
 *     all of them are durable, and then the header.
 *  3. It is written by one coroutine at a time (`writing`), whole blocks of what is in
 *     memory at that moment, durable when that returns: a mark that was set later is
 *     never undone by a block that was written before.
 *  4. Where it cannot be written, the header says "all" from then on; where even that
 *     cannot be written, changes that need a mark fail: nothing is promised that a
 *     restart would not know. The file is opened again by the next resync, as a file
 *     of which a durable write failed promises nothing any more.
 *  5. A file that is something else is refused. One that is ours and damaged, of
 *     another granularity or of another leg (core/beside.h) says "all". A damaged sector
 *     of the body says so of its granules.
 *
 * Control lane, in coroutines.
 */
#ifndef BLOCKCORE_LISTENER_MIRROR_MAP_H
#define BLOCKCORE_LISTENER_MIRROR_MAP_H

#include "blockcore/listener/mirror.h"

/* Opens driver->store for marks of `bytes`, which are cleared: those that are found are
 * dirty; those of what the map knows nothing of, too. *size: of the source, that it is
 * true of; 0: of none. */
int mirror_map_open_co(struct mirror *mirror, uint64_t *size, struct err *err);
void mirror_map_close_co(struct mirror *mirror);

/* Nothing could be written: `open_co` opens driver->store once more, which is closed.
 * All may differ then, durable, and changes go on. */
int mirror_map_again_co(struct mirror *mirror,
	int (*open_co)(
		struct block_driver *driver, void *argument, struct err *err),
	void *argument, struct err *err);
/* All may differ, durable. */
int mirror_map_all_co(struct mirror *mirror);
/* The marks that lanes want are kept. */
void mirror_map_keep_co(struct mirror *mirror);
/* The leg is another one, by its document, which has all that is not marked. When that
 * cannot be written the map says, after a restart, that it lacks everything. */
void mirror_map_of_leg_co(struct mirror *mirror);
/* What is not kept any more since the last time need not be there. */
int mirror_map_settle_co(struct mirror *mirror);

#endif
