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

static void flush_done(struct block_request *request)
{
	request->result = volume_flushed(
		scsi_way(scsi_task_of(request)), request->result);
	transfer_done(request);
}

void scsi_flush(struct scsi_task *task)
{
	scsi_submit(task, BLOCK_FLUSH, 0, 0, 0, 0, flush_done);
}

static void read_durable(struct block_request *request)
{
	struct scsi_task *task = scsi_task_of(request);

	task->in_bytes = task->data_bytes; /* taken back if the flush failed */
	flush_done(request);
}

static void read_then_flush(struct block_request *request)
{
	struct scsi_task *task = scsi_task_of(request);

	if (request->result) {
		transfer_done(request);
		return;
	}
	task->submitted = false;
	scsi_submit(task, BLOCK_FLUSH, 0, 0, 0, 0, read_durable);
}

/* FUA asks a read for what is on the medium: newer data in a volatile cache have
 * to go there first (SBC-3, READ(10)). Here the flush follows the read, for one before
 * it would miss a write that completes between the two; and what such a read has
 * shown must outlive a power cut. With WCE 0 every change was durable when it
 * completed, so nothing is owed. */
static bool read_owes_flush(const struct scsi_task *task)
{
	struct block_info info;

	return scsi_fua_asked(task) &&
		volume_flags(scsi_volume(task)) & VOLUME_WRITE_CACHE &&
		volume_info(scsi_volume(task), task->nexus->lane, &info) &&
		info.volatile_cache;
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
		task->data_bytes, 1,
		read_owes_flush(task) ? read_then_flush : transfer_done);
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

/* The whole cache, whatever the range; with IMMED, too, the answer comes when
 * all is durable. */
void scsi_synchronize(struct scsi_task *task)
{
	if (!scsi_check_range(task, task->lba, task->blocks))
		scsi_finish(task);
	else
		scsi_flush(task);
}
