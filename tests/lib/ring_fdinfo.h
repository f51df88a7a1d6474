/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel says of the rings of this process (/proc/self/fdinfo): not what our
 * code believes to have registered, but what is.
 */
#ifndef TESTS_LIB_RING_FDINFO_H
#define TESTS_LIB_RING_FDINFO_H

struct ring_fdinfo {
	unsigned rings; /* of this process */
	unsigned files; /* slots of all of them that hold a file */
	unsigned buffers; /* registered */
};

/* Fails the test if there is no /proc. An idle ring only: the kernel leaves out what
 * it would have to wait for. */
void ring_fdinfo_read(struct ring_fdinfo *info);

#endif
