/* SPDX-License-Identifier: Apache-2.0 */
/* Doing and undoing the steps; the plan is live_plan.c's. */
#include "target/control/appliance/live_change.h"

#include "blockcore/base/log.h"
#include "target/control/appliance/live_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* -- documents -------------------------------------------------------------- */

static struct doc *to_doc(const json_t *json, struct err *err)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
	if (!text) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	struct doc *doc = doc_parse("", text, strlen(text), err);
	free(text);
	return doc;
}

/* -- one step --------------------------------------------------------------- */

static int attach_co(
	struct block_source *source, const json_t *listener, struct err *err)
{
	struct doc *doc = to_doc(listener, err);
	if (!doc)
		return -EINVAL;
	int failed = spec_attach_co(source, doc, NULL, err);
	doc_free(doc);
	return failed;
}

static int configure_co(struct block_source *source, const char *name,
	const json_t *options, struct err *err)
{
	struct doc *doc = to_doc(options, err);
	if (!doc)
		return -EINVAL;
	int failed = spec_configure_co(source, name, doc, err);
	doc_free(doc);
	return failed;
}

static int reorder_co(
	struct block_source *source, const json_t *names, struct err *err)
{
	struct doc *doc = to_doc(names, err);
	if (!doc)
		return -EINVAL;
	int failed = spec_reorder_co(source, doc, SPEC_GATE_DEADLINE_NS, err);
	doc_free(doc);
	return failed;
}

/* Forward, or back with what was there before. */
static int do_step_co(struct block_source *source, const struct live_step *step,
	bool back, struct err *err)
{
	const json_t *value = back ? step->before : step->after;
	switch (step->kind) {
	case LIVE_DETACH:
	case LIVE_ATTACH:
		if ((step->kind == LIVE_ATTACH) == !back)
			return attach_co(source, value, err);
		return spec_detach_co(
			source, step->name, SPEC_GATE_DEADLINE_NS, err);
	case LIVE_CONFIGURE:
		return configure_co(source, step->name, value, err);
	/* Back: once, when all listeners are there again. */
	case LIVE_REORDER: return back ? 0 : reorder_co(source, value, err);
	case LIVE_RESIZE:
		return spec_resize_co(source,
			back ? step->bytes_before : step->bytes_after, err);
	case LIVE_SHRINK:
	case LIVE_OVERLAY:
	case LIVE_BACK:
	case LIVE_SWAP: break;
	}
	return 0;
}

/* Hosts' slow I/O delays it; they wait for it a moment at a time. */
static int patiently_do_step_co(struct block_source *source,
	const struct live_step *step, struct err *err)
{
	struct spec_patience patience = {0};
	int failed;
	do
		failed = do_step_co(source, step, false, err);
	while (spec_try_again_co(source, &patience, failed, err));
	return failed;
}

/* -- all -------------------------------------------------------------------- */

void live_change_undo_co(struct live_change *change)
{
	struct err ignored;
	bool reorder = change->done && json_array_size(change->order) > 1;
	while (change->done) {
		const struct live_step *step = &change->step[--change->done];
		struct err err = {0};
		if (do_step_co(change->source, step, true, &err))
			log_error(block_source_name(change->source), "undo",
				"a change was refused, and \"%s\" could not be "
				"taken back: %s",
				step->name, err.text);
	}
	if (reorder)
		reorder_co(change->source, change->order, &ignored);
}

int live_change_begin_co(struct live_change *change,
	struct block_source *source, struct err *err)
{
	change->source = source;
	for (unsigned i = 0; i < change->steps; i++) {
		if (live_is_swap(change->step[i].kind))
			continue;
		int failed =
			patiently_do_step_co(source, &change->step[i], err);
		if (failed) {
			live_change_undo_co(change);
			return failed;
		}
		change->done = i + 1;
	}
	return 0;
}

static int swap_co(struct live_change *change, const struct doc *bottom,
	int (*durable_co)(void *argument, struct err *err), void *argument,
	struct err *err)
{
	struct spec_swap swap = {.document = bottom,
		.deadline_ns = SPEC_GATE_DEADLINE_NS,
		.durable_co = durable_co,
		.argument = argument};
	return spec_swap_bottom_co(change->source, &swap, err);
}

bool live_change_is_overlay(const struct live_change *change)
{
	return change->steps == 1 && change->step[0].kind == LIVE_OVERLAY;
}

/* The documents are the caller's, to be freed also when it fails. */
static int fill_overlay(const struct live_change *change,
	struct spec_overlay *overlay, struct err *err)
{
	const struct live_step *step = &change->step[change->steps - 1];
	overlay->source = change->source;
	overlay->document = to_doc(step->after, err);
	overlay->placement =
		overlay->document ? to_doc(step->placement, err) : NULL;
	return overlay->placement ? 0 : -EINVAL;
}

int live_changes_overlay_co(struct live_change *const *change, unsigned count,
	int (*durable_co)(void *argument, struct err *err), void *argument,
	struct err *err)
{
	struct spec_patience patience = {0};
	struct spec_overlay *overlay = calloc(count, sizeof *overlay);
	const struct spec_overlays overlays = {.overlay = overlay,
		.count = count,
		.durable_co = durable_co,
		.argument = argument};
	int failed = overlay ? 0 : err_set(err, ENOMEM, "out of memory");
	for (unsigned i = 0; i < count && !failed; i++)
		failed = fill_overlay(change[i], &overlay[i], err);
	bool ready = !failed;
	while (ready) {
		failed = spec_overlay_group_co(&overlays, err);
		ready = spec_try_again_co(
			change[0]->source, &patience, failed, err);
	}
	for (unsigned i = 0; overlay && i < count; i++) {
		doc_free((struct doc *)overlay[i].document);
		doc_free((struct doc *)overlay[i].placement);
	}
	free(overlay);
	return failed;
}

static int back_co(struct live_change *change, const struct doc *document,
	int (*durable_co)(void *argument, struct err *err), void *argument,
	struct err *err)
{
	struct spec_back back = {.document = document,
		.shared = change->step[change->steps - 1].shared,
		.durable_co = durable_co,
		.argument = argument};
	return spec_back_co(change->source, &back, err);
}

/* If it cannot be made durable, the file gets the size that its document says, but
 * not its data. */
static int shrink_co(struct block_source *source, const struct live_step *step,
	int (*durable_co)(void *argument, struct err *err), void *argument,
	struct err *err)
{
	struct err why = {0};
	int failed = spec_resize_co(source, step->bytes_after, err);
	if (failed || !durable_co)
		return failed;
	failed = durable_co(argument, err);
	if (failed && step->bytes_before &&
		spec_resize_co(source, step->bytes_before, &why))
		log_error(block_source_name(source), "undo",
			"a smaller size was refused, and could not be taken "
			"back: %s",
			why.text);
	return failed;
}

static int swap_step_co(struct live_change *change, const struct doc *after,
	int (*durable_co)(void *argument, struct err *err), void *argument,
	struct err *err)
{
	const struct live_step *step = &change->step[change->steps - 1];
	switch (step->kind) {
	case LIVE_SHRINK:
		return shrink_co(
			change->source, step, durable_co, argument, err);
	case LIVE_BACK:
		return back_co(change, after, durable_co, argument, err);
	default: return swap_co(change, after, durable_co, argument, err);
	}
}

int live_change_swap_co(struct live_change *change,
	int (*durable_co)(void *argument, struct err *err), void *argument,
	struct err *err)
{
	const struct live_step *step = &change->step[change->steps - 1];
	struct spec_patience patience = {0};
	struct doc *after = NULL;
	int failed;
	if (step->kind == LIVE_OVERLAY)
		return live_changes_overlay_co(
			&change, 1, durable_co, argument, err);
	if (step->after && !(after = to_doc(step->after, err)))
		return -EINVAL;
	do
		failed = swap_step_co(change, after, durable_co, argument, err);
	while (spec_try_again_co(change->source, &patience, failed, err));
	doc_free(after);
	return failed;
}

/* -- as if ------------------------------------------------------------------ */

static int rehearse_overlay_co(const struct live_change *change,
	struct spec_rehearsal *rehearsal, struct err *err)
{
	struct spec_overlay overlay = {0};
	int failed = fill_overlay(change, &overlay, err);
	if (!failed)
		failed = spec_rehearse_overlay_co(rehearsal, &overlay, err);
	doc_free((struct doc *)overlay.document);
	doc_free((struct doc *)overlay.placement);
	return failed;
}

static int rehearse_document_co(struct spec_rehearsal *rehearsal,
	const struct live_step *step, const struct doc *document,
	struct err *err)
{
	const struct spec_swap swap = {.document = document};
	const struct spec_back back = {
		.document = document, .shared = step->shared};
	switch (step->kind) {
	case LIVE_ATTACH:
		return spec_rehearse_attach_co(rehearsal, document, NULL, err);
	case LIVE_REORDER:
		return spec_rehearse_reorder(rehearsal, document, err);
	case LIVE_SWAP: return spec_rehearse_swap_co(rehearsal, &swap, err);
	case LIVE_BACK: return spec_rehearse_back_co(rehearsal, &back, err);
	default: return 0;
	}
}

static int rehearse_step_co(const struct live_change *change,
	const struct live_step *step, struct spec_rehearsal *rehearsal,
	struct err *err)
{
	if (step->kind == LIVE_OVERLAY)
		return rehearse_overlay_co(change, rehearsal, err);
	if (step->kind == LIVE_DETACH)
		return spec_rehearse_detach(rehearsal, step->name, err);
	if (step->kind == LIVE_RESIZE || step->kind == LIVE_SHRINK)
		return spec_rehearse_resize(rehearsal, step->bytes_after, err);
	struct doc *document = to_doc(step->after, err);
	if (!document)
		return -EINVAL;
	int failed = rehearse_document_co(rehearsal, step, document, err);
	doc_free(document);
	return failed;
}

int live_change_rehearse_co(const struct live_change *change,
	struct block_source *source, struct err *err)
{
	struct spec_rehearsal *rehearsal = spec_rehearsal_begin(source, err);
	int failed = rehearsal ? 0 : -ENOMEM;
	for (unsigned i = 0; i < change->steps && !failed; i++)
		failed = rehearse_step_co(
			change, &change->step[i], rehearsal, err);
	if (rehearsal)
		spec_rehearsal_end_co(rehearsal);
	return failed;
}
