/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a schedule's form share. */
#ifndef TARGET_CONTROL_SCHEDULE_SCHEDULE_PARTS_H
#define TARGET_CONTROL_SCHEDULE_SCHEDULE_PARTS_H

struct doc;
struct err;
struct schedule;

/* directory, file, placement of one whose `external` is known: 0 or -EINVAL. */
int schedule_read_files(
	const struct doc *node, struct schedule *schedule, struct err *err);

#endif
