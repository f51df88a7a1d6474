/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UNMAP (SBC-3 5.31). All descriptors are checked before the first is carried
 * out; then they are discarded in pieces, one in flight at a time.
 *
 * task->position counts descriptors, task->lba and task->blocks hold what is left
 * of the one at work.
 */
#include "blockcore/base/bytes.h"
#include "target/scsi/limits.h"
#include "target/scsi/task.h"

enum { UNMAP_HEADER_BYTES = 8, UNMAP_DESCRIPTOR_BYTES = 16 };
#define UNMAP_PIECE_BYTES (64u << 20)

static const uint8_t *unmap_descriptor(const struct scsi_task *task, uint64_t i)
{
	return task->data->data + UNMAP_HEADER_BYTES +
		i * UNMAP_DESCRIPTOR_BYTES;
}

/* Whole descriptors that were sent. */
static unsigned unmap_count(const struct scsi_task *task)
{
	uint32_t sent = task->data_bytes - UNMAP_HEADER_BYTES;
	uint32_t said = get_be16(task->data->data + 2);

	return (said < sent ? said : sent) / UNMAP_DESCRIPTOR_BYTES;
}

static void unmap_next(struct scsi_task *task);

static void unmap_done(struct block_request *request)
{
	struct scsi_task *task = scsi_task_of(request);
	uint64_t blocks = request->length_bytes / scsi_block_bytes(task);

	task->submitted = false;
	if (request->result) {
		scsi_sense_errno(task, request->result, true);
		scsi_finish(task);
		return;
	}
	task->lba += blocks;
	task->blocks -= blocks;
	unmap_next(task);
}

/* The next descriptor that names blocks; false when there is none. */
static bool unmap_advance(struct scsi_task *task)
{
	unsigned count = unmap_count(task);

	while (!task->blocks && task->position < count) {
		const uint8_t *from = unmap_descriptor(task, task->position++);

		task->lba = get_be64(from);
		task->blocks = get_be32(from + 8);
	}
	return task->blocks;
}

static void unmap_next(struct scsi_task *task)
{
	uint32_t block = scsi_block_bytes(task);
	uint64_t bytes;

	if (task->aborted || !unmap_advance(task)) {
		scsi_finish(task);
		return;
	}
	bytes = task->blocks * block;
	if (bytes > UNMAP_PIECE_BYTES)
		bytes = UNMAP_PIECE_BYTES;
	scsi_submit(task, BLOCK_DISCARD, scsi_fua(task) ? BLOCK_FUA : 0,
		task->lba * block, bytes, 0, unmap_done);
}

static bool unmap_check_descriptors(struct scsi_task *task)
{
	unsigned count = unmap_count(task);
	uint64_t blocks = 0;

	if (count > SCSI_UNMAP_DESCRIPTORS) {
		scsi_sense_list(task, 2, 7);
		return false;
	}
	for (unsigned i = 0; i < count; i++) {
		const uint8_t *from = unmap_descriptor(task, i);

		if (!scsi_check_range(task, get_be64(from), get_be32(from + 8)))
			return false;
		blocks += get_be32(from + 8);
	}
	if (blocks <= SCSI_UNMAP_BLOCKS)
		return true;
	scsi_sense_list(task,
		UNMAP_HEADER_BYTES + (count - 1) * UNMAP_DESCRIPTOR_BYTES + 8,
		7);
	return false;
}

static bool unmap_too_short(struct scsi_task *task)
{
	scsi_sense_set(task, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
	return false;
}

bool scsi_check_unmap(struct scsi_task *task)
{
	struct scsi_limits limits;

	scsi_limits_read(task, &limits);
	if (!limits.thin)
		scsi_sense_set(task, SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE);
	else if (task->cdb[1] & 1) /* ANCHOR */
		scsi_sense_cdb(task, 1, 0);
	else if (task->data_bytes && task->data_bytes < UNMAP_HEADER_BYTES)
		return unmap_too_short(task);
	else
		return true;
	return false;
}

static bool unmap_check(struct scsi_task *task)
{
	if (!scsi_check_unmap(task))
		return false;
	if (task->out_received < task->data_bytes)
		return unmap_too_short(task);
	return !task->data_bytes || unmap_check_descriptors(task);
}

void scsi_unmap(struct scsi_task *task)
{
	task->position = task->blocks = task->lba = 0;
	if (!unmap_check(task) || !task->data_bytes)
		scsi_finish(task);
	else
		unmap_next(task);
}
