/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: the view that hosts see. Each request is counted on its lane while it is
 * in here, so that a cluster is not reused before those have ended that may still
 * read or write it.
 */
#include "blockcore/format/qcow2/check.h"
#include "blockcore/format/qcow2/create.h"
#include "blockcore/format/qcow2/differ.h"
#include "blockcore/format/qcow2/owned.h"
#include "blockcore/format/qcow2/share.h"
#include "blockcore/format/qcow2/snapshots.h"

#include "blockcore/figures.h"
#include "blockcore/kinds.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define VIEW_OPS \
	(BLOCK_OPS_DATA | BLOCK_OP(BLOCK_WRITE_ZEROES) | \
		BLOCK_OP(BLOCK_DISCARD) | BLOCK_OP(BLOCK_FLUSH) | \
		BLOCK_OP(BLOCK_EXTENTS))

/* How often a change looks for space that others may have taken meanwhile. */
#define FREE_TRIES 4u

static const struct opt_spec view_options[] = {OPT_END};

static struct qcow2_view *view_of(struct block_driver *driver)
{
	return container_of(driver, struct qcow2_view, view.driver);
}

/* -- requests ------------------------------------------------------------- */

static void (*const operations[BLOCK_OPCODES])(
	struct qcow2_lane *lane, struct block_request *request) = {
	[BLOCK_READ] = qcow2_read_start,
	[BLOCK_WRITE] = qcow2_write_start,
	[BLOCK_WRITE_ZEROES] = qcow2_zero_start,
	[BLOCK_DISCARD] = qcow2_zero_start,
	[BLOCK_FLUSH] = qcow2_flush_start,
	[BLOCK_EXTENTS] = qcow2_extents_start,
};

static bool left(struct block_request *request, struct block_frame *frame);

/* frame->value: the phase in which it is counted, and how often it has been here. */
static void enter(
	struct qcow2_lane *lane, struct block_request *request, uint64_t tries)
{
	lane->count[lane->phase]++;
	block_push(request, left, lane, tries << 1 | lane->phase);
	operations[request->op](lane, request);
}

static void submit(struct block_driver *driver, struct block_request *request)
{
	enter(block_driver_lane(driver, request->lane), request, 0);
}

/* -- without space -------------------------------------------------------- */

static void free_home_co(struct qcow2_op *op)
{
	op->result = qcow2_epoch_reclaim_co(op->image) ? 0 : -ENOSPC;
}

static bool space_is_back(
	struct block_request *request, struct block_frame *frame)
{
	if (request->result)
		return true;
	enter(frame->context, request, frame->value);
	return false;
}

/* What was set free is free only after a commit, and once the requests have ended
 * that are counted now: so who waits for it must not be one of them. False: there is
 * no space. */
static bool waits_for_free(
	struct qcow2_lane *lane, struct block_request *request, uint64_t tries)
{
	if (request->result != -ENOSPC || tries == FREE_TRIES ||
		!(BLOCK_OP(request->op) & BLOCK_OPS_CHANGE))
		return false;
	block_push(request, space_is_back, lane, tries + 1);
	qcow2_read_at_home(lane, request, free_home_co);
	return true;
}

static bool left(struct block_request *request, struct block_frame *frame)
{
	struct qcow2_lane *lane = frame->context;
	unsigned phase = frame->value & 1;

	if (--lane->count[phase] == 0 && lane->awaited &&
		phase != lane->phase) {
		lane->awaited = false;
		loop_post(lane->view->image->home->loop, &lane->drained);
	}
	return !request->result ||
		!waits_for_free(lane, request, frame->value >> 1);
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

static uint64_t view_bytes(const struct qcow2_view *view)
{
	return view->view.snapshot[0] ? view->snapshot_bytes
				      : view->image->header.size_bytes;
}

static void show(struct qcow2_view *view)
{
	struct qcow2 *image = view->image;
	struct block_info file =
		block_source_info(image->format.file, image->home);

	view->view.driver.info = (struct block_info){
		.size_bytes = (view_bytes(view) + BLOCK_SECTOR_BYTES - 1) &
			~(uint64_t)(BLOCK_SECTOR_BYTES - 1),
		.physical_block_bytes = file.physical_block_bytes,
		.discard_bytes = (uint32_t)image->geometry.cluster_bytes,
		.ops = VIEW_OPS,
		.read_only = !view->view.writable,
		.volatile_cache = true,
		.rotational = file.rotational,
	};
}

void qcow2_view_show(struct qcow2 *image)
{
	if (image->view)
		show(image->view);
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

/* The map that the snapshot has. */
static int open_snapshot_co(struct qcow2_view *view, struct err *err)
{
	const char *name = view->view.snapshot;
	const struct qcow2_snapshot *found;
	struct qcow2_snapshots snapshots;
	int error = qcow2_snapshots_read_co(view->image, &snapshots, err);

	found = error ? NULL : qcow2_snapshots_find(&snapshots, name);
	if (found) {
		view->snapshot_bytes = found->size_bytes;
		view->map = &view->own;
		error = qcow2_map_open_co(view->image, &view->own,
			found->l1_offset, found->l1_entries, err);
		if (error)
			qcow2_map_close(&view->own);
	} else if (!error) {
		error = err_set(err, ENOENT, "there is no snapshot '%s'", name);
	}
	qcow2_snapshots_free(&snapshots);
	return error;
}

static int open_map_co(struct qcow2_view *view, struct err *err)
{
	if (view->view.snapshot[0])
		return open_snapshot_co(view, err);
	view->map = &view->image->map;
	view->image->view = view;
	return 0;
}

static void close_map(struct qcow2_view *view)
{
	if (view->map == &view->own) {
		qcow2_map_forget(&view->own);
		qcow2_map_close(&view->own);
	} else if (view->image->view == view) {
		view->image->view = NULL;
	}
}

static int open_co(struct block_driver *driver, struct err *err)
{
	struct qcow2_view *view = view_of(driver);
	struct block_format *format = view->view.format;

	view->image = qcow2_of(format);
	/* Until it is seen that a view shows it, the snapshot must not go. */
	co_mutex_lock_co(&view->image->names);
	int error = open_map_co(view, err);
	if (!error)
		block_format_view_opened(&view->view);
	co_mutex_unlock(&view->image->names);
	if (error)
		return error;
	show(view);
	view->file_watch.changed = file_changed;
	block_source_watch(format->file, &view->file_watch);
	return 0;
}

static void close_co(struct block_driver *driver)
{
	struct qcow2_view *view = view_of(driver);

	block_source_unwatch(&view->file_watch);
	close_map(view);
	block_format_view_closed_co(&view->view);
}

static int resize_co(
	struct block_driver *driver, uint64_t bytes, struct err *err)
{
	struct qcow2_view *view = view_of(driver);
	int error;

	if (!view->view.writable)
		return err_set(err, EROFS,
			"the image is read-only: open it without that");
	error = qcow2_resize_co(view->image, bytes, err);
	if (!error)
		show(view);
	return error;
}

/* Of the file: tables, what is reserved ahead and leaks are in it, too. */
static int space_co(struct block_driver *driver, struct ring_space *space)
{
	return block_source_space_co(view_of(driver)->view.format->file, space);
}

/* -- verbs ---------------------------------------------------------------- */

static void print_check(const struct block_check *check, FILE *out)
{
	fprintf(out,
		"\"leaks\": %" PRIu64 ", \"errors\": %" PRIu64
		", \"fixed_leaks\": %" PRIu64 ", \"fixed_errors\": %" PRIu64
		", \"clusters\": %" PRIu64 ", \"allocated\": %" PRIu64
		", \"end_bytes\": %" PRIu64 ", \"changed\": %" PRIu64
		", \"first_error\": ",
		check->leaks, check->errors, check->fixed_leaks,
		check->fixed_errors, check->clusters, check->allocated,
		check->end_bytes, check->changed);
	json_print_string(out, check->first);
}

/* {repair: leaks|all}; without, nothing is changed. */
static int check_arguments(
	const struct doc *arguments, struct block_check *check, struct err *err)
{
	const struct doc *repair =
		arguments ? doc_find(arguments, "repair") : NULL;
	const char *what;

	if (!repair)
		return 0;
	if (doc_text(repair, &what, err))
		return -EINVAL;
	if (strcmp(what, "leaks") && strcmp(what, "all"))
		return doc_error(repair, err, EINVAL, "repair is leaks or all");
	check->repair_leaks = true;
	check->repair_errors = !strcmp(what, "all");
	return 0;
}

static int read_verb(const char *verb, const struct doc *arguments,
	struct block_check *check, struct err *err)
{
	if (!strcmp(verb, "snapshots") || !strcmp(verb, "owned"))
		return 0;
	if (!strcmp(verb, "differences"))
		return qcow2_differ_check(arguments, err);
	if (strcmp(verb, "check"))
		return err_set(err, EINVAL,
			"'%s' is no verb; there are: check, differences, "
			"owned, snapshots",
			verb);
	return check_arguments(arguments, check, err);
}

static int rehearse_co(struct block_driver *driver, const char *verb,
	const struct doc *arguments, struct err *err)
{
	struct block_check check = {0};

	(void)driver;
	return read_verb(verb, arguments, &check, err);
}

static int command_co(struct block_driver *driver, const char *verb,
	const struct doc *arguments, FILE *out, struct err *err)
{
	struct qcow2 *image = view_of(driver)->image;
	struct block_check check = {0};
	int error = read_verb(verb, arguments, &check, err);

	if (!error && !strcmp(verb, "snapshots"))
		return qcow2_snapshots_print_co(&image->format, out, err);
	if (!error && !strcmp(verb, "owned"))
		return qcow2_owned_print_co(image, out, err);
	if (!error && !strcmp(verb, "differences"))
		return qcow2_differ_print_co(image, arguments, out, err);
	if (!error)
		error = qcow2_check_live_co(image, &check, err);
	if (!error)
		print_check(&check, out);
	return error;
}

static int check_image_co(
	struct block_driver *driver, struct block_check *check, struct err *err)
{
	return qcow2_check_live_co(view_of(driver)->image, check, err);
}

static struct block_source *below(struct block_driver *driver, unsigned index)
{
	const struct block_view *view = &view_of(driver)->view;
	struct block_source *all[] = {
		view->format->file, view->format->backing, view->of};

	for (unsigned i = 0; i < 3; i++) {
		if (all[i] && index-- == 0)
			return all[i];
	}
	return NULL;
}

static void status(struct block_driver *driver, FILE *out)
{
	const struct qcow2 *image = view_of(driver)->image;
	const struct qcow2_header *h = &image->header;
	const struct block_memory *memory = block_memory_of(driver->core);

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
	fprintf(out,
		", \"slow_writes\": %" PRIu64 ", \"commits\": %" PRIu64
		", \"allocated_clusters\": %" PRIu64
		", \"memory_bytes\": %" PRIu64
		", \"memory_all_bytes\": %" PRIu64
		", \"memory_limit_bytes\": %" PRIu64,
		image->slow_writes, image->epochs.commits,
		image->allocated_clusters, image->memory.bytes,
		memory->used_bytes, memory->limit_bytes);
}

const struct block_kind qcow2_view_kind = {
	.name = "qcow2",
	.help = "the image that a qcow2 format shows",
	.role = BLOCK_VIEW,
	.part = BLOCK_BACK,
	.anchor = BLOCK_IMAGE,
	.band = BAND_BOTTOM,
	.handles = VIEW_OPS,
	.options = view_options,
	.driver_bytes = sizeof(struct qcow2_view),
	.lane_bytes = sizeof(struct qcow2_lane),
	.open_co = open_co,
	.close_co = close_co,
	.lane_start = lane_start,
	.lane_stop = lane_stop,
	.submit = submit,
	.resize_co = resize_co,
	.space_co = space_co,
	.command_co = command_co,
	.rehearse_co = rehearse_co,
	.check_image_co = check_image_co,
	.status = status,
	.below = below,
};
