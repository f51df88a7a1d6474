/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reactors: threads with a libevent loop each, the implementation of
 * blockcore/loop.h that cairnd runs on. Reactor 0 is the control thread; the
 * others carry connections. Nobody above sees libevent but webui/api, which
 * speaks HTTP by it (reactor_event_base).
 *
 * Invariants
 *  1. A turn: event_base_loop once (without sleeping while a hook has work or
 *     within the spin after work), then the hooks of loop.h phase by phase.
 *  2. Idle means idle: no tick; after work at most `spin_us` of looking without
 *     sleeping, 0 by default.
 *  3. A message posted from another thread costs one eventfd write per sleep of
 *     the receiver, not per message.
 */
#ifndef TARGET_REACTOR_REACTOR_H
#define TARGET_REACTOR_REACTOR_H

#include "blockcore/base/err.h"
#include "blockcore/loop.h"

struct event_base;
struct reactor;

/* `name` becomes the thread's name ("control", "reactor-1"). */
struct reactor *reactor_new(
	const char *name, uint32_t spin_us, struct err *err);
/* Its thread has ended (or was never started). */
void reactor_free(struct reactor *reactor);
struct loop *reactor_loop(struct reactor *reactor);
/* libevent itself, for what speaks HTTP on the control reactor; nobody else.
 * Its callbacks run in a turn as those of watches do. Has no locks. */
struct event_base *reactor_event_base(struct reactor *reactor);

/* Runs the loop on a new thread, pinned to `cpu` (-1: not pinned), until
 * reactor_stop; or on the calling thread. */
int reactor_start(struct reactor *reactor, int cpu, struct err *err);
void reactor_run(struct reactor *reactor);
/* From any thread: the loop ends after its present turn. */
void reactor_stop(struct reactor *reactor);
void reactor_join(struct reactor *reactor);

/* Calls `caught` on the reactor when the process gets `signal`. */
int reactor_on_signal(struct reactor *reactor, int signal,
	void (*caught)(int signal, void *argument), void *argument);

#endif
