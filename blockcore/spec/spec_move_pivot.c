/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves: the end. Behind the closed gate no change is under way; what is left is
 * flushed, the new document is durable, then the source stands on what it says.
 */
#include "blockcore/core/change.h"
#include "blockcore/core/driver.h"
#include "blockcore/core/stack.h"
#include "blockcore/job.h"
#include "blockcore/spec.h"
#include "blockcore/spec/spec_internal.h"
#include "blockcore/spec/spec_move_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIVOT_TRIES 50u
#define PIVOT_AGAIN_NS (200ull * 1000 * 1000)

struct pivot {
	struct spec_move *move;
	bool stay; /* on the old bottom: a copy is settled */
	struct block_driver *driver[2 * BLOCK_MAX_DRIVERS];
	unsigned count;
	struct block_stack *next;
};

void job_set_keeper(struct block_core *core, struct job_keeper *keeper)
{
	core->keeper = keeper;
}

/* -- the new generation --------------------------------------------------- */

static void pivot_add(struct pivot *pivot, struct block_driver *driver)
{
	unsigned at = pivot->count++;

	/* By bands; what was there first stays above. */
	while (at > 0 &&
		pivot->driver[at - 1]->kind->band > driver->kind->band) {
		pivot->driver[at] = pivot->driver[at - 1];
		at--;
	}
	pivot->driver[at] = driver;
}

static bool pivot_has(const struct pivot *pivot, const char *name)
{
	for (unsigned i = 0; i < pivot->count; i++) {
		if (!strcmp(pivot->driver[i]->name, name))
			return true;
	}
	return false;
}

static void pivot_deal(struct pivot *pivot)
{
	const struct spec_move *move = pivot->move;
	const struct block_stack *now = move->source->current;
	bool other = !pivot->stay && !spec_move_stays(move);
	const struct block_stack *below = other ? move->target->current : now;

	for (unsigned i = 0; i + 1 < now->count; i++) {
		if (now->driver[i] != move->through &&
			!spec_move_leaves_behind(move, now->driver[i]))
			pivot_add(pivot, now->driver[i]);
	}
	/* Of a listener that a snapshot has put above and below (both), the one
	 * above stays. */
	for (unsigned i = 0; other && i + 1 < below->count; i++) {
		if (!pivot_has(pivot, below->driver[i]->name))
			pivot_add(pivot, below->driver[i]);
	}
	pivot->driver[pivot->count++] = block_stack_bottom(below);
}

/* -- who keeps documents --------------------------------------------------- */

static struct job_keeper *pivot_keeper(const struct pivot *pivot)
{
	return pivot->stay ? NULL : pivot->move->core->keeper;
}

static struct job_pivot pivot_told(const struct pivot *pivot)
{
	const struct spec_move *move = pivot->move;
	struct job_pivot told = {
		.job = move->owner, .source = move->root, .kind = move->job};

	spec_image_above(move->root, move->source, &told.depth);
	return told;
}

int spec_move_warn_co(struct spec_move *move, struct err *err)
{
	const struct pivot pivot = {.move = move};
	struct job_keeper *keeper = pivot_keeper(&pivot);
	struct job_pivot told = pivot_told(&pivot);

	return keeper && keeper->spoil_co && move->kind == SPEC_MOVE_COMMIT
		? keeper->spoil_co(keeper, &told, err)
		: 0;
}

static void pivot_begin_co(const struct pivot *pivot)
{
	struct job_keeper *keeper = pivot_keeper(pivot);
	struct job_pivot told = pivot_told(pivot);

	if (keeper)
		keeper->begin_co(keeper, &told);
}

static void pivot_end_co(const struct pivot *pivot)
{
	struct job_keeper *keeper = pivot_keeper(pivot);
	struct job_pivot told = pivot_told(pivot);

	if (keeper)
		keeper->end_co(keeper, &told);
}

/* -- behind the gate ------------------------------------------------------ */

static int pivot_keep_co(struct pivot *pivot, struct err *err)
{
	struct job_keeper *keeper = pivot_keeper(pivot);
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = keeper ? open_memstream(&text, &bytes) : NULL;

	if (!keeper)
		return 0;
	if (!out)
		return err_set(err, ENOMEM, "no memory for a document");
	spec_print_stack(pivot->next, out);
	int error = fclose(out) ? err_set(err, ENOMEM, "no memory") : 0;
	struct job_pivot told = pivot_told(pivot);
	told.document = text;
	if (!error)
		error = keeper->keep_co(keeper, &told, err);
	free(text);
	return error;
}

static int pivot_flush_co(struct spec_move *move, struct err *err)
{
	if (move->kind == SPEC_MOVE_PULL)
		return 0; /* backing_drop_co does */
	if (move->ready)
		return move->ready(move, err) ? -EAGAIN
					      : spec_move_flush_co(move, err);
	int error = atomic_load(&move->follow->error);
	if (error)
		return err_set(
			err, -error, "the target failed: %s", strerror(-error));
	return spec_move_flush_co(move, err);
}

/* The image goes on without its backing file; back again if that cannot be kept. */
static int pivot_drop_co(struct pivot *pivot, struct err *err)
{
	struct block_format *format = pivot->move->format;
	struct block_source *backing = format->backing;
	int error = format->kind->backing_drop_co(format, true, err);

	if (error)
		return error;
	format->backing = NULL;
	error = pivot_keep_co(pivot, err);
	if (!error) {
		block_source_unclaim(&format->backing_claim);
		pivot->move->target = backing; /* put with the move */
		return 0;
	}
	format->backing = backing;
	format->kind->backing_drop_co(format, false, NULL);
	return error;
}

/* The format's claim of its backing file, and the job's of that to come. */
static void pivot_claim(struct spec_move *move, struct block_source *old)
{
	struct block_format *format = move->format;

	if (old)
		block_source_unclaim(&format->backing_claim);
	else
		format->backing_claim = (struct block_claim){0};
	block_source_unclaim(&move->claim);
	move->claimed = move->reaches = false;
	format->backing_claim.mode = BLOCK_CLAIM_STABLE;
	snprintf(format->backing_claim.holder,
		sizeof(format->backing_claim.holder), "backing of '%s'",
		move->source->name);
	/* As stable as the job's was. */
	block_source_claim(format->backing, &format->backing_claim, NULL);
}

/* The image stands on the target; on what it was if that cannot be kept. */
static int pivot_rebase_co(struct pivot *pivot, struct err *err)
{
	struct spec_move *move = pivot->move;
	struct block_format *format = move->format;
	struct block_source *old = format->backing;
	int error = format->kind->backing_swap_co(
		format, move->target, &move->name, err);

	if (error)
		return error;
	error = pivot_keep_co(pivot, err);
	if (error) {
		format->kind->backing_swap_co(format, old, &move->name, NULL);
		if (move->reaches)
			format->kind->backing_reach(format, move->target);
		return error;
	}
	pivot_claim(move, old);
	move->target = old; /* put with the move */
	return 0;
}

/* Of an exchange, with the roles that are to be. */
static int pivot_keep_roles_co(struct pivot *pivot, struct err *err)
{
	struct spec_move *move = pivot->move;

	if (!move->exchange_co)
		return pivot_keep_co(pivot, err);
	move->exchange_co(move, SPEC_EXCHANGE);
	int error = pivot_keep_co(pivot, err);
	move->exchange_co(move, error ? SPEC_EXCHANGE_BACK : SPEC_EXCHANGED);
	return error;
}

/* What hosts change from here on is not the target's. */
static int pivot_stay_co(struct spec_move *move, struct err *err)
{
	if (move->follow) {
		atomic_store(&move->follow->stopped, true);
		return 0;
	}
	if (move->ready(move, err))
		return -EAGAIN;
	return spec_carry_disown_co(move)
		? 0
		: err_set(err, EIO, "its end cannot be kept");
}

static int pivot_behind_gate_co(void *argument, struct err *err)
{
	struct pivot *pivot = argument;
	struct spec_move *move = pivot->move;
	int error;

	if (pivot->stay)
		return pivot_stay_co(move, err);
	if (move->kind == SPEC_MOVE_PULL)
		return pivot_drop_co(pivot, err);
	if (move->kind == SPEC_MOVE_REBASE || move->kind == SPEC_MOVE_STREAM)
		return pivot_rebase_co(pivot, err);
	error = pivot_flush_co(move, err);
	return error ? error : pivot_keep_roles_co(pivot, err);
}

/* -- the swap ------------------------------------------------------------- */

static int pivot_check(struct pivot *pivot, struct err *err)
{
	struct spec_move *move = pivot->move;
	struct block_source *source = move->source;
	int error = 0;

	pivot->count = 0;
	unsigned depth;
	if (block_stack_bottom(source->current) != move->bottom ||
		(source != move->root &&
			!spec_image_above(move->root, source, &depth)))
		return err_set(err, EBUSY,
			"its bottom is another one now: start the job again");
	pivot_deal(pivot);
	if (!pivot->stay)
		error = spec_move_check_views(move, err);
	if (!error && move->unsafe)
		error = spec_check_content(source, err);
	if (!error)
		error = block_stack_check(pivot->driver, pivot->count, err);
	if (!error && !pivot->stay && !spec_move_stays(move))
		error = spec_announce(
			source, pivot->driver[pivot->count - 1], err);
	return error;
}

static int pivot_try_co(struct pivot *pivot, struct err *err)
{
	struct spec_move *move = pivot->move;
	struct block_source *source = move->source;
	int error = pivot_check(pivot, err);

	/* Most of it before hosts have to wait. */
	if (!error && !pivot->stay)
		error = spec_move_flush_co(move, err);
	if (error)
		return error;
	pivot->next = block_stack_new(source, pivot->driver, pivot->count,
		source->current->tracked, err);
	if (!pivot->next)
		return -ENOMEM;
	struct block_change change = {.source = source,
		.next = pivot->next,
		.gate = true,
		.content_changed = move->unsafe,
		.deadline_ns = SPEC_GATE_DEADLINE_NS,
		.durable_co = pivot_behind_gate_co,
		.argument = pivot};
	error = block_change_co(&change, err);
	if (error)
		return error;
	/* With the old generation. */
	move->follow = NULL;
	move->mirror = NULL;
	return 0;
}

static int pivot_co(struct pivot *pivot, struct err *err)
{
	struct spec_move *move = pivot->move;
	struct block_source *source = move->source;
	int error = -ETIMEDOUT;

	for (unsigned i = 0; error == -ETIMEDOUT && i < PIVOT_TRIES; i++) {
		if (move->cancelled)
			return -ECANCELED;
		if (i)
			loop_sleep_co(move->lane->loop, PIVOT_AGAIN_NS);
		*err = (struct err){0};
		pivot_begin_co(pivot);
		co_mutex_lock_co(&source->change);
		error = pivot_try_co(pivot, err);
		source->coming = NULL;
		co_mutex_unlock(&source->change);
		pivot_end_co(pivot);
	}
	return error;
}

/* The target's source goes; its drivers, which go on in the source, may hold requests
 * again. */
static void pivot_leave_target_co(struct spec_move *move)
{
	struct block_driver *driver[BLOCK_MAX_DRIVERS];
	const struct block_stack *stack = move->source->current;
	unsigned count = stack->count;

	if (move->claimed)
		block_source_unclaim(&move->claim);
	move->claimed = move->reclaimed = false;
	memcpy(driver, stack->driver, count * sizeof(driver[0]));
	for (unsigned i = 0; i < count; i++)
		block_driver_get(driver[i]);
	if (move->target) /* REBASE: there may have been none */
		block_source_put_co(move->target);
	move->target = NULL;
	for (unsigned i = 0; i < count; i++) {
		atomic_store(&driver[i]->released, false);
		block_driver_put_co(driver[i]);
	}
}

int spec_move_pivot_co(struct spec_move *move, struct err *err)
{
	struct pivot pivot = {.move = move};
	int error = spec_move_rename_co(move, err);

	if (!error)
		error = pivot_co(&pivot, err);
	if (error)
		return error;
	pivot_leave_target_co(move);
	return 0;
}

int spec_move_settle_co(struct spec_move *move, struct err *err)
{
	struct pivot pivot = {.move = move, .stay = true};
	int error = pivot_co(&pivot, err);

	return error ? error : spec_move_flush_co(move, err);
}
