/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WRITE SAME (10, 16) (SBC-3 5.43, 5.44): one block into many, in pieces, one in
 * flight at a time.
 *
 * Zeroes become WRITE_ZEROES; another pattern is repeated in a buffer and written.
 * UNMAP means DISCARD, after which the blocks read as zeroes (LBPRZ 1); what the
 * host sent with it is not looked at: SBC-3 4.7.3.4.4 would have other data written,
 * but LIO and others discard, and libiscsi's WriteSame10.UnmapUntilEnd wants zeroes
 * where it has sent FFh. The hosts that we know send zeroes.
 */
#include "blockcore/base/iov.h"
#include "target/scsi/limits.h"
#include "target/scsi/task.h"

#include <string.h>

enum { SAME_UNMAP = 0x08, SAME_ANCHOR = 0x10 };
/* PBDATA, LBDATA of old: each block would have had its address in it. */
enum { SAME_ADDRESSED = 0x06 };
enum same_how { SAME_PATTERN, SAME_ZEROES, SAME_DISCARD };

static const struct {
	uint8_t op;
	uint32_t piece_bytes;
} same_rows[] = {
	[SAME_PATTERN] = {BLOCK_WRITE, 256u << 10},
	[SAME_ZEROES] = {BLOCK_WRITE_ZEROES, 4u << 20},
	[SAME_DISCARD] = {BLOCK_DISCARD, 64u << 20},
};

static void same_next(struct scsi_task *task);

static void same_done(struct block_request *request)
{
	struct scsi_task *task = scsi_task_of(request);

	task->submitted = false;
	if (request->result) {
		scsi_sense_errno(task, request->result, true);
		scsi_finish(task);
		return;
	}
	task->position += request->length_bytes / scsi_block_bytes(task);
	same_next(task);
}

static void same_next(struct scsi_task *task)
{
	uint32_t block = scsi_block_bytes(task);
	uint64_t bytes = (task->blocks - task->position) * block;

	if (!bytes || task->aborted) {
		scsi_finish(task);
		return;
	}
	if (bytes > task->piece_bytes)
		bytes = task->piece_bytes;
	task->iov[0].iov_len = bytes;
	scsi_submit(task, same_rows[task->step].op,
		scsi_fua(task) ? BLOCK_FUA : 0,
		(task->lba + task->position) * block, bytes,
		task->step == SAME_PATTERN ? 1 : 0, same_done);
}

/* Fills a buffer with the pattern, as large as a piece can be. */
static bool same_repeat(struct scsi_task *task)
{
	uint32_t block = scsi_block_bytes(task), filled = block;
	uint64_t bytes = task->blocks * block;

	if (bytes > task->piece_bytes)
		bytes = task->piece_bytes;
	if (!scsi_scratch(task, (uint32_t)bytes))
		return false;
	memcpy(task->scratch->data, task->data->data, block);
	while (filled < bytes) {
		uint32_t more = filled;

		if (more > bytes - filled)
			more = (uint32_t)bytes - filled;
		memcpy(task->scratch->data + filled, task->scratch->data, more);
		filled += more;
	}
	task->iov[0].iov_base = task->scratch->data;
	return true;
}

static enum same_how same_choose(const struct scsi_task *task)
{
	struct block_info info = {0};

	if (task->cdb[1] & SAME_UNMAP)
		return SAME_DISCARD;
	volume_info(scsi_volume(task), task->nexus->lane, &info);
	if (!task->data)
		return SAME_ZEROES;
	return info.ops & BLOCK_OP(BLOCK_WRITE_ZEROES) &&
			bytes_are_zero(task->data->data, scsi_block_bytes(task))
		? SAME_ZEROES
		: SAME_PATTERN;
}

/* 0 blocks: all to the end of the medium (WSNZ 0). */
static bool same_check_range(struct scsi_task *task)
{
	if (!scsi_check_range(task, task->lba, task->blocks))
		return false;
	if (!task->blocks)
		task->blocks = scsi_capacity_blocks(task) - task->lba;
	if (task->blocks <= SCSI_SAME_BLOCKS)
		return true;
	scsi_sense_cdb(task, task->command->length.at, 7);
	return false;
}

bool scsi_check_write_same(struct scsi_task *task)
{
	struct scsi_limits limits;

	scsi_limits_read(task, &limits);
	if (task->cdb[1] & SAME_ADDRESSED)
		scsi_sense_cdb(task, 1, 2);
	else if (task->cdb[1] & SAME_ANCHOR)
		scsi_sense_cdb(task, 1, 4);
	else if (task->cdb[1] & SAME_UNMAP && !limits.thin)
		scsi_sense_cdb(task, 1, 3);
	else
		return same_check_range(task) &&
			(!task->data_bytes || scsi_check_expected(task));
	return false;
}

void scsi_write_same(struct scsi_task *task)
{
	if (!scsi_check_write_same(task) ||
		(task->data_bytes && !scsi_check_data(task))) {
		scsi_finish(task);
		return;
	}
	task->position = 0;
	task->step = (uint8_t)same_choose(task);
	task->piece_bytes = same_rows[task->step].piece_bytes;
	if (task->step == SAME_PATTERN && task->blocks && !same_repeat(task))
		scsi_finish(task);
	else
		same_next(task);
}
