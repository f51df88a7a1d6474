/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ORWRITE(16) (SBC-3 5.9): what is on the medium OR what is sent, and PRE-FETCH
 * (5.10), which has nothing to fetch into.
 *
 * Each piece is read, combined, and put back by COMPARE AND WRITE, so that a write
 * of somebody else in between is seen and the piece is done again.
 */
#include "target/scsi/task.h"

#include <errno.h>

#define OR_PIECE_BYTES (128u << 10)
#define OR_ATTEMPTS 32u /* of one piece, before the host is told BUSY */

static void or_next(struct scsi_task *task);

static void or_written(struct block_request *request)
{
	struct scsi_task *task = scsi_task_of(request);

	task->submitted = false;
	if (!request->result) {
		task->position += task->piece_bytes / scsi_block_bytes(task);
		task->step = 0;
	} else if (request->result != -EILSEQ || ++task->step == OR_ATTEMPTS) {
		scsi_sense_errno(task,
			request->result == -EILSEQ ? -EBUSY : request->result,
			true);
		scsi_finish(task);
		return;
	}
	or_next(task);
}

static void or_combine(struct block_request *request)
{
	struct scsi_task *task = scsi_task_of(request);
	const uint8_t *old = task->scratch->data;
	uint8_t *new = task->scratch->data + task->piece_bytes;
	const uint8_t *sent =
		task->data->data + task->position * scsi_block_bytes(task);

	task->submitted = false;
	if (request->result) {
		scsi_sense_errno(task, request->result, false);
		scsi_finish(task);
		return;
	}
	for (uint32_t i = 0; i < task->piece_bytes; i++)
		new[i] = old[i] | sent[i];
	task->iov[0].iov_len = 2 * task->piece_bytes;
	scsi_submit(task, BLOCK_COMPARE_AND_WRITE,
		scsi_fua(task) ? BLOCK_FUA : 0,
		(task->lba + task->position) * scsi_block_bytes(task),
		task->piece_bytes, 1, or_written);
}

static void or_next(struct scsi_task *task)
{
	uint32_t block = scsi_block_bytes(task);
	uint64_t bytes = (task->blocks - task->position) * block;

	if (!bytes || task->aborted) {
		scsi_finish(task);
		return;
	}
	if (bytes > OR_PIECE_BYTES)
		bytes = OR_PIECE_BYTES;
	task->piece_bytes = (uint32_t)bytes;
	task->iov[0].iov_base = task->scratch->data;
	task->iov[0].iov_len = bytes;
	scsi_submit(task, BLOCK_READ, 0, (task->lba + task->position) * block,
		bytes, 1, or_combine);
}

void scsi_or_write(struct scsi_task *task)
{
	if (!scsi_check_blocks(task)) {
		scsi_finish(task);
		return;
	}
	task->blocks = scsi_blocks_received(task);
	task->position = 0;
	if (task->blocks && scsi_scratch(task, 2 * OR_PIECE_BYTES))
		or_next(task);
	else
		scsi_finish(task);
}

void scsi_pre_fetch(struct scsi_task *task)
{
	scsi_check_range(task, task->lba, task->blocks);
	scsi_finish(task);
}
