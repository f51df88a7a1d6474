/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a source, watching a source; see watch.h.
 */
#include "blockcore/core/watch.h"

/* -- events --------------------------------------------------------------- */

void block_source_wait_co(struct block_source *source)
{
	struct block_source_waiter waiter = {.co = co_self()};

	STAILQ_INSERT_TAIL(&source->waiters, &waiter, link);
	co_yield ();
}

/* What is woken may free the source: it is not touched after. */
void block_source_wake(struct block_source *source)
{
	STAILQ_HEAD(, block_source_waiter) woken;

	STAILQ_INIT(&woken);
	STAILQ_CONCAT(&woken, &source->waiters);
	while (!STAILQ_EMPTY(&woken)) {
		struct block_source_waiter *waiter = STAILQ_FIRST(&woken);

		STAILQ_REMOVE_HEAD(&woken, link);
		co_resume(waiter->co);
	}
}

/* -- watches -------------------------------------------------------------- */

void block_source_watch(
	struct block_source *source, struct block_source_watch *watch)
{
	LIST_INSERT_HEAD(&source->watches, watch, link);
}

void block_source_unwatch(struct block_source_watch *watch)
{
	LIST_REMOVE(watch, link);
}

void block_source_tell(struct block_source *source)
{
	struct block_source_watch *watch = LIST_FIRST(&source->watches);

	while (watch) {
		struct block_source_watch *next = LIST_NEXT(watch, link);

		watch->changed(watch);
		watch = next;
	}
}
