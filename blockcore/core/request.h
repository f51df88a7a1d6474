/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rest of blockcore/ needs of request.c beyond block.h.
 */
#ifndef BLOCKCORE_CORE_REQUEST_H
#define BLOCKCORE_CORE_REQUEST_H

#include "blockcore/block.h"

struct block_lane_private;

/* One turn's completions; true if some are left for the next. */
bool block_requests_run(struct block_lane_private *lane);

/* (Again) at the gate of request->source. */
void block_request_gate(struct block_request *request);

/* block_submit for a job's BLOCK_COPY, which locks a range like a change of it: past
 * the listeners of the front, right to the gate. */
void block_submit_back(
	struct block_source *source, struct block_request *request);

#endif
