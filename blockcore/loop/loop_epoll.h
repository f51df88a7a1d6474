/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plain loop: epoll, an eventfd for messages from other threads, a sorted
 * list of timers, one small worker pool for all loops of the process. For tools
 * and tests; reactors have libevent (target/reactor).
 */
#ifndef BLOCKCORE_LOOP_LOOP_EPOLL_H
#define BLOCKCORE_LOOP_LOOP_EPOLL_H

#include "blockcore/base/err.h"
#include "blockcore/loop.h"

/* NULL with *err on failure. The thread that runs it owns it from then on. */
struct loop *loop_epoll_new(struct err *err);

/* Not running; no timer, watch, message or job may be left. */
void loop_epoll_free(struct loop *loop);

/* Turns until loop_epoll_stop, then returns; may be called again. */
void loop_epoll_run(struct loop *loop);

/* From any thread, also before run: the loop ends after the turn it is in. */
void loop_epoll_stop(struct loop *loop);

#endif
