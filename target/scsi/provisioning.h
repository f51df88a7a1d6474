/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logical block provisioning thresholds (SBC-4 4.7.3.7): a host with a thin unit is
 * told when the file system below runs full, before a write of its fails.
 *
 * There is one threshold, on available resources, of the type "threshold sets",
 * armed decreasing: the first descriptor of mode page 1Ch/02h. Its count is what
 * the operator's setting leaves free of the file system, in sets of 1 MiB, and so no
 * host can change it: others' units lie there, too. A host can switch off the
 * notification of a unit (ENABLED) or have only one host told (SITUA).
 *
 *	crossed (target/control/appliance/appliance_space.h)
 *	  `-> every nexus: 38h/07h is pending
 *		told by the first command, INFORMATION: SENSE_THRESHOLD_AT
 *		(SITUA: whoever sends a command first; the others forget it)
 *
 *	log page 0Ch	what is available (shared by all units of the file system)
 *			and used (by this one), in sets, and in percent
 *	VPD page B2h	the exponent: blocks of a set
 *
 * Invariants
 *  1. All figures are what was heard last (target/volume/space.h); no command asks
 *     a file system. As long as nobody knows them, page 0Ch is not there and the
 *     count is 0.
 *  2. On a thick unit none of it is there. LBPERE is 1 on a thin one.
 */
#ifndef TARGET_SCSI_PROVISIONING_H
#define TARGET_SCSI_PROVISIONING_H

#include "target/scsi/scsi.h"

/* UNMAP and all that belongs to it is there. */
bool scsi_is_thin(const struct scsi_task *task);
/* The threshold can be crossed: thin, and the operator has set one. */
bool scsi_has_threshold(const struct scsi_task *task);
/* Blocks of a threshold set: 1 << this. */
uint8_t scsi_threshold_exponent(const struct scsi_task *task);
/* THRESHOLD COUNT of the descriptor. */
uint32_t scsi_threshold_count(const struct scsi_task *task);

/* Log page 0Ch: whether it is there; its parameters, how many bytes. */
bool scsi_provisioning_log_there(const struct scsi_task *task);
uint32_t scsi_provisioning_log(const struct scsi_task *task, uint8_t *to);

#endif
