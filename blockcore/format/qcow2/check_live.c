/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: check of an image that hosts use.
 *
 * Invariants
 *  1. Without repair nobody waits for it, but for a commit at its begin, which puts
 *     on disk what it reads.
 *  2. It says nothing of clusters that changed since (watch.h). If tables change as
 *     wholes it begins anew, some times.
 *  3. A repair holds up all changes of tables; reads and overwrites go on.
 */
#include "blockcore/format/qcow2/check.h"

#include <errno.h>
#include <string.h>

#define TRIES 4u

/* All is locked: what writes has ended, and what comes waits. Nobody is waited for
 * who may wait for them: so what is on its way is noted, not finished. */
static int begin_locked_co(struct qcow2_checker *c, struct err *err)
{
	struct qcow2 *image = c->image;
	int error = qcow2_watch_begin_co(image);

	if (error)
		return err_set(err, -error, "the image is %s",
			error == -EBUSY ? "being checked already"
					: "too large for the memory");
	c->watch = image->watch;
	if (image->begun)
		error = qcow2_epoch_commit_co(image);
	return error ? qcow2_io_refuse(image, error, err)
		     : qcow2_check_begin(c, err);
}

static void end(struct qcow2_checker *c)
{
	qcow2_check_end(c);
	if (!c->watch)
		return;
	c->check->changed = c->watch->noted;
	qcow2_watch_end(c->image);
}

/* -- repair --------------------------------------------------------------- */

static int repair_begun_co(struct qcow2_checker *c, struct err *err)
{
	int error = qcow2_check_run_co(c, err);

	if (error)
		return error;
	error = qcow2_epoch_commit_co(c->image);
	return error ? err_set(err, -error, "the repair cannot be written: %s",
			       strerror(-error))
		     : 0;
}

static int repair_locked_co(struct qcow2_checker *c, struct err *err)
{
	int error = qcow2_write_begin_co(c->image);

	if (error)
		return err_set(err, -error,
			"the image cannot be repaired while it is in use so");
	error = begin_locked_co(c, err);
	if (!error)
		error = repair_begun_co(c, err);
	end(c);
	return error;
}

static int repair_co(
	struct qcow2 *image, struct block_check *check, struct err *err)
{
	struct qcow2_checker c = {.image = image, .check = check};
	struct qcow2_op all = {.image = image};

	if (image->format.read_only)
		return err_set(err, EROFS,
			"the image is read-only: it is not repaired");
	qcow2_lock_co(&all, 0, UINT64_MAX);
	int error = repair_locked_co(&c, err);
	qcow2_unlock(&all);
	return error;
}

/* -- looking only --------------------------------------------------------- */

static int begin_co(struct qcow2_checker *c, struct err *err)
{
	struct qcow2_op all = {.image = c->image};

	qcow2_lock_co(&all, 0, UINT64_MAX);
	int error = begin_locked_co(c, err);
	qcow2_unlock(&all);
	return error;
}

/* -EAGAIN: what it has found is worth nothing, as it was disturbed. */
static int look_once_co(
	struct qcow2 *image, struct block_check *check, struct err *err)
{
	struct qcow2_checker c = {.image = image, .check = check};
	int error = begin_co(&c, err);

	if (!error)
		error = qcow2_check_run_co(&c, err);
	if (c.watch && c.watch->disturbed && error != -ECANCELED)
		error = err_set(err, EAGAIN, "%s: try again when it is done",
			c.watch->disturbed);
	end(&c);
	return error;
}

static int check_calm(const struct qcow2 *image, struct err *err)
{
	if (image->share || image->revert || image->deleting)
		return err_set(err, EBUSY,
			"a snapshot is being made or deleted: counts and "
			"tables do not agree until that is done; try again");
	if (image->resizing)
		return err_set(err, EBUSY,
			"the size of the image is being changed; try again");
	return 0;
}

static int look_co(
	struct qcow2 *image, struct block_check *check, struct err *err)
{
	const struct block_check asked = *check;
	int error = -EAGAIN;

	for (unsigned i = 0; i < TRIES && error == -EAGAIN; i++) {
		*check = asked;
		error = check_calm(image, err);
		if (!error)
			error = look_once_co(image, check, err);
	}
	return error;
}

int qcow2_check_live_co(
	struct qcow2 *image, struct block_check *check, struct err *err)
{
	int error = check_calm(image, err);

	if (!error && !image->refcounts.table)
		error = qcow2_refcount_open_co(image, err);
	if (error)
		return error;
	return check->repair_leaks || check->repair_errors
		? repair_co(image, check, err)
		: look_co(image, check, err);
}
