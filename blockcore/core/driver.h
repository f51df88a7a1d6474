/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a driver: made, opened, started on each lane, counted by the
 * generations that hold it, stopped on each lane, closed. Control lane only.
 */
#ifndef BLOCKCORE_CORE_DRIVER_H
#define BLOCKCORE_CORE_DRIVER_H

#include "blockcore/kind.h"
#include "blockcore/times.h"

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
/* The source in whose generation it is now; NULL: in none, or it closes. */
struct block_source *block_driver_source(const struct block_driver *driver);

/* Lets go of driver->others; of driver->store, too: also before block_driver_free of one
 * that has some. */
void block_driver_others_put_co(struct block_driver *driver);
void block_driver_sources_put_co(struct block_driver *driver);
/* What is below them grows to `bytes` (kind->growing_co): all are ready for that, or all
 * are as they were. And back, when it could not grow. */
int block_drivers_growing_co(struct block_driver *const *driver, unsigned count,
	uint64_t bytes, struct err *err);
void block_drivers_grow_back_co(
	struct block_driver *const *driver, unsigned count, uint64_t bytes);
/* Asks all that want to know before what is read there changes (kind->changing_co). */
int block_drivers_changing_co(
	struct block_driver *const *driver, unsigned count, struct err *err);
/* The opposite, and frees it. */
void block_driver_close_co(struct block_driver *driver);

/* How long timed requests were in it, on that lane: at the end of its state. */
static inline struct block_times *block_driver_times(
	const struct block_driver *driver, unsigned lane)
{
	uint8_t *end =
		driver->lane_state + (lane + 1) * driver->lane_stride_bytes;

	return (struct block_times *)(void *)end - 1;
}

static inline void block_driver_get(struct block_driver *driver)
{
	driver->references++;
}
/* Drops a reference; closes with the last one. */
void block_driver_put_co(struct block_driver *driver);

#endif
