/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves: what is checked, opened and claimed, and how all of that goes.
 */
#include "blockcore/spec_move.h"

#include "blockcore/core/stack.h"
#include "blockcore/figures.h"
#include "blockcore/spec.h"
#include "blockcore/spec/spec_internal.h"
#include "blockcore/spec/spec_move_internal.h"
#include "blockcore/spec_mirror.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* -- what it stands on ---------------------------------------------------- */

/* Who shows a snapshot in the image of a source, or the image itself. */
static const char *move_viewer(const struct block_source *source)
{
	const struct block_claim *claim;

	LIST_FOREACH (claim, &source->claims, link) {
		if (!strncmp(claim->holder, SPEC_VIEW_HOLDER,
			    strlen(SPEC_VIEW_HOLDER)))
			return claim->holder;
	}
	return "another view";
}

int spec_move_check_views(const struct spec_move *move, struct err *err)
{
	const struct block_driver *bottom = move->bottom;
	const struct block_format *format;

	if (bottom->kind->role != BLOCK_VIEW)
		return 0;
	format = container_of(bottom, struct block_view, driver)->format;
	if (format->references > 1)
		return err_set(err, EBUSY,
			"%s shows the same image or a snapshot in it (there "
			"are %u such views): flatten or remove who does first",
			move_viewer(move->root), format->references - 1);
	/* What is below stays there after a commit, which claims what it changes; what
	 * it writes down is in another file then. */
	return move->kind == SPEC_MOVE_COMMIT
		? spec_check_image(move->root, move->source, err)
		: spec_check_images(move->source,
			  move->kind == SPEC_MOVE_STREAM ? move->target : NULL,
			  err);
}

/* All but COPY: the image and its backing file, which nobody else relies on. */
static int move_find_backing(struct spec_move *move, struct err *err)
{
	struct block_driver *bottom = move->bottom;
	struct block_format *format;

	if (bottom->kind->role != BLOCK_VIEW)
		return err_set(err, EINVAL,
			"'%s' is no image with a backing file", bottom->name);
	format = container_of(bottom, struct block_view, driver)->format;
	if (!format->backing && move->kind != SPEC_MOVE_REBASE)
		return err_set(err, EINVAL,
			"the image has no backing file: it stands alone "
			"already");
	if (!format->kind->backing_free)
		return err_set(err, EOPNOTSUPP,
			"%s cannot change its backing file",
			format->kind->name);
	if (!container_of(bottom, struct block_view, driver)->writable)
		return err_set(err, EROFS,
			"the image is read-only: open it without that");
	move->format = format;
	return format->kind->backing_free(format, err);
}

/* The backing file may be written to as long as what is written is behind what the
 * image shows; nobody else may rely on it. */
static int move_reclaim(struct spec_move *move, struct err *err)
{
	struct block_claim *claim = &move->format->backing_claim;

	block_source_unclaim(claim);
	claim->mode = BLOCK_CLAIM_WRITE;
	int error = block_source_claim(move->target, claim, err);
	if (error) {
		claim->mode = BLOCK_CLAIM_STABLE;
		block_source_claim(move->target, claim, NULL);
		return err_wrap(err, "the backing file cannot be written to");
	}
	move->reclaimed = true;
	return 0;
}

static int move_take_backing_co(struct spec_move *move, struct err *err)
{
	struct block_source *backing = move->format->backing;
	struct block_info info = block_source_info(backing, move->lane);

	move->target = backing;
	block_source_get(backing);
	if (backing->listed)
		return err_set(err, EBUSY,
			"the backing file is the source '%s', which has a life "
			"of its own: flatten instead",
			backing->name);
	if (info.read_only)
		return err_set(err, EROFS,
			"the backing file is read-only: open it without that");
	if (info.size_bytes > move->bytes)
		return err_set(err, EFBIG,
			"the backing file has %" PRIu64 " bytes, the image "
			"%" PRIu64 ": it would grow",
			info.size_bytes, move->bytes);
	int error = move_reclaim(move, err);
	if (!error && info.size_bytes < move->bytes)
		error = block_source_resize_co(backing, move->bytes, err);
	return error;
}

/* -- another backing file -------------------------------------------------- */

static int move_name_target(struct spec_move *move, struct err *err)
{
	struct doc *to = spec_bottom_now(move->target, err);
	struct doc *file = to ? spec_bottom_now(move->format->file, err) : NULL;
	const char *type = "";
	char *name =
		file ? spec_backing_name(move->core, to, file, &type) : NULL;
	int error = file ? 0 : -ENOMEM;

	/* Without a name only the document leads to it. */
	if (name && strlen(name) >= sizeof move->name.name)
		error = err_set(err, ENAMETOOLONG,
			"the name of the backing file is too long");
	else if (name)
		snprintf(move->name.name, sizeof move->name.name, "%s", name);
	if (name)
		snprintf(move->name.type, sizeof move->name.type, "%s", type);
	free(name);
	doc_free(file);
	doc_free(to);
	return error;
}

/* It stays as it is, and the image is told of it. */
static int move_take_coming_co(
	struct spec_move *move, bool unsafe, struct err *err)
{
	move->claim.mode = BLOCK_CLAIM_STABLE;
	snprintf(move->claim.holder, sizeof(move->claim.holder),
		"job %s of '%s'", move->job, move->source->name);
	int error = block_source_claim(move->target, &move->claim, err);
	move->claimed = error == 0;
	if (!error)
		error = move_name_target(move, err);
	if (error || unsafe)
		return error;
	move->format->kind->backing_reach(move->format, move->target);
	move->reaches = true;
	return 0;
}

static int move_open_backing_co(struct spec_move *move,
	const struct spec_move_setup *setup, struct err *err)
{
	int error = setup->target->kind == DOC_MAP
		? spec_check(setup->target, err)
		: 0;

	if (!error)
		error = spec_open_below_co(move->source, "backing",
			setup->target, &move->target, err);
	return error ? error : move_take_coming_co(move, setup->unsafe, err);
}

/* The base, which is there already. */
static int move_find_base_co(
	struct spec_move *move, const char *path, struct err *err)
{
	struct block_source *base = spec_move_base(move->source, path, err);

	if (!base)
		return err ? -err->code : -ENOENT;
	block_source_get(base);
	move->target = base;
	return move_take_coming_co(move, false, err);
}

static int move_prepare_co(struct spec_move *move,
	const struct spec_move_setup *setup, struct err *err)
{
	int error = move_find_backing(move, err);

	if (error)
		return error;
	if (setup->kind == SPEC_MOVE_COMMIT)
		return move_take_backing_co(move, err);
	if (setup->kind == SPEC_MOVE_PULL)
		return 0;
	if (!move->format->kind->backing_swap_co)
		return err_set(err, EOPNOTSUPP,
			"%s cannot change its backing file",
			move->format->kind->name);
	return setup->kind == SPEC_MOVE_STREAM
		? move_find_base_co(move, setup->base, err)
		: move_open_backing_co(move, setup, err);
}

/* -- a target of its own -------------------------------------------------- */

static int move_check_target(struct spec_move *move, struct err *err)
{
	struct block_info info = block_source_info(move->target, move->lane);

	if (info.read_only)
		return err_set(err, EROFS,
			"the target is read-only: open it without that");
	if (!(info.ops & BLOCK_OP(BLOCK_WRITE)) ||
		!(info.ops & BLOCK_OP(BLOCK_WRITE_ZEROES)))
		return err_set(err, EINVAL, "the target cannot be written to");
	if (info.size_bytes != move->bytes)
		return err_set(err, EINVAL,
			"the target has %" PRIu64 " bytes, the source %" PRIu64
			": make it as long",
			info.size_bytes, move->bytes);
	move->claim.mode = BLOCK_CLAIM_WRITE;
	snprintf(move->claim.holder, sizeof(move->claim.holder),
		"job %s of '%s'", move->job, move->source->name);
	int error = block_source_claim(move->target, &move->claim, err);
	move->claimed = error == 0;
	return error;
}

/* Whether the target reads as zeroes, as far as EXTENTS can tell. */
static int move_is_zero_co(struct spec_move *move, bool *zero)
{
	struct block_extent extent[16];
	uint64_t at = 0;

	*zero = true;
	while (at < move->bytes && *zero) {
		struct block_extents answer = {.extent = extent, .room = 16};
		uint64_t before = at;
		int error = block_extents_co(move->target, move->lane,
			BLOCK_INTERNAL, at, move->bytes - at, &answer);

		if (error == -EOPNOTSUPP) {
			*zero = false;
			return 0;
		}
		if (error)
			return error;
		for (uint32_t i = 0; i < answer.count; i++) {
			*zero &= (extent[i].flags & BLOCK_EXTENT_ZERO) != 0;
			at += extent[i].length_bytes;
		}
		if (at == before)
			return -EIO;
	}
	return 0;
}

static int move_open_target_co(struct spec_move *move,
	const struct spec_move_setup *setup, struct err *err)
{
	int error = setup->target->kind == DOC_MAP
		? spec_check(setup->target, err)
		: doc_error(setup->target, err, EINVAL,
			  "expected a source: {protocol: ...} or {format: "
			  "...}");

	if (!error)
		error = spec_open_below_co(move->source, "target",
			setup->target, &move->target, err);
	if (!error)
		error = move_check_target(move, err);
	if (error)
		return error;
	error = move_is_zero_co(move, &move->zero);
	if (error)
		return err_set(err, -error, "the target cannot be read: %s",
			strerror(-error));
	if (!move->zero && !setup->overwrite && !setup->again)
		return err_set(err, EEXIST,
			"there is something in the target already: use an "
			"empty one, or say overwrite");
	return 0;
}

/* -- its life ------------------------------------------------------------- */

static int move_begin_co(struct spec_move *move,
	const struct spec_move_setup *setup, struct err *err)
{
	bool early = setup->pivots && setup->kind != SPEC_MOVE_STREAM;
	int error = early ? spec_move_check_views(move, err) : 0;

	spec_carry_find_co(move, setup);
	if (error)
		return error;
	if (move->bottom->kind->role == BLOCK_ALIAS)
		return err_set(err, EINVAL,
			"'%s' only shows another source: start the job there",
			move->source->name);
	error = setup->kind == SPEC_MOVE_COPY
		? move_open_target_co(move, setup, err)
		: move_prepare_co(move, setup, err);
	if (!error && !early && setup->pivots) /* the base is known now */
		error = spec_move_check_views(move, err);
	if (!error && setup->kind == SPEC_MOVE_COPY)
		error = spec_carry_begin_co(move, setup, err);
	return error || move->mirror ? error : spec_move_follow_co(move, err);
}

static int move_init(struct spec_move *move,
	const struct spec_move_setup *setup, struct err *err)
{
	struct block_source *source = setup->image
		? spec_image_source(setup->source, setup->image, err)
		: setup->source;

	if (!source)
		return err ? -err->code : -ENOENT;
	move->kind = setup->kind;
	move->core = source->core;
	move->lane = block_core_lane(source->core, 0);
	move->root = setup->source;
	move->source = source;
	move->owner = setup->owner;
	move->job = setup->job;
	move->keep_zeroes = setup->keep_zeroes;
	move->unsafe = setup->unsafe;
	move->bottom = block_stack_bottom(source->current);
	move->bytes = block_source_info(source, move->lane).size_bytes;
	block_source_get(source);
	block_source_get(move->root);
	return 0;
}

int spec_move_begin_co(const struct spec_move_setup *setup,
	struct spec_move **out, struct err *err)
{
	struct spec_move *move = calloc(1, sizeof *move);

	if (!move)
		return err_set(err, ENOMEM, "no memory for a job");
	int error = move_init(move, setup, err);
	if (error) {
		free(move);
		return error;
	}
	error = move_begin_co(move, setup, err);
	if (error) {
		err_wrap(err, "%s of '%s'", setup->job, setup->source->name);
		spec_move_end_co(move);
		return error;
	}
	*out = move;
	return 0;
}

uint64_t spec_move_bytes(const struct spec_move *move)
{
	return move->bytes;
}

void spec_move_leave(struct spec_move *move)
{
	move->stays = true;
}

void spec_move_end_co(struct spec_move *move)
{
	if (move->resync)
		spec_resync_end_co(move->resync);
	spec_move_detach_co(move);
	if (move->reclaimed) {
		struct block_claim *claim = &move->format->backing_claim;

		block_source_unclaim(claim);
		claim->mode = BLOCK_CLAIM_STABLE;
		block_source_claim(move->target, claim, NULL);
	}
	if (move->reaches)
		move->format->kind->backing_reach(move->format, NULL);
	if (move->claimed)
		block_source_unclaim(&move->claim);
	if (move->target)
		block_source_put_co(move->target);
	block_source_put_co(move->source);
	block_source_put_co(move->root);
	for (unsigned i = 0; i < SPEC_MOVE_CHUNKS; i++) {
		free(move->chunk[i].part.data);
		free(move->chunk[i].part.compared);
	}
	free(move);
}
