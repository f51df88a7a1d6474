/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What resync and pivot of mirrors share.
 */
#ifndef BLOCKCORE_SPEC_SPEC_MIRROR_INTERNAL_H
#define BLOCKCORE_SPEC_SPEC_MIRROR_INTERNAL_H

#include "blockcore/block.h"

struct mirror;

/* The source's mirror of that name; NULL: it has one only. -ENOENT, -EINVAL. */
int spec_mirror_find(struct block_source *source, const char *name,
	struct mirror **mirror, struct err *err);

#endif
