/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses how the real world does its disk I/O: io_uring, or threads where it is
 * forbidden (containers, kernel.io_uring_disabled) or too old.
 */
#include "blockcore/ring.h"

#include <errno.h>
#include <string.h>

#include "blockcore/base/log.h"
#include "blockcore/ring/ring_backends.h"

struct ring_world *ring_world_real(const char *name, struct err *err)
{
	if (name && strcmp(name, "io_uring") && strcmp(name, "threads")) {
		err_set(err, EINVAL,
			"no way of disk I/O is called '%s': io_uring or "
			"threads",
			name);
		return NULL;
	}
	if (name && !strcmp(name, "threads"))
		return ring_threads_world_new(err);
	struct err why = {0};
	struct ring_world *world = ring_uring_world_new(&why);
	if (world)
		return world;
	if (name) {
		err_set(err, why.code, "%s", why.text);
		return NULL;
	}
	log_warning("disks", "threads",
		"disk I/O is done by threads, which costs speed: %s", why.text);
	return ring_threads_world_new(err);
}
