/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts of the format qcow2 while an internal snapshot is made or deleted, and
 * after: the image is sound and holds what was flushed, and the snapshot is there if it
 * was whole, showing the moment at which it was taken, until it is deleted.
 */
#include "tests/lib/qcow2_scripts.h"

#define STEPS(...) W(qcow2_cuts_make_co, qcow2_cuts_work_co, __VA_ARGS__)
#define SHOT STEPS(qcow2_cuts_shot_co, qcow2_cuts_work_co)
#define REOPEN \
	STEPS(qcow2_cuts_shot_co, qcow2_cuts_work_co, qcow2_cuts_reopen_co, \
		qcow2_cuts_work_co)
#define UNDER_LOAD STEPS(qcow2_cuts_work_shot_co, qcow2_cuts_work_co)
#define DELETE \
	STEPS(qcow2_cuts_shot_co, qcow2_cuts_work_co, qcow2_cuts_delete_co, \
		qcow2_cuts_work_co)
#define DELETE_UNDER_LOAD \
	STEPS(qcow2_cuts_shot_co, qcow2_cuts_work_delete_co, qcow2_cuts_work_co)
#define DELETE_THEIRS \
	W(qcow2_cuts_snapshot_co, qcow2_cuts_work_delete_co, qcow2_cuts_work_co)
#define DELETE_OTHER \
	STEPS(qcow2_cuts_shot_co, qcow2_cuts_work_co, qcow2_cuts_other_co, \
		qcow2_cuts_work_delete_other_co)
#define BASE QCOW2_CUTS_SECTORS

static const struct qcow2_script scripts[] = {
	{"snapshot", PLAIN, DISCARDS, 1, 12, 0, 0, SHOT},
	{"snapshot, clusters of 512", SMALL, ZEROES, 1, 12, 0, 0, SHOT},
	{"snapshot, subclusters", PARTS, FUAS, 1, 12, 0, BASE, SHOT},
	{"close and open", PLAIN, ZEROES, 1, 12, 0, BASE, REOPEN},
	{"under load", PLAIN, DISCARDS, 1, 12, 0, 0, UNDER_LOAD},
	{"under load, clusters of 512", SMALL, FUAS, 1, 12, 0, 0, UNDER_LOAD},
	{"under load, subclusters", PARTS, ZEROES, 1, 12, 0, BASE, UNDER_LOAD},
	{"delete", PLAIN, DISCARDS, 1, 12, 0, 0, DELETE},
	{"delete, clusters of 512", SMALL, FUAS, 1, 12, 0, BASE, DELETE},
	{"delete, subclusters", PARTS, ZEROES, 1, 12, 0, 0, DELETE},
	{"delete under load", PLAIN, FUAS, 1, 12, 0, BASE, DELETE_UNDER_LOAD},
	{"delete under load, clusters of 512", SMALL, DISCARDS, 1, 12, 0, 0,
		DELETE_UNDER_LOAD},
	{"delete under load, subclusters", PARTS, FUAS, 1, 12, 0, 0,
		DELETE_UNDER_LOAD},
	{"delete another", SMALL, DISCARDS, 1, 12, 0, 0, DELETE_OTHER},
	{"delete one of QEMU's", "cluster_size=4k", ZEROES, 1, 12, 0, 0,
		DELETE_THEIRS},
};

int main(void)
{
	return qcow2_cuts_main(scripts, sizeof scripts / sizeof scripts[0]);
}
