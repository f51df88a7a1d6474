/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the listener dirty (dirty.c, dirty_verbs.c).
 *
 * Invariant: lanes reach consumers through a table that is never changed once
 * they see it: a new one is made, shown to every lane, then the old one is freed.
 * Bits of `now` are set by lanes and taken by the control lane, atomically;
 * everything else is the control lane's.
 */
#ifndef BLOCKCORE_LISTENER_DIRTY_H
#define BLOCKCORE_LISTENER_DIRTY_H

#include "blockcore/base/co.h"
#include "blockcore/block.h"

#include <stdatomic.h>

#define DIRTY_CONSUMERS 8u
#define DIRTY_BITS_MOST (1ull << 28) /* of a consumer: twice 32 MiB */
#define DIRTY_GRANULARITY_LEAST 512u
#define DIRTY_GRANULARITY_MOST (1u << 30)
#define DIRTY_PAGE_MOST 4096u /* extents in one answer */

struct dirty_options {
	uint64_t granularity_bytes;
};

struct dirty_consumer {
	char name[BLOCK_NAME_BYTES];
	uint64_t bits; /* the last one: all from there on */
	uint64_t *aside; /* frozen */
	_Atomic uint64_t now[];
};

struct dirty_table {
	unsigned count;
	struct dirty_consumer *consumer[DIRTY_CONSUMERS];
};

struct dirty_driver {
	struct block_driver driver;
	struct co_mutex changing; /* of the table */
	struct dirty_table *table;
	unsigned shift;
	uint64_t size_bytes; /* of the source */
};

struct dirty_lane {
	struct dirty_table *table;
	unsigned shift;
};

/* NULL is fine. */
void dirty_consumer_free(struct dirty_consumer *consumer);

/* block_kind.command_co and .status */
int dirty_verbs_co(struct block_driver *driver, const char *verb,
	const struct doc *arguments, FILE *out, struct err *err);
void dirty_verbs_status(struct block_driver *driver, FILE *out);

#endif
