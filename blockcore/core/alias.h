/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source as the bottom of another one; see alias.c.
 */
#ifndef BLOCKCORE_CORE_ALIAS_H
#define BLOCKCORE_CORE_ALIAS_H

#include "blockcore/kind.h"

struct block_alias {
	struct block_driver driver;
	struct block_source
		*source; /* set before open_co, which takes a reference */
	struct block_claim claim;
	struct block_source_watch watch;
};

#endif
