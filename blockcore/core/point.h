/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moments of sources: what a listener (backup) keeps of the source that it stands in,
 * as the bottom of another source, which is read-only:
 *
 *	source: db01
 *	view: {backup: b}
 *
 * A read is sent into db01 with the moment's number (BLOCK_POINT); the listener that
 * knows it answers. So it meets the gate of db01 like any other, and nobody outside of
 * db01 keeps a pointer to what is in it.
 *
 * Invariant: data that nobody with that number has answered for is not shown
 * (-ENODATA): the listener has left.
 */
#ifndef BLOCKCORE_CORE_POINT_H
#define BLOCKCORE_CORE_POINT_H

#include "blockcore/kind.h"

/* Driver of kind point_kind. */
struct block_point_view {
	struct block_driver driver;
	/* Set before open_co. */
	struct block_source *source; /* a reference is taken */
	char listener[BLOCK_NAME_BYTES]; /* in it */
	char holder[BLOCK_NAME_BYTES]; /* the source that it is for */

	struct block_claim claim;
	uint64_t id;
};

/* Whether a view shows the moment: -EBUSY with a text that names it. */
int block_point_check_unused(struct block_source *source,
	struct block_driver *driver, struct err *err);

#endif
