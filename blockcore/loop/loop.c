/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every loop has in common: its hooks, and the arming of timers.
 *
 * Invariant: a hook may remove itself, and no other hook of its phase, while it
 * runs.
 */
#include "blockcore/loop.h"

#include <assert.h>
#include <stddef.h>

#include "blockcore/base/list.h"
#include "blockcore/base/trace.h"

void loop_base_init(struct loop *loop, const struct loop_ops *ops)
{
	loop->ops = ops;
	loop->turn_ns = 0;
	loop->turns = 0;
	for (int phase = 0; phase < LOOP_PHASES; phase++)
		TAILQ_INIT(&loop->hooks[phase]);
}

bool loop_run_hooks(struct loop *loop)
{
	bool more = false;
	struct loop_hook *hook, *next;
	loop->turn_ns = 0;
	for (int phase = 0; phase < LOOP_PHASES; phase++)
		TAILQ_FOREACH_SAFE (hook, &loop->hooks[phase], link, next) {
			hook->again = false;
			more |= hook->run(hook);
		}
	/* Work made for a hook by one that ran after it. */
	for (int phase = 0; phase < LOOP_PHASES; phase++)
		TAILQ_FOREACH (hook, &loop->hooks[phase], link)
			more |= hook->again;
	loop->turn_ns = 0;
	loop->turns++;
	trace_turn();
	return more;
}

void loop_hook_add(
	struct loop *loop, enum loop_phase phase, struct loop_hook *hook)
{
	TAILQ_INSERT_TAIL(&loop->hooks[phase], hook, link);
}

void loop_hook_remove(
	struct loop *loop, enum loop_phase phase, struct loop_hook *hook)
{
	TAILQ_REMOVE(&loop->hooks[phase], hook, link);
}

void loop_timer_set(
	struct loop *loop, struct loop_timer *timer, uint64_t after_ns)
{
	assert(timer->expired);
	loop_timer_clear(loop, timer);
	uint64_t now_ns = loop_now_ns(loop);
	timer->deadline_ns =
		after_ns < UINT64_MAX - now_ns ? now_ns + after_ns : UINT64_MAX;
	timer->armed = true;
	loop->ops->timer_set(loop, timer);
}

void loop_timer_clear(struct loop *loop, struct loop_timer *timer)
{
	if (!timer->armed)
		return;
	timer->armed = false;
	loop->ops->timer_clear(loop, timer);
}
