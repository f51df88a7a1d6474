/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two worlds of real files, between which ring.c chooses.
 */
#ifndef BLOCKCORE_RING_RING_BACKENDS_H
#define BLOCKCORE_RING_RING_BACKENDS_H

#include "blockcore/base/err.h"

struct ring_world;

/* NULL with *err if the kernel or the container forbids io_uring, or lacks an
 * operation that we need. */
struct ring_world *ring_uring_world_new(struct err *err);

/* NULL with *err if no thread can be started. */
struct ring_world *ring_threads_world_new(struct err *err);

#endif
