/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tracked sources: range locks for changes, COMPARE_AND_WRITE out of READ and
 * WRITE. See compare.c.
 */
#ifndef BLOCKCORE_CORE_COMPARE_H
#define BLOCKCORE_CORE_COMPARE_H

#include "blockcore/core/core.h"

extern const struct block_track_ops block_track;

#endif
