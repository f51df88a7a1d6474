/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts of the format qcow2 while an image goes back to an internal snapshot, and
 * after: the image is sound and holds what was flushed, then or now, and the snapshot
 * shows the moment at which it was taken.
 */
#include "tests/lib/qcow2_scripts.h"

#define STEPS(...) W(qcow2_cuts_make_co, qcow2_cuts_work_co, __VA_ARGS__)
#define REVERT \
	STEPS(qcow2_cuts_shot_co, qcow2_cuts_work_co, qcow2_cuts_revert_co, \
		qcow2_cuts_work_co)
#define REVERT_UNDER_LOAD \
	STEPS(qcow2_cuts_shot_co, qcow2_cuts_work_co, \
		qcow2_cuts_work_revert_co, qcow2_cuts_work_co)
#define BASE QCOW2_CUTS_SECTORS

static const struct qcow2_script scripts[] = {
	{"revert", PLAIN, DISCARDS, 1, 12, 0, 0, REVERT},
	{"revert, clusters of 512", SMALL, FUAS, 1, 12, 0, BASE, REVERT},
	{"revert, subclusters", PARTS, ZEROES, 1, 12, 0, 0, REVERT},
	{"revert under load", PLAIN, FUAS, 1, 12, 0, BASE, REVERT_UNDER_LOAD},
	{"revert under load, clusters of 512", SMALL, DISCARDS, 1, 12, 0, 0,
		REVERT_UNDER_LOAD},
	{"revert under load, subclusters", PARTS, FUAS, 1, 12, 0, 0,
		REVERT_UNDER_LOAD},
};

int main(void)
{
	return qcow2_cuts_main(scripts, sizeof scripts / sizeof scripts[0]);
}
