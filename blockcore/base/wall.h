/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wall clock, for what people read: when something was made. A simulation puts a
 * time of its own there, so that a seed writes the same bytes each time.
 */
#ifndef BLOCKCORE_BASE_WALL_H
#define BLOCKCORE_BASE_WALL_H

#include <time.h>

/* Any thread. */
void wall_now(struct timespec *now);
/* From now on it shows this, which is copied; NULL: the time that it is. Only while
 * there is no other thread. */
void wall_set(const struct timespec *shown);

#endif
