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

struct spec_resync;
/* As spec_resync_begin_co, of this mirror. */
int spec_resync_of_co(struct block_source *source, struct mirror *mirror,
	struct spec_resync **resync, struct err *err);
/* Before it runs. `keep`: blocks of zeroes are written as data; else not where there are
 * zeroes already. */
void spec_resync_zeroes(struct spec_resync *resync, bool keep);

#endif
