/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a driver shows something else than before (a file below an alias or a
 * view has grown), the source that holds it gets a new generation of the same
 * drivers. The driver may be told about it in the middle of another change, so
 * this is done by a coroutine of its own.
 */
#include "blockcore/core/change.h"
#include "blockcore/core/driver.h"

#include "blockcore/core/stack.h"
#include "blockcore/core/watch.h"

#include <errno.h>

/* -ENOMEM: nothing has changed. What comes to be shown in the middle of it asks
 * anew. */
static int refresh_once_co(struct block_source *source)
{
	struct block_stack *now = source->current;

	source->stale = false;
	if (!source->references)
		return 0;
	struct block_stack *next = block_stack_new(
		source, now->driver, now->count, now->tracked, NULL);
	if (!next)
		return -ENOMEM;
	struct block_change change = {.source = source, .next = next};
	return block_change_co(&change, NULL);
}

/* Nobody could be told that it failed, so it waits for memory. */
static void refresh_co(void *argument)
{
	struct block_source *source = argument;
	int error;

	for (;;) {
		co_mutex_lock_co(&source->change);
		error = refresh_once_co(source);
		co_mutex_unlock(&source->change);
		if (error != -ENOMEM)
			break;
		loop_sleep_co(block_core_control(source->core), LOOP_AGAIN_NS);
	}
	block_source_help_end(source);
}

typedef bool refresh_question(
	const struct block_driver *driver, const void *argument);

static bool refresh_is(const struct block_driver *driver, const void *other)
{
	return driver == other;
}

static bool refresh_is_failed(
	const struct block_driver *driver, const void *none)
{
	(void)none;
	return driver->failed;
}

static bool refresh_any(const struct block_source *source,
	refresh_question *question, const void *argument)
{
	const struct block_stack *stack = source->current;

	for (unsigned i = 0; stack && i < stack->count; i++) {
		if (question(stack->driver[i], argument))
			return true;
	}
	return false;
}

/* Sources below sources end somewhere: building refuses circles. What listeners have
 * beside (a mirror's leg, a backup's target) is a copy: its end is theirs to treat. */
static bool refresh_any_below(const struct block_source *source,
	refresh_question *question, const void *argument)
{
	const struct block_stack *stack = source->current;
	struct block_source *below;

	if (refresh_any(source, question, argument))
		return true;
	for (unsigned i = 0; stack && i < stack->count; i++) {
		struct block_driver *over = stack->driver[i];

		if (over->kind->role == BLOCK_LISTENER)
			continue;
		for (unsigned n = 0; over->kind->below &&
			(below = over->kind->below(over, n));
			n++) {
			if (refresh_any_below(below, question, argument))
				return true;
		}
	}
	return false;
}

bool block_source_holds(
	const struct block_source *source, const struct block_driver *driver)
{
	return refresh_any_below(source, refresh_is, driver);
}

struct refresh_notices {
	void (*each)(struct block_driver *driver, void *argument);
	void *argument;
};

static bool refresh_notice(
	const struct block_driver *driver, const void *argument)
{
	const struct refresh_notices *notices = argument;

	if (driver->notice.said)
		notices->each((struct block_driver *)driver, notices->argument);
	return false;
}

void block_source_notices(struct block_source *source,
	void (*each)(struct block_driver *driver, void *argument),
	void *argument)
{
	const struct refresh_notices notices = {each, argument};

	refresh_any_below(source, refresh_notice, &notices);
}

bool block_source_failed(const struct block_source *source)
{
	return refresh_any_below(source, refresh_is_failed, NULL);
}

bool block_source_shared(const struct block_source *source)
{
	return source->references > 1;
}

struct block_source *block_driver_source(const struct block_driver *driver)
{
	struct block_source *source;

	LIST_FOREACH (source, &driver->core->sources, link) {
		if (source->references &&
			refresh_any(source, refresh_is, driver))
			break;
	}
	return source;
}

void block_driver_changed(struct block_driver *driver)
{
	struct block_source *source = block_driver_source(driver);

	if (!source || source->stale)
		return;
	source->stale = true;
	block_source_help_begin(source);
	loop_errand(block_core_control(source->core), &source->refresh,
		refresh_co, source);
}
