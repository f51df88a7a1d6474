/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests held on a list of the core's own; see park.h.
 */
#include "blockcore/core/park.h"

#include <errno.h>

static void park_cancel(struct block_request *request)
{
	struct block_request_list *list = request->held_by;

	block_unpark(list, request);
	block_complete(request, -ECANCELED);
}

void block_park(struct block_request_list *list, struct block_request *request)
{
	block_hold(request, park_cancel, list);
	TAILQ_INSERT_TAIL(list, request, link);
}

void block_unpark(
	struct block_request_list *list, struct block_request *request)
{
	TAILQ_REMOVE(list, request, link);
	block_unhold(request);
}
