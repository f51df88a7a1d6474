/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: EXTENTS: what is data and what reads as zeroes. Where nothing is
 * allocated the backing file is asked.
 */
#include "blockcore/format/qcow2/qcow2.h"

#include <errno.h>
#include <stdlib.h>

#define STEPS_MAX 4096u /* in one answer: a lane has other work, too */

/* False: no room for another one. */
static bool append(struct block_extents *answer, uint64_t offset,
	uint64_t bytes, unsigned flags)
{
	struct block_extent *last =
		answer->count ? &answer->extent[answer->count - 1] : NULL;

	if (!bytes)
		return true;
	if (last && last->flags == flags) {
		last->length_bytes += bytes;
		return true;
	}
	if (answer->count == answer->room)
		return false;
	answer->extent[answer->count++] = (struct block_extent){
		.offset_bytes = offset, .length_bytes = bytes, .flags = flags};
	return true;
}

/* -- the backing file ----------------------------------------------------- */

struct asking {
	struct co *co;
	bool done;
	int result;
};

static bool asking_ended(struct block_request *child, struct block_frame *frame)
{
	struct asking *asking = frame->context;

	asking->result = child->result;
	asking->done = true;
	co_resume(asking->co);
	return true;
}

static int ask_co(struct block_request *request, struct block_source *source,
	uint64_t offset, uint64_t bytes, struct block_extents *answer)
{
	struct asking asking = {.co = co_self()};
	struct block_request *child = block_child_get(request);

	if (!child)
		return -ENOMEM;
	child->offset_bytes = offset;
	child->length_bytes = bytes;
	child->extents = answer;
	child->purpose = PURPOSE_READ_BACKING_AIO;
	child->done = block_child_put;
	block_push(child, asking_ended, &asking, 0);
	block_submit(source, child);
	while (!asking.done)
		co_yield ();
	return asking.result;
}

/* Sets *covered: how much of the hole the answer tells. */
static int backing_co(
	struct qcow2_op *op, uint64_t offset, uint64_t bytes, uint64_t *covered)
{
	struct qcow2 *image = op->image;
	struct block_extent extent[16];
	struct block_extents below = {.extent = extent, .room = 16};
	bool local = op->request->flags & BLOCK_LOCAL;
	uint64_t end = local ? image->backing_reach : image->backing_bytes;
	uint64_t there = offset < end ? end - offset : 0;

	*covered = bytes;
	if (there && local) {
		*covered = there < bytes ? there : bytes;
		return append(op->request->extents, offset, *covered,
			       BLOCK_EXTENT_BACKING)
			? 0
			: 1;
	}
	if (!there)
		return append(op->request->extents, offset, bytes,
			       BLOCK_EXTENT_ZERO)
			? 0
			: 1;
	if (there > bytes)
		there = bytes;
	int error = ask_co(
		op->request, image->format.backing, offset, there, &below);
	*covered = 0;
	for (uint32_t i = 0; i < below.count && !error; i++) {
		error = append(op->request->extents, extent[i].offset_bytes,
				extent[i].length_bytes, extent[i].flags)
			? 0
			: 1;
		*covered += extent[i].length_bytes;
	}
	return error;
}

/* -- the whole ------------------------------------------------------------ */

static void load_at_home_co(struct qcow2_op *op)
{
	op->result = qcow2_map_load_co(op->lane->view->map, op->first);
}

/* 0: go on; 1: the answer is full; -errno. */
static int step_co(
	struct qcow2_op *op, uint64_t at, uint64_t left, uint64_t *covered)
{
	struct block_extents *answer = op->request->extents;
	struct qcow2_piece piece;

	qcow2_map_look(op->lane->view->map, at, left, &piece);
	*covered = piece.bytes;
	switch (piece.state) {
	case QCOW2_ABSENT:
		*covered = 0;
		op->first = at;
		return qcow2_read_home_co(op, load_at_home_co);
	case QCOW2_HOLE: return backing_co(op, at, piece.bytes, covered);
	case QCOW2_ZEROES:
		return append(answer, at, piece.bytes, BLOCK_EXTENT_ZERO) ? 0
									  : 1;
	case QCOW2_DATA:
	case QCOW2_PACKED:
		return append(answer, at, piece.bytes, BLOCK_EXTENT_DATA) ? 0
									  : 1;
	default: return qcow2_io_corrupt(op->image, "wrong L2 entry for", at);
	}
}

static void extents_co(void *argument)
{
	struct qcow2_op *op = argument;
	struct block_request *request = op->request;
	uint64_t at = request->offset_bytes, covered = 0;
	uint64_t end = at + request->length_bytes;
	int error = 0;

	for (unsigned i = 0; i < STEPS_MAX && at < end && !error; i++) {
		error = step_co(op, at, end - at, &covered);
		at += covered;
	}
	if (error > 0 || request->extents->count)
		error = 0;
	qcow2_read_end(op, error);
}

void qcow2_extents_start(struct qcow2_lane *lane, struct block_request *request)
{
	struct qcow2_op *op;

	request->extents->count = 0;
	if (!request->extents->room) {
		block_complete(request, -EINVAL);
		return;
	}
	op = qcow2_read_op(lane, request);
	if (!op)
		block_complete(request, -ENOMEM);
	else if (!co_start(extents_co, op))
		qcow2_read_end(op, -ENOMEM);
}
