/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What io_uring of the running kernel is able to do.
 */
#ifndef BLOCKCORE_RING_RING_KERNEL_H
#define BLOCKCORE_RING_RING_KERNEL_H

#include <liburing.h>

/* The best kind of ring that this kernel has (6.1, 5.19, before). 0 or -errno; freed
 * by io_uring_queue_exit, and used by the thread that made it alone. */
int ring_kernel_setup(struct io_uring *kernel);

/* Tries what every ring will do. 0, or -errno and *what says why, for people; static
 * memory. On any thread. */
int ring_kernel_try(const char **what);

#endif
