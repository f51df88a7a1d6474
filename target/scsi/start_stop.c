/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TEST UNIT READY (SPC-4 6.47).
 */
#include "target/scsi/task.h"

/* The checks before it are all of it. */
void scsi_test_unit_ready(struct scsi_task *task)
{
	scsi_finish(task);
}
