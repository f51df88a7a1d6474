/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds out what an open file or block device can do. Nothing here changes its
 * content or size.
 */
#ifndef BLOCKCORE_RING_RING_PROBE_H
#define BLOCKCORE_RING_RING_PROBE_H

#include <sys/stat.h>

#include "blockcore/ring.h"

/* Fills the facts of `file`; `direct` (asked for) and `writable` are set before.
 * Clears `direct` if the file takes O_DIRECT and cannot do it (encrypted or
 * journalled data). 0 or -errno with *err. */
int ring_probe_file(struct ring_file *file, int fd, const struct stat *st,
	const char *path, struct err *err);

#endif
