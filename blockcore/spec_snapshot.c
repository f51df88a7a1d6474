/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internal snapshots: kept by the format itself, in the image. The source's gate
 * gives the moment; the format prepares before it and completes after it. To delete
 * one needs no moment: what hosts see stays.
 *
 * Invariant: the source does not change otherwise until the snapshot is whole, or gone.
 */
#include "blockcore/change.h"
#include "blockcore/format/format.h"
#include "blockcore/spec.h"
#include "blockcore/spec_internal.h"
#include "blockcore/stack.h"

#include <errno.h>
#include <string.h>

struct spec_shot {
	struct block_source *source;
	struct block_format *format;
	const char *name, *safety; /* the latter: to go back to `name` */
	uint64_t deadline_ns;
	bool taken;
};

static int spec_shot_take_co(void *argument, struct err *err)
{
	struct spec_shot *shot = argument;
	const struct block_format_kind *kind = shot->format->kind;
	int error = shot->safety ? kind->revert_take_co(shot->format, err)
				 : kind->snapshot_take_co(shot->format, err);

	shot->taken = !error;
	return error;
}

/* The same drivers, in a new generation: what was in flight has ended. */
static int spec_shot_gate_co(struct spec_shot *shot, struct err *err)
{
	struct block_stack *now = shot->source->current;
	struct block_change change = {.source = shot->source,
		.gate = true,
		.content_changed = shot->safety != NULL,
		.deadline_ns = shot->deadline_ns,
		.durable_co = spec_shot_take_co,
		.argument = shot};

	if (!change.deadline_ns)
		change.deadline_ns = SPEC_GATE_DEADLINE_NS;
	change.next = block_stack_new(
		shot->source, now->driver, now->count, now->tracked, err);
	return change.next ? block_change_co(&change, err) : -ENOMEM;
}

static int spec_shot_view(
	struct block_source *source, struct block_view **out, struct err *err)
{
	struct block_driver *bottom = block_stack_bottom(source->current);
	struct block_view *view;

	if (bottom->kind->role != BLOCK_VIEW)
		return err_set(err, EOPNOTSUPP,
			"it shows no format that could keep a snapshot");
	view = container_of(bottom, struct block_view, driver);
	if (!view->format->kind->snapshot_begin_co)
		return err_set(err, EOPNOTSUPP, "format %s has no snapshots",
			view->format->kind->name);
	*out = view;
	return 0;
}

static int spec_shot_format(struct spec_shot *shot, struct err *err)
{
	struct block_view *view;
	int error = spec_shot_view(shot->source, &view, err);

	if (error)
		return error;
	if (!view->writable)
		return err_set(err, EROFS, "its image is read-only");
	shot->format = view->format;
	return 0;
}

static int spec_shot_run_co(struct spec_shot *shot, struct err *err)
{
	int error = spec_shot_format(shot, err);

	if (error)
		return error;
	error = shot->format->kind->snapshot_begin_co(
		shot->format, shot->name, err);
	if (error)
		return error;
	error = spec_shot_gate_co(shot, err);
	int end = shot->format->kind->snapshot_end_co(
		shot->format, shot->taken, error ? NULL : err);
	return error ? error : end;
}

static int spec_check_name(const char *name, struct err *err)
{
	size_t bytes = strlen(name);

	return bytes && bytes < FORMAT_SNAPSHOT_BYTES
		? 0
		: err_set(err, EINVAL,
			  "the name of a snapshot has 1 to %u bytes",
			  FORMAT_SNAPSHOT_BYTES - 1);
}

int spec_snapshot_create_co(struct block_source *source, const char *name,
	uint64_t deadline_ns, struct err *err)
{
	struct spec_shot shot = {
		.source = source, .name = name, .deadline_ns = deadline_ns};
	int error = spec_check_name(name, err);

	if (error)
		return error;
	co_mutex_lock_co(&source->change);
	error = spec_shot_run_co(&shot, err);
	co_mutex_unlock(&source->change);
	return error ? err_wrap(err, "snapshot '%s' of source '%s'", name,
			       source->name)
		     : 0;
}

static int spec_shot_delete_co(struct spec_shot *shot, struct err *err)
{
	int error = spec_shot_format(shot, err);

	return error ? error
		     : shot->format->kind->snapshot_delete_co(
			       shot->format, shot->name, err);
}

int spec_snapshot_delete_co(
	struct block_source *source, const char *name, struct err *err)
{
	struct spec_shot shot = {.source = source, .name = name};
	int error = spec_check_name(name, err);

	if (error)
		return error;
	co_mutex_lock_co(&source->change);
	error = spec_shot_delete_co(&shot, err);
	co_mutex_unlock(&source->change);
	return error ? err_wrap(err, "snapshot '%s' of source '%s'", name,
			       source->name)
		     : 0;
}

/* -- back to one ---------------------------------------------------------- */

/* Who has laid something out in it, or relies on its content. */
static int spec_check_content(
	const struct block_source *source, struct err *err)
{
	const struct block_claim *claim;

	LIST_FOREACH (claim, &source->claims, link) {
		if (claim->mode == BLOCK_CLAIM_STABLE ||
			claim->mode == BLOCK_CLAIM_WRITE)
			return err_set(err, EBUSY,
				"%s relies on its content: take that away "
				"first",
				claim->holder);
	}
	return spec_check_job(source, "go back to a snapshot", err);
}

static int spec_revert_locked_co(struct spec_shot *shot, struct err *err)
{
	int error = spec_check_content(shot->source, err);

	if (!error)
		error = spec_shot_format(shot, err);
	if (error)
		return error;
	const struct block_format_kind *kind = shot->format->kind;
	error = kind->revert_begin_co(
		shot->format, shot->name, shot->safety, err);
	if (error)
		return error;
	error = spec_shot_gate_co(shot, err);
	int end = kind->revert_end_co(
		shot->format, shot->taken, error ? NULL : err);
	return error ? error : end;
}

int spec_snapshot_revert_co(struct block_source *source, const char *name,
	const char *safety, uint64_t deadline_ns, struct err *err)
{
	struct spec_shot shot = {.source = source,
		.name = name,
		.safety = safety,
		.deadline_ns = deadline_ns};
	int error = spec_check_name(name, err);

	if (!error)
		error = spec_check_name(safety, err);
	if (error)
		return error;
	co_mutex_lock_co(&source->change);
	error = spec_revert_locked_co(&shot, err);
	co_mutex_unlock(&source->change);
	return error ? err_wrap(err, "source '%s': back to snapshot '%s'",
			       source->name, name)
		     : 0;
}

/* -- which there are ------------------------------------------------------ */

int spec_snapshots_print_co(
	struct block_source *source, FILE *out, struct err *err)
{
	struct block_view *view;
	int error = spec_shot_view(source, &view, err);

	if (error)
		return err_wrap(err, "source '%s'", source->name);
	struct block_format *format = view->format;
	block_format_get(format); /* the source may let go of it */
	fputc('{', out);
	error = format->kind->snapshots_print_co(format, out, err);
	fputc('}', out);
	block_format_put_co(format);
	return error ? err_wrap(err, "source '%s'", source->name) : 0;
}
