/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job's turn in a source: a COPY that goes to one driver of its back part. From when
 * it has arrived there to its end its range is locked against hosts' changes, and no
 * generation with that driver goes; what the job does meanwhile it does with children
 * of it (block_child_get), which stand where it stands.
 *
 * On lane 0, in a coroutine. The source is tracked.
 */
#ifndef BLOCKCORE_CORE_TICKET_H
#define BLOCKCORE_CORE_TICKET_H

#include "blockcore/kind.h"

struct co;

struct block_ticket {
	struct block_request request;
	const struct block_driver *to;
	struct co *co;
	bool arrived, done;
};

/* Goes in and waits until it has arrived. -errno: it has not, and has left. */
int block_ticket_enter_co(struct block_ticket *ticket,
	struct block_source *source, const struct block_driver *to,
	uint64_t offset_bytes, uint64_t length_bytes);
/* Leaves; the range is free when it returns. */
void block_ticket_leave_co(struct block_ticket *ticket, int result);

/* For drivers: whether a COPY has come to where it was to go; else it is passed on. */
bool block_ticket_is_for(
	const struct block_driver *driver, const struct block_request *request);
/* The job goes on, at once. */
void block_ticket_arrived(struct block_request *request);

#endif
