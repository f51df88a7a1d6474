/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header.
 */
#include "blockcore/core/point.h"

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "blockcore/base/slab.h"
#include "blockcore/core/core.h"
#include "blockcore/kinds.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* -- asked ---------------------------------------------------------------- */

int block_point_find(struct block_source *source, const char *name,
	uint64_t *id, uint64_t *bytes, struct err *err)
{
	const struct block_stack *stack = source->current;

	for (unsigned i = 0; i < stack->count; i++) {
		struct block_driver *driver = stack->driver[i];

		if (strcmp(driver->name, name))
			continue;
		if (!driver->kind->point)
			return err_set(err, EOPNOTSUPP,
				"%s '%s' of source '%s' keeps no moment",
				driver->kind->name, name, source->name);
		return driver->kind->point(driver, id, bytes, err);
	}
	return err_set(err, ENOENT, "source '%s' has no listener '%s'",
		source->name, name);
}

int block_point_check_unused(struct block_source *source,
	struct block_driver *driver, struct err *err)
{
	const struct block_claim *claim;
	uint64_t id, bytes;

	if (!driver->kind->point ||
		driver->kind->point(driver, &id, &bytes, NULL))
		return 0;
	LIST_FOREACH (claim, &source->claims, link) {
		if (claim->point == id)
			return err_set(err, EBUSY,
				"%s reads what '%s' keeps: remove that first",
				claim->holder, driver->name);
	}
	return 0;
}

/* -- filled --------------------------------------------------------------- */

struct point_fill {
	struct block_request request;
	struct block_point point;
	struct co *co;
	bool done;
};

static void fill_done(struct block_request *request)
{
	struct point_fill *fill =
		container_of(request, struct point_fill, request);

	fill->done = true;
	co_resume(fill->co);
}

int block_point_fill_co(struct block_source *source, uint64_t id,
	uint64_t offset_bytes, uint64_t length_bytes)
{
	struct point_fill fill = {
		.point = {.id = id, .fill = true}, .co = co_self()};
	struct block_request *request = &fill.request;

	block_request_init(request, block_core_lane(source->core, 0));
	request->op = BLOCK_READ;
	request->flags = BLOCK_POINT | BLOCK_INTERNAL;
	request->offset_bytes = offset_bytes;
	request->length_bytes = length_bytes;
	request->point = &fill.point;
	request->done = fill_done;
	block_submit(source, request);
	while (!fill.done)
		co_yield ();
	return request->result	   ? request->result
		: fill.point.taken ? 0
				   : -ENODATA;
}

/* -- the view ------------------------------------------------------------- */

struct point_read {
	struct point_lane *lane;
	struct block_point point;
};

struct point_lane {
	struct slab reads;
};

static struct block_point_view *view_of(struct block_driver *driver)
{
	return container_of(driver, struct block_point_view, driver);
}

static void point_cancel(struct block_request *request)
{
	block_cancel(request->held_by);
}

static bool point_answered(
	struct block_request *child, struct block_frame *frame)
{
	struct block_request *request = child->parent;
	struct point_read *read = frame->context;
	int result = child->result;

	if (!result && !read->point.taken)
		result = -ENODATA;
	slab_put(&read->lane->reads, read);
	block_unhold(request);
	block_complete(request, result);
	return true;
}

static void point_submit(
	struct block_driver *driver, struct block_request *request)
{
	struct point_lane *lane = block_driver_lane(driver, request->lane);

	if (request->op == BLOCK_FLUSH) {
		block_complete(request, 0);
		return;
	}
	struct point_read *read = slab_get(&lane->reads);
	struct block_request *child = read ? block_child_get(request) : NULL;
	if (!child) {
		if (read)
			slab_put(&lane->reads, read);
		block_complete(request, -ENOMEM);
		return;
	}
	*read = (struct point_read){
		.lane = lane, .point.id = view_of(driver)->id};
	child->flags |= BLOCK_POINT;
	child->point = &read->point;
	child->done = block_child_put;
	block_push(child, point_answered, read, 0);
	block_hold(request, point_cancel, child);
	block_submit(view_of(driver)->source, child);
}

static int point_open_co(struct block_driver *driver, struct err *err)
{
	struct block_point_view *view = view_of(driver);
	struct block_info info = block_source_info(
		view->source, block_core_lane(driver->core, 0));
	int error = block_point_find(
		view->source, view->listener, &view->id, &info.size_bytes, err);

	if (error)
		return error;
	view->claim.mode = BLOCK_CLAIM_READ;
	view->claim.point = view->id;
	snprintf(view->claim.holder, sizeof view->claim.holder,
		"backup view '%s'", view->holder);
	error = block_source_claim(view->source, &view->claim, err);
	if (error)
		return error;
	block_source_get(view->source);
	driver->info = (struct block_info){
		.size_bytes = info.size_bytes,
		.physical_block_bytes = info.physical_block_bytes,
		.optimal_io_bytes = info.optimal_io_bytes,
		.ops = BLOCK_OP(BLOCK_READ) | BLOCK_OP(BLOCK_FLUSH),
		.read_only = true,
		.rotational = info.rotational,
	};
	return 0;
}

static void point_close_co(struct block_driver *driver)
{
	struct block_point_view *view = view_of(driver);

	block_source_unclaim(&view->claim);
	block_source_put_co(view->source);
}

static int point_lane_start(
	struct block_driver *driver, struct block_lane *lane)
{
	struct point_lane *l = block_driver_lane(driver, lane);

	slab_init(&l->reads, sizeof(struct point_read), 0);
	return 0;
}

static void point_lane_stop(
	struct block_driver *driver, struct block_lane *lane)
{
	struct point_lane *l = block_driver_lane(driver, lane);

	slab_fini(&l->reads);
}

static struct block_source *point_below(
	struct block_driver *driver, unsigned index)
{
	return index == 0 ? view_of(driver)->source : NULL;
}

static const struct opt_spec no_options[] = {OPT_END};

const struct block_kind point_kind = {
	.name = "point",
	.help = "what a backup keeps of another source",
	.role = BLOCK_POINT_VIEW,
	.part = BLOCK_BACK,
	.anchor = BLOCK_IMAGE,
	.band = BAND_BOTTOM,
	.handles = BLOCK_OP(BLOCK_READ) | BLOCK_OP(BLOCK_FLUSH),
	.options = no_options,
	.driver_bytes = sizeof(struct block_point_view),
	.lane_bytes = sizeof(struct point_lane),
	.open_co = point_open_co,
	.close_co = point_close_co,
	.lane_start = point_lane_start,
	.lane_stop = point_lane_stop,
	.submit = point_submit,
	.below = point_below,
};
