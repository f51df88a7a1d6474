/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What protocols share.
 */
#ifndef BLOCKCORE_PROTOCOL_PROTOCOL_H
#define BLOCKCORE_PROTOCOL_PROTOCOL_H

#include "blockcore/kind.h"

#include <errno.h>
#include <inttypes.h>

/* What a protocol that can do everything offers; COMPARE_AND_WRITE is made by
 * the core. */
#define PROTOCOL_OPS \
	(BLOCK_OPS_DATA | BLOCK_OP(BLOCK_WRITE_ZEROES) | \
		BLOCK_OP(BLOCK_DISCARD) | BLOCK_OP(BLOCK_FLUSH) | \
		BLOCK_OP(BLOCK_EXTENTS))

static inline int protocol_check_size(uint64_t bytes, struct err *err)
{
	if (bytes == 0 || bytes % BLOCK_SECTOR_BYTES)
		return err_set(err, EINVAL,
			"size %" PRIu64 " is not a multiple of %u", bytes,
			BLOCK_SECTOR_BYTES);
	return 0;
}

/* The same with the place of the mistake. */
static inline int protocol_check_place(
	const struct doc *map, uint64_t bytes, struct err *err)
{
	struct err why = {0};

	if (protocol_check_size(bytes, &why))
		return doc_error(
			doc_find(map, "size"), err, EINVAL, "%s", why.text);
	return 0;
}

/* The answer "all of the range is the same". */
static inline void protocol_one_extent(struct block_request *r, unsigned flags)
{
	struct block_extents *extents = r->extents;

	extents->count = extents->room ? 1 : 0;
	if (extents->room)
		extents->extent[0] = (struct block_extent){
			.offset_bytes = r->offset_bytes,
			.length_bytes = r->length_bytes,
			.flags = flags,
		};
}

#endif
