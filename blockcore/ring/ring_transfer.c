/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short transfers, interrupted calls, and the end of the file; see the header.
 */
#include "blockcore/ring/ring_transfer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>

/* A call that is only ever told to come back later is given up after this. */
#define ATTEMPTS_MAX 1000

void ring_transfer_start(struct ring_op *op)
{
	assert(op->opcode <= RING_ALLOCATE && op->done);
	if (op->opcode <= RING_WRITE)
		assert(op->length_bytes > 0 && op->length_bytes <= INT32_MAX &&
			op->iov_count > 0);
	op->scratch[0] = op->scratch[1] = 0;
}

void ring_transfer_part(const struct ring_op *op, struct ring_part *part)
{
	uint64_t skip = op->scratch[0];
	const struct iovec *iov = op->iov;
	unsigned count = op->iov_count;
	part->offset_bytes = op->offset_bytes + skip;
	while (skip >= iov->iov_len) {
		skip -= iov->iov_len;
		iov++;
		count--;
		assert(count > 0);
	}
	if (skip == 0 && count > 1) {
		part->iov = iov;
		part->count = count < IOV_MAX ? count : IOV_MAX;
		return;
	}
	part->iov = NULL;
	part->count = 1;
	part->single.iov_base = (char *)iov->iov_base + skip;
	part->single.iov_len = iov->iov_len - skip;
}

static bool transfer_end(struct ring_op *op, int64_t result)
{
	op->result = (int32_t)result;
	return true;
}

/* A direct read that stops between blocks has met the end of the file: asking
 * for the rest at an odd offset would only be refused. */
static bool transfer_at_end(const struct ring_op *op, int64_t got)
{
	if (op->opcode != RING_READ)
		return false;
	return got == 0 || (uint64_t)got % op->file->direct_align_bytes;
}

bool ring_transfer_step(struct ring_op *op, int64_t got)
{
	if (got == -EINTR || got == -EAGAIN) {
		if (++op->scratch[1] < ATTEMPTS_MAX)
			return false;
		return transfer_end(op, got);
	}
	if (got < 0)
		return transfer_end(op, got);
	if (op->opcode > RING_WRITE)
		return transfer_end(op, 0);
	if (got == 0 && op->opcode == RING_WRITE)
		return transfer_end(op, -EIO);
	op->scratch[0] += (uint64_t)got;
	assert(op->scratch[0] <= op->length_bytes);
	if (op->scratch[0] == op->length_bytes || transfer_at_end(op, got))
		return transfer_end(op, (int64_t)op->scratch[0]);
	return false;
}

int ring_transfer_fallocate_mode(const struct ring_op *op)
{
	switch (op->opcode) {
	case RING_PUNCH: return FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	case RING_ZERO_RANGE: return FALLOC_FL_ZERO_RANGE;
	default: return 0;
	}
}
