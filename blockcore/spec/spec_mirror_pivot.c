/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source comes to stand on its mirror's leg: a pivot like that of a move (spec_move.h)
 * whose target has everything already. What was below the mirror, with the listeners
 * that go with the image, becomes its leg in the same moment; or the mirror goes (`ends`),
 * and what was below it is closed and stays as it is then.
 *
 * Invariants
 *  1. The roles are what the document says that is durable: they change behind the gate,
 *     and back if that cannot be kept.
 *  2. The map is of the old leg until the document is durable: a crash in between costs
 *     a resync of all, and loses nothing.
 */
#include "blockcore/core/driver.h"
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
	/* Without a reference: `job` keeps it there. If it ends it is to be closed with
	 * the old generation, before the leg's source is. */
	struct mirror *mirror;
	bool ends;
	/* Of an exchange: what becomes the leg, and the mirror's options and document
	 * then; the old ones once that has happened. */
	struct block_source *base;
	struct block_driver *image[BLOCK_MAX_DRIVERS];
	unsigned count;
	void *options;
	struct doc *document;
};

static struct mirror_pivot *pivot_of(struct spec_move *move)
{
	return container_of(move, struct mirror_pivot, move);
}

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
			"the leg has %" PRIu64 " bytes, the source %" PRIu64
			": resize the shorter one",
			info.size_bytes, move->bytes);
	return 0;
}

/* -- the exchange --------------------------------------------------------- */

static void pivot_exchange_co(struct spec_move *move, enum spec_exchange step)
{
	struct mirror_pivot *pivot = pivot_of(move);

	if (step == SPEC_EXCHANGED) {
		mirror_leg_exchanged_co(pivot->mirror, pivot->base);
		pivot->base = NULL; /* the old leg, which `move` has, too */
	} else {
		mirror_leg_exchange(pivot->mirror, &pivot->base, pivot->options,
			&pivot->document);
	}
}

/* What goes with the old bottom; drivers that others need stay open for it. */
static int pivot_base_co(struct mirror_pivot *pivot, struct err *err)
{
	struct spec_move *move = &pivot->move;
	const struct block_stack *now = move->source->current;

	for (unsigned i = 0; i + 1 < now->count; i++) {
		if (spec_move_leaves_behind(move, now->driver[i]))
			pivot->image[pivot->count++] = now->driver[i];
	}
	pivot->image[pivot->count++] = move->bottom;
	for (unsigned i = 0; i < pivot->count; i++)
		block_driver_get(pivot->image[i]);
	bool taken;
	int error = block_stack_check(pivot->image, pivot->count, err);
	return error ? error
		     : spec_source_below_co(move->source,
			       pivot->mirror->driver.name, pivot->image,
			       pivot->count, &pivot->base, &taken, err);
}

/* {"leg": what becomes that}; NULL with *err. */
static struct doc *pivot_leg_doc(
	const struct mirror_pivot *pivot, struct err *err)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	struct doc *leg = NULL;

	if (out) {
		fputs("{\"leg\": ", out);
		spec_print_stack(pivot->base->current, out);
		fputc('}', out);
	}
	if (out && !fclose(out))
		leg = doc_parse("leg", text, bytes, err);
	else
		err_set(err, ENOMEM, "no memory for a document");
	free(text);
	return leg;
}

/* The mirror as it will be written. */
static int pivot_document(struct mirror_pivot *pivot, struct err *err)
{
	struct block_driver *driver = &pivot->mirror->driver;
	struct doc *now = spec_driver_doc(driver, err);
	struct doc *leg = now ? pivot_leg_doc(pivot, err) : NULL;
	struct doc *all = leg ? spec_doc_copy(now, leg, err) : NULL;
	int error = all ? spec_options_kept(driver->kind, all, &pivot->options,
				  &pivot->document, err)
			: -ENOMEM;

	doc_free(now);
	doc_free(leg);
	doc_free(all);
	return error;
}

/* Nobody settles meanwhile: that flushes both. */
static int pivot_exchange_begin_co(struct mirror_pivot *pivot, struct err *err)
{
	co_mutex_lock_co(&pivot->mirror->turn);
	int error = pivot_base_co(pivot, err);

	return error ? error : pivot_document(pivot, err);
}

/* `error`: all is as it was. */
static void pivot_exchange_end_co(struct mirror_pivot *pivot, int error)
{
	struct mirror *mirror = pivot->mirror;

	if (pivot->base)
		block_source_put_co(pivot->base);
	spec_source_settle(pivot->image, pivot->count);
	for (unsigned i = 0; i < pivot->count; i++)
		block_driver_put_co(pivot->image[i]);
	if (pivot->options) {
		opts_free(mirror->driver.kind->options, pivot->options);
		free(pivot->options);
	}
	doc_free(pivot->document);
	if (!error)
		mirror_leg_settle_co(mirror);
	mirror->driver.job = NULL;
	co_mutex_unlock(&mirror->turn);
}

/* -- the job -------------------------------------------------------------- */

static void pivot_begin(struct mirror_pivot *pivot, struct job *owner)
{
	struct spec_move *move = &pivot->move;
	struct mirror *mirror = pivot->mirror;

	move->kind = SPEC_MOVE_COPY;
	move->owner = owner;
	move->job = "pivot";
	move->bottom = block_stack_bottom(move->source->current);
	move->bytes = block_source_info(move->source, move->lane).size_bytes;
	if (pivot->ends)
		move->through = &mirror->driver;
	else
		move->exchange_co = pivot_exchange_co;
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
	if (error || pivot->ends)
		return error ? error : spec_move_pivot_co(move, err);
	error = pivot_exchange_begin_co(pivot, err);
	if (!error)
		error = spec_move_pivot_co(move, err);
	pivot_exchange_end_co(pivot, error);
	return error;
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
	bool ends, struct job *owner, struct err *err)
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
	pivot->ends = ends;
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
