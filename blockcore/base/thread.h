/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads beside the one that the process began with.
 *
 * Invariants
 *  1. Signals that are sent to the process are the first thread's: all others
 *     block them.
 *  2. But a crash is the business of the thread that crashes: what it blocked the
 *     kernel would end it by, without asking trace.h's handler. So those signals
 *     are open everywhere, and every thread has a stack to handle them on.
 */
#ifndef BLOCKCORE_BASE_THREAD_H
#define BLOCKCORE_BASE_THREAD_H

#include <pthread.h>

/* Runs body(argument) on a thread of its own. `attributes` may be NULL. Returns 0
 * or a positive errno value, as pthread_create does. */
int thread_start(pthread_t *thread, const pthread_attr_t *attributes,
	void *(*body)(void *argument), void *argument);

#endif
