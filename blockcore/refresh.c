/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a driver shows something else than before (a file below an alias or a
 * view has grown), the source that holds it gets a new generation of the same
 * drivers. The driver may be told about it in the middle of another change, so
 * this is done by a coroutine of its own.
 */
#include "blockcore/change.h"

#include "blockcore/base/log.h"
#include "blockcore/stack.h"
#include "blockcore/watch.h"

static void refresh_co(void *argument)
{
	struct block_source *source = argument;

	co_mutex_lock_co(&source->change);
	struct block_stack *now = source->current, *next = NULL;
	if (source->references)
		next = block_stack_new(
			source, now->driver, now->count, now->tracked, NULL);
	if (next) {
		struct block_change change = {.source = source, .next = next};

		block_change_co(&change, NULL);
	}
	co_mutex_unlock(&source->change);
	block_source_help_end(source);
}

static bool refresh_holds(
	const struct block_source *source, const struct block_driver *driver)
{
	const struct block_stack *stack = source->current;

	for (unsigned i = 0; stack && i < stack->count; i++) {
		if (stack->driver[i] == driver)
			return true;
	}
	return false;
}

/* Sources below sources end somewhere: building refuses circles. */
bool block_source_holds(
	const struct block_source *source, const struct block_driver *driver)
{
	const struct block_stack *stack = source->current;
	struct block_source *below;

	if (refresh_holds(source, driver))
		return true;
	for (unsigned i = 0; stack && i < stack->count; i++) {
		struct block_driver *over = stack->driver[i];

		for (unsigned n = 0; over->kind->below &&
			(below = over->kind->below(over, n));
			n++) {
			if (block_source_holds(below, driver))
				return true;
		}
	}
	return false;
}

void block_driver_changed(struct block_driver *driver)
{
	struct block_source *source;

	LIST_FOREACH (source, &driver->core->sources, link) {
		if (source->references && refresh_holds(source, driver))
			break;
	}
	if (!source)
		return;
	block_source_help_begin(source);
	if (!co_start(refresh_co, source)) {
		log_error(source->name, "stale",
			"no memory to show what '%s' shows now", driver->name);
		block_source_help_end(source);
	}
}
