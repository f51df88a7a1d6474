/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internal snapshots: kept by the format itself, in the image. The source's gate
 * gives the moment; the format prepares before it and completes after it. To delete
 * one needs no moment: what hosts see stays. A group has one moment: each gate is
 * closed behind the one before it, and all are taken behind the last.
 *
 * Invariant: the source does not change otherwise until the snapshot is whole, or gone.
 */
#include "blockcore/core/change.h"
#include "blockcore/core/stack.h"
#include "blockcore/format/format.h"
#include "blockcore/spec.h"
#include "blockcore/spec/spec_internal.h"

#include <errno.h>
#include <stdlib.h>
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
static int spec_shot_gate_co(struct spec_shot *shot,
	int (*behind_co)(void *argument, struct err *err), void *argument,
	struct err *err)
{
	struct block_stack *now = shot->source->current;
	struct block_change change = {.source = shot->source,
		.gate = true,
		.content_changed = shot->safety != NULL,
		.deadline_ns = shot->deadline_ns,
		.durable_co = behind_co,
		.argument = argument};

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
	struct block_view *view = NULL;

	if (bottom->kind->role != BLOCK_VIEW)
		return err_set(err, EOPNOTSUPP,
			"it shows no format that could keep a snapshot, as "
			"qcow2 does: migrate it to a file of that format "
			"first");
	view = container_of(bottom, struct block_view, driver);
	if (!view->format->kind->snapshot_begin_co)
		return err_set(err, EOPNOTSUPP,
			"format %s has no snapshots; qcow2 has",
			view->format->kind->name);
	*out = view;
	return 0;
}

static int spec_shot_format(struct spec_shot *shot, struct err *err)
{
	struct block_view *view = NULL;
	int error = spec_shot_view(shot->source, &view, err);

	if (error)
		return error;
	if (!view->writable)
		return err_set(err, EROFS,
			"its image is read-only: open it without that");
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
	error = spec_shot_gate_co(shot, spec_shot_take_co, shot, err);
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
int spec_check_content(const struct block_source *source, struct err *err)
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
	return 0;
}

static int spec_revert_check(struct spec_shot *shot, struct err *err)
{
	int error = spec_check_content(shot->source, err);

	if (!error)
		error = spec_check_job(
			shot->source, "go back to a snapshot", err);
	return error ? error : spec_shot_format(shot, err);
}

static int spec_revert_locked_co(struct spec_shot *shot, struct err *err)
{
	int error = spec_revert_check(shot, err);

	if (error)
		return error;
	const struct block_format_kind *kind = shot->format->kind;
	error = kind->revert_begin_co(
		shot->format, shot->name, shot->safety, err);
	if (error)
		return error;
	error = spec_shot_gate_co(shot, spec_shot_take_co, shot, err);
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

/* -- as if ---------------------------------------------------------------- */

int spec_rehearse_snapshot(
	struct block_source *source, const char *name, struct err *err)
{
	struct spec_shot shot = {.source = source, .name = name};
	int error = spec_check_name(name, err);

	if (!error)
		error = spec_shot_format(&shot, err);
	return error ? err_wrap(err, "snapshot '%s' of source '%s'", name,
			       source->name)
		     : 0;
}

int spec_rehearse_revert(struct block_source *source, const char *name,
	const char *safety, struct err *err)
{
	struct spec_shot shot = {.source = source, .name = name};
	int error = spec_check_name(safety, err);

	if (!error)
		error = spec_revert_check(&shot, err);
	return error ? err_wrap(err, "source '%s': back to snapshot '%s'",
			       source->name, name)
		     : 0;
}

/* -- which there are ------------------------------------------------------ */

int spec_snapshots_print_co(
	struct block_source *source, FILE *out, struct err *err)
{
	struct block_view *view = NULL;
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

/* -- of several sources at one moment ------------------------------------- */

struct spec_group {
	struct spec_shot shot[SPEC_GROUP_MOST];
	unsigned count, begun, closed;
};

static int spec_group_behind_co(void *argument, struct err *err);

static int spec_group_gate_co(struct spec_group *group, struct err *err)
{
	struct spec_shot *shot = &group->shot[group->closed++];

	return spec_shot_gate_co(shot, spec_group_behind_co, group, err);
}

/* Behind the gates of some; the next one, or, behind all of them, the moment. */
static int spec_group_behind_co(void *argument, struct err *err)
{
	struct spec_group *group = argument;
	int error = 0;

	if (group->closed < group->count)
		return spec_group_gate_co(group, err);
	for (unsigned i = 0; i < group->count && !error; i++)
		error = spec_shot_take_co(&group->shot[i], err);
	return error;
}

static int spec_group_begin_co(struct spec_group *group, struct err *err)
{
	int error = 0;

	while (group->begun < group->count && !error) {
		struct spec_shot *shot = &group->shot[group->begun];

		error = spec_shot_format(shot, err);
		if (!error)
			error = shot->format->kind->snapshot_begin_co(
				shot->format, shot->name, err);
		if (error)
			return err_wrap(err, "source '%s'", shot->source->name);
		group->begun++;
	}
	return 0;
}

/* One that was taken, and written to since, must become whole before it can go. */
static int spec_group_end_co(
	struct spec_group *group, int error, struct err *err)
{
	for (unsigned i = 0; i < group->begun; i++) {
		struct spec_shot *shot = &group->shot[i];
		int end = shot->format->kind->snapshot_end_co(
			shot->format, shot->taken, error ? NULL : err);

		shot->taken &= !end;
		error = error ? error : end;
	}
	for (unsigned i = 0; i < group->begun && error; i++) {
		struct spec_shot *shot = &group->shot[i];

		if (shot->taken)
			shot->format->kind->snapshot_delete_co(
				shot->format, shot->name, NULL);
	}
	return error;
}

void spec_lock_all_co(struct block_source *const *source, unsigned count)
{
	const struct block_source *last = NULL;

	for (unsigned n = 0; n < count; n++) {
		struct block_source *next = NULL;

		for (unsigned i = 0; i < count; i++) {
			if (source[i] > last && (!next || source[i] < next))
				next = source[i];
		}
		co_mutex_lock_co(&next->change);
		last = next;
	}
}

static int spec_group_fill(struct spec_group *group,
	const struct spec_moment *moment, struct err *err)
{
	if (!moment->count || moment->count > SPEC_GROUP_MOST)
		return err_set(err, EINVAL, "a group has 1 to %u sources",
			SPEC_GROUP_MOST);
	group->count = moment->count;
	for (unsigned i = 0; i < group->count; i++) {
		struct block_source *source = moment->source[i];

		for (unsigned j = 0; j < i; j++) {
			if (source == moment->source[j])
				return err_set(err, EINVAL,
					"source '%s' is named twice",
					source->name);
		}
		group->shot[i] = (struct spec_shot){.source = source,
			.name = moment->name,
			.deadline_ns = moment->deadline_ns};
	}
	return 0;
}

static int spec_group_locked_co(struct spec_group *group,
	const struct spec_moment *moment, struct err *err)
{
	int error =
		moment->begin_co ? moment->begin_co(moment->argument, err) : 0;

	if (error)
		return error;
	error = spec_group_begin_co(group, err);
	if (!error)
		error = spec_group_gate_co(group, err);
	return spec_group_end_co(group, error, err);
}

int spec_snapshot_group_co(const struct spec_moment *moment, struct err *err)
{
	struct spec_group *group = calloc(1, sizeof *group);
	int error = group ? spec_check_name(moment->name, err) : -ENOMEM;

	if (!error)
		error = spec_group_fill(group, moment, err);
	if (error) {
		free(group);
		return error;
	}
	spec_lock_all_co(moment->source, moment->count);
	error = spec_group_locked_co(group, moment, err);
	for (unsigned i = 0; i < group->count; i++)
		co_mutex_unlock(&group->shot[i].source->change);
	free(group);
	return error ? err_wrap(err, "snapshots '%s'", moment->name) : 0;
}
