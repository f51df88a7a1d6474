/* SPDX-License-Identifier: Apache-2.0 */
/*
 * External snapshots: a new image over what a source shows, under I/O.
 *
 *	make a source of the old bottom and the listeners that go with it
 *	open the new image over that source
 *	close the gate, wait; flush the old image; publish; open the gate
 *
 * Of a group all is prepared, then all gates close, one behind the other.
 *
 * Invariants
 *  1. Until the gate has closed the old generation serves hosts alone: its drivers
 *     already stand in the source below too, but nobody writes there.
 *  2. What hosts were told is written is in the old image before the first write
 *     goes to the new one, and it is flushed: a FLUSH that a host sends later
 *     reaches the new image only.
 *  3. Where a snapshot fails, the file of the new image is gone if it was made for
 *     it, else as good as empty, so that the same can be tried again.
 *  4. A driver is never opened twice: one that goes down with its image takes what
 *     it knows with it (rules of a fault, figures).
 */
#include "blockcore/base/log.h"
#include "blockcore/core/change.h"
#include "blockcore/core/driver.h"
#include "blockcore/core/source.h"
#include "blockcore/core/stack.h"
#include "blockcore/format/format.h"
#include "blockcore/spec.h"
#include "blockcore/spec/spec_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Sources below each other that a snapshot may lead to: their document, nested in
 * the appliance's, stays well below DOC_MAX_DEPTH. */
#define OVERLAY_DEPTH_MAX 24u

struct overlay_group;

struct overlay_run {
	struct overlay_group *group; /* that it is of, one at least */
	const struct spec_overlay *overlay;
	struct block_source *source, *base;
	struct block_source *file; /* of the new image, once that is made */
	const struct block_format_kind *kind;
	struct block_lane *control;
	unsigned head_count, image_count; /* listeners and bottom */
	struct block_driver *head[BLOCK_MAX_DRIVERS + 1];
	struct block_driver *image[BLOCK_MAX_DRIVERS + 1];
	/* Opened for the image and not yet in a generation. */
	unsigned clone_count;
	struct block_driver *clone[BLOCK_MAX_DRIVERS];
	struct block_driver *fresh; /* the new image's view, likewise */
	struct block_stack *next; /* with all of that, not published */
};

/* Several at one moment: the gate of the first closes first, those of the others behind
 * it, one behind the other. */
struct overlay_group {
	const struct spec_overlays *overlays;
	unsigned closed; /* whose gates are about to close, or have */
	unsigned count;
	struct overlay_run run[];
};

/* -- placement ------------------------------------------------------------ */

/* Where a listener goes, and that it may. */
static int overlay_place(const struct overlay_run *run,
	const struct block_driver *listener, enum spec_placement *place,
	struct err *err)
{
	const struct doc *said =
		doc_find(run->overlay->placement, listener->name);
	int error = 0;

	*place = listener->kind->anchor == BLOCK_HEAD ? SPEC_PLACE_HEAD
						      : SPEC_PLACE_IMAGE;
	if (said)
		error = spec_placement_parse(said, place, err);
	if (!error && (*place == SPEC_PLACE_IMAGE || *place == SPEC_PLACE_DROP))
		error = spec_check_stays(listener, err);
	return error;
}

/* All that is placed are listeners of this source. */
static int overlay_check_placement(
	const struct overlay_run *run, struct err *err)
{
	const struct doc *map = run->overlay->placement;
	const struct block_stack *now = run->source->current;

	if (map && map->kind != DOC_MAP)
		return doc_error(map, err, EINVAL,
			"expected a map of listeners and their places");
	for (const struct doc *node = map ? map->first : NULL; node;
		node = node->next) {
		unsigned i = 0;

		while (i + 1 < now->count &&
			strcmp(now->driver[i]->name, node->key))
			i++;
		if (i + 1 >= now->count)
			return doc_key_error(node, err, ENOENT,
				"there is no listener '%s'", node->key);
	}
	return 0;
}

/* Another driver like `listener`, for the image. */
static int overlay_clone_co(struct overlay_run *run,
	struct block_driver *listener, struct block_driver **clone,
	struct err *err)
{
	struct doc *document = spec_driver_doc(listener, err);

	if (!document)
		return err ? -err->code : -ENOMEM;
	int error = spec_open_listener_co(
		run->source, document, listener->name, clone, err);
	doc_free(document);
	if (!error)
		run->clone[run->clone_count++] = *clone;
	return error;
}

/* Deals the drivers out to the head and the image, in their order. */
static int overlay_deal_co(struct overlay_run *run, struct err *err)
{
	const struct block_stack *now = run->source->current;
	int error = overlay_check_placement(run, err);

	for (unsigned i = 0; !error && i + 1 < now->count; i++) {
		struct block_driver *listener = now->driver[i];
		struct block_driver *below = listener;
		enum spec_placement place;

		error = overlay_place(run, listener, &place, err);
		if (!error && place == SPEC_PLACE_BOTH)
			error = overlay_clone_co(run, listener, &below, err);
		if (error)
			break;
		if (place == SPEC_PLACE_HEAD || place == SPEC_PLACE_BOTH)
			run->head[run->head_count++] = listener;
		if (place == SPEC_PLACE_IMAGE || place == SPEC_PLACE_BOTH)
			run->image[run->image_count++] = below;
	}
	run->image[run->image_count++] = block_stack_bottom(now);
	return error;
}

/* -- the old image -------------------------------------------------------- */

/* How many sources stand below each other under these drivers. */
static unsigned overlay_depth(
	struct block_driver *const *driver, unsigned count)
{
	unsigned deepest = 0;

	for (unsigned i = 0; i < count; i++) {
		const struct block_kind *kind = driver[i]->kind;
		const struct block_source *below;

		for (unsigned n = 0;
			kind->below && (below = kind->below(driver[i], n));
			n++) {
			const struct block_stack *stack = below->current;
			unsigned depth =
				1 + overlay_depth(stack->driver, stack->count);

			deepest = depth > deepest ? depth : deepest;
		}
	}
	return deepest;
}

/* A source of its own for the old bottom, which serves hosts until the swap. */
static int overlay_base_co(struct overlay_run *run, struct err *err)
{
	bool taken = false;
	int error = block_stack_check(run->image, run->image_count, err);

	if (!error &&
		overlay_depth(run->image, run->image_count) >=
			OVERLAY_DEPTH_MAX)
		error = err_set(err, EMLINK,
			"'%s' stands on %u images above each other, the "
			"most: delete some external snapshots or flatten it",
			run->source->name, OVERLAY_DEPTH_MAX);
	if (!error)
		error = spec_source_below_co(run->source, "backing", run->image,
			run->image_count, &run->base, &taken, err);
	if (taken)
		run->clone_count = 0; /* the generation's from here on */
	return error;
}

/* -- the new image -------------------------------------------------------- */

static int overlay_open_co(struct overlay_run *run, struct err *err)
{
	const struct doc *given = spec_bottom_doc(run->overlay->document);
	struct block_driver *bottom = block_stack_bottom(run->source->current);
	char name[BLOCK_NAME_BYTES];
	struct doc *more = spec_overlay_facts(run->source, given, err);
	struct doc *map = more ? spec_doc_copy(given, more, err) : NULL;

	doc_free(more);
	if (!map)
		return err ? -err->code : -ENOMEM;
	spec_name_free(run->head, run->head_count, spec_type_of(given), name);
	block_source_get(
		run->base); /* for the format; ours ends with the run */
	int error = spec_open_over_co(
		run->source, map, name, run->base, &run->fresh, err);
	doc_free(map);
	if (!error) {
		run->file = container_of(run->fresh, struct block_view, driver)
				    ->format->file;
		block_source_get(run->file);
	}
	if (!error && run->fresh->info.size_bytes != bottom->info.size_bytes)
		error = doc_error(given, err, EINVAL,
			"the new image has %llu bytes, the source %llu: make "
			"it as long",
			(unsigned long long)run->fresh->info.size_bytes,
			(unsigned long long)bottom->info.size_bytes);
	return error;
}

/* -- the swap ------------------------------------------------------------- */

static int overlay_flush_co(
	struct overlay_run *run, uint64_t patience_ns, struct err *err)
{
	return spec_flush_within_co(
		run->base, run->control, "the old image", patience_ns, err);
}

static int overlay_gate_co(struct overlay_run *run, struct err *err);

/* Behind the gates of some; the next one, or, behind all of them, the moment. */
static int overlay_behind_gate_co(void *argument, struct err *err)
{
	struct overlay_group *group = argument;
	const struct spec_overlays *overlays = group->overlays;
	int error = 0;

	if (group->closed < group->count)
		return overlay_gate_co(&group->run[group->closed++], err);
	for (unsigned i = 0; i < group->count && !error; i++)
		error = overlay_flush_co(
			&group->run[i], SPEC_GATE_FLUSH_NS, err);
	if (error || !overlays->durable_co)
		return error;
	return overlays->durable_co(overlays->argument, err);
}

static int overlay_gate_co(struct overlay_run *run, struct err *err)
{
	struct block_change change = {.source = run->source,
		.next = run->next,
		.gate = true,
		.deadline_ns = run->group->overlays->deadline_ns,
		.durable_co = overlay_behind_gate_co,
		.argument = run->group};

	if (!change.deadline_ns)
		change.deadline_ns = SPEC_GATE_DEADLINE_NS;
	run->next = NULL; /* published, or discarded */
	int error = block_change_co(&change, err);
	if (!error)
		spec_source_settle(run->image, run->image_count);
	return error;
}

/* All that is slow, and most of the flush, before hosts have to wait. */
static int overlay_next_co(struct overlay_run *run, struct err *err)
{
	struct block_source *source = run->source;

	run->head[run->head_count++] = run->fresh;
	int error = block_stack_check(run->head, run->head_count, err);
	if (!error)
		error = overlay_flush_co(run, SPEC_ANSWER_NS, err);
	if (error)
		return error;
	run->next = block_stack_new(source, run->head, run->head_count,
		source->current->tracked, err);
	if (!run->next)
		return -ENOMEM;
	run->fresh = NULL; /* the generation's from here on */
	return 0;
}

/* `failed`: the new image, which is closed, is not to be. */
static void overlay_leave_file_co(struct overlay_run *run, bool failed)
{
	if (!run->file)
		return;
	if (failed && run->kind->unmake_co(run->source->core, run->file))
		log_warning(block_source_name(run->file), "leftover",
			"the image that was made for a snapshot is still "
			"there; use another file the next time");
	if (failed)
		spec_unmake(doc_find(spec_bottom_doc(run->overlay->document),
				    "file"),
			run->file);
	block_source_put_co(run->file);
}

static int overlay_prepare_co(struct overlay_run *run, struct err *err)
{
	int error = spec_check_job(run->source, "take a snapshot", err);

	if (!error)
		error = overlay_deal_co(run, err);
	if (!error)
		error = overlay_base_co(run, err);
	if (!error)
		error = overlay_open_co(run, err);
	if (!error)
		error = spec_announce(run->source, run->fresh, err);
	if (!error)
		error = overlay_next_co(run, err);
	return error && run->group->count > 1
		? err_wrap(err, "snapshot of '%s'", run->source->name)
		: error;
}

static void overlay_end_co(struct overlay_run *run, bool failed)
{
	run->source->coming = NULL;
	if (run->next)
		block_stack_discard_co(run->next);
	if (run->fresh)
		block_driver_close_co(run->fresh);
	while (run->clone_count > 0)
		block_driver_close_co(run->clone[--run->clone_count]);
	if (run->base)
		block_source_put_co(run->base);
	overlay_leave_file_co(run, failed);
}

static int overlay_check(struct overlay_run *run, struct err *err)
{
	const struct doc *document = run->overlay->document;
	const struct doc *format, *not_here;
	int error = spec_check_bottom(document, err);

	if (error)
		return error;
	format = spec_bottom_doc(document);
	if (strcmp(format->key, "format"))
		return doc_error(format, err, EINVAL,
			"a snapshot needs a format that has backing files: "
			"qcow2");
	error = spec_format_kind(format, &run->kind, err);
	if (error)
		return error;
	if (!run->kind->has_backing)
		return doc_error(format, err, EINVAL,
			"%s has no backing files; qcow2 has", run->kind->name);
	not_here = doc_find(format, "backing");
	if (!not_here)
		not_here = doc_find(document, "listeners");
	if (not_here)
		return doc_key_error(not_here, err, EINVAL,
			"is what the source has now: leave it out");
	return 0;
}

int spec_overlay_check(struct block_source *source,
	const struct spec_overlay *overlay, struct err *err)
{
	const struct block_stack *now = source->current;
	struct overlay_run run = {.overlay = overlay, .source = source};
	enum spec_placement place;
	int error = overlay_check(&run, err);

	if (!error)
		error = spec_check_job(source, "take a snapshot", err);
	if (!error)
		error = overlay_check_placement(&run, err);
	for (unsigned i = 0; !error && i + 1 < now->count; i++)
		error = overlay_place(&run, now->driver[i], &place, err);
	return error;
}

/* -- groups --------------------------------------------------------------- */

static int overlay_group_run_co(struct overlay_group *group, struct err *err)
{
	unsigned begun = 0;
	int error = 0;

	while (begun < group->count && !error)
		error = overlay_prepare_co(&group->run[begun++], err);
	if (!error)
		error = overlay_gate_co(&group->run[group->closed++], err);
	while (begun > 0)
		overlay_end_co(&group->run[--begun], error);
	return error;
}

/* A source that lies on another closes first: what it sends down has ended then. */
static void overlay_group_order(struct overlay_group *group)
{
	for (unsigned i = 0; i < group->count; i++) {
		for (unsigned j = i + 1; j < group->count; j++) {
			struct overlay_run one = group->run[i];

			if (!spec_leads_to(group->run[j].source, one.source))
				continue;
			group->run[i] = group->run[j];
			group->run[j] = one;
			j = i; /* what has come here is compared with all */
		}
	}
}

static int overlay_group_fill(struct overlay_group *group, struct err *err)
{
	const struct spec_overlays *overlays = group->overlays;
	int error = 0;

	for (unsigned i = 0; i < group->count && !error; i++) {
		struct block_source *source = overlays->overlay[i].source;

		for (unsigned j = 0; j < i; j++) {
			if (source == overlays->overlay[j].source)
				return err_set(err, EINVAL,
					"source '%s' is named twice",
					source->name);
		}
		group->run[i] = (struct overlay_run){.group = group,
			.overlay = &overlays->overlay[i],
			.source = source,
			.control = block_core_lane(source->core, 0)};
		error = overlay_check(&group->run[i], err);
	}
	return error;
}

static int overlay_group_locked_co(struct overlay_group *group, struct err *err)
{
	struct block_source *source[SPEC_GROUP_MOST];

	for (unsigned i = 0; i < group->count; i++)
		source[i] = group->run[i].source;
	spec_lock_all_co(source, group->count);
	overlay_group_order(group);
	int error = overlay_group_run_co(group, err);
	for (unsigned i = 0; i < group->count; i++)
		co_mutex_unlock(&source[i]->change);
	return error;
}

int spec_overlay_group_co(const struct spec_overlays *overlays, struct err *err)
{
	struct overlay_group *group;
	int error;

	if (!overlays->count || overlays->count > SPEC_GROUP_MOST)
		return err_set(err, EINVAL, "a group has 1 to %u sources",
			SPEC_GROUP_MOST);
	group = calloc(
		1, sizeof(*group) + overlays->count * sizeof(group->run[0]));
	if (!group)
		return err_set(err, ENOMEM, "no memory for a snapshot");
	group->overlays = overlays;
	group->count = overlays->count;
	error = overlay_group_fill(group, err);
	if (!error)
		error = overlay_group_locked_co(group, err);
	free(group);
	return error;
}

int spec_overlay_co(struct block_source *source,
	const struct spec_overlay *overlay, struct err *err)
{
	struct spec_overlay one = *overlay;
	const struct spec_overlays overlays = {.overlay = &one,
		.count = 1,
		.deadline_ns = overlay->deadline_ns,
		.durable_co = overlay->durable_co,
		.argument = overlay->argument};

	one.source = source;
	int error = spec_overlay_group_co(&overlays, err);
	return error ? err_wrap(err, "snapshot of '%s'", source->name) : 0;
}
