/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing the size of a source: the bottom grows, then a new generation shows
 * it; or requests are waited for, the bottom shrinks behind the closed gate, and
 * the new generation refuses what lies beyond.
 */
#include "blockcore/core/change.h"
#include "blockcore/core/driver.h"
#include "blockcore/core/stack.h"

#include <errno.h>
#include <inttypes.h>

/* For the gate of a smaller size: as that of any other change. */
#define RESIZE_DEADLINE_NS (100ull * 1000 * 1000)

struct resize {
	struct block_stack *now;
	struct block_driver *bottom;
	uint64_t bytes;
};

static int resize_bottom_co(void *argument, struct err *err)
{
	struct resize *resize = argument;
	struct block_driver *bottom = resize->bottom;
	const struct block_stack *now = resize->now;
	int error = resize->bytes < now->info.size_bytes
		? block_drivers_changing_co(now->driver, now->count, err)
		: 0;

	return error ? error
		     : bottom->kind->resize_co(bottom, resize->bytes, err);
}

/* What listeners keep beside grows with it, or nothing does. */
static int resize_grow_co(struct resize *resize, struct err *err)
{
	const struct block_stack *now = resize->now;
	int error = block_drivers_growing_co(
		now->driver, now->count, resize->bytes, err);

	if (error)
		return error;
	error = resize_bottom_co(resize, err);
	if (error)
		block_drivers_grow_back_co(
			now->driver, now->count, resize->bytes);
	return error;
}

int block_source_check_resize(
	const struct block_source *source, uint64_t bytes, struct err *err)
{
	const struct block_driver *bottom = block_stack_bottom(source->current);

	/* What is below may add an offset. */
	if (bytes > INT64_MAX)
		return err_set(err, EFBIG,
			"size %" PRIu64 ": nothing is so large", bytes);
	if (!bottom->kind->resize_co)
		return err_set(err, EOPNOTSUPP,
			"%s '%s' cannot change its size", bottom->kind->name,
			bottom->name);
	if (bottom->kind->role == BLOCK_PROTOCOL &&
		bytes % bottom->info.physical_block_bytes)
		return err_set(err, EINVAL,
			"%s: the size must be a multiple of %u bytes",
			bottom->name, bottom->info.physical_block_bytes);
	return 0;
}

static int resize_co(
	struct block_source *source, uint64_t bytes, struct err *err)
{
	struct block_stack *now = source->current, *next;
	struct resize resize = {now, block_stack_bottom(now), bytes};
	struct block_change change = {.source = source};

	int error = block_source_check_resize(source, bytes, err);
	if (error)
		return error;
	if (bytes < now->info.size_bytes) {
		change.gate = true;
		change.deadline_ns = RESIZE_DEADLINE_NS;
		change.durable_co = resize_bottom_co;
		change.argument = &resize;
	} else {
		error = resize_grow_co(&resize, err);
		if (error)
			return error;
	}
	next = block_stack_new(
		source, now->driver, now->count, now->tracked, err);
	if (!next)
		return -ENOMEM;
	change.next = next;
	return block_change_co(&change, err);
}

int block_source_resize_co(
	struct block_source *source, uint64_t bytes, struct err *err)
{
	co_mutex_lock_co(&source->change);
	int error = resize_co(source, bytes, err);
	co_mutex_unlock(&source->change);
	return error ? err_wrap(err, "source '%s'", source->name) : 0;
}
