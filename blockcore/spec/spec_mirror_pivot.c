/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source comes to stand on its mirror's leg: a pivot like that of a move (spec_move.h)
 * whose target has everything already. The mirror goes; what was below it is closed and
 * stays as it is then.
 */
#include "blockcore/core/stack.h"
#include "blockcore/listener/mirror.h"
#include "blockcore/spec/spec_internal.h"
#include "blockcore/spec/spec_mirror_internal.h"
#include "blockcore/spec/spec_move_internal.h"
#include "blockcore/spec_mirror.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct mirror_pivot {
	struct spec_move move;
	/* Without a reference: `job` keeps it there, and it is to be closed with the
	 * old generation, before the leg's source is. */
	struct mirror *mirror;
};

static int pivot_ready(const struct spec_move *move, struct err *err)
{
	struct mirror *mirror =
		container_of(move, struct mirror_pivot, move)->mirror;

	if (mirror_in_sync(mirror))
		return 0;
	if (mirror_error(mirror))
		return err_set(err, EAGAIN,
			"the leg has failed (%s): start the job resync, it "
			"opens it anew",
			strerror(-mirror_error(mirror)));
	return err_set(err, EAGAIN,
		"the leg lacks %" PRIu64 " bytes: start the job resync first",
		mirror_behind_bytes(mirror));
}

/* What the source would show is what it shows now, and nobody else has it. */
static int pivot_check_leg(const struct spec_move *move, struct err *err)
{
	struct block_info info = block_source_info(move->target, move->lane);

	if (move->target->listed)
		return err_set(err, EBUSY,
			"the leg is the source '%s', which has a life of its "
			"own: mirror to another one, or copy",
			move->target->name);
	if (info.size_bytes != move->bytes)
		return err_set(err, EINVAL,
			"the leg has %" PRIu64 " bytes, the source %" PRIu64,
			info.size_bytes, move->bytes);
	return 0;
}

static void pivot_begin(struct mirror_pivot *pivot, struct job *owner)
{
	struct spec_move *move = &pivot->move;
	struct mirror *mirror = pivot->mirror;

	move->kind = SPEC_MOVE_COPY;
	move->owner = owner;
	move->job = "pivot";
	move->bottom = block_stack_bottom(move->source->current);
	move->bytes = block_source_info(move->source, move->lane).size_bytes;
	move->through = &mirror->driver;
	move->ready = pivot_ready;
	if (mirror->driver.others_count) {
		move->target = mirror->driver.others[0];
		block_source_get(move->target);
	}
}

static int pivot_run_co(struct mirror_pivot *pivot, struct err *err)
{
	struct spec_move *move = &pivot->move;
	int error = pivot_ready(move, err);

	if (!error)
		error = spec_check_job(move->source, "pivot", err);
	if (!error)
		error = pivot_check_leg(move, err);
	return error ? error : spec_move_pivot_co(move, err);
}

/* `error`: the mirror is still there. */
static void pivot_end_co(struct mirror_pivot *pivot, int error)
{
	struct spec_move *move = &pivot->move;

	if (error)
		pivot->mirror->driver.job = NULL;
	if (move->target)
		block_source_put_co(move->target);
	block_source_put_co(move->source);
	free(pivot);
}

int spec_mirror_pivot_co(struct block_source *source, const char *name,
	struct job *owner, struct err *err)
{
	struct mirror_pivot *pivot = calloc(1, sizeof *pivot);
	struct mirror *mirror;
	int error = pivot ? spec_mirror_find(source, name, &mirror, err)
			  : err_set(err, ENOMEM, "no memory for a job");

	if (!error)
		error = spec_check_stays(&mirror->driver, err);
	if (error) {
		free(pivot);
		return err_wrap(err, "pivot of '%s'", source->name);
	}
	pivot->mirror = mirror;
	pivot->move.core = source->core;
	pivot->move.lane = block_core_lane(source->core, 0);
	pivot->move.root = pivot->move.source = source;
	block_source_get(source);
	mirror->driver.job = "pivot";
	pivot_begin(pivot, owner);
	error = pivot_run_co(pivot, err);
	pivot_end_co(pivot, error);
	return error ? err_wrap(err, "pivot of '%s'", source->name) : 0;
}
