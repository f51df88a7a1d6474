/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For listeners that keep books of what is durable: a flush of their own, through the
 * whole source in which they are, so that it waits at its gate like anybody's.
 */
#ifndef BLOCKCORE_CORE_DRIVER_FLUSH_H
#define BLOCKCORE_CORE_DRIVER_FLUSH_H

#include "blockcore/kind.h"

/* In a coroutine on the control lane. 0: what had ended before is durable below the
 * driver, which has seen the flush. -ENODEV: it has left its source, or that closes;
 * else -errno of the flush. A source that closes waits for it. */
int block_driver_flush_co(struct block_driver *driver);

#endif
