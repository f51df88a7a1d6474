/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How large a file may become where it lies: no system call tells, so a file without
 * a name is made longer and longer. For messages, when a size was refused: it costs
 * some sixty calls.
 */
#ifndef BLOCKCORE_RING_RING_LARGEST_H
#define BLOCKCORE_RING_RING_LARGEST_H

#include <stdint.h>

#define RING_LARGEST_BYTES 64u
/* "; the largest file there has N bytes", "" if `error` (of errno) is not EFBIG or
 * nobody knows; returns `text`. `folder` NULL: nobody knows. Any thread. */
const char *ring_largest_text(
	const char *folder, int error, char text[RING_LARGEST_BYTES]);

#endif
