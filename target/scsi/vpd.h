/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vital product data pages (SPC-4 7.8, SBC-3 6.6).
 */
#ifndef TARGET_SCSI_VPD_H
#define TARGET_SCSI_VPD_H

#include "target/scsi/scsi.h"

enum { VPD_HEADER_BYTES = 4 };

/* The page that byte 2 of the CDB names; 0 with sense if there is none. */
uint32_t scsi_vpd(struct scsi_task *task, uint8_t *to);

/* First byte of INQUIRY data and VPD pages. */
uint8_t scsi_peripheral(const struct scsi_task *task);
/* Left-aligned ASCII, padded with spaces. */
void scsi_put_text(uint8_t *to, const char *text, size_t width);
bool scsi_lun_is_well_known(const uint8_t *lun);

/* -- vpd_identity.c: pages 80h, 83h, 85h, 88h, from behind their headers --- */

uint32_t vpd_serial(const struct scsi_task *task, uint8_t *to);
uint32_t vpd_identification(const struct scsi_task *task, uint8_t *to);
/* Only where the operator has said by which address. */
bool vpd_management_there(const struct scsi_task *task);
uint32_t vpd_management(const struct scsi_task *task, uint8_t *to);
uint32_t vpd_ports(const struct scsi_task *task, uint8_t *to);

#endif
