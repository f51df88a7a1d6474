/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: clusters that go, because the backing file shows the same: a commit has
 * written them there.
 *
 * Invariants
 *  1. What is read stays the same: only clusters that the backing file reaches to the
 *     end of (as the image knows its size) go.
 *  2. They go as in DISCARD: what names them first, then their references (epoch.c).
 */
#include "blockcore/format/qcow2/create.h"
#include "blockcore/format/qcow2/share.h"

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The cluster at `at` is not in the image any more. */
static int leave_cluster_co(struct qcow2 *image, uint64_t at)
{
	static const uint64_t none[2];
	uint64_t old[2];
	struct qcow2_slice *slice;
	int error = qcow2_map_own_co(&image->map, at, &slice);

	if (error)
		return error;
	qcow2_map_entry(&image->map, at, old);
	qcow2_map_set(&image->map, slice, at, none);
	qcow2_epoch_free_entry(image, old[0]);
	qcow2_map_unpin(slice);
	return 0;
}

/* One cluster, or a run of holes; *at moves on. */
static int leave_step_co(struct qcow2 *image, uint64_t *at, uint64_t end)
{
	const uint64_t mask = image->geometry.cluster_bytes - 1;
	struct qcow2_piece piece;
	int error = 0;

	qcow2_map_look(&image->map, *at, end - *at, &piece);
	switch (piece.state) {
	case QCOW2_ABSENT: return qcow2_map_load_co(&image->map, *at);
	case QCOW2_BAD:
		return qcow2_io_corrupt(image, "wrong L2 entry for", *at);
	case QCOW2_HOLE: *at += piece.bytes; return 0;
	default: break;
	}
	error = leave_cluster_co(image, *at & ~mask);
	*at = (*at | mask) + 1;
	return error;
}

int qcow2_backing_leave_co(
	struct block_format *format, uint64_t offset, uint64_t bytes)
{
	struct qcow2 *image = qcow2_of(format);
	const uint64_t mask = image->geometry.cluster_bytes - 1;
	const unsigned bits = image->geometry.cluster_bits;
	uint64_t size = image->header.size_bytes;
	uint64_t at = (offset + mask) & ~mask;
	uint64_t end = smaller(offset + bytes, image->backing_bytes);
	struct qcow2_op lock = {.image = image};

	if (end < size)
		end &= ~mask;
	if (at >= end)
		return 0;
	int error = qcow2_write_begin_co(image);
	if (error)
		return error;
	qcow2_lock_co(&lock, at >> bits, (end - 1) >> bits);
	qcow2_share_settle_co(image, at, end - at);
	while (at < end && !error)
		error = leave_step_co(image, &at, end);
	qcow2_unlock(&lock);
	return error;
}
