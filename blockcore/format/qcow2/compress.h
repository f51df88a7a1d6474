/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressed clusters. Pure and slow: for the worker pool.
 */
#ifndef BLOCKCORE_FORMAT_QCOW2_COMPRESS_H
#define BLOCKCORE_FORMAT_QCOW2_COMPRESS_H

#include <stddef.h>
#include <stdint.h>

/* Unpacks one whole cluster. What follows the compressed bytes in `from` is not
 * looked at: their length is known to the sector only. -EIO if they are wrong or
 * do not fill the cluster, -ENOMEM. */
int qcow2_unpack(unsigned compression, const void *from, size_t from_bytes,
	void *to, size_t to_bytes);

#endif
