/* SPDX-License-Identifier: Apache-2.0 */
/*
 * REPORT LUNS (SPC-4 6.33), REPORT TIMESTAMP (6.38), REQUEST SENSE (6.39).
 */
#include "blockcore/base/bytes.h"
#include "target/scsi/task.h"
#include "target/scsi/vpd.h"

#include <string.h>
#include <time.h>

#define LUN_REPORT_LUNS 0xc101u /* the well known unit, SPC-4 8.1 */

bool scsi_lun_is_well_known(const uint8_t *lun)
{
	return get_be64(lun) == (uint64_t)LUN_REPORT_LUNS << 48;
}

/* LUNs up to 255 in peripheral format, higher ones in flat space format. */
static void put_lun(uint8_t *to, unsigned lun)
{
	memset(to, 0, 8);
	put_be16(to, (uint16_t)(lun < 256 ? lun : 0x4000 | lun));
}

/* That the list has changed needs no telling any more. */
static void forget_luns_changed(struct scsi_nexus *nexus)
{
	for (unsigned i = 0; i < nexus->units; i++)
		volume_nexus_forget(
			&nexus->unit[i]->nexus, ASC_REPORTED_LUNS_CHANGED);
}

uint32_t scsi_report_luns(struct scsi_task *task, uint8_t *to)
{
	struct scsi_nexus *nexus = task->nexus;
	unsigned select = task->cdb[2];
	uint32_t room = task->data_bytes, bytes = 8;

	if (select > 2) {
		scsi_sense_cdb(task, 2, 7);
		return 0;
	}
	if (room < BUF_MIN_BYTES)
		room = BUF_MIN_BYTES;
	memset(to, 0, 8);
	for (unsigned i = 0; select != 1 && i < nexus->units; i++) {
		if (bytes + 8 <= room)
			put_lun(to + bytes, nexus->unit[i]->lun);
		bytes += 8;
	}
	if (select && bytes + 8 <= room) {
		memset(to + bytes, 0, 8);
		put_be16(to + bytes, LUN_REPORT_LUNS);
	}
	if (select)
		bytes += 8;
	put_be32(to, bytes - 8);
	forget_luns_changed(nexus);
	return bytes;
}

/* What is pending is told as data, and is told by that. */
uint32_t scsi_request_sense(struct scsi_task *task, uint8_t *to)
{
	struct volume_nexus *nexus = task->logical_unit;
	struct scsi_sense sense = {.key = SENSE_NONE};

	if (!nexus) {
		sense.key = SENSE_ILLEGAL_REQUEST;
		sense.code = ASC_LUN_NOT_SUPPORTED;
	} else if (volume_nexus_owed(nexus)) {
		sense = scsi_sense_of_attention(volume_nexus_told(nexus));
	} else if (scsi_path_code(nexus)) {
		sense.key = SENSE_NOT_READY;
		sense.code = scsi_path_code(nexus);
	} else if (volume_flags(nexus->volume) & VOLUME_FORMATTING) {
		sense = scsi_sense_of_format(nexus->volume);
	}
	return scsi_sense_encode(&sense, task->cdb[1] & 1, to);
}

enum { TIMESTAMP_BYTES = 12, TIMESTAMP_BY_OTHERS = 3 };

/* Milliseconds since 1970 by the clock of this machine, which no host sets. */
uint32_t scsi_report_timestamp(struct scsi_task *task, uint8_t *to)
{
	struct timespec now;
	uint64_t ms;

	(void)task;
	clock_gettime(CLOCK_REALTIME, &now);
	ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	memset(to, 0, TIMESTAMP_BYTES);
	put_be16(to, TIMESTAMP_BYTES - 2);
	to[2] = TIMESTAMP_BY_OTHERS;
	put_be16(to + 4, (uint16_t)(ms >> 32));
	put_be32(to + 6, (uint32_t)ms);
	return TIMESTAMP_BYTES;
}
