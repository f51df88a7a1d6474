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

/* A host that is there before what a test of a target_rig does to its own connections:
 * it writes and reads before, whenever it is asked, and after; its session lives all the
 * while. For cmocka_unit_test_setup_teardown; *state is the rig. */
int host_io_beside(void **state);
void host_io_goes_on(void);
int host_io_went_on(void **state);
/* The same with a rig of the test's own. */
int host_io_rig_set_up(void **state);
int host_io_rig_tear_down(void **state);
#define HOST_IO_BESIDE(test) \
	cmocka_unit_test_setup_teardown(test, host_io_beside, host_io_went_on)
/* For tests that reset LUN 0: the host is told so, once, and goes on. */
int host_io_was_reset(void **state);
#define HOST_IO_RESET(test) \
	cmocka_unit_test_setup_teardown(test, host_io_beside, host_io_was_reset)
/* For tests whose resets may be lost on their way. */
int host_io_perhaps_reset(void **state);
#define HOST_IO_PERHAPS_RESET(test) \
	cmocka_unit_test_setup_teardown( \
		test, host_io_beside, host_io_perhaps_reset)
/* For those that end its session: it is told (Async Message 3), dropped, comes back and
 * finds what it has written. */
int host_io_was_dropped(void **state);
#define HOST_IO_DROPPED(test) \
	cmocka_unit_test_setup_teardown( \
		test, host_io_beside, host_io_was_dropped)

#endif
