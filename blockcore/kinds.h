/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of drivers that there are, by the name of their struct, for
 * registry.c and for the file that defines each.
 */
#ifndef BLOCKCORE_KINDS_H
#define BLOCKCORE_KINDS_H

#include "blockcore/kind.h"

/* protocols */
extern const struct block_kind file_kind;
extern const struct block_kind mem_kind;
extern const struct block_kind null_kind;

/* views, aliases: what spec_build makes for `format` and `source` */
extern const struct block_kind raw_view_kind;
extern const struct block_kind qcow2_view_kind;
extern const struct block_kind alias_kind;
extern const struct block_kind point_kind; /* not in registry.c */

/* listeners, in order of bands */
extern const struct block_kind stats_kind;
extern const struct block_kind trace_kind;
extern const struct block_kind readonly_kind;
extern const struct block_kind throttle_kind;
extern const struct block_kind delay_kind;
extern const struct block_kind backup_kind;
extern const struct block_kind mirror_kind;
extern const struct block_kind carry_kind; /* jobs' own: not in registry.c */
extern const struct block_kind dirty_kind;
extern const struct block_kind follow_kind; /* jobs' own: not in registry.c */
extern const struct block_kind cache_kind;
extern const struct block_kind verify_kind;
extern const struct block_kind fault_kind;

#endif
