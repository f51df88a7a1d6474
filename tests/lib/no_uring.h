/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines that forbid io_uring, as containers and kernel.io_uring_disabled do.
 */
#ifndef TESTS_LIB_NO_URING_H
#define TESTS_LIB_NO_URING_H

/* From here on the kernel refuses io_uring (EPERM) to this process, its threads to
 * come and its children, by seccomp. 0, or -1 with errno. */
int no_uring_forbid(void);

/* Skips the running test, with the reason, if `world` is "io_uring" and this machine
 * forbids it. On cmocka's own stack only, with nothing to give back. */
void no_uring_skip(const char *world);

#endif
