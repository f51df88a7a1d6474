/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who wants to know of a source: coroutines that wait for its next event, and
 * watches of what it shows. Control lane only.
 */
#ifndef BLOCKCORE_CORE_WATCH_H
#define BLOCKCORE_CORE_WATCH_H

#include "blockcore/core/core.h"

/* In a coroutine: until the next event of the source (a generation drained or
 * disposed, a deadline). Look at the condition again afterwards. */
void block_source_wait_co(struct block_source *source);
void block_source_wake(struct block_source *source);

/* The core's own coroutines work on a source without a reference to it: one that
 * closes waits for them, and they stop when they see it (references 0). After
 * the end the source may be gone. */
static inline void block_source_help_begin(struct block_source *source)
{
	source->helpers++;
}
static inline void block_source_help_end(struct block_source *source)
{
	source->helpers--;
	block_source_wake(source);
}

/* Calls the watches. */
void block_source_tell(struct block_source *source);

#endif
