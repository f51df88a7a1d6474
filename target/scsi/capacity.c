/* SPDX-License-Identifier: Apache-2.0 */
/*
 * READ CAPACITY(10) and (16) (SBC-3 5.15, 5.16).
 */
#include "blockcore/base/bytes.h"
#include "target/scsi/limits.h"
#include "target/scsi/task.h"

#include <string.h>

uint32_t scsi_read_capacity_10(struct scsi_task *task, uint8_t *to)
{
	uint64_t last = scsi_capacity_blocks(task) - 1;

	/* PMI is obsolete: without it the address must be 0. */
	if (!(task->cdb[8] & 1) && task->lba) {
		scsi_sense_cdb(task, 2, 7);
		return 0;
	}
	put_be32(to, last > UINT32_MAX ? UINT32_MAX : (uint32_t)last);
	put_be32(to + 4, scsi_block_bytes(task));
	return 8;
}

uint32_t scsi_read_capacity_16(struct scsi_task *task, uint8_t *to)
{
	struct scsi_limits limits;

	scsi_limits_read(task, &limits);
	memset(to, 0, 32);
	put_be64(to, limits.blocks - 1);
	put_be32(to + 8, scsi_block_bytes(task));
	to[13] = limits.physical_exponent;
	if (limits.thin)
		to[14] = 0x80 | 0x40; /* LBPME, LBPRZ */
	return 32;
}
