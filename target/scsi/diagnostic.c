/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SEND DIAGNOSTIC (SPC-4 6.42): the default self-test, which a unit that answers
 * has passed. RECEIVE DIAGNOSTIC RESULTS: the list of pages, which has itself only.
 */
#include "blockcore/base/bytes.h"
#include "target/scsi/task.h"

enum { DIAGNOSTIC_SELF_TEST = 4 };

void scsi_send_diagnostic(struct scsi_task *task)
{
	if (task->cdb[1] >> 5)
		scsi_sense_cdb(task, 1, 7); /* SELF-TEST CODE */
	else if (!(task->cdb[1] & DIAGNOSTIC_SELF_TEST))
		scsi_sense_cdb(task, 1, 2);
	else if (task->data_bytes)
		scsi_sense_cdb(task, 3, 7);
	scsi_finish(task);
}

/* Without PCV it would be the answer to a page that was sent: there are none. */
uint32_t scsi_receive_diagnostic(struct scsi_task *task, uint8_t *to)
{
	if (!(task->cdb[1] & 1)) {
		scsi_sense_cdb(task, 1, 0);
		return 0;
	}
	if (task->cdb[2]) {
		scsi_sense_cdb(task, 2, 7);
		return 0;
	}
	put_be32(to, 1); /* page 00h, one byte: */
	to[4] = 0x00;
	return 5;
}
