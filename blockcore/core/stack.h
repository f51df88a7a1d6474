/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One generation of a source: an immutable array of drivers, front listeners
 * first, then back listeners, then the bottom; and its counters per lane.
 *
 *	built --publish on each lane--> current --successor--> retired --> freed
 *
 * Invariants
 *  1. `driver`, `info` and the masks do not change once it is published.
 *  2. count[] of a lane is touched by that lane's thread only. A lane whose
 *     count reaches 0 after it has seen the successor (`retired`) says so to
 *     lane 0 once; so it does when a gate waits for it (`gate`).
 *  3. The halves go separately: requests parked in a front listener keep the
 *     front's drivers, but not the old bottom. Once all lanes have retired a
 *     generation nobody enters its back part any more, but for children of
 *     requests that are in it.
 *  4. A generation holds a reference to each of its drivers; the last one to go
 *     closes the driver, in a coroutine on lane 0.
 */
#ifndef BLOCKCORE_CORE_STACK_H
#define BLOCKCORE_CORE_STACK_H

#include "blockcore/core/core.h"

/* Whether these drivers, top first, may stand so: bands in order, names unique,
 * a bottom at the end, no operation unaccounted for. -EINVAL with a text. */
int block_stack_check(
	struct block_driver *const *driver, unsigned count, struct err *err);

/* What a stack of these drivers shows. */
struct block_info block_stack_info(
	struct block_driver *const *driver, unsigned count);

/* A generation of checked drivers, not published; takes a reference to each.
 * NULL: no memory. */
struct block_stack *block_stack_new(struct block_source *source,
	struct block_driver *const *driver, unsigned count, bool tracked,
	struct err *err);

/* One that was never published: drops its drivers and frees it. */
void block_stack_discard_co(struct block_stack *stack);

/* On lane 0, before the broadcast in which each lane calls
 * block_stack_retire_lane, after it points to the successor. */
void block_stack_retire(struct block_stack *stack);
void block_stack_retire_lane(struct block_stack *stack, struct block_lane *);

/* On a lane: when the back count is 0, stack->gate_left goes down (on lane 0)
 * and the source's waiters are woken. */
void block_stack_gate_lane(struct block_stack *stack, struct block_lane *lane);
void block_stack_ungate_lane(
	struct block_stack *stack, struct block_lane *lane);

/* Control lane: whether drivers of the back part of a generation up to `last`
 * are still open; whether requests are in the back part of another generation
 * than the current one; the same of untracked ones only. */
bool block_stacks_back_open(const struct block_source *source, uint64_t last);
bool block_stacks_old_busy(const struct block_source *source);
bool block_stacks_untracked_busy(const struct block_source *source);

#endif
