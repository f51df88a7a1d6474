/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core and its lanes: what one reactor owns of the block core, and the way
 * to visit all of them. A broadcast is a message to each lane and one back from
 * each; its order against other messages between the same two lanes is kept, so
 * what a lane posted to lane 0 before its visit is there before the broadcast
 * is finished (stack.c and change.c rely on it).
 */
#include "blockcore/core/core.h"

#include "blockcore/base/co.h"
#include "blockcore/base/log.h"
#include "blockcore/core/compare.h"
#include "blockcore/core/request.h"
#include "blockcore/core/sample.h"
#include "blockcore/ring.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Children beyond this are refused with -ENOMEM: about 64 MiB of requests. */
#define LANE_CHILDREN 65536u

struct block_core *block_core_new(struct ring_world *world, unsigned lanes,
	const char *data_directory, struct err *err)
{
	if (lanes == 0 || lanes > BLOCK_MAX_LANES) {
		err_set(err, EINVAL, "%u lanes: must be 1 to %u", lanes,
			BLOCK_MAX_LANES);
		return NULL;
	}
	struct block_core *core = calloc(1, sizeof(*core));
	char *directory = strdup(data_directory ? data_directory : ".");
	if (!core || !directory) {
		free(core);
		free(directory);
		err_set(err, ENOMEM, "no memory for the block core");
		return NULL;
	}
	core->world = world;
	core->track = &block_track;
	core->lane_count = lanes;
	core->data_directory = directory;
	LIST_INIT(&core->sources);
	block_memory_limit(core, BLOCK_MEMORY_BYTES);
	block_cache_limit(core, BLOCK_CACHE_BYTES);
	for (unsigned i = 0; i < lanes; i++) {
		core->lane[i].core = core;
		core->lane[i].index = i;
		core->lane[i].private = &core->private[i];
	}
	return core;
}

void block_core_free(struct block_core *core)
{
	assert(LIST_EMPTY(&core->sources));
	for (unsigned i = 0; i < core->lane_count; i++)
		assert(!core->private[i].started);
	map_free(&core->names);
	free(core->data_directory);
	free(core);
}

void block_core_watch(
	struct block_core *core, struct block_core_watcher *watcher)
{
	core->watcher = watcher;
}

static bool lane_complete_run(struct loop_hook *hook)
{
	struct block_lane_private *private =
		container_of(hook, struct block_lane_private, complete);

	return block_requests_run(private);
}

/* Data buffers, known to the ring if it can: without, it copies nothing more,
 * it only pins pages for each request. */
static int lane_buffers(
	struct block_lane *lane, size_t pool_bytes, struct err *err)
{
	const struct ring_world_ops *ops = lane->core->world->ops;
	void *base;
	size_t bytes;

	lane->pool = buf_pool_new(pool_bytes);
	if (!lane->pool)
		return err_set(err, ENOMEM,
			"lane %u: no address space for %zu bytes of buffers",
			lane->index, pool_bytes);
	buf_pool_region(lane->pool, &base, &bytes);
	int refused = ops->register_buffers
		? ops->register_buffers(lane->ring, base, bytes)
		: -EOPNOTSUPP;
	lane->registered = refused == 0;
	if (refused == -ENOMEM)
		log_warning("disks", "buffers",
			"lane %u: the limit of locked memory is below %zu MiB, "
			"so the pages of each request are pinned anew, which "
			"costs CPU: raise it (ulimit -l, LimitMEMLOCK=)",
			lane->index, bytes >> 20);
	else
		log_debug("disks", "buffers",
			"lane %u: %zu MiB of buffers, registered: %s",
			lane->index, bytes >> 20,
			refused ? strerror(-refused) : "yes");
	return 0;
}

int block_lane_start(struct block_core *core, unsigned index, struct loop *loop,
	size_t pool_bytes, struct err *err)
{
	assert(index < core->lane_count && !core->private[index].started);
	struct block_lane *lane = &core->lane[index];
	struct block_lane_private *private = lane->private;

	lane->loop = loop;
	int error = ring_new(core->world, loop, &lane->ring, err);
	if (error)
		return error;
	error = lane_buffers(lane, pool_bytes, err);
	if (!error && core->track->lane_start(lane)) {
		buf_pool_free(lane->pool);
		error = err_set(err, ENOMEM, "lane %u: no memory", index);
	}
	if (error) {
		ring_free(lane->ring);
		return error;
	}
	TAILQ_INIT(&private->completed);
	TAILQ_INIT(&private->held);
	TAILQ_INIT(&private->cancel_soon);
	slab_init(&private->children, sizeof(struct block_request),
		LANE_CHILDREN);
	block_samples_init(&private->samples);
	private->pool = lane->pool;
	buf_pool_notify(lane->pool, &private->complete.again);
	private->complete.run = lane_complete_run;
	loop_hook_add(loop, LOOP_COMPLETE, &private->complete);
	private->started_ns = loop_now_ns(loop);
	private->started = true;
	return 0;
}

void block_lane_stop(struct block_lane *lane)
{
	struct block_lane_private *private = lane->private;

	assert(private->started);
	assert(TAILQ_EMPTY(&private->completed));
	assert(TAILQ_EMPTY(&private->held));
	loop_hook_remove(lane->loop, LOOP_COMPLETE, &private->complete);
	slab_fini(&private->children);
	lane->core->track->lane_stop(lane);
	ring_free(lane->ring);
	buf_pool_free(lane->pool);
	private->started = false;
}

unsigned block_core_lanes(const struct block_core *core)
{
	return core->lane_count;
}

struct block_lane *block_core_lane(struct block_core *core, unsigned index)
{
	assert(index < core->lane_count);
	return &core->lane[index];
}

struct ring_world *block_core_world(struct block_core *core)
{
	return core->world;
}

const char *block_core_data_directory(const struct block_core *core)
{
	return core->data_directory;
}

bool block_core_path(const struct block_core *core, const char *path, char *out,
	size_t bytes)
{
	bool whole = *path == '/';
	int length = snprintf(out, bytes, "%s%s%s",
		whole ? "" : core->data_directory, whole ? "" : "/", path);

	if (length >= 0 && (size_t)length < bytes)
		return true;
	*out = '\0';
	return false;
}

/* -- broadcast ------------------------------------------------------------ */

static void broadcast_back(struct loop_message *message)
{
	struct block_broadcast *broadcast =
		container_of(message, struct block_broadcast, back);

	broadcast->finished(broadcast);
}

/* On the lane. The last one to be visited sends the message back; by acquire
 * and release on `left`, lane 0 then sees what every visit wrote. */
static void broadcast_stop_run(struct loop_message *message)
{
	struct block_broadcast_stop *stop =
		container_of(message, struct block_broadcast_stop, message);
	struct block_broadcast *broadcast = stop->broadcast;

	broadcast->visit(broadcast, stop->lane);
	if (__atomic_sub_fetch(&broadcast->left, 1, __ATOMIC_ACQ_REL) == 0)
		loop_post(
			block_core_control(broadcast->core), &broadcast->back);
}

void block_broadcast(struct block_core *core, struct block_broadcast *broadcast)
{
	broadcast->core = core;
	broadcast->left = core->lane_count;
	broadcast->back.run = broadcast_back;
	for (unsigned i = 0; i < core->lane_count; i++) {
		struct block_broadcast_stop *stop = &broadcast->stop[i];

		assert(core->private[i].started);
		stop->message.run = broadcast_stop_run;
		stop->broadcast = broadcast;
		stop->lane = &core->lane[i];
		loop_post(core->lane[i].loop, &stop->message);
	}
}

struct lane_visit {
	struct block_broadcast broadcast;
	void (*visit)(struct block_lane *lane, void *argument);
	void *argument;
	struct co *co;
};

static void lane_visit_run(
	struct block_broadcast *broadcast, struct block_lane *lane)
{
	struct lane_visit *visit =
		container_of(broadcast, struct lane_visit, broadcast);

	visit->visit(lane, visit->argument);
}

static void lane_visit_finished(struct block_broadcast *broadcast)
{
	struct lane_visit *visit =
		container_of(broadcast, struct lane_visit, broadcast);

	co_resume(visit->co);
}

void block_broadcast_co(struct block_core *core,
	void (*visit)(struct block_lane *lane, void *argument), void *argument)
{
	struct lane_visit state = {
		.broadcast.visit = lane_visit_run,
		.broadcast.finished = lane_visit_finished,
		.visit = visit,
		.argument = argument,
		.co = co_self(),
	};

	block_broadcast(core, &state.broadcast);
	co_yield ();
}
