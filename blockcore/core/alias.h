/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source as the bottom of another one, or one that lies below that: the image of an
 * external snapshot, which does not change; see alias.c.
 */
#ifndef BLOCKCORE_CORE_ALIAS_H
#define BLOCKCORE_CORE_ALIAS_H

#include "blockcore/kind.h"

struct block_alias {
	struct block_driver driver;
	struct block_source
		*source; /* set before open_co, which takes a reference */
	/* Of what lies below another source: that one, and the file of the image
	 * there. NULL: `source` is known by its name. */
	struct block_source *of;
	char *image;
	char holder[BLOCK_NAME_BYTES]; /* "": an alias of no name */
	struct block_claim claim, of_claim;
	struct block_source_watch watch;
};

#endif
