/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verified I/O of a host on LUN 0 of a target_rig, to show beside what others do
 * that it goes on. One thread; a failure ends the test.
 */
#ifndef TESTS_LIB_HOST_IO_H
#define TESTS_LIB_HOST_IO_H

#include "tests/lib/wire.h"

/* New bytes to be written and expected, by `seed`. */
void host_io_fill(unsigned seed);
/* 128 KiB there; the session was opened with the default keys. */
void host_io_write(struct wire *wire, uint32_t lba);
void host_io_read(struct wire *wire, uint32_t lba);
/* New data every round: what is read is what was just written. */
void host_io_expect(struct wire *wire, unsigned round);
/* TEST UNIT READY is answered with GOOD. */
void host_io_ready(struct wire *wire);

#endif
