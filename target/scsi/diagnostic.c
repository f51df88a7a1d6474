/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SEND DIAGNOSTIC (SPC-4 6.42): the default self-test, which a unit that answers
 * has passed. There are no diagnostic pages.
 */
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
