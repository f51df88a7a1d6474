/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener backup: reading the moment. What is in the target comes from there; the
 * rest from below, with a lock that keeps it from being changed meanwhile: who wants
 * to change it copies it first, and that waits for readers.
 *
 * Invariant: a request is read in parts, each from one place; a part from below is
 * looked at again when it is locked.
 */
#include "blockcore/listener/backup.h"

#include "blockcore/base/iov.h"

#include <errno.h>

static void step(struct backup_op *op);

static bool part_read(struct block_request *child, struct block_frame *frame)
{
	struct backup_op *op = frame->context;
	int result = child->result;

	op->child = NULL;
	op->at = child->offset_bytes + child->length_bytes;
	if (frame->value)
		backup_unlock(op);
	if (result)
		backup_work_end(op, result);
	else
		step(op);
	return true;
}

static bool part_of_target(
	struct block_request *child, struct block_frame *frame)
{
	frame->value = 0;
	return part_read(child, frame);
}

static bool part_of_below(
	struct block_request *child, struct block_frame *frame)
{
	frame->value = 1;
	return part_read(child, frame);
}

/* `bytes` from op->at on, or fewer, if the request's memory is in many slices. NULL
 * with the lock given back. */
static struct block_request *part(
	struct backup_op *op, uint64_t bytes, bool target)
{
	struct block_request *request = op->request;
	struct block_request *child =
		backup_work_child(op, target ? part_of_target : part_of_below);
	uint64_t skip = op->at - request->offset_bytes;
	unsigned slices = 0;

	while (child && bytes &&
		!(slices = iov_slice(op->slice, BACKUP_SLICES, request->iov,
			  request->iov_count, skip, bytes)))
		bytes = bytes / 2 & ~(uint64_t)(BLOCK_SECTOR_BYTES - 1);
	if (!child || !slices) {
		op->child = NULL;
		if (child)
			block_child_put(child);
		if (!target)
			backup_unlock(op);
		backup_work_end(op, child ? -EINVAL : -ENOMEM);
		return NULL;
	}
	child->op = BLOCK_READ;
	child->offset_bytes = op->at;
	child->length_bytes = bytes;
	child->iov = op->slice;
	child->iov_count = slices;
	return child;
}

static uint64_t run_bytes(const struct backup_op *op)
{
	const struct backup_driver *backup = op->lane->backup;
	uint64_t first = op->at >> backup->shift;
	uint64_t run =
		backup_run(backup, first, (op->end - 1) >> backup->shift);
	uint64_t to = (first + run) << backup->shift;

	return (to < op->end ? to : op->end) - op->at;
}

static void locked(struct backup_op *op)
{
	const struct backup_driver *backup = op->lane->backup;
	uint64_t first = op->at >> backup->shift;
	struct block_request *child;

	if (backup_is_copied(backup, first) ||
		backup_run(backup, first, op->lock.last) !=
			op->lock.last - first + 1) {
		backup_unlock(op);
		step(op);
		return;
	}
	child = part(op, run_bytes(op), false);
	if (child)
		block_pass(child);
}

static void step(struct backup_op *op)
{
	struct backup_driver *backup = op->lane->backup;
	struct block_request *child;

	if (op->request->cancelled || op->at == op->end ||
		!backup_is_active(backup)) {
		backup_work_end(op,
			op->request->cancelled		   ? -ECANCELED
				: backup_is_active(backup) ? 0
							   : -EIO);
		return;
	}
	uint64_t bytes = run_bytes(op), first = op->at >> backup->shift;
	if (!backup_is_copied(backup, first)) {
		backup_lock(op, first, (op->at + bytes - 1) >> backup->shift,
			false, locked);
		return;
	}
	child = part(op, bytes, true);
	if (child)
		block_submit(backup->driver.others[0], child);
}

void backup_read(struct backup_op *op)
{
	counter_add(&op->lane->point_reads, 1);
	step(op);
}
