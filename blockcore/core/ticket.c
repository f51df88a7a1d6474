/* SPDX-License-Identifier: Apache-2.0 */
/* See ticket.h. */
#include "blockcore/core/ticket.h"

#include "blockcore/base/co.h"
#include "blockcore/core/request.h"

static void ticket_left(struct block_request *request)
{
	struct block_ticket *ticket =
		container_of(request, struct block_ticket, request);

	ticket->done = true;
	co_resume(ticket->co);
}

int block_ticket_enter_co(struct block_ticket *ticket,
	struct block_source *source, const struct block_driver *to,
	uint64_t offset_bytes, uint64_t length_bytes)
{
	struct block_request *request = &ticket->request;

	block_request_init(request, block_core_lane(to->core, 0));
	request->op = BLOCK_COPY;
	request->flags = BLOCK_INTERNAL;
	request->offset_bytes = offset_bytes;
	request->length_bytes = length_bytes;
	request->iov = NULL;
	request->iov_count = 0;
	request->done = ticket_left;
	ticket->to = to;
	ticket->co = co_self();
	ticket->arrived = ticket->done = false;
	block_submit_back(source, request);
	while (!ticket->arrived && !ticket->done)
		co_yield ();
	return ticket->done ? request->result : 0;
}

void block_ticket_leave_co(struct block_ticket *ticket, int result)
{
	block_complete(&ticket->request, result);
	while (!ticket->done)
		co_yield ();
}

bool block_ticket_is_for(
	const struct block_driver *driver, const struct block_request *request)
{
	return container_of(request, struct block_ticket, request)->to ==
		driver;
}

void block_ticket_arrived(struct block_request *request)
{
	struct block_ticket *ticket =
		container_of(request, struct block_ticket, request);

	ticket->arrived = true;
	if (ticket->co != co_self()) /* else it is just asking */
		co_resume(ticket->co);
}
