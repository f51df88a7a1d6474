/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists come from <sys/queue.h>; this adds the one form that it lacks: the
 * object around a member, and TAILQ iteration that survives removal.
 */
#ifndef BLOCKCORE_BASE_LIST_H
#define BLOCKCORE_BASE_LIST_H

#include <stddef.h>
#include <sys/queue.h>

#define container_of(pointer, type, member) \
	((type *)((char *)(pointer)-offsetof(type, member)))

#ifndef TAILQ_FOREACH_SAFE
#define TAILQ_FOREACH_SAFE(var, head, field, next) \
	for ((var) = TAILQ_FIRST(head); \
		(var) && ((next) = TAILQ_NEXT(var, field), 1); (var) = (next))
#endif

#endif
