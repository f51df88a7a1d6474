/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of PDUs that are more than a field: digests, additional headers,
 * names. Everything here reads peers' bytes and trusts none of them.
 */
#include "target/iscsi/pdu.h"

#include "blockcore/base/crc32c.h"

enum { AHS_EXTENDED_CDB = 1, AHS_BIDIRECTIONAL_READ = 2 }; /* 11.2.2.2 */

void pdu_put_digest(
	void *to, const void *data, uint32_t bytes, uint32_t pad_bytes)
{
	static const uint8_t zero[4];
	uint32_t crc = crc32c(0, data, bytes);

	if (pad_bytes)
		crc = crc32c(crc, zero, pad_bytes);
	put_le32(to, crc);
}

bool pdu_digest_fits(const void *digest, const void *data, size_t bytes)
{
	return get_le32(digest) == crc32c(0, data, bytes);
}

/* One additional header at `ahs`, `bytes` long without its first three. */
static bool take_ahs(
	struct pdu_command *command, const uint8_t *ahs, uint32_t bytes)
{
	/* AHSLength counts the reserved byte 3; a CDB that needs no addition has
	 * none (11.2.2.3). */
	switch (ahs[2]) {
	case AHS_EXTENDED_CDB:
		if (bytes < 2 || bytes - 1 > SCSI_CDB_BYTES - 16 ||
			command->cdb_bytes > 16)
			return false;
		memcpy(command->cdb + 16, ahs + 4, bytes - 1);
		command->cdb_bytes = (uint8_t)(16 + bytes - 1);
		return true;
	case AHS_BIDIRECTIONAL_READ:
		if (bytes != 5 || !command->bidirectional ||
			command->read_length)
			return false;
		command->read_length = true;
		command->read_bytes = get_be32(ahs + 4);
		return true;
	default: return false;
	}
}

bool pdu_get_command(const uint8_t *header, struct pdu_command *command)
{
	uint32_t at = PDU_BHS_BYTES, end = pdu_header_bytes(header);
	uint8_t both = PDU_READ | PDU_WRITE;

	memcpy(command->cdb, header + 32, 16);
	command->cdb_bytes = 16;
	command->read_length = false;
	command->read_bytes = 0;
	command->bidirectional = (pdu_get_flags(header) & both) == both;
	while (at < end) {
		uint32_t bytes = get_be16(header + at);

		if (at + 3 + bytes > end ||
			!take_ahs(command, header + at, bytes))
			return false;
		at += (3 + bytes + 3) & ~3u;
	}
	return true;
}

const char *pdu_name(uint8_t opcode)
{
	static const char *const name[PDU_OPCODES] = {
		[PDU_NOP_OUT] = "NOP-Out",
		[PDU_SCSI_COMMAND] = "SCSI Command",
		[PDU_TASK_REQUEST] = "Task Management Request",
		[PDU_LOGIN_REQUEST] = "Login Request",
		[PDU_TEXT_REQUEST] = "Text Request",
		[PDU_DATA_OUT] = "Data-Out",
		[PDU_LOGOUT_REQUEST] = "Logout Request",
		[PDU_SNACK] = "SNACK Request",
	};
	const char *known = opcode < PDU_OPCODES ? name[opcode] : NULL;

	return known ? known : "unknown PDU";
}
