/* SPDX-License-Identifier: Apache-2.0 */
/* See figures.h. */
#include "blockcore/figures.h"

#include "blockcore/core/core.h"
#include "blockcore/core/driver.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

const char *block_op_name(enum block_opcode op)
{
	static const char *const names[BLOCK_OPCODES] = {
		[BLOCK_READ] = "read",
		[BLOCK_WRITE] = "write",
		[BLOCK_WRITE_ZEROES] = "write_zeroes",
		[BLOCK_DISCARD] = "discard",
		[BLOCK_FLUSH] = "flush",
		[BLOCK_COMPARE_AND_WRITE] = "compare_and_write",
		[BLOCK_EXTENTS] = "extents",
		[BLOCK_COPY] = "copy",
		[BLOCK_META] = "meta",
	};

	assert(op < BLOCK_OPCODES);
	return names[op];
}

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

/* -- health ---------------------------------------------------------------- */

const char *block_health_name(enum block_health_state state)
{
	static const char *const names[] = {[BLOCK_WHOLE] = "in sync",
		[BLOCK_BEHIND] = "behind",
		[BLOCK_DEGRADED] = "degraded"};

	return names[state];
}

void block_health_visit(struct block_source *source,
	void (*each)(const struct block_health *health, void *argument),
	void *argument)
{
	const struct block_stack *stack = source->current;

	for (unsigned i = 0; i < stack->count; i++) {
		struct block_driver *driver = stack->driver[i];
		struct block_health health = {.name = driver->name,
			.kind = driver->kind->name,
			.why = "",
			.job = driver->job};

		if (!driver->kind->health)
			continue;
		driver->kind->health(driver, &health);
		each(&health, argument);
	}
}

/* -- layers, caches ---------------------------------------------------------------- */

#define LAYER_PATH_BYTES 512u

struct walk {
	void (*look)(
		struct walk *walk, struct block_driver *driver, unsigned depth);
	void (*each)(const struct block_layer *layer, void *argument);
	void (*each_cached)(const struct block_cached *cached, void *argument);
	void *argument;
	unsigned left;
	char path[LAYER_PATH_BYTES];
};

static void look_layer(
	struct walk *walk, struct block_driver *driver, unsigned depth)
{
	struct block_layer layer = {
		.path = walk->path, .kind = driver->kind->name, .depth = depth};

	for (unsigned i = 0; i < driver->core->lane_count; i++)
		block_times_sum(block_driver_times(driver, i), &layer.times);
	walk->each(&layer, walk->argument);
}

static void look_cached(
	struct walk *walk, struct block_driver *driver, unsigned depth)
{
	struct block_cached cached = {.path = walk->path};

	(void)depth;
	if (!driver->kind->cached)
		return;
	driver->kind->cached(driver, &cached);
	walk->each_cached(&cached, walk->argument);
}

static void walk_driver(struct walk *walk, struct block_driver *driver,
	size_t prefix, unsigned depth)
{
	walk->left--;
	snprintf(walk->path + prefix, sizeof walk->path - prefix, "%s",
		driver->name);
	walk->look(walk, driver, depth);
}

static void walk_source(struct walk *walk, const struct block_source *source,
	size_t prefix, unsigned depth);

static void walk_below(struct walk *walk, struct block_driver *driver,
	size_t prefix, unsigned depth)
{
	static const char *const view[] = {"file", "backing"};
	const struct block_source *below;

	for (unsigned i = 0; driver->kind->below; i++) {
		below = driver->kind->below(driver, i);
		if (!below)
			break;
		if (below->listed)
			continue;
		int bytes = snprintf(walk->path + prefix,
			sizeof walk->path - prefix, "%s/",
			driver->kind->role == BLOCK_VIEW && i < 2 ? view[i]
								  : "source");
		if (prefix + (size_t)bytes < sizeof walk->path)
			walk_source(walk, below, prefix + (size_t)bytes, depth);
	}
}

static void walk_source(struct walk *walk, const struct block_source *source,
	size_t prefix, unsigned depth)
{
	const struct block_stack *stack = source->current;

	for (unsigned i = 0; i < stack->count && walk->left; i++)
		walk_driver(walk, stack->driver[i], prefix, depth + i);
	if (walk->left)
		walk_below(walk, block_stack_bottom(stack), prefix,
			depth + stack->count);
}

void block_layers_visit(struct block_source *source,
	void (*each)(const struct block_layer *layer, void *argument),
	void *argument)
{
	struct walk walk = {.look = look_layer,
		.each = each,
		.argument = argument,
		.left = BLOCK_LAYERS_MOST};

	walk_source(&walk, source, 0, 0);
}

void block_caches_visit(struct block_source *source,
	void (*each)(const struct block_cached *cached, void *argument),
	void *argument)
{
	struct walk walk = {.look = look_cached,
		.each_cached = each,
		.argument = argument,
		.left = BLOCK_LAYERS_MOST};

	walk_source(&walk, source, 0, 0);
}
