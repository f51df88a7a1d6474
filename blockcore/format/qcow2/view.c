/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: the view that hosts see. Each request is counted on its lane while it is
 * in here, so that a cluster is not reused before those have ended that may still
 * read or write it.
 */
#include "blockcore/format/qcow2/qcow2.h"

#include "blockcore/kinds.h"

#include <errno.h>
#include <inttypes.h>

static const struct opt_spec view_options[] = {OPT_END};

static struct qcow2_view *view_of(struct block_driver *driver)
{
	return container_of(driver, struct qcow2_view, view.driver);
}

/* -- requests ------------------------------------------------------------- */

static bool left(struct block_request *request, struct block_frame *frame)
{
	struct qcow2_lane *lane = frame->context;

	(void)request;
	if (--lane->count[frame->value] == 0 && lane->awaited &&
		frame->value != lane->phase) {
		lane->awaited = false;
		loop_post(lane->view->image->home->loop, &lane->drained);
	}
	return true;
}

static void (*const operations[BLOCK_OPCODES])(
	struct qcow2_lane *lane, struct block_request *request) = {
	[BLOCK_READ] = qcow2_read_start,
	[BLOCK_EXTENTS] = qcow2_extents_start,
};

static void submit(struct block_driver *driver, struct block_request *request)
{
	struct qcow2_lane *lane = block_driver_lane(driver, request->lane);

	lane->count[lane->phase]++;
	block_push(request, left, lane, lane->phase);
	operations[request->op](lane, request);
}

/* -- draining ------------------------------------------------------------- */

static void lane_drained(struct loop_message *message)
{
	struct qcow2_view *view =
		container_of(message, struct qcow2_lane, drained)->view;

	if (--view->lanes_left == 0)
		co_resume(view->drainer);
}

static void change_phase(struct block_lane *lane, void *argument)
{
	struct qcow2_view *view = argument;
	struct qcow2_lane *mine = block_driver_lane(&view->view.driver, lane);
	unsigned old = mine->phase;

	mine->phase = !old;
	if (mine->count[old])
		mine->awaited = true;
	else
		loop_post(view->image->home->loop, &mine->drained);
}

/* One at a time. */
void qcow2_view_drain_co(struct qcow2 *image)
{
	struct qcow2_view *view = image->view;

	if (!view)
		return;
	view->lanes_left = block_core_lanes(image->format.core) + 1;
	view->drainer = co_self();
	block_broadcast_co(image->format.core, change_phase, view);
	if (--view->lanes_left)
		co_yield ();
	view->drainer = NULL;
}

static int lane_start(struct block_driver *driver, struct block_lane *lane)
{
	struct qcow2_lane *mine = block_driver_lane(driver, lane);

	mine->view = view_of(driver);
	mine->lane = lane;
	mine->drained.run = lane_drained;
	slab_init(&mine->ops, sizeof(struct qcow2_op), 0);
	return 0;
}

static void lane_stop(struct block_driver *driver, struct block_lane *lane)
{
	struct qcow2_lane *mine = block_driver_lane(driver, lane);

	slab_fini(&mine->ops);
}

/* -- what it shows -------------------------------------------------------- */

static void show(struct qcow2_view *view)
{
	struct qcow2 *image = view->image;
	struct block_info file =
		block_source_info(image->format.file, image->home);

	view->view.driver.info = (struct block_info){
		.size_bytes =
			(image->header.size_bytes + BLOCK_SECTOR_BYTES - 1) &
			~(uint64_t)(BLOCK_SECTOR_BYTES - 1),
		.physical_block_bytes = file.physical_block_bytes,
		.discard_bytes = (uint32_t)image->geometry.cluster_bytes,
		.ops = BLOCK_OP(BLOCK_READ) | BLOCK_OP(BLOCK_EXTENTS),
		.read_only = true,
		.volatile_cache = true,
		.rotational = file.rotational,
	};
}

/* The file has become longer (or, from outside, read-only). */
static void file_changed(struct block_source_watch *watch)
{
	struct qcow2_view *view =
		container_of(watch, struct qcow2_view, file_watch);
	struct qcow2 *image = view->image;

	image->file_bytes =
		block_source_info(image->format.file, image->home).size_bytes;
}

static int open_co(struct block_driver *driver, struct err *err)
{
	struct qcow2_view *view = view_of(driver);
	struct block_format *format = view->view.format;

	(void)err;
	view->image = qcow2_of(format);
	view->image->view = view;
	block_format_view_opened(&view->view);
	show(view);
	view->file_watch.changed = file_changed;
	block_source_watch(format->file, &view->file_watch);
	return 0;
}

static void close_co(struct block_driver *driver)
{
	struct qcow2_view *view = view_of(driver);

	block_source_unwatch(&view->file_watch);
	view->image->view = NULL;
	block_format_view_closed_co(&view->view);
}

static struct block_source *below(struct block_driver *driver, unsigned index)
{
	struct block_format *format = view_of(driver)->view.format;

	if (index == 0)
		return format->file;
	return index == 1 ? format->backing : NULL;
}

static void status(struct block_driver *driver, FILE *out)
{
	const struct qcow2 *image = view_of(driver)->image;
	const struct qcow2_header *h = &image->header;

	fprintf(out,
		"\"version\": %u, \"cluster_bytes\": %" PRIu64
		", \"subclusters\": %s, \"refcount_bits\": %u, "
		"\"snapshots\": %u, \"corrupt\": %s, \"cached_bytes\": %" PRIu64
		", \"loads\": %" PRIu64,
		h->version, image->geometry.cluster_bytes,
		image->geometry.extended ? "true" : "false",
		1u << h->refcount_order, h->snapshots,
		image->corrupt ? "true" : "false", image->cached_bytes,
		image->loads);
}

const struct block_kind qcow2_view_kind = {
	.name = "qcow2",
	.help = "the image that a qcow2 format shows",
	.role = BLOCK_VIEW,
	.part = BLOCK_BACK,
	.anchor = BLOCK_IMAGE,
	.band = BAND_BOTTOM,
	.handles = BLOCK_OP(BLOCK_READ) | BLOCK_OP(BLOCK_EXTENTS),
	.options = view_options,
	.driver_bytes = sizeof(struct qcow2_view),
	.lane_bytes = sizeof(struct qcow2_lane),
	.open_co = open_co,
	.close_co = close_co,
	.lane_start = lane_start,
	.lane_stop = lane_stop,
	.submit = submit,
	.status = status,
	.below = below,
};
