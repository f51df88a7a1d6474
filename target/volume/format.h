/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume that is being formatted: every block of it becomes zeroes. By a command
 * set, piece by piece, or by a coroutine of the volume's own when the host does
 * not wait for the end.
 *
 * Invariants
 *  1. One format at a time: who has set VOLUME_FORMATTING runs it and ends it.
 *  2. A format that failed or was stopped leaves VOLUME_FORMAT_CORRUPT: nobody
 *     can say which blocks are old ones. The next one that succeeds clears it, as
 *     does an operator's repair.
 */
#ifndef TARGET_VOLUME_FORMAT_H
#define TARGET_VOLUME_FORMAT_H

#include "target/volume/volume.h"

/* False: it is being formatted already. Any lane. */
bool volume_format_claim(struct volume *volume);
/* Who has claimed it says how far it is, and that it is over. Any lane. */
void volume_format_progress(
	struct volume *volume, uint64_t done_bytes, uint64_t all_bytes);
void volume_format_end(struct volume *volume, bool well);
/* It is over before it has touched anything. */
void volume_format_drop(struct volume *volume);
/* What makes zeroes of blocks: DISCARD on a thin volume that has it, else
 * WRITE_ZEROES. */
enum block_opcode volume_format_op(
	const struct volume *volume, const struct block_info *info);
/* As much in one request at most: zeroes count as written where a throttle limits
 * bytes, and others of its group should not wait long for them. */
static inline uint64_t volume_format_piece_bytes(enum block_opcode op)
{
	return op == BLOCK_DISCARD ? 64u << 20 : 4u << 20;
}

/* The rest of a format that is claimed, to its end; control lane. Logs a failure,
 * for there is nobody to tell. */
void volume_format_run_co(struct volume *volume);

#endif
