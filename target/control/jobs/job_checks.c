/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in the way of a job: whose file it would change under him, and room.
 *
 * Invariant: files are compared by what they are (device and inode), in the
 * appliance's index: so that costs the same with one volume as with a thousand.
 */
#include "blockcore/base/opts.h"
#include "blockcore/spec.h"
#include "target/control/appliance/appliance.h"
#include "target/control/config/json_doc.h"
#include "target/control/jobs/jobs_private.h"
#include "target/control/snapshots/snapshot_locks.h"
#include "target/control/snapshots/snapshot_records.h"
#include "target/control/snapshots/snapshot_users.h"
#include "target/volume/volume.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct job_kind *jobs_kind(const char *name)
{
	const struct job_kind *const *kind = job_kinds;
	while (*kind && strcmp((*kind)->name, name) != 0)
		kind++;
	return *kind;
}

/* -- stacks ------------------------------------------------------------------- */

struct block_source *jobs_source(const struct jobs *jobs, const char *volume)
{
	struct volume *found =
		appliance_find_volume(jobs->parts->appliance, volume);
	return found ? atomic_load(&found->source) : NULL;
}

/* What runs, or is to; a new reference, NULL: there is no such volume. */
static json_t *stack_of(const struct jobs *jobs, const char *volume)
{
	struct block_source *source = jobs_source(jobs, volume);
	const struct config_object *object =
		config_find(jobs->parts->config, CONFIG_VOLUME, volume);
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = source ? open_memstream(&text, &bytes) : NULL;
	if (!out)
		return object
			? json_incref(json_object_get(object->value, "source"))
			: NULL;
	spec_print(source, false, out);
	json_t *json = fclose(out) ? NULL : json_loadb(text, bytes, 0, NULL);
	free(text);
	return json;
}

/* The file that takes what is written to a source; NULL: there is none. */
static const char *written_file(const json_t *source)
{
	const json_t *format = json_object_get(source, "format");
	const json_t *file = format ? json_object_get(format, "file") : source;
	return json_string_value(
		json_object_get(json_object_get(file, "protocol"), "path"));
}

/* The part of a stack whose image is in that file; NULL (the file): the whole. */
static const json_t *image_of(const json_t *stack, const char *path)
{
	while (path && stack) {
		const char *here = written_file(stack);
		if (here && !strcmp(here, path))
			break;
		stack = snapshot_image_below(stack);
	}
	return stack;
}

/* The file that a job of that kind changes, in a stack of its own: borrowed from
 * `stack` or `to`. */
static const char *changed_file(
	const char *kind, const json_t *stack, const json_t *to)
{
	if (!strcmp(kind, "commit"))
		return written_file(snapshot_image_below(stack));
	return to ? written_file(to) : NULL;
}

/* -- who is in the way ---------------------------------------------------------- */

static int check_file(const struct jobs *jobs, const char *kind,
	const char *volume, const char *path, struct err *err)
{
	/* A commit changes what its own volume stands on; no target may be that. */
	bool commits = !strcmp(kind, "commit");
	const char *user = appliance_file_user(
		jobs->parts->appliance, commits ? volume : "", path);
	const char *owner = NULL, *branch = NULL;
	if (!user)
		branch =
			snapshot_branch_user(jobs->parts->config, path, &owner);
	if (branch)
		return err_set(err, EBUSY,
			"%s of volume %s would change %s, which snapshot %s of "
			"volume %s stands on: delete that one first, or go "
			"back to it",
			kind, volume, path, branch, owner);
	if (!user)
		return 0;
	return err_set(err, EBUSY,
		"%s of volume %s would change %s, which volume %s stands on: "
		"%s",
		kind, volume, path, user,
		commits ? "flatten that one first, or this one instead"
			: "take another file");
}

static int refuse_shown(const char *kind, const char *volume,
	const char *holder, struct err *err)
{
	return err_set(err, EBUSY,
		"volume %s shows or stands on an image under volume %s, which "
		"%s would take away: flatten or remove that one first",
		holder, volume, kind);
}

/* What a job takes away from under a volume may be shown by another one, which need
 * not run. `stack`: from the image that it is for on, `inner`: which is not the whole;
 * down to `stays` (NULL: to the end). */
static int check_images(const struct jobs *jobs, const struct job_kind *kind,
	const char *volume, const json_t *stack, bool inner,
	const json_t *stays, struct err *err)
{
	const struct config *config = jobs->parts->config;
	bool commits = !strcmp(kind->name, "commit");
	const json_t *below = stack;
	const char *holder = NULL, *path;
	if (!kind->pivots)
		return 0;
	if (inner && commits && (path = written_file(stack)))
		holder = snapshot_image_holder(config, volume, path);
	/* A commit leaves what is further down. */
	while (!holder && (below = snapshot_image_below(below)) &&
		below != stays) {
		path = written_file(below);
		if (path)
			holder = snapshot_image_holder(config, volume, path);
		if (commits)
			break;
	}
	return holder ? refuse_shown(kind->name, volume, holder, err) : 0;
}

/* A job that puts the volume on something else takes away from under it what it stands
 * on, and so the names of snapshots there: not of those that are locked. A commit only
 * moves the names of what it merges. */
static int check_parted(const struct jobs *jobs, const char *kind,
	const char *volume, const json_t *part, const json_t *stays,
	struct err *err)
{
	bool whole = !strcmp(kind, "migrate") || !strcmp(kind, "pivot");
	int failed = 0;
	if (!whole && strcmp(kind, "flatten") != 0 &&
		strcmp(kind, "stream") != 0 && strcmp(kind, "rebase") != 0)
		return 0;
	if (!whole)
		part = snapshot_image_below(part);
	for (; part && part != stays && !failed;
		part = snapshot_image_below(part)) {
		const char *path = written_file(part);
		if (path)
			failed = snapshot_lock_check(
				jobs->parts, path, NULL, err);
	}
	return failed ? err_wrap(err,
				"%s of volume %s would take an image away from "
				"under it",
				kind, volume)
		      : 0;
}

static int check_stack(const struct jobs *jobs, const char *kind,
	const char *volume, const json_t *stack, const struct doc *options,
	struct err *err)
{
	const struct doc *node = options ? doc_find(options, "to") : NULL;
	const struct doc *image = options ? doc_find(options, "image") : NULL;
	const struct doc *base = options ? doc_find(options, "base") : NULL;
	/* A rebase only reads it. */
	json_t *to = node && strcmp(kind, "rebase") != 0 ? json_from_doc(node)
							 : NULL;
	const json_t *part = image_of(stack, image ? image->text : NULL);
	const json_t *stays = base ? image_of(part, base->text) : NULL;
	const char *path = changed_file(kind, part, to);
	int failed = path ? check_file(jobs, kind, volume, path, err) : 0;
	if (!failed)
		failed = check_images(jobs, jobs_kind(kind), volume, part,
			part != stack, stays, err);
	if (!failed && path)
		failed = snapshot_lock_check(jobs->parts, path, NULL, err);
	if (!failed)
		failed = check_parted(jobs, kind, volume, part, stays, err);
	json_decref(to);
	return failed;
}

int jobs_check_files(const struct jobs *jobs, const char *kind,
	const char *volume, const struct doc *options, struct err *err)
{
	json_t *stack = stack_of(jobs, volume);
	int failed = check_stack(jobs, kind, volume, stack, options, err);
	json_decref(stack);
	return failed;
}

int jobs_check_order(const struct jobs *jobs, const char *kind,
	const char *volume, const json_t *options, struct err *err)
{
	char *text = json_dumps(options, JSON_COMPACT);
	struct doc *doc = text ? doc_parse("", text, strlen(text), err) : NULL;
	int failed = doc ? jobs_check_files(jobs, kind, volume, doc, err)
			 : err_set(err, ENOMEM, "out of memory");
	doc_free(doc);
	free(text);
	return failed;
}

/* -- room ------------------------------------------------------------------- */

int jobs_find_space_co(const struct jobs *jobs, struct block_source *source,
	const struct job_kind *kind, const struct doc *options,
	struct job_space *space, struct err *err)
{
	void *values = calloc(1, kind->options_bytes + 1);
	*space = (struct job_space){0};
	if (!values)
		return err_set(err, ENOMEM, "out of memory");
	int failed = kind->space_co ? opts_parse(kind->options, options, NULL,
					      values, kind->options_bytes, err)
				    : 0;
	if (!failed && kind->space_co) {
		block_source_get(source);
		failed = kind->space_co(
			jobs->parts->core, source, values, space, err);
		block_source_put_co(source);
		opts_free(kind->options, values);
	}
	free(values);
	return failed;
}

int jobs_check_space_co(const struct jobs *jobs, const char *name,
	const char *volume, const struct doc *options, struct err *err)
{
	struct block_source *source = jobs_source(jobs, volume);
	struct job_space space;
	int failed = source ? jobs_find_space_co(jobs, source, jobs_kind(name),
				      options, &space, err)
			    : 0; /* told when it starts */
	if (failed || !source || !*space.path ||
		space.needs_bytes <= space.free_bytes)
		return failed;
	return err_set(err, ENOSPC,
		"%s of volume %s needs %" PRIu64 " bytes where %s is, %" PRIu64
		" are free: make room there",
		name, volume, space.needs_bytes, space.path, space.free_bytes);
}
