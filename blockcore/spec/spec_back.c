/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back to an external snapshot, under I/O.
 *
 *	base <-- head			base <-- head (closed, whole)
 *					     <-- new image, shown
 *
 *	open what the new image is to stand on, but for what is open already
 *	open the new image over it
 *	close the gate, wait; flush the old image; durable; publish; open the gate
 *
 * Invariants
 *  1. An image that both stand on is open once, and is never written to meanwhile: the
 *     old head serves hosts from it until the gate has closed.
 *  2. What hosts were told is written before the gate closed is in the old image, on
 *     the medium, before the change is durable.
 *  3. Where it fails, the file of the new image is gone if it was made for it.
 */
#include "blockcore/base/log.h"
#include "blockcore/core/change.h"
#include "blockcore/core/driver.h"
#include "blockcore/core/stack.h"
#include "blockcore/format/format.h"
#include "blockcore/spec.h"
#include "blockcore/spec/spec_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct back_run {
	const struct spec_back *back;
	struct block_source *source;
	struct block_lane *control;
	struct block_source *old; /* over the old bottom alone, to flush it */
	struct block_source *base; /* what the new image stands on */
	struct block_source *file; /* of the new image, once that is open */
	const struct block_format_kind *kind;
	struct block_driver *fresh; /* its view, not yet in a generation */
};

bool spec_lent(const struct block_source *above, const char *key,
	const struct doc *node, struct block_source **source)
{
	const struct spec_lent *lent = above->lent;
	const char *path = lent ? spec_image_path(node) : NULL;

	if (!path || strcmp(key, "backing") || strcmp(path, lent->path))
		return false;
	block_source_get(lent->source);
	*source = lent->source;
	return true;
}

/* -- who is in the way ---------------------------------------------------- */

/* Who shows a snapshot that an image keeps itself: it would not be found any more. */
static int back_check_views(const struct block_source *source, struct err *err)
{
	const struct block_driver *bottom = block_stack_bottom(source->current);
	const struct block_view *view;

	if (bottom->kind->role != BLOCK_VIEW)
		return 0;
	LIST_FOREACH (view,
		&container_of(bottom, struct block_view, driver)->format->views,
		link) {
		if (&view->driver != bottom)
			return err_set(err, EBUSY,
				"%s shows snapshot '%s' of an image that would "
				"go: take that away first",
				view->holder, view->snapshot);
	}
	return 0;
}

/* Of all images that the source does not stand on any more: down to `shared`. */
static int back_check_images(struct back_run *run,
	const struct block_source *shared, struct err *err)
{
	const struct block_source *one = run->source;
	int error = 0;

	for (; one && one != shared && !error; one = spec_image_below(one)) {
		error = back_check_views(one, err);
		if (!error && one != run->source)
			error = spec_check_image(run->source, one, err);
		if (!error && one != run->source && one->listed)
			break; /* another volume: it stays */
	}
	return error;
}

static int back_check(struct back_run *run, struct err *err)
{
	const struct doc *document = run->back->document;
	int error = spec_check_bottom(document, err);

	if (error)
		return error;
	const struct doc *format = spec_bottom_doc(document);
	if (strcmp(format->key, "format") || !doc_find(format, "backing"))
		return doc_error(format, err, EINVAL,
			"a new image over that of the snapshot is expected");
	error = spec_format_kind(format, &run->kind, err);
	if (!error && !run->kind->has_backing)
		error = doc_error(format, err, EINVAL,
			"%s has no backing files; qcow2 has", run->kind->name);
	return error;
}

/* -- the new image -------------------------------------------------------- */

/* The new image's size and what it stands on, as others find it. */
static struct doc *back_facts(
	struct back_run *run, const struct doc *format, struct err *err)
{
	struct block_info info = block_source_info(run->base, run->control);
	const char *type = NULL;
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	char *name = spec_backing_name(run->source->core,
		doc_find(format, "backing"), doc_find(format, "file"), &type);
	struct doc *facts = NULL;

	if (out) {
		fprintf(out, "{\"size\": %llu",
			(unsigned long long)info.size_bytes);
		if (name) {
			fputs(", \"backing_name\": ", out);
			json_print_string(out, name);
			fprintf(out, ", \"backing_format\": \"%s\"", type);
		}
		fputc('}', out);
	}
	if (out && !fclose(out))
		facts = doc_parse("", text, bytes, err);
	else
		err_set(err, ENOMEM, "no memory for a document");
	free(text);
	free(name);
	return facts;
}

/* `shared`: NULL, or what is lent. */
static int back_open_base_co(
	struct back_run *run, struct block_source *shared, struct err *err)
{
	const struct doc *node =
		doc_find(spec_bottom_doc(run->back->document), "backing");
	const struct spec_lent lent = {
		.path = run->back->shared, .source = shared};

	run->source->lent = shared ? &lent : NULL;
	int error = spec_open_below_co(
		run->source, "backing", node, &run->base, err);
	run->source->lent = NULL;
	return error;
}

static int back_open_co(struct back_run *run, struct err *err)
{
	const struct block_stack *now = run->source->current;
	const struct doc *format = spec_bottom_doc(run->back->document);
	struct doc *facts = back_facts(run, format, err);
	struct doc *map = facts ? spec_doc_copy(format, facts, err) : NULL;
	char name[BLOCK_NAME_BYTES];

	doc_free(facts);
	if (!map)
		return err ? -err->code : -ENOMEM;
	spec_name_free(now->driver, now->count - 1, spec_type_of(format), name);
	block_source_get(
		run->base); /* for the format; ours ends with the run */
	int error = spec_open_over_co(
		run->source, map, name, run->base, &run->fresh, err);
	doc_free(map);
	if (error)
		return error;
	run->file = container_of(run->fresh, struct block_view, driver)
			    ->format->file;
	block_source_get(run->file);
	return 0;
}

/* -- the swap ------------------------------------------------------------- */

static int back_old_co(struct back_run *run, struct err *err)
{
	struct block_driver *bottom = block_stack_bottom(run->source->current);
	bool taken;

	return spec_source_below_co(
		run->source, "old", &bottom, 1, &run->old, &taken, err);
}

static int back_flush_co(
	struct back_run *run, uint64_t patience_ns, struct err *err)
{
	return spec_flush_within_co(
		run->old, run->control, "what is there", patience_ns, err);
}

static int back_behind_gate_co(void *argument, struct err *err)
{
	struct back_run *run = argument;
	int error = back_flush_co(run, SPEC_GATE_FLUSH_NS, err);

	if (error || !run->back->durable_co)
		return error;
	return run->back->durable_co(run->back->argument, err);
}

static int back_swap_co(struct back_run *run, struct err *err)
{
	struct block_source *source = run->source;
	const struct block_stack *now = source->current;
	struct block_driver *driver[BLOCK_MAX_DRIVERS + 1];
	struct block_change change = {.source = source,
		.gate = true,
		.content_changed = true,
		.deadline_ns = run->back->deadline_ns ? run->back->deadline_ns
						      : SPEC_GATE_DEADLINE_NS,
		.durable_co = back_behind_gate_co,
		.argument = run};

	memcpy(driver, now->driver, now->count * sizeof(driver[0]));
	driver[now->count - 1] = run->fresh;
	int error = block_stack_check(driver, now->count, err);
	if (!error)
		error = back_flush_co(run, SPEC_ANSWER_NS,
			err); /* most of it before the gate */
	if (error)
		return error;
	change.next =
		block_stack_new(source, driver, now->count, now->tracked, err);
	if (!change.next)
		return -ENOMEM;
	run->fresh = NULL; /* the generation's from here on */
	return block_change_co(&change, err);
}

/* `failed`: the new image, which is closed, is not to be. */
static void back_leave_file_co(struct back_run *run, bool failed)
{
	if (!run->file)
		return;
	if (failed && run->kind->unmake_co(run->source->core, run->file))
		log_warning(block_source_name(run->file), "leftover",
			"the image that was made to go back to a snapshot is "
			"still there; use another file the next time");
	if (failed)
		spec_unmake(
			doc_find(spec_bottom_doc(run->back->document), "file"),
			run->file);
	block_source_put_co(run->file);
}

/* Who is in the way; *shared is what both stand on, borrowed, or NULL. */
static int back_check_free(
	struct back_run *run, struct block_source **shared, struct err *err)
{
	struct block_source *source = run->source;
	int error = spec_check_jobs(source, "go back to a snapshot", err);

	*shared = NULL;
	if (!error)
		error = spec_check_content(source, err);
	if (!error && run->back->shared) {
		*shared = spec_image_find(source, run->back->shared, err);
		error = *shared ? 0 : -ENOENT;
	}
	return error ? error : back_check_images(run, *shared, err);
}

int spec_back_check(struct block_source *source, const struct spec_back *back,
	struct err *err)
{
	struct back_run run = {.back = back, .source = source};
	struct block_source *shared;
	int error = back_check(&run, err);

	return error ? error : back_check_free(&run, &shared, err);
}

static int back_run_co(struct back_run *run, struct err *err)
{
	struct block_source *source = run->source, *shared;
	int error = back_check_free(run, &shared, err);

	if (!error)
		error = back_open_base_co(run, shared, err);
	if (!error)
		error = back_open_co(run, err);
	if (!error)
		error = spec_announce(source, run->fresh, err);
	if (!error)
		error = back_old_co(run, err);
	if (!error)
		error = back_swap_co(run, err);
	source->coming = NULL;
	if (run->fresh)
		block_driver_close_co(run->fresh);
	if (run->old)
		block_source_put_co(run->old);
	if (run->base)
		block_source_put_co(run->base);
	back_leave_file_co(run, error);
	return error;
}

int spec_back_co(struct block_source *source, const struct spec_back *back,
	struct err *err)
{
	struct back_run run = {.back = back,
		.source = source,
		.control = block_core_lane(source->core, 0)};
	int error = back_check(&run, err);

	if (error)
		return error;
	co_mutex_lock_co(&source->change);
	error = back_run_co(&run, err);
	co_mutex_unlock(&source->change);
	return error
		? err_wrap(err, "source '%s': back to a snapshot", source->name)
		: 0;
}
