/* SPDX-License-Identifier: Apache-2.0 */
/* See figures.h. */
#include "blockcore/figures.h"

#include "blockcore/core/core.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static uint64_t thread_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000000ull + (uint64_t)used.tv_nsec;
}

static void visit(struct block_lane *lane, void *argument)
{
	struct block_lane_figures *all = argument;
	struct block_lane_figures *figures = &all[lane->index];
	size_t bytes;
	void *base;

	buf_pool_region(lane->pool, &base, &bytes);
	*figures = (struct block_lane_figures){
		.busy_ns = thread_ns(),
		.up_ns = loop_now_ns(lane->loop) - lane->private->started_ns,
		.turns = lane->loop->turns,
		.buffer_bytes = bytes,
		.buffer_used_bytes = buf_pool_used_bytes(lane->pool),
		.ring = lane->ring->figures,
	};
}

void block_figures_co(
	struct block_core *core, struct block_lane_figures *figures)
{
	block_broadcast_co(core, visit, figures);
}

int block_source_space_co(struct block_source *source, struct ring_space *space)
{
	struct block_driver *bottom;
	int result = -EOPNOTSUPP;

	/* Who changes the source may wait long, for a gate; we do not. */
	if (source->change.locked)
		return -EBUSY;
	co_mutex_lock_co(&source->change);
	bottom = block_stack_bottom(source->current);
	if (bottom->kind->space_co)
		result = bottom->kind->space_co(bottom, space);
	co_mutex_unlock(&source->change); /* and it may be gone */
	return result;
}
