/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Civil time in a zone of tzdata: the files of RFC 9636 (TZif) read by ourselves, as
 * the C library knows one zone per process.
 *
 * Invariants
 *  1. A time of the clock on the wall means exactly one instant: of two the first,
 *     and if the clock skips it, the one at which it would have been without the
 *     skip (02:30 is then 03:30).
 *  2. What a file says is not trusted: all of it is checked when it is read.
 *
 * Times are seconds since 1970 without leap seconds: instants in UTC, `local` ones as
 * if the wall's clock were UTC's. Any thread; opening reads a small file.
 */
#ifndef TARGET_CONTROL_SCHEDULE_ZONE_H
#define TARGET_CONTROL_SCHEDULE_ZONE_H

#include "blockcore/base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define ZONE_NAME_BYTES 64u

struct zone;

/* "Area/Place", "UTC": as such a name may look; nothing is read. */
bool zone_is_name(const char *name);
/* "UTC" needs no file. NULL with *err: ENOENT, EINVAL (no such file as we know them),
 * EIO, ENOMEM. */
struct zone *zone_open(const char *name, struct err *err);
void zone_free(struct zone *zone);

/* Seconds that the wall's clock is ahead of UTC at that instant. */
int32_t zone_offset(const struct zone *zone, int64_t instant);
/* Invariant 1. */
int64_t zone_instant(const struct zone *zone, int64_t local);

#endif
