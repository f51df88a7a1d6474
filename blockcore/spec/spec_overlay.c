/* SPDX-License-Identifier: Apache-2.0 */
/*
 * External snapshots: a new image over what a source shows, under I/O.
 *
 *	make a source of the old bottom and the listeners that go with it
 *	open the new image over that source
 *	close the gate, wait; flush the old image; publish; open the gate
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
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Sources below each other that a snapshot may lead to: their document, nested in
 * the appliance's, stays well below DOC_MAX_DEPTH. */
#define OVERLAY_DEPTH_MAX 24u

struct overlay_run {
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
};

/* -- placement ------------------------------------------------------------ */

const char *spec_placement_name(enum spec_placement placement)
{
	static const char *const names[] = {[SPEC_PLACE_ANCHOR] = "",
		[SPEC_PLACE_HEAD] = "head",
		[SPEC_PLACE_IMAGE] = "image",
		[SPEC_PLACE_BOTH] = "both",
		[SPEC_PLACE_DROP] = "drop"};

	return names[placement];
}

int spec_placement_parse(
	const struct doc *node, enum spec_placement *placement, struct err *err)
{
	const char *text;
	int error = doc_text(node, &text, err);

	if (error)
		return error;
	for (unsigned i = SPEC_PLACE_HEAD; i <= SPEC_PLACE_DROP; i++) {
		if (!strcmp(text, spec_placement_name(i))) {
			*placement = (enum spec_placement)i;
			return 0;
		}
	}
	return doc_error(node, err, EINVAL,
		"a listener goes to the head, the image or both, or is dropped "
		"(head, image, both, drop); not '%s'",
		text);
}

static int overlay_placement(const struct overlay_run *run,
	const struct block_driver *listener, enum spec_placement *placement,
	struct err *err)
{
	const struct doc *said =
		doc_find(run->overlay->placement, listener->name);

	*placement = listener->kind->anchor == BLOCK_HEAD ? SPEC_PLACE_HEAD
							  : SPEC_PLACE_IMAGE;
	return said ? spec_placement_parse(said, placement, err) : 0;
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

		error = overlay_placement(run, listener, &place, err);
		if (!error &&
			(place == SPEC_PLACE_IMAGE || place == SPEC_PLACE_DROP))
			error = spec_check_stays(listener, err);
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

int spec_source_below_co(const struct block_source *source, const char *key,
	struct block_driver *const *driver, unsigned count,
	struct block_source **below, bool *taken, struct err *err)
{
	char name[BLOCK_NAME_BYTES];

	snprintf(name, sizeof(name), "%.40s/%s", source->name, key);
	int error =
		block_source_new(source->core, name, false, NULL, below, err);
	*taken = false;
	if (error)
		return error;
	(*below)->depth = source->depth + 1;
	struct block_change change = {.source = *below,
		.next = block_stack_new(*below, driver, count, false, err)};
	*taken = change.next;
	if (change.next) {
		co_mutex_lock_co(&(*below)->change);
		error = block_change_co(&change, err);
		co_mutex_unlock(&(*below)->change);
	}
	if (!change.next || error) {
		block_source_discard(*below);
		*below = NULL;
		return error ? error : -ENOMEM;
	}
	return 0;
}

void spec_source_settle(struct block_driver *const *driver, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		atomic_store(&driver[i]->released, false);
		driver[i]->detached = false;
	}
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
			"there are %u images above each other already: merge "
			"some of them first",
			OVERLAY_DEPTH_MAX);
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

static int overlay_flush_co(struct overlay_run *run, struct err *err)
{
	struct block_info info = block_source_info(run->base, run->control);
	int error = info.volatile_cache
		? block_transfer_co(
			  run->base, run->control, BLOCK_FLUSH, 0, 0, 0, NULL)
		: 0;

	return error
		? err_set(err, -error, "the old image cannot be flushed: %s",
			  strerror(-error))
		: 0;
}

static int overlay_behind_gate_co(void *argument, struct err *err)
{
	struct overlay_run *run = argument;
	const struct spec_overlay *overlay = run->overlay;
	int error = overlay_flush_co(run, err);

	if (error || !overlay->durable_co)
		return error;
	return overlay->durable_co(overlay->argument, err);
}

static int overlay_swap_co(struct overlay_run *run, struct err *err)
{
	struct block_source *source = run->source;
	struct block_change change = {.source = source,
		.gate = true,
		.deadline_ns = run->overlay->deadline_ns,
		.durable_co = overlay_behind_gate_co,
		.argument = run};

	if (!change.deadline_ns)
		change.deadline_ns = SPEC_GATE_DEADLINE_NS;
	run->head[run->head_count++] = run->fresh;
	int error = block_stack_check(run->head, run->head_count, err);
	/* Most of it before hosts have to wait. */
	if (!error)
		error = overlay_flush_co(run, err);
	if (error)
		return error;
	change.next = block_stack_new(source, run->head, run->head_count,
		source->current->tracked, err);
	if (!change.next)
		return -ENOMEM;
	run->fresh = NULL; /* the generation's from here on */
	error = block_change_co(&change, err);
	if (!error)
		spec_source_settle(run->image, run->image_count);
	return error;
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

static int overlay_run_co(struct overlay_run *run, struct err *err)
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
		error = overlay_swap_co(run, err);
	run->source->coming = NULL;
	if (run->fresh)
		block_driver_close_co(run->fresh);
	while (run->clone_count > 0)
		block_driver_close_co(run->clone[--run->clone_count]);
	if (run->base)
		block_source_put_co(run->base);
	overlay_leave_file_co(run, error);
	return error;
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

int spec_overlay_co(struct block_source *source,
	const struct spec_overlay *overlay, struct err *err)
{
	struct overlay_run run = {.overlay = overlay,
		.source = source,
		.control = block_core_lane(source->core, 0)};
	int error = overlay_check(&run, err);

	if (error)
		return error;
	co_mutex_lock_co(&source->change);
	error = overlay_run_co(&run, err);
	co_mutex_unlock(&source->change);
	return error ? err_wrap(err, "snapshot of '%s'", source->name) : 0;
}
