/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a task ends on the wire: SCSI Response (RFC 7143 11.4), or Data-In with
 * the status in its last PDU when that is GOOD and there is data (11.7.3).
 */
#ifndef TARGET_ISCSI_ANSWER_H
#define TARGET_ISCSI_ANSWER_H

#include "target/iscsi/task.h"

/* Residual flags and count by comparing what the CDB moves with the expected
 * length (11.4.5). Puts the count, returns the flags. */
uint8_t answer_residual(const struct iscsi_task *task, uint8_t *header);

/* `task->answer` has left, or never will. */
void answer_sent(struct stream_chunk *chunk, bool ok);

/* SCSI Response with status and sense. */
void answer_send(struct iscsi_task *task);

/* data_in.c: sends the data, then the status. */
void data_in_start(struct iscsi_task *task);
/* Sends no more of it (the host has aborted the task); no answer follows. */
void data_in_stop(struct iscsi_task *task);

/* The end of every task that was begun: whichever of the two is due, or
 * silence if it was aborted or nobody is there to hear. */
void answer_task(struct iscsi_task *task);

/* Ends a task that the device server has begun and will not get, with CHECK
 * CONDITION. */
void answer_failure(struct iscsi_task *task, uint8_t key, uint16_t asc_ascq);

#endif
