/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crashes, in a process of their own: what is left behind on standard error, with
 * the handler of trace.h in force and one record, "session_up 0xabc 0x1", in the
 * flight recorder of the thread that crashes (crash_child_mark).
 */
#ifndef TESTS_LIB_CRASH_CHILD_H
#define TESTS_LIB_CRASH_CHILD_H

#include <stddef.h>

/* To be called by the thread that is about to crash. */
void crash_child_mark(void);

/* Runs `crash` in a child. Its standard error, as a string, to `out`; returns its
 * wait status. */
int crash_child(void (*crash)(void), char *out, size_t size);

/* The child was ended by signal `number`, which the dump calls `name`, and left the
 * mark. */
void crash_child_check(void (*crash)(void), int number, const char *name);

/* A write where nothing is mapped. */
void crash_by_write(void);
/* An overflow of the running coroutine's or thread's stack, in steps of 1 KiB. */
void crash_by_depth(void);

#endif
