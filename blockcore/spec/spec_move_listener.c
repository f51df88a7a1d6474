/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves: the listener that a job has in its source comes and goes. Beside a generation
 * with it, and without it, requests of the one before end.
 */
#include "blockcore/core/change.h"
#include "blockcore/core/driver.h"
#include "blockcore/core/range_lock.h"
#include "blockcore/core/stack.h"
#include "blockcore/kinds.h"
#include "blockcore/listener/mirror.h"
#include "blockcore/spec/spec_internal.h"
#include "blockcore/spec/spec_move_internal.h"

#include <errno.h>
#include <string.h>

static int move_publish_co(struct spec_move *move,
	struct block_driver *const *driver, unsigned count, struct err *err)
{
	struct block_source *source = move->source;
	struct block_stack *next =
		block_stack_new(source, driver, count, true, err);
	struct block_change change = {.source = source, .next = next};

	return next ? block_change_co(&change, err) : -ENOMEM;
}

/* With what the source has now; its turn is taken. */
static int move_join_co(
	struct spec_move *move, struct block_driver *fresh, struct err *err)
{
	struct block_driver *driver[BLOCK_MAX_DRIVERS + 1];
	struct block_source *source = move->source;
	const struct block_stack *now = source->current;
	unsigned front = now->front_count;
	int error = spec_check_jobs(move->root, "start another one", err);

	if (!error && block_stack_bottom(now) != move->bottom)
		error = err_set(
			err, EAGAIN, "its bottom has just changed: try again");
	if (!error && !source->locks)
		source->locks = range_lock_table_new();
	if (!error && !source->locks)
		error = err_set(err, ENOMEM, "no memory for a listener");
	if (error)
		return error;
	memcpy(driver, now->driver, front * sizeof(driver[0]));
	driver[front] = fresh;
	memcpy(driver + front + 1, now->driver + front,
		(now->count - front) * sizeof(driver[0]));
	error = block_stack_check(driver, now->count + 1, err);
	return error ? error
		     : move_publish_co(move, driver, now->count + 1, err);
}

int spec_move_attach_co(
	struct spec_move *move, struct block_driver *fresh, struct err *err)
{
	co_mutex_lock_co(&move->source->change);
	int error = move_join_co(move, fresh, err);
	co_mutex_unlock(&move->source->change);
	if (!error)
		move->through = fresh;
	else if (!fresh->references)
		block_driver_close_co(fresh);
	return error;
}

int spec_move_follow_co(struct spec_move *move, struct err *err)
{
	const struct block_stack *now = move->source->current;
	char name[BLOCK_NAME_BYTES];

	spec_name_free(now->driver, now->count, move->job, name);
	struct block_driver *fresh = block_driver_new(
		move->core, &follow_kind, name, NULL, NULL, err);
	if (!fresh)
		return -ENOMEM;
	struct follow *follow = container_of(fresh, struct follow, driver);
	if (!spec_move_stays(move))
		follow->target = move->target;
	int error = block_driver_open_co(fresh, err);
	if (error) {
		block_driver_free(fresh);
		return error;
	}
	error = spec_move_attach_co(move, fresh, err);
	if (!error)
		move->follow = follow;
	return error;
}

/* What is to leave; NULL: nothing, or it must not. */
static const struct block_driver *move_leaver_co(struct spec_move *move)
{
	if (move->follow) {
		atomic_store(&move->follow->stopped, true);
		return &move->follow->driver;
	}
	if (!move->mirror || move->stays || !spec_carry_disown_co(move))
		return NULL;
	return move->through;
}

/* While it is there: when it has left it may be gone at any time, or take long to go,
 * and whoever starts the job again finds the target's file locked. */
static void move_let_go_of_leg_co(
	const struct spec_move *move, const struct block_driver *leaver)
{
	const struct block_stack *now = move->source->current;
	const struct err ended = {.code = ENODEV, .text = "the job has ended"};
	struct mirror *mirror = move->mirror;
	bool there = false;

	for (unsigned i = 0; i < now->count; i++)
		there = there || now->driver[i] == leaver;
	if (!mirror || !there)
		return;
	co_mutex_lock_co(&mirror->turn);
	mirror_leg_is_not_there(mirror, &ended);
	mirror_turn_co(mirror); /* the leg's last answers are heard */
	mirror_leg_close_co(mirror);
	co_mutex_unlock(&mirror->turn);
}

void spec_move_detach_co(struct spec_move *move)
{
	struct block_driver *driver[BLOCK_MAX_DRIVERS];
	struct block_source *source = move->source;
	const struct block_driver *leaver = move_leaver_co(move);
	unsigned count = 0;

	if (leaver) {
		move_let_go_of_leg_co(move, leaver);
		co_mutex_lock_co(&source->change);
		const struct block_stack *now = source->current;
		for (unsigned i = 0; i < now->count; i++) {
			if (now->driver[i] != leaver)
				driver[count++] = now->driver[i];
		}
		while (move_publish_co(move, driver, count, NULL))
			loop_sleep_co(move->lane->loop, LOOP_AGAIN_NS);
		co_mutex_unlock(&source->change);
	}
	move->follow = NULL;
	move->mirror = NULL;
}
