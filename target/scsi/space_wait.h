/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes that wait for space. When nothing is left below a volume, a write fails
 * with 07h/27h/07h, which many hosts take for the end of a file system. A volume with
 * `space_wait` has them wait instead, for so many seconds, and go on when there is
 * space again.
 *
 *	scsi_submit --> source --ENOSPC--> waits --a moment later--> source ...
 *			  |                  |
 *			  |                  |-- its time is over: 27h/07h
 *			  |                  |-- aborted, its session ends: at once
 *			  '-- done           '-- buffers run short: BUSY
 *
 * Invariants
 *  1. Nothing is acknowledged that was not written. A write that waits has changed
 *     any part of its range, as one that is on its way may have.
 *  2. A task waits `space_wait` seconds at most, all its pieces together, from when
 *     it was refused first; it is tried at the end once more. All that waits in a
 *     session is tried again every SPACE_RETRY_NS, in the order in which it came.
 *  3. Who waits keeps its buffers. While more than half of those of the lane are
 *     out nobody waits: the host gets BUSY and tries again, so that volumes with
 *     space go on.
 *  4. COMPARE AND WRITE and ORWRITE do not wait: what they compare with may have
 *     been changed in part. Nor does UNMAP, nor FORMAT UNIT.
 */
#ifndef TARGET_SCSI_SPACE_WAIT_H
#define TARGET_SCSI_SPACE_WAIT_H

#include "target/scsi/task.h"

#define SPACE_RETRY_NS (250ull * 1000 * 1000)

/* For a new session. */
void scsi_space_open(struct scsi_private *private);
/* That request of the task waits if there is no space. */
bool scsi_space_waits(const struct scsi_task *task, enum block_opcode op);
/* `done` of such a request: waits, or hands it to task->space_done. */
void scsi_space_done(struct block_request *request);
/* scsi_space_abort: see task.h. */

#endif
