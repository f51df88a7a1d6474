/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: order, at home, between what changes entries of the same clusters.
 * Overwrites do not change any and take no lock.
 *
 * Invariant: in order of coming: nobody passes one that waits for the same
 * clusters.
 */
#include "blockcore/format/qcow2/qcow2.h"

static bool overlaps(const struct qcow2_op *a, const struct qcow2_op *b)
{
	return a->first <= b->last && b->first <= a->last;
}

/* In order: nobody passes one that waits for the same clusters. */
static bool must_wait(const struct qcow2 *image, const struct qcow2_op *op)
{
	const struct qcow2_op *other;

	TAILQ_FOREACH (other, &image->active, link) {
		if (overlaps(op, other))
			return true;
	}
	TAILQ_FOREACH (other, &image->waiting, link) {
		if (other == op)
			return false;
		if (overlaps(op, other))
			return true;
	}
	return false;
}

void qcow2_lock_co(struct qcow2_op *op, uint64_t first, uint64_t last)
{
	struct qcow2 *image = op->image;

	op->first = first;
	op->last = last;
	if (must_wait(image, op)) {
		op->waiter = co_self();
		TAILQ_INSERT_TAIL(&image->waiting, op, link);
		co_yield ();
		op->waiter = NULL;
		return; /* who woke it has made it active */
	}
	TAILQ_INSERT_TAIL(&image->active, op, link);
}

static struct qcow2_op *first_ready(struct qcow2 *image)
{
	struct qcow2_op *op;

	TAILQ_FOREACH (op, &image->waiting, link) {
		if (!must_wait(image, op))
			return op;
	}
	return NULL;
}

void qcow2_unlock(struct qcow2_op *op)
{
	struct qcow2 *image = op->image;
	struct qcow2_op *next;

	TAILQ_REMOVE(&image->active, op, link);
	while ((next = first_ready(image))) {
		TAILQ_REMOVE(&image->waiting, next, link);
		TAILQ_INSERT_TAIL(&image->active, next, link);
		co_resume(next->waiter);
	}
}
