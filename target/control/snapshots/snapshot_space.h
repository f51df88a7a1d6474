/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of its image each snapshot in it holds alone (what deleting it would give
 * back), and how much it shares: counted in the background when somebody looks, told
 * with the time of the count.
 *
 * Invariants
 *  1. One count of a volume at a time, whoever looks; its figures are for
 *     SNAPSHOT_SPACE_FRESH_NS, or longer if it took long. Who looks waits a moment for it, so that of most images the figures are those of now, and
 *     is answered with the last ones if it takes longer.
 *  2. A figure is of a snapshot by its id and the time when it was made: another one of
 *     the same name has none yet.
 *  3. Bounded: SNAPSHOT_SPACE_MOST volumes; the rest is forgotten.
 *
 * Control thread.
 */
#ifndef TARGET_CONTROL_SNAPSHOTS_SNAPSHOT_SPACE_H
#define TARGET_CONTROL_SNAPSHOTS_SNAPSHOT_SPACE_H

#include "blockcore/block.h"

#include <jansson.h>

#define SNAPSHOT_SPACE_FRESH_NS (2ull * 1000 * 1000 * 1000)
#define SNAPSHOT_SPACE_WAIT_NS (500ull * 1000 * 1000)
#define SNAPSHOT_SPACE_MOST 1024u

struct loop;
struct snapshot_spaces;

/* NULL: no memory. `loop` is the control thread's. */
struct snapshot_spaces *snapshot_spaces_new(struct loop *loop);
/* NULL is fine. Waits for counts that are under way. */
void snapshot_spaces_stop_co(struct snapshot_spaces *spaces);

/* Counts anew if the last count is not fresh, and waits a moment for that. `source` is
 * what runs of the volume. Not once the stop has begun. */
void snapshot_space_look_co(struct snapshot_spaces *spaces, const char *volume,
	struct block_source *source);
/* What is known of a volume's internal snapshots goes into those items: owned_bytes,
 * shared_bytes, counted. */
void snapshot_space_fill(const struct snapshot_spaces *spaces,
	const char *volume, json_t *items);
/* What is counted now may be otherwise: the next look counts anew. */
void snapshot_space_changed(struct snapshot_spaces *spaces, const char *volume);

#endif
