/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From blocks of the host to bytes of the source: capacity, ranges, one request.
 */
#include "target/scsi/space_wait.h"
#include "target/scsi/task.h"

#include <errno.h>

/* No address beyond this can be one of a source (2^63 bytes). */
#define LBA_LIMIT (1ull << 50)
#define FUA_BIT 0x08u /* of byte 1 */

uint64_t scsi_capacity_blocks(const struct scsi_task *task)
{
	struct block_info info;

	if (!volume_info(scsi_volume(task), task->nexus->lane, &info))
		return 0;
	return info.size_bytes / scsi_block_bytes(task);
}

bool scsi_check_range(struct scsi_task *task, uint64_t lba, uint64_t blocks)
{
	uint64_t capacity = scsi_capacity_blocks(task);

	if (lba <= capacity && blocks <= capacity - lba)
		return true;
	scsi_sense_set(task, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
	return false;
}

bool scsi_check_blocks(struct scsi_task *task)
{
	return scsi_check_range(task, task->lba, task->blocks);
}

static bool check_bytes(struct scsi_task *task, uint32_t bytes)
{
	if (bytes == task->data_bytes)
		return true;
	scsi_sense_set(task, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_UNIT);
	return false;
}

bool scsi_check_expected(struct scsi_task *task)
{
	return check_bytes(task, task->expected_bytes);
}

bool scsi_check_data(struct scsi_task *task)
{
	return scsi_check_expected(task) &&
		check_bytes(task, task->out_received);
}

uint64_t scsi_blocks_received(const struct scsi_task *task)
{
	uint32_t bytes = task->out_received < task->data_bytes
		? task->out_received
		: task->data_bytes;

	return bytes / scsi_block_bytes(task);
}

/* The same bit of WRITE SAME is UNMAP, of 6 byte commands a bit of the address. */
bool scsi_fua_asked(const struct scsi_task *task)
{
	const struct scsi_command *command = task->command;

	return command->cdb_bytes > 6 && command->moves != SCSI_MOVES_SAME &&
		command->usage[0] & task->cdb[1] & FUA_BIT;
}

bool scsi_fua(const struct scsi_task *task)
{
#ifdef CAIRN_MUTANT_SCSI_FUA /* must not pass tests/stack/test_scsi_fua */
	(void)task;
	return false;
#else
	return scsi_fua_asked(task) ||
		!(volume_flags(scsi_volume(task)) & VOLUME_WRITE_CACHE);
#endif
}

/* volume/modes.c has flushed what ended before the cache went. */
bool scsi_owes_flush(struct scsi_task *task)
{
	bool cached = task->cached;

	task->cached = false; /* a flush that cannot be sent comes back here */
	return cached && task->status == SCSI_GOOD && !task->aborted &&
		!(volume_flags(scsi_volume(task)) & VOLUME_WRITE_CACHE);
}

bool scsi_write_protected(const struct volume_nexus *nexus)
{
	return nexus->read_only || volume_read_only(nexus->volume);
}

/* SBC-4 4.33.2: only those three commands that leave attentions alone. */
bool scsi_check_format(struct scsi_task *task)
{
	if (!(volume_flags(scsi_volume(task)) & VOLUME_FORMATTING) ||
		task->command->flags & SCSI_KEEPS_ATTENTION)
		return true;
	scsi_sense_formatting(task);
	return false;
}

/* SBC-3 4.10: readiness, then write protection. Nothing but a format is to touch
 * what another one has left half done. */
bool scsi_check_ready(struct scsi_task *task)
{
	unsigned flags = volume_flags(scsi_volume(task)) |
		(volume_flags(scsi_way(task)) & VOLUME_FAILED);
	bool touches = task->command->access != RESERVATION_ALLOWED &&
		task->command->moves != SCSI_MOVES_FORMAT;

	if (flags & VOLUME_EJECTED)
		scsi_sense_set(task, SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
	else if (!atomic_load_explicit(
			 &scsi_volume(task)->source, memory_order_relaxed) ||
		!atomic_load_explicit(
			&scsi_way(task)->source, memory_order_relaxed))
		scsi_sense_set(
			task, SENSE_NOT_READY, ASC_NOT_READY_INTERVENTION);
	else if (flags & VOLUME_FAILED)
		scsi_sense_set(
			task, SENSE_HARDWARE_ERROR, ASC_INTERNAL_FAILURE);
	else if (flags & VOLUME_FORMAT_CORRUPT && touches)
		scsi_sense_set(task, SENSE_MEDIUM_ERROR, ASC_FORMAT_CORRUPTED);
	else
		return true;
	return false;
}

static bool data_registered(const struct scsi_task *task)
{
	return task->scratch ||
		(task->data && task->data->pool == task->nexus->lane->pool);
}

void scsi_submit(struct scsi_task *task, enum block_opcode op, unsigned flags,
	uint64_t offset_bytes, uint64_t length_bytes, unsigned iovs,
	void (*done)(struct block_request *request))
{
	struct block_request *request = &task->block;
	struct block_source *source = atomic_load_explicit(
		&scsi_way(task)->source, memory_order_acquire);

	if (!source || task->lba > LBA_LIMIT || task->aborted) {
		if (!task->aborted)
			scsi_sense_errno(task, source ? -ERANGE : -ENODEV,
				op == BLOCK_WRITE);
		scsi_finish(task);
		return;
	}
	block_request_init(request, task->nexus->lane);
	request->op = (uint8_t)op;
	request->flags = (uint16_t)(flags | (task->timed ? BLOCK_TIMED : 0) |
		(iovs && data_registered(task) ? BLOCK_REGISTERED : 0));
	request->iov = task->iov;
	request->iov_count = iovs;
	request->offset_bytes = offset_bytes;
	request->length_bytes = length_bytes;
	request->extents =
		op == BLOCK_EXTENTS ? (void *)task->scratch->data : NULL;
	request->done = done;
	if (scsi_space_waits(task, op)) {
		task->space_done = done;
		request->done = scsi_space_done;
	}
	task->submitted = true;
	if (BLOCK_OP(op) & BLOCK_OPS_CHANGE) {
		task->changed_bytes += length_bytes;
		task->cached |= !(flags & BLOCK_FUA);
	} else if (op == BLOCK_FLUSH) {
		task->cached = false;
	}
	block_submit(source, request);
}

void scsi_submit_again(struct scsi_task *task)
{
	struct block_request *request = &task->block;
	struct block_source *source = atomic_load_explicit(
		&scsi_way(task)->source, memory_order_acquire);

	if (!source) {
		request->result = -ENODEV;
		task->space_done(request);
		return;
	}
	block_request_init(request, task->nexus->lane);
	task->submitted = true;
	block_submit(source, request);
}

bool scsi_scratch(struct scsi_task *task, uint32_t bytes)
{
	task->scratch = buf_get(task->nexus->lane->pool, bytes);
	if (task->scratch)
		return true;
	task->status = SCSI_BUSY;
	return false;
}
