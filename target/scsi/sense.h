/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sense data: from what went wrong to bytes, in both formats (SPC-4 4.5). ASC
 * and ASCQ are written as one number, 0x2400 for 24h/00h.
 */
#ifndef TARGET_SCSI_SENSE_H
#define TARGET_SCSI_SENSE_H

#include "target/scsi/scsi.h"

enum scsi_sense_key { /* SPC-4 table 27 */
	SENSE_NONE = 0,
	SENSE_NOT_READY = 2,
	SENSE_MEDIUM_ERROR = 3,
	SENSE_HARDWARE_ERROR = 4,
	SENSE_ILLEGAL_REQUEST = 5,
	SENSE_UNIT_ATTENTION = 6,
	SENSE_DATA_PROTECT = 7,
	SENSE_ABORTED_COMMAND = 0xb,
	SENSE_MISCOMPARE = 0xe,
};

enum scsi_sense_code { /* SPC-4 annex E.2 */
	ASC_NONE = 0x0000,
	ASC_NOT_READY_INTERVENTION = 0x0403,
	ASC_FORMAT_IN_PROGRESS = 0x0404,
	ASC_PATH_TRANSITION = 0x040a,
	ASC_PATH_STANDBY = 0x040b,
	ASC_PATH_UNAVAILABLE = 0x040c,
	ASC_WRITE_ERROR = 0x0c00,
	ASC_INVALID_FIELD_IN_UNIT = 0x0e03,
	ASC_READ_ERROR = 0x1100,
	ASC_PARAMETER_LIST_LENGTH = 0x1a00,
	ASC_MISCOMPARE = 0x1d00,
	ASC_INVALID_OPCODE = 0x2000,
	ASC_LBA_OUT_OF_RANGE = 0x2100,
	ASC_INVALID_FIELD_IN_CDB = 0x2400,
	ASC_LUN_NOT_SUPPORTED = 0x2500,
	ASC_INVALID_FIELD_IN_LIST = 0x2600,
	ASC_INVALID_RELEASE = 0x2604,
	ASC_WRITE_PROTECTED = 0x2700,
	ASC_SPACE_ALLOCATION_FAILED = 0x2707,
	ASC_MEDIUM_MAY_HAVE_CHANGED = 0x2800,
	ASC_RESET = 0x2900,
	ASC_BUS_DEVICE_RESET = 0x2903,
	ASC_MODE_PARAMETERS_CHANGED = 0x2a01,
	ASC_COMMANDS_CLEARED = 0x2f00,
	ASC_FORMAT_CORRUPTED = 0x3100,
	ASC_SOFT_THRESHOLD = 0x3807,
	ASC_SAVING_NOT_SUPPORTED = 0x3900,
	ASC_MEDIUM_NOT_PRESENT = 0x3a00,
	ASC_REPORTED_LUNS_CHANGED = 0x3f0e,
	ASC_INTERNAL_FAILURE = 0x4400,
	ASC_REMOVAL_PREVENTED = 0x5302,
	ASC_NO_REGISTRATION_RESOURCES = 0x5504,
};

/* INFORMATION of a threshold's attention: where mode page 1Ch/02h has its
 * descriptor, the only one (SBC-4 4.7.3.7.6). */
#define SENSE_THRESHOLD_AT 16u

struct scsi_sense {
	uint8_t key;
	uint16_t code;
	bool has_information, has_field, has_progress;
	uint64_t information;
	uint16_t progress; /* of 65536 */
	uint16_t field_byte;
	uint8_t field_bit;
};

/* At most SCSI_SENSE_BYTES at `to`; returns how many. */
uint8_t scsi_sense_encode(
	const struct scsi_sense *sense, bool descriptor, uint8_t *to);

/* What the sense data of a CHECK CONDITION says: key << 16 | ASC << 8 | ASCQ; 0
 * without any. */
uint32_t scsi_sense_value(const struct scsi_task *task);

/* Each makes the task's result CHECK CONDITION; the format is the volume's. */
void scsi_sense_set(struct scsi_task *task, uint8_t key, uint16_t code);
void scsi_sense_information(
	struct scsi_task *task, uint8_t key, uint16_t code, uint64_t value);
/* ILLEGAL REQUEST with a pointer to the highest bit of the field at fault, in
 * the CDB or (ASC 26h) in the parameter list. */
void scsi_sense_cdb(struct scsi_task *task, unsigned byte, unsigned bit);
void scsi_sense_list(struct scsi_task *task, unsigned byte, unsigned bit);
/* UNIT ATTENTION `code`, with what belongs to it. */
struct scsi_sense scsi_sense_of_attention(uint16_t code);
void scsi_sense_attention(struct scsi_task *task, uint16_t code);
/* NOT READY, FORMAT IN PROGRESS, and how far it is. */
struct scsi_sense scsi_sense_of_format(const struct volume *volume);
void scsi_sense_formatting(struct scsi_task *task);
/* A result of the block core, never 0; BUSY where the host shall try again. */
void scsi_sense_errno(struct scsi_task *task, int result, bool writing);

#endif
