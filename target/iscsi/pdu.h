/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iSCSI PDUs on the wire: the 48-byte basic header segment (BHS) of RFC 7143
 * section 11, its fields as get/put pairs, additional header segments, digests.
 *
 *	BHS 48 | AHS 0..1020 | header digest 0/4 | data | pad 0..3 | digest 0/4
 *
 * Invariants
 *  1. This file and pdu.c are the only ones that know offsets.
 *  2. All integers are big-endian; digests are CRC32C, least significant byte
 *     first (RFC 7143 13.1 by way of RFC 3385).
 */
#ifndef TARGET_ISCSI_PDU_H
#define TARGET_ISCSI_PDU_H

#include "blockcore/base/bytes.h"
#include "target/scsi/scsi.h"

#include <stdbool.h>
#include <stdint.h>

#define PDU_BHS_BYTES 48u
#define PDU_DIGEST_BYTES 4u
#define PDU_AHS_MAX_BYTES 1020u
#define PDU_NO_TAG 0xffffffffu /* RFC 7143 11.2.1.8, 11.7.4 */

enum pdu_opcode { /* RFC 7143 11.2.1.2 */
	PDU_NOP_OUT = 0x00,
	PDU_SCSI_COMMAND = 0x01,
	PDU_TASK_REQUEST = 0x02,
	PDU_LOGIN_REQUEST = 0x03,
	PDU_TEXT_REQUEST = 0x04,
	PDU_DATA_OUT = 0x05,
	PDU_LOGOUT_REQUEST = 0x06,
	PDU_SNACK = 0x10,
	PDU_NOP_IN = 0x20,
	PDU_SCSI_RESPONSE = 0x21,
	PDU_TASK_RESPONSE = 0x22,
	PDU_LOGIN_RESPONSE = 0x23,
	PDU_TEXT_RESPONSE = 0x24,
	PDU_DATA_IN = 0x25,
	PDU_LOGOUT_RESPONSE = 0x26,
	PDU_R2T = 0x31,
	PDU_ASYNC = 0x32,
	PDU_REJECT = 0x3f,
};
#define PDU_OPCODES 64u

enum pdu_flag {
	PDU_IMMEDIATE = 0x40, /* byte 0: 11.2.1.1 */
	PDU_FINAL = 0x80, /* byte 1: 11.2.1.3 */
	PDU_CONTINUE = 0x40, /* Text and Login: 11.10.2 */
	PDU_READ = 0x40, /* SCSI Command: 11.3.1 */
	PDU_WRITE = 0x20,
	PDU_ATTRIBUTE_MASK = 0x07,
	PDU_READ_UNDERFLOW = 0x08, /* SCSI Response: 11.4.1 */
	PDU_OVERFLOW = 0x04, /* SCSI Response and Data-In: 11.4.1 */
	PDU_UNDERFLOW = 0x02,
	PDU_STATUS = 0x01, /* Data-In: 11.7.3 */
	PDU_LOW_BITS = 0x7f, /* functions and reasons in byte 1 */
};

enum pdu_reject { /* RFC 7143 11.17.1 */
	PDU_REJECT_DATA_DIGEST = 0x02,
	PDU_REJECT_SNACK = 0x03,
	PDU_REJECT_PROTOCOL = 0x04,
	PDU_REJECT_UNSUPPORTED = 0x05,
	PDU_REJECT_IMMEDIATE = 0x06,
	PDU_REJECT_IN_PROGRESS = 0x07,
	PDU_REJECT_FIELD = 0x09,
	PDU_REJECT_RESOURCES = 0x0a,
	PDU_REJECT_LOGOUT = 0x0c,
};

enum pdu_async { /* RFC 7143 11.9.1 */
	PDU_ASYNC_SCSI = 0,
	PDU_ASYNC_LOGOUT = 1,
	PDU_ASYNC_DROP_CONNECTION = 2,
	PDU_ASYNC_DROP_SESSION = 3,
};

/* -- fields: pdu_get_NAME(bhs), pdu_put_NAME(bhs, value) --------------------- */

#define PDU_FIELD(bits, type, name, offset) \
	static inline type pdu_get_##name(const uint8_t *bhs) \
	{ \
		return get_be##bits(bhs + (offset)); \
	} \
	static inline void pdu_put_##name(uint8_t *bhs, type v) \
	{ \
		put_be##bits(bhs + (offset), v); \
	}
#define PDU_BYTE(name, offset) \
	static inline uint8_t pdu_get_##name(const uint8_t *bhs) \
	{ \
		return bhs[offset]; \
	} \
	static inline void pdu_put_##name(uint8_t *bhs, uint8_t v) \
	{ \
		bhs[offset] = v; \
	}

/* all PDUs: 11.2.1 */
PDU_BYTE(flags, 1)
PDU_BYTE(ahs_words, 4)
PDU_FIELD(24, uint32_t, data_bytes, 5)
PDU_FIELD(64, uint64_t, lun, 8)
PDU_FIELD(32, uint32_t, task_tag, 16) /* Initiator Task Tag */
/* all that the host sends */
PDU_FIELD(32, uint32_t, cmd_sn, 24)
PDU_FIELD(32, uint32_t, exp_stat_sn, 28)
/* all that we send */
PDU_FIELD(32, uint32_t, stat_sn, 24)
PDU_FIELD(32, uint32_t, exp_cmd_sn, 28)
PDU_FIELD(32, uint32_t, max_cmd_sn, 32)
/* NOP, Text, Data, R2T: 11.7.4 */
PDU_FIELD(32, uint32_t, transfer_tag, 20) /* Target Transfer Tag */
/* Response, Reject, Logout: 11.4.3, 11.6.1, 11.15.1, 11.17.1 */
PDU_BYTE(response, 2)
/* SCSI Command: 11.3 */
PDU_FIELD(32, uint32_t, expected_bytes, 20) /* EDTL */
/* SCSI Response and Data-In: 11.4, 11.7 */
PDU_BYTE(status, 3)
PDU_FIELD(32, uint32_t, exp_data_sn, 36)
PDU_FIELD(32, uint32_t, read_residual, 40)
PDU_FIELD(32, uint32_t, residual, 44)
/* Data-In, Data-Out, R2T, Reject: 11.7.5, 11.8.4 */
PDU_FIELD(32, uint32_t, data_sn, 36)
PDU_FIELD(32, uint32_t, offset, 40)
PDU_FIELD(32, uint32_t, desired_bytes, 44)
/* Task Management: 11.5 */
PDU_FIELD(32, uint32_t, referenced_tag, 20)
PDU_FIELD(32, uint32_t, referenced_cmd_sn, 32)
/* Login: 11.12, 11.13 */
PDU_FIELD(16, uint16_t, tsih, 14)
PDU_FIELD(16, uint16_t, cid, 20)
PDU_BYTE(status_class, 36)
PDU_BYTE(status_detail, 37)
/* Logout Response: 11.15 */
PDU_FIELD(16, uint16_t, time2wait, 40)
PDU_FIELD(16, uint16_t, time2retain, 42)
/* Asynchronous Message: 11.9 */
PDU_BYTE(event, 36)
PDU_FIELD(16, uint16_t, parameter1, 38)
PDU_FIELD(16, uint16_t, parameter2, 40)
PDU_FIELD(16, uint16_t, parameter3, 42)

static inline uint8_t pdu_opcode(const uint8_t *bhs)
{
	return bhs[0] & 0x3f;
}

static inline bool pdu_is_immediate(const uint8_t *bhs)
{
	return bhs[0] & PDU_IMMEDIATE;
}

static inline bool pdu_is_final(const uint8_t *bhs)
{
	return bhs[1] & PDU_FINAL;
}

static inline const uint8_t *pdu_isid(const uint8_t *bhs)
{
	return bhs + 8; /* 6 bytes: 11.12.5 */
}

/* BHS and AHS together. */
static inline uint32_t pdu_header_bytes(const uint8_t *bhs)
{
	return PDU_BHS_BYTES + 4u * pdu_get_ahs_words(bhs);
}

/* Zero bytes after a data segment: to a multiple of four (11.7.8). */
static inline uint32_t pdu_pad_bytes(uint32_t data_bytes)
{
	return -data_bytes & 3u;
}

/* Serial number arithmetic (RFC 1982, RFC 7143 4.2.2.1): a before b. */
static inline bool pdu_sn_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* A new header: zero but for opcode and flags. */
static inline void pdu_init(uint8_t *bhs, enum pdu_opcode opcode, uint8_t flags)
{
	memset(bhs, 0, PDU_BHS_BYTES);
	bhs[0] = (uint8_t)opcode;
	bhs[1] = flags;
}

/* Writes the digest of `bytes` at `data` followed by `pad` zero bytes. */
void pdu_put_digest(
	void *to, const void *data, uint32_t bytes, uint32_t pad_bytes);
/* True if `digest` (4 bytes) fits `bytes` at `data`. */
bool pdu_digest_fits(const void *digest, const void *data, size_t bytes);

/* What a SCSI Command says beyond its BHS (RFC 7143 11.2.2). */
struct pdu_command {
	uint8_t cdb[SCSI_CDB_BYTES];
	uint8_t cdb_bytes; /* 16, or more with an extended CDB */
	bool bidirectional; /* both R and W */
	bool read_length; /* ... with an Expected Read-Data Length: */
	uint32_t read_bytes; /* 0 without one */
};
/* The additions of a command that is taken: both kinds, each once. */
#define PDU_COMMAND_AHS_BYTES (4u + SCSI_CDB_BYTES - 16 + 8u)
/* `header`: BHS and AHS, pdu_header_bytes long. False: the AHS list is damaged,
 * holds something twice or what does not belong to the command, or a CDB that is
 * longer than we take. */
bool pdu_get_command(const uint8_t *header, struct pdu_command *command);

/* "SCSI Command", for log lines; "opcode 1Ch" style is the caller's. */
const char *pdu_name(uint8_t opcode);

#endif
