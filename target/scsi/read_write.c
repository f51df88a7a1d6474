/* SPDX-License-Identifier: Apache-2.0 */
/*
 * READ, WRITE (6, 10, 12, 16) and SYNCHRONIZE CACHE (SBC-3 5.11 to 5.25, 5.36
 * to 5.39). One request each; the fast path of the whole target.
 *
 * Ranges are checked by the block core. A write for which the transport has
 * received less than the CDB says stores the whole blocks that came.
 */
#include "target/scsi/task.h"

#include <errno.h>

static void transfer_done(struct block_request *request)
{
	struct scsi_task *task = scsi_task_of(request);

	task->submitted = false;
	if (request->result)
		scsi_sense_errno(
			task, request->result, request->op != BLOCK_READ);
	else if (request->op == BLOCK_READ)
		task->in_bytes = task->data_bytes;
	scsi_finish(task);
}

/* Nothing to move, but the address must be there (SBC-3 4.5.2). */
static void transfer_nothing(struct scsi_task *task)
{
	scsi_check_range(task, task->lba, task->blocks);
	scsi_finish(task);
}

void scsi_read(struct scsi_task *task)
{
	if (!task->data_bytes) {
		transfer_nothing(task);
		return;
	}
	task->iov[0].iov_base = task->data->data;
	task->iov[0].iov_len = task->data_bytes;
	scsi_submit(task, BLOCK_READ, 0, task->lba * scsi_block_bytes(task),
		task->data_bytes, 1, transfer_done);
}

void scsi_write(struct scsi_task *task)
{
	uint64_t bytes = scsi_blocks_received(task) * scsi_block_bytes(task);

	if (!bytes) {
		transfer_nothing(task);
		return;
	}
	task->iov[0].iov_base = task->data->data;
	task->iov[0].iov_len = bytes;
	scsi_submit(task, BLOCK_WRITE, scsi_fua(task) ? BLOCK_FUA : 0,
		task->lba * scsi_block_bytes(task), bytes, 1, transfer_done);
}

static void synchronize_done(struct block_request *request)
{
	struct scsi_task *task = scsi_task_of(request);

	if (request->result == -EOPNOTSUPP) /* nothing is cached there */
		request->result = 0;
	if (request->result && request->result != -ECANCELED &&
		request->result != -ENODEV)
		volume_failed(scsi_volume(task));
	transfer_done(request);
}

/* The whole cache, whatever the range; with IMMED, too, the answer comes when
 * all is durable. */
void scsi_synchronize(struct scsi_task *task)
{
	if (!scsi_check_range(task, task->lba, task->blocks))
		scsi_finish(task);
	else
		scsi_submit(task, BLOCK_FLUSH, 0, 0, 0, 0, synchronize_done);
}
