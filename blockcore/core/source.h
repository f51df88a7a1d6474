/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making sources; for files of blockcore/ only.
 */
#ifndef BLOCKCORE_CORE_SOURCE_H
#define BLOCKCORE_CORE_SOURCE_H

#include "blockcore/core/core.h"

/* A source without a stack and with one reference. `listed` ones are found by
 * name, which must then be new (-EEXIST). */
int block_source_new(struct block_core *core, const char *name, bool listed,
	const uint8_t *uuid, struct block_source **source, struct err *err);
/* Before its first stack was published, or after its last is gone. */
void block_source_discard(struct block_source *source);

#endif
