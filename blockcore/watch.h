/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who wants to know of a source: coroutines that wait for its next event, and
 * watches of what it shows. Control lane only.
 */
#ifndef BLOCKCORE_WATCH_H
#define BLOCKCORE_WATCH_H

#include "blockcore/core.h"

/* In a coroutine: until the next event of the source (a generation drained or
 * disposed, a deadline). Look at the condition again afterwards. */
void block_source_wait_co(struct block_source *source);
void block_source_wake(struct block_source *source);

/* Calls the watches. */
void block_source_tell(struct block_source *source);

#endif
