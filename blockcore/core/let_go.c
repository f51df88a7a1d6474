/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Before the end: nothing is held any more. Jobs, people and closing sources wait for
 * requests, and some driver (a fault, a throttle) may hold those for ever.
 *
 * Invariant: the deepest source first. Who changes a source above may wait for a
 * request to it, and has the source above to himself until then.
 */
#include "blockcore/core/core.h"
#include "blockcore/core/source.h"

static bool may_hold(const struct block_source *source)
{
	const struct block_stack *stack = source->current;

	for (unsigned i = 0; stack && i < stack->count; i++) {
		if (stack->driver[i]->kind->release)
			return true;
	}
	return false;
}

/* The deepest that may hold something and was not visited; NULL: none is left. */
static struct block_source *deepest(const struct block_core *core)
{
	struct block_source *source, *found = NULL;

	LIST_FOREACH (source, &core->sources, link) {
		if (source->references && !source->let_go && may_hold(source) &&
			(!found || source->depth > found->depth))
			found = source;
	}
	return found;
}

static void let_go_lane(struct block_lane *lane, void *argument)
{
	const struct block_source *source = argument;
	const struct block_stack *stack = source->current;

	for (unsigned i = 0; i < stack->count; i++) {
		struct block_driver *driver = stack->driver[i];

		if (driver->kind->release)
			driver->kind->release(driver, lane);
	}
}

static void let_go_co(struct block_source *source)
{
	co_mutex_lock_co(&source->change);
	for (unsigned i = 0; i < source->current->count; i++)
		source->current->driver[i]->released = true;
	block_broadcast_co(source->core, let_go_lane, source);
	co_mutex_unlock(&source->change);
}

void block_core_let_go_co(struct block_core *core)
{
	struct block_source *source;

	while ((source = deepest(core))) {
		source->let_go = true;
		block_source_get(source);
		let_go_co(source);
		block_source_put_co(source);
	}
}
