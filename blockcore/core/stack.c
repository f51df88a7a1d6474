/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generations: what they show, how they are counted, how they go.
 *
 * A half goes when its last lane has said that it is idle: the message comes to
 * lane 0, drivers that no other generation holds are closed in a coroutine, and
 * the memory goes with the second half.
 */
#include "blockcore/core/stack.h"

#include "blockcore/core/driver.h"
#include "blockcore/core/image.h"
#include "blockcore/core/range_lock.h"
#include "blockcore/core/watch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* -- what may stand on what ----------------------------------------------- */

static const char *const block_op_names[BLOCK_OPCODES] = {
	[BLOCK_READ] = "READ",
	[BLOCK_WRITE] = "WRITE",
	[BLOCK_WRITE_ZEROES] = "WRITE_ZEROES",
	[BLOCK_DISCARD] = "DISCARD",
	[BLOCK_FLUSH] = "FLUSH",
	[BLOCK_COMPARE_AND_WRITE] = "COMPARE_AND_WRITE",
	[BLOCK_EXTENTS] = "EXTENTS",
	[BLOCK_COPY] = "COPY",
	[BLOCK_META] = "META",
};

static bool stack_emulates(const struct block_info *bottom)
{
	return (bottom->ops & BLOCK_OPS_DATA) == BLOCK_OPS_DATA &&
		!(bottom->ops & BLOCK_OP(BLOCK_COMPARE_AND_WRITE));
}

/* The operations that reach this listener. The core makes COMPARE_AND_WRITE
 * into READ and WRITE at the gate, unless the bottom offers it itself. */
static uint32_t stack_ops_at(
	const struct block_info *bottom, const struct block_kind *kind)
{
	uint32_t ops = bottom->ops;

	if (kind->part == BLOCK_FRONT && stack_emulates(bottom))
		ops |= BLOCK_OP(BLOCK_COMPARE_AND_WRITE);
	return ops;
}

static int stack_check_ops(const struct block_driver *bottom,
	const struct block_driver *listener, struct err *err)
{
	const struct block_kind *kind = listener->kind;
	uint32_t lost = stack_ops_at(&bottom->info, kind) &
		~(kind->handles | kind->transparent);

	for (unsigned op = 0; op < BLOCK_OPCODES; op++) {
		if (lost & BLOCK_OP(op))
			return err_set(err, EINVAL,
				"listener '%s' (%s) neither handles nor lets "
				"through %s, which '%s' below it offers",
				listener->name, kind->name, block_op_names[op],
				bottom->name);
	}
	return 0;
}

/* What is written through a shared bottom by others goes past listeners that
 * must see every change (ARCHITECTURE 1.9). */
static int stack_check_alias(const struct block_driver *bottom,
	const struct block_driver *listener, struct err *err)
{
	enum block_band band = listener->kind->band;

	if (bottom->kind->role != BLOCK_ALIAS)
		return 0;
	/* They remember content: others change it even if this cannot. */
	if (bottom->info.read_only && band != BAND_BACKUP && band != BAND_CACHE)
		return 0;
	if (band != BAND_JOB && band != BAND_BACKUP && band != BAND_MIRROR &&
		band != BAND_DIRTY && band != BAND_CACHE && band != BAND_VERIFY)
		return 0;
	return err_set(err, EINVAL,
		"listener '%s' (%s) must see every write, but '%s' is shared "
		"and written past it: put the listener on the shared source",
		listener->name, listener->kind->name, bottom->name);
}

/* What is there must be in the sources beside it, too. */
static int stack_check_others(const struct block_driver *bottom,
	const struct block_driver *listener, struct err *err)
{
	for (unsigned i = 0; i < listener->others_count; i++) {
		struct block_source *other = listener->others[i];
		struct block_info info = block_source_info(
			other, block_core_lane(listener->core, 0));

		if (info.size_bytes < bottom->info.size_bytes)
			return err_set(err, EINVAL,
				"listener '%s': '%s' has %llu bytes, '%s' has "
				"%llu: it must be as large",
				listener->name, block_source_name(other),
				(unsigned long long)info.size_bytes,
				bottom->name,
				(unsigned long long)bottom->info.size_bytes);
	}
	return 0;
}

static int stack_check_order(const struct block_driver *above,
	const struct block_driver *below, struct err *err)
{
	if (below->kind->role != BLOCK_LISTENER ||
		above->kind->band <= below->kind->band)
		return 0;
	return err_set(err, EINVAL,
		"listener '%s' (%s) must stand below '%s' (%s)", above->name,
		above->kind->name, below->name, below->kind->name);
}

static int stack_check_name(
	struct block_driver *const *driver, unsigned index, struct err *err)
{
	for (unsigned i = 0; i < index; i++) {
		if (!strcmp(driver[i]->name, driver[index]->name))
			return err_set(err, EINVAL,
				"two drivers of one source are named '%s'",
				driver[index]->name);
	}
	return 0;
}

int block_stack_check(
	struct block_driver *const *driver, unsigned count, struct err *err)
{
	assert(count > 0);
	const struct block_driver *bottom = driver[count - 1];
	int error = 0;

	if (count > BLOCK_MAX_DRIVERS)
		return err_set(err, EINVAL,
			"%u drivers in one source: at most %u", count,
			BLOCK_MAX_DRIVERS);
	assert(bottom->kind->role != BLOCK_LISTENER);
	for (unsigned i = 0; i < count && !error; i++) {
		error = stack_check_name(driver, i, err);
		if (error || i + 1 == count)
			break;
		error = stack_check_order(driver[i], driver[i + 1], err);
		if (!error)
			error = stack_check_ops(bottom, driver[i], err);
		if (!error)
			error = stack_check_alias(bottom, driver[i], err);
		if (!error)
			error = stack_check_others(bottom, driver[i], err);
	}
	return error;
}

struct block_info block_stack_info(
	struct block_driver *const *driver, unsigned count)
{
	struct block_info info = driver[count - 1]->info;

	if (stack_emulates(&info))
		info.ops |= BLOCK_OP(BLOCK_COMPARE_AND_WRITE);
	for (unsigned i = count - 1; i-- > 0;) {
		if (driver[i]->kind->narrow)
			driver[i]->kind->narrow(driver[i], &info);
	}
	return info;
}

/* -- made and unmade ------------------------------------------------------ */

static void stack_lane_idle_run(
	struct block_stack_lane *lane, enum block_part part);

static void stack_front_idle_run(struct loop_message *message)
{
	stack_lane_idle_run(container_of(message, struct block_stack_lane,
				    idle[BLOCK_FRONT]),
		BLOCK_FRONT);
}

static void stack_back_idle_run(struct loop_message *message)
{
	stack_lane_idle_run(container_of(message, struct block_stack_lane,
				    idle[BLOCK_BACK]),
		BLOCK_BACK);
}

static void stack_gate_idle_run(struct loop_message *message)
{
	struct block_stack_lane *lane =
		container_of(message, struct block_stack_lane, gate_idle);
	struct block_stack *stack = lane->stack;

	assert(stack->gate_left);
	stack->gate_left--;
	block_source_wake(stack->source);
}

static bool stack_is_ordered(struct block_driver *const *driver, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (driver[i]->kind->ordered)
			return true;
	}
	return false;
}

static bool stack_is_tracked(struct block_driver *const *driver, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (driver[i]->kind->tracked)
			return true;
	}
	return stack_is_ordered(driver, count);
}

static void stack_fill(struct block_stack *stack,
	struct block_driver *const *driver, unsigned count)
{
	stack->count = (uint8_t)count;
	for (unsigned i = 0; i < count; i++) {
		stack->driver[i] = driver[i];
		block_driver_get(driver[i]);
		if (driver[i]->kind->role == BLOCK_LISTENER &&
			driver[i]->kind->part == BLOCK_FRONT)
			stack->front_count++;
	}
	stack->info = block_stack_info(driver, count);
	stack->emulates_compare = stack_emulates(&driver[count - 1]->info);
	if (stack->emulates_compare && stack->tracked)
		stack->lock_ops = BLOCK_OPS_CHANGE | BLOCK_OP(BLOCK_COPY);
	if (stack->lock_ops && stack_is_ordered(driver, count))
		stack->lock_ops |= BLOCK_OP(BLOCK_READ);
}

/* Who needs that comes by a gate, or with the first generation: nobody is on
 * the way without the locks. */
static int stack_track(struct block_stack *stack,
	struct block_driver *const *driver, unsigned count)
{
	struct block_source *source = stack->source;

	if (!stack_is_tracked(driver, count))
		return 0;
	if (!source->locks)
		source->locks = range_lock_table_new();
	stack->tracked = source->locks != NULL;
	return source->locks ? 0 : -ENOMEM;
}

struct block_stack *block_stack_new(struct block_source *source,
	struct block_driver *const *driver, unsigned count, bool tracked,
	struct err *err)
{
	unsigned lanes = source->core->lane_count;
	size_t bytes = sizeof(struct block_stack) +
		lanes * sizeof(struct block_stack_lane);
	struct block_stack *stack = aligned_alloc(BLOCK_LINE_BYTES, bytes);

	if (stack) {
		memset(stack, 0, bytes);
		stack->source = source;
		stack->tracked = tracked;
	}
	if (!stack || stack_track(stack, driver, count)) {
		err_set(err, ENOMEM, "no memory for a stack of %u drivers",
			count);
		free(stack);
		return NULL;
	}
	stack->generation = ++source->last_generation;
	for (unsigned i = 0; i < lanes; i++) {
		struct block_stack_lane *lane = &stack->lane[i];

		lane->stack = stack;
		lane->idle[BLOCK_FRONT].run = stack_front_idle_run;
		lane->idle[BLOCK_BACK].run = stack_back_idle_run;
		lane->gate_idle.run = stack_gate_idle_run;
	}
	stack_fill(stack, driver, count);
	return stack;
}

/* Listeners that need to know are told what they stood on, while it is there. */
static void stack_tell_closing(struct block_stack *stack, unsigned from)
{
	for (unsigned i = from; i + 1 < stack->count; i++) {
		struct block_driver *driver = stack->driver[i];
		struct block_image image;

		if (driver->references > 1 || !driver->kind->closing_over)
			continue;
		block_image_get(block_stack_bottom(stack), &image);
		driver->kind->closing_over(driver, &image);
	}
}

/* From below: what a listener writes down when it is closed stays true. */
static void stack_drop_half_co(struct block_stack *stack, enum block_part part)
{
	unsigned from = part == BLOCK_FRONT ? 0 : stack->front_count;
	unsigned to = part == BLOCK_FRONT ? stack->front_count : stack->count;

	if (part == BLOCK_BACK)
		stack_tell_closing(stack, from);
	while (to-- > from)
		block_driver_put_co(stack->driver[to]);
}

void block_stack_discard_co(struct block_stack *stack)
{
	assert(!stack->published);
	stack_drop_half_co(stack, BLOCK_FRONT);
	stack_drop_half_co(stack, BLOCK_BACK);
	free(stack);
}

/* -- counted -------------------------------------------------------------- */

static void stack_lane_watch(struct block_stack_lane *lane)
{
	lane->watched = lane->gate || lane->retired[BLOCK_FRONT] ||
		lane->retired[BLOCK_BACK];
}

void block_stack_idle(struct block_stack_lane *lane)
{
	struct loop *control = block_core_control(lane->stack->source->core);

	if (lane->gate && lane->count[BLOCK_BACK] == 0) {
		lane->gate = false;
		loop_post(control, &lane->gate_idle);
	}
	bool gone[2];

	for (unsigned part = 0; part < 2; part++) {
		gone[part] = lane->retired[part] && lane->count[part] == 0;
		if (gone[part])
			lane->retired[part] = false;
	}
	stack_lane_watch(lane);
	/* The last post is the last touch: lane 0 may free it then. */
	if (gone[BLOCK_FRONT] && gone[BLOCK_BACK]) {
		loop_post(control, &lane->idle[BLOCK_FRONT]);
		loop_post(control, &lane->idle[BLOCK_BACK]);
	} else if (gone[BLOCK_FRONT] || gone[BLOCK_BACK]) {
		loop_post(control,
			&lane->idle[gone[BLOCK_FRONT] ? BLOCK_FRONT
						      : BLOCK_BACK]);
	}
}

void block_stack_gate_lane(struct block_stack *stack, struct block_lane *lane)
{
	struct block_stack_lane *mine = &stack->lane[lane->index];

	mine->gate = true;
	mine->watched = true;
	block_stack_idle(mine);
}

void block_stack_ungate_lane(struct block_stack *stack, struct block_lane *lane)
{
	struct block_stack_lane *mine = &stack->lane[lane->index];

	mine->gate = false;
	stack_lane_watch(mine);
}

void block_stack_retire(struct block_stack *stack)
{
	for (unsigned part = 0; part < 2; part++)
		stack->lanes_left[part] = stack->source->core->lane_count;
}

void block_stack_retire_lane(struct block_stack *stack, struct block_lane *lane)
{
	struct block_stack_lane *mine = &stack->lane[lane->index];

	mine->retired[BLOCK_FRONT] = mine->retired[BLOCK_BACK] = true;
	mine->watched = true;
	block_stack_idle(mine);
}

/* -- gone ----------------------------------------------------------------- */

static void stack_half_gone(struct block_stack *stack, enum block_part part)
{
	struct block_source *source = stack->source;

	stack->disposed[part] = true;
	if (stack->disposed[BLOCK_FRONT] && stack->disposed[BLOCK_BACK]) {
		TAILQ_REMOVE(&source->stacks, stack, link);
		free(stack);
	}
	block_source_wake(source);
}

/* Drops what other generations hold, too; true if nothing is left to close. */
static bool stack_drop_half(struct block_stack *stack, enum block_part part)
{
	unsigned from = part == BLOCK_FRONT ? 0 : stack->front_count;
	unsigned to = part == BLOCK_FRONT ? stack->front_count : stack->count;

	for (unsigned i = from; i < to; i++) {
		if (stack->driver[i]->references == 1)
			return false;
	}
	for (unsigned i = from; i < to; i++)
		stack->driver[i]->references--;
	return true;
}

static void stack_front_gone_co(void *argument)
{
	stack_drop_half_co(argument, BLOCK_FRONT);
	stack_half_gone(argument, BLOCK_FRONT);
}

static void stack_back_gone_co(void *argument)
{
	stack_drop_half_co(argument, BLOCK_BACK);
	stack_half_gone(argument, BLOCK_BACK);
}

static void stack_lane_idle_run(
	struct block_stack_lane *lane, enum block_part part)
{
	struct block_stack *stack = lane->stack;

	assert(stack->lanes_left[part]);
	if (--stack->lanes_left[part])
		return;
	stack->drained[part] = true;
	if (stack_drop_half(stack, part)) {
		stack_half_gone(stack, part);
		return;
	}
	block_source_wake(stack->source);
	loop_errand(block_core_control(stack->source->core),
		&stack->dispose[part],
		part == BLOCK_FRONT ? stack_front_gone_co : stack_back_gone_co,
		stack);
}

/* -- asked ---------------------------------------------------------------- */

bool block_stacks_back_open(const struct block_source *source, uint64_t last)
{
	const struct block_stack *stack;

	TAILQ_FOREACH (stack, &source->stacks, link) {
		if (stack->generation <= last && !stack->disposed[BLOCK_BACK])
			return true;
	}
	return false;
}

bool block_stacks_old_busy(const struct block_source *source)
{
	const struct block_stack *stack;

	TAILQ_FOREACH (stack, &source->stacks, link) {
		if (stack != source->current && !stack->drained[BLOCK_BACK])
			return true;
	}
	return false;
}

bool block_stacks_untracked_busy(const struct block_source *source)
{
	const struct block_stack *stack;

	TAILQ_FOREACH (stack, &source->stacks, link) {
		if (!stack->tracked && !stack->drained[BLOCK_BACK])
			return true;
	}
	return false;
}
