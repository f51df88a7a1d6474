/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COMPARE AND WRITE (SBC-3 5.3): one request, atomic in the block core. Data-out
 * is the blocks expected, then the new ones.
 */
#include "target/scsi/limits.h"
#include "target/scsi/task.h"

#include <errno.h>

static void compare_done(struct block_request *request)
{
	struct scsi_task *task = scsi_task_of(request);

	task->submitted = false;
	if (request->result == -EILSEQ)
		scsi_sense_information(task, SENSE_MISCOMPARE, ASC_MISCOMPARE,
			request->miscompare_bytes);
	else if (request->result)
		scsi_sense_errno(task, request->result, true);
	scsi_finish(task);
}

bool scsi_check_compare(struct scsi_task *task)
{
	/* Data for no block: more blocks than the field of 8 bits can say. */
	if (!task->blocks && task->expected_bytes) {
		scsi_sense_cdb(task, task->command->length.at, 7);
		return false;
	}
	return scsi_check_blocks(task) && scsi_check_expected(task);
}

void scsi_compare_and_write(struct scsi_task *task)
{
	uint32_t block = scsi_block_bytes(task);
	uint64_t bytes = task->blocks * block;

	if (!scsi_check_compare(task) || !bytes || !scsi_check_data(task)) {
		scsi_finish(task);
		return;
	}
	task->iov[0].iov_base = task->data->data;
	task->iov[0].iov_len = 2 * bytes;
	scsi_submit(task, BLOCK_COMPARE_AND_WRITE,
		scsi_fua(task) ? BLOCK_FUA : 0, task->lba * block, bytes, 1,
		compare_done);
}
