/* SPDX-License-Identifier: Apache-2.0 */
/* See sense.h. */
#include "target/scsi/sense.h"

#include "blockcore/base/bytes.h"

#include <errno.h>
#include <string.h>

enum {
	SENSE_FIXED = 0x70, /* response codes, current errors */
	SENSE_DESCRIPTOR = 0x72,
	SENSE_FIXED_BYTES = 18,
	SENSE_VALID = 0x80,
	SENSE_SKSV = 0x80,
	SENSE_IN_CDB = 0x40, /* C/D */
	SENSE_BPV = 0x08, /* the bit pointer is valid */
};

/* SPC-4 4.5.2.4.2: the field pointer, three bytes. */
static void sense_put_field(const struct scsi_sense *sense, uint8_t *to)
{
	bool cdb = sense->code == ASC_INVALID_FIELD_IN_CDB;

	to[0] = (uint8_t)(SENSE_SKSV | (cdb ? SENSE_IN_CDB : 0) | SENSE_BPV |
		sense->field_bit);
	put_be16(to + 1, sense->field_byte);
}

/* What goes with the sense key; SPC-4 4.5.2.4.4: progress. */
static bool sense_put_specific(const struct scsi_sense *sense, uint8_t *to)
{
	if (sense->has_field) {
		sense_put_field(sense, to);
	} else if (sense->has_progress) {
		to[0] = SENSE_SKSV;
		put_be16(to + 1, sense->progress);
	}
	return sense->has_field || sense->has_progress;
}

/* SPC-4 4.5.3. Information that does not fit is left out. */
static uint8_t sense_encode_fixed(const struct scsi_sense *sense, uint8_t *to)
{
	to[0] = SENSE_FIXED;
	to[2] = sense->key;
	to[7] = SENSE_FIXED_BYTES - 8;
	put_be16(to + 12, sense->code);
	if (sense->has_information && sense->information <= UINT32_MAX) {
		to[0] |= SENSE_VALID;
		put_be32(to + 3, (uint32_t)sense->information);
	}
	sense_put_specific(sense, to + 15);
	return SENSE_FIXED_BYTES;
}

/* SPC-4 4.5.2. */
static uint8_t sense_encode_descriptors(
	const struct scsi_sense *sense, uint8_t *to)
{
	uint8_t bytes = 8;

	to[0] = SENSE_DESCRIPTOR;
	to[1] = sense->key;
	put_be16(to + 2, sense->code);
	if (sense->has_information) {
		to[bytes + 1] = 0x0a;
		to[bytes + 2] = SENSE_VALID;
		put_be64(to + bytes + 4, sense->information);
		bytes += 12;
	}
	if (sense_put_specific(sense, to + bytes + 4)) {
		to[bytes] = 0x02;
		to[bytes + 1] = 0x06;
		bytes += 8;
	}
	to[7] = (uint8_t)(bytes - 8);
	return bytes;
}

uint8_t scsi_sense_encode(
	const struct scsi_sense *sense, bool descriptor, uint8_t *to)
{
	memset(to, 0, SCSI_SENSE_BYTES);
	return descriptor ? sense_encode_descriptors(sense, to)
			  : sense_encode_fixed(sense, to);
}

uint32_t scsi_sense_value(const struct scsi_task *task)
{
	const uint8_t *sense = task->sense;

	if (!task->sense_bytes)
		return 0;
	if ((sense[0] & 0x7f) == SENSE_DESCRIPTOR)
		return (uint32_t)(sense[1] & 15) << 16 | get_be16(sense + 2);
	return (uint32_t)(sense[2] & 15) << 16 | get_be16(sense + 12);
}

static void sense_apply(struct scsi_task *task, const struct scsi_sense *sense)
{
	bool descriptor = task->logical_unit &&
		volume_flags(task->logical_unit->volume) &
			VOLUME_DESCRIPTOR_SENSE;

	task->status = SCSI_CHECK_CONDITION;
	task->in_bytes = 0;
	task->sense_bytes = scsi_sense_encode(sense, descriptor, task->sense);
}

void scsi_sense_set(struct scsi_task *task, uint8_t key, uint16_t code)
{
	sense_apply(task, &(struct scsi_sense){.key = key, .code = code});
}

void scsi_sense_information(
	struct scsi_task *task, uint8_t key, uint16_t code, uint64_t value)
{
	sense_apply(task,
		&(struct scsi_sense){.key = key,
			.code = code,
			.has_information = true,
			.information = value});
}

static void sense_field(
	struct scsi_task *task, uint16_t code, unsigned byte, unsigned bit)
{
	sense_apply(task,
		&(struct scsi_sense){.key = SENSE_ILLEGAL_REQUEST,
			.code = code,
			.has_field = true,
			.field_byte = (uint16_t)byte,
			.field_bit = (uint8_t)bit});
}

void scsi_sense_cdb(struct scsi_task *task, unsigned byte, unsigned bit)
{
	sense_field(task, ASC_INVALID_FIELD_IN_CDB, byte, bit);
}

void scsi_sense_list(struct scsi_task *task, unsigned byte, unsigned bit)
{
	sense_field(task, ASC_INVALID_FIELD_IN_LIST, byte, bit);
}

/* A threshold says where its descriptor lies in mode page 1Ch/02h. */
struct scsi_sense scsi_sense_of_attention(uint16_t code)
{
	return (struct scsi_sense){.key = SENSE_UNIT_ATTENTION,
		.code = code,
		.has_information = code == ASC_SOFT_THRESHOLD,
		.information = SENSE_THRESHOLD_AT};
}

void scsi_sense_attention(struct scsi_task *task, uint16_t code)
{
	struct scsi_sense sense = scsi_sense_of_attention(code);

	sense_apply(task, &sense);
}

struct scsi_sense scsi_sense_of_format(const struct volume *volume)
{
	return (struct scsi_sense){.key = SENSE_NOT_READY,
		.code = ASC_FORMAT_IN_PROGRESS,
		.has_progress = true,
		.progress = (uint16_t)atomic_load(
			&((struct volume *)volume)->format.progress)};
}

void scsi_sense_formatting(struct scsi_task *task)
{
	struct scsi_sense sense =
		scsi_sense_of_format(task->logical_unit->volume);

	sense_apply(task, &sense);
}

static const struct sense_row {
	int result;
	uint8_t key;
	uint16_t reading, writing;
} sense_rows[] = {
	{-EIO, SENSE_MEDIUM_ERROR, ASC_READ_ERROR, ASC_WRITE_ERROR},
	{-ENOSPC, SENSE_DATA_PROTECT, ASC_SPACE_ALLOCATION_FAILED,
		ASC_SPACE_ALLOCATION_FAILED},
	{-EROFS, SENSE_DATA_PROTECT, ASC_WRITE_PROTECTED, ASC_WRITE_PROTECTED},
	{-ERANGE, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE,
		ASC_LBA_OUT_OF_RANGE},
	{-EILSEQ, SENSE_MISCOMPARE, ASC_MISCOMPARE, ASC_MISCOMPARE},
	{-EOPNOTSUPP, SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE,
		ASC_INVALID_OPCODE},
	{-ENODEV, SENSE_NOT_READY, ASC_NOT_READY_INTERVENTION,
		ASC_NOT_READY_INTERVENTION},
	{-ECANCELED, SENSE_ABORTED_COMMAND, ASC_INTERNAL_FAILURE,
		ASC_INTERNAL_FAILURE},
	{0, SENSE_HARDWARE_ERROR, ASC_INTERNAL_FAILURE, ASC_INTERNAL_FAILURE},
};

/* What an administrator must hear of: the storage's fault, not the host's. */
static bool is_trouble(const struct sense_row *row)
{
	return row->result == -EIO || row->result == -ENOSPC ||
		row->result == -ENODEV || !row->result;
}

void scsi_sense_errno(struct scsi_task *task, int result, bool writing)
{
	const struct sense_row *row = sense_rows;

	if (result == -ENOMEM || result == -EAGAIN || result == -EBUSY) {
		task->status = SCSI_BUSY;
		task->in_bytes = 0;
		return;
	}
	while (row->result && row->result != result)
		row++;
	if (is_trouble(row))
		volume_trouble(task->logical_unit->volume, task->nexus->lane,
			result, writing);
	scsi_sense_set(task, row->key, writing ? row->writing : row->reading);
}
