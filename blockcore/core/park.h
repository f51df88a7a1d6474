/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that the core itself holds, on a list in order: at a closed gate, before
 * a source is tracked, for memory. A cancel takes a request off its list and
 * completes it. On the request's lane.
 */
#ifndef BLOCKCORE_CORE_PARK_H
#define BLOCKCORE_CORE_PARK_H

#include "blockcore/block.h"

/* Puts it on a list of the core's own, to be cancelled from there. */
void block_park(struct block_request_list *list, struct block_request *request);
/* Takes it off; the caller goes on with it. */
void block_unpark(
	struct block_request_list *list, struct block_request *request);

#endif
