/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard INQUIRY data (SPC-4 6.6.2), also for LUNs that are not there.
 */
#include "blockcore/base/bytes.h"
#include "target/scsi/task.h"
#include "target/scsi/vpd.h"

#include <string.h>

#ifndef CAIRN_VERSION
#define CAIRN_VERSION "0"
#endif

enum {
	INQUIRY_BYTES = 96,
	INQUIRY_VERSION_SPC4 = 6,
	INQUIRY_RMB = 0x80,
	INQUIRY_HISUP_FORMAT_2 = 0x10 | 2, /* hierarchical LUNs, SPC-4 data */
	INQUIRY_TPGS_IMPLICIT = 0x10,
	INQUIRY_CMDQUE = 2,
};

/* No protocol-specific claims but iSCSI; SAM-5, SPC-4, SBC-3 without version. */
static const uint16_t inquiry_versions[] = {0x00a0, 0x0960, 0x0460, 0x04c0};

void scsi_put_text(uint8_t *to, const char *text, size_t width)
{
	size_t length = strnlen(text, width);

	memcpy(to, text, length);
	memset(to + length, ' ', width - length);
}

/* Peripheral qualifier 3, type 1Fh where there is no unit, 1 where it cannot be
 * reached by this way; the REPORT LUNS well known unit is of type 1Eh. */
uint8_t scsi_peripheral(const struct scsi_task *task)
{
	if (task->logical_unit)
		return scsi_path_unavailable(task->logical_unit) ? 0x20 : 0;
	return scsi_lun_is_well_known(task->lun) ? 0x1e : 0x7f;
}

static uint32_t inquiry_standard(const struct scsi_task *task, uint8_t *to)
{
	const struct volume_settings *settings =
		task->logical_unit ? &scsi_volume(task)->settings : NULL;

	memset(to, 0, INQUIRY_BYTES);
	to[0] = scsi_peripheral(task);
	to[1] = settings && settings->removable ? INQUIRY_RMB : 0;
	to[2] = INQUIRY_VERSION_SPC4;
	to[3] = INQUIRY_HISUP_FORMAT_2;
	to[4] = INQUIRY_BYTES - 5;
	to[5] = INQUIRY_TPGS_IMPLICIT;
	to[7] = INQUIRY_CMDQUE;
	scsi_put_text(to + 8, settings ? settings->vendor : "CAIRN", 8);
	scsi_put_text(to + 16, settings ? settings->product : "VOLUME", 16);
	scsi_put_text(to + 32, CAIRN_VERSION, 4);
	for (unsigned i = 0;
		i < sizeof inquiry_versions / sizeof *inquiry_versions; i++)
		put_be16(to + 58 + 2 * i, inquiry_versions[i]);
	return INQUIRY_BYTES;
}

uint32_t scsi_inquiry(struct scsi_task *task, uint8_t *to)
{
	if (task->cdb[1] & 2) { /* CMDDT, obsolete */
		scsi_sense_cdb(task, 1, 1);
		return 0;
	}
	if (task->cdb[1] & 1)
		return scsi_vpd(task, to);
	if (task->cdb[2]) {
		scsi_sense_cdb(task, 2, 7);
		return 0;
	}
	return inquiry_standard(task, to);
}
