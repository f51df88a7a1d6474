/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VERIFY (10, 12, 16) and WRITE AND VERIFY (SBC-3 5.33 to 5.35, 5.40 to 5.42).
 *
 * The medium is read in pieces into a buffer of the task's own and compared with
 * data-out block by block (BYTCHK 1), with one block for all (BYTCHK 3), or with
 * nothing (BYTCHK 0). One piece is in flight at a time.
 */
#include "target/scsi/task.h"

#include <string.h>

#define VERIFY_PIECE_BYTES (256u << 10)

/* What the piece at `position` is to be compared with; NULL: nothing. */
static const uint8_t *verify_expected(
	const struct scsi_task *task, uint64_t block)
{
	unsigned bytchk = task->cdb[1] >> 1 & 3;

	if (!bytchk || !task->data)
		return NULL;
	return task->data->data +
		(bytchk == 1 ? block * scsi_block_bytes(task) : 0);
}

/* The first block of the piece that differs, or `blocks`. */
static uint64_t verify_compare(const struct scsi_task *task, uint64_t blocks)
{
	uint32_t bytes = scsi_block_bytes(task);

	for (uint64_t i = 0; i < blocks; i++) {
		const uint8_t *expected =
			verify_expected(task, task->position + i);

		if (!expected)
			return blocks;
		if (memcmp(task->scratch->data + i * bytes, expected, bytes))
			return i;
	}
	return blocks;
}

static void verify_next(struct scsi_task *task);

static void verify_read(struct block_request *request)
{
	struct scsi_task *task = scsi_task_of(request);
	uint64_t blocks = request->length_bytes / scsi_block_bytes(task);
	uint64_t same;

	task->submitted = false;
	if (request->result) {
		scsi_sense_errno(task, request->result, false);
		scsi_finish(task);
		return;
	}
	same = verify_compare(task, blocks);
	if (same < blocks) {
		scsi_sense_information(task, SENSE_MISCOMPARE, ASC_MISCOMPARE,
			task->lba + task->position + same);
		scsi_finish(task);
		return;
	}
	task->position += blocks;
	verify_next(task);
}

static void verify_next(struct scsi_task *task)
{
	uint32_t bytes = scsi_block_bytes(task);
	uint64_t blocks = task->blocks - task->position;

	if (!blocks || task->aborted) {
		scsi_finish(task);
		return;
	}
	if (blocks > VERIFY_PIECE_BYTES / bytes)
		blocks = VERIFY_PIECE_BYTES / bytes;
	task->iov[0].iov_base = task->scratch->data;
	task->iov[0].iov_len = blocks * bytes;
	scsi_submit(task, BLOCK_READ, 0, (task->lba + task->position) * bytes,
		blocks * bytes, 1, verify_read);
}

static void verify_start(struct scsi_task *task)
{
	uint64_t bytes = task->blocks * scsi_block_bytes(task);

	if (bytes > VERIFY_PIECE_BYTES)
		bytes = VERIFY_PIECE_BYTES;
	task->position = 0;
	if (bytes && scsi_scratch(task, (uint32_t)bytes))
		verify_next(task);
	else
		scsi_finish(task);
}

/* Of what is compared block by block, as much as came. */
static void verify_shorten(struct scsi_task *task)
{
	if (task->data_bytes && (task->cdb[1] >> 1 & 3) != 3)
		task->blocks = scsi_blocks_received(task);
}

void scsi_verify(struct scsi_task *task)
{
	if (!scsi_check_blocks(task) ||
		((task->cdb[1] >> 1 & 3) == 3 && task->data_bytes &&
			!scsi_check_data(task))) {
		scsi_finish(task);
		return;
	}
	verify_shorten(task);
	verify_start(task);
}

static void verify_written(struct block_request *request)
{
	struct scsi_task *task = scsi_task_of(request);

	task->submitted = false;
	if (!request->result) {
		verify_start(task);
		return;
	}
	scsi_sense_errno(task, request->result, true);
	scsi_finish(task);
}

bool scsi_check_write_and_verify(struct scsi_task *task)
{
	if (!(task->cdb[1] & 4)) /* BYTCHK 2, 3: SBC-3 table 171 */
		return scsi_check_blocks(task);
	scsi_sense_cdb(task, 1, 2);
	return false;
}

/* On the medium, whatever the cache: so with FUA. */
void scsi_write_and_verify(struct scsi_task *task)
{
	uint32_t bytes = scsi_block_bytes(task);

	if (!scsi_check_write_and_verify(task)) {
		scsi_finish(task);
		return;
	}
	task->blocks = scsi_blocks_received(task);
	if (!task->blocks) {
		scsi_finish(task);
		return;
	}
	task->iov[0].iov_base = task->data->data;
	task->iov[0].iov_len = task->blocks * bytes;
	scsi_submit(task, BLOCK_WRITE, BLOCK_FUA, task->lba * bytes,
		task->blocks * bytes, 1, verify_written);
}
