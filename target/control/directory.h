/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's directories: made when absent, kept to one daemon by a lock.
 */
#ifndef TARGET_CONTROL_DIRECTORY_H
#define TARGET_CONTROL_DIRECTORY_H

#include "blockcore/base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* Makes `path` with `mode`, and what leads to it with 0755. One that is there is
 * taken as it is, if it is a directory. 0 or -errno with *err. */
int directory_make(const char *path, mode_t mode, struct err *err);

/* Whether both are there and are one. */
bool directory_is_same(const char *one, const char *other);

/* Takes PATH/lock for this process and writes its number into it. Returns a
 * descriptor that holds the lock until it is closed; -EBUSY with the holder's
 * number, and the setting that another path would be given in, in *err, or -errno. */
int directory_lock(const char *path, const char *setting, struct err *err);

#endif
