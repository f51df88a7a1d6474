/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a driver: made, opened, started on each lane, counted by the
 * generations that hold it, stopped on each lane, closed. Control lane only.
 */
#ifndef BLOCKCORE_DRIVER_H
#define BLOCKCORE_DRIVER_H

#include "blockcore/block.h"

/* Memory and name only; `options` (kind->options_bytes, NULL: none) and the
 * `document` that they borrow from (NULL: none) are taken over, also when this
 * fails. */
struct block_driver *block_driver_new(struct block_core *core,
	const struct block_kind *kind, const char *name, void *options,
	struct doc *document, struct err *err);
/* One that was not opened. */
void block_driver_free(struct block_driver *driver);

/* Opens it and starts it on each lane; undone, but not freed, when it fails. */
int block_driver_open_co(struct block_driver *driver, struct err *err);
/* The opposite, and frees it. */
void block_driver_close_co(struct block_driver *driver);

static inline void block_driver_get(struct block_driver *driver)
{
	driver->references++;
}
/* Drops a reference; closes with the last one. */
void block_driver_put_co(struct block_driver *driver);

#endif
