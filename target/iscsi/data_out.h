/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data from the host (RFC 7143 11.7, 11.8): immediate in the command's PDU,
 * unsolicited up to FirstBurstLength, the rest as R2Ts ask for it.
 */
#ifndef TARGET_ISCSI_DATA_OUT_H
#define TARGET_ISCSI_DATA_OUT_H

#include "target/iscsi/task.h"

/* The task has its buffer (if it needs one) and its immediate data: waits for
 * unsolicited data, asks for the rest, or executes. */
void data_out_start(struct iscsi_task *task);

/* The immediate data failed its digest: Reject, and the task ends when no data comes
 * for it any more. */
void data_out_immediate_damaged(struct iscsi_task *task, const uint8_t *header);

#endif
