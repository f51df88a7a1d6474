/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: which clusters change while a check counts, so that the check needs to hold
 * up nobody.
 *
 * Invariants
 *  1. A cluster that is named by one entry more or less, or counted otherwise, since
 *     the watch began is noted before that is on disk or in what others see.
 *  2. What was on its way when the watch began (reserved, to be counted down) is
 *     noted, too. Once that is committed, what is not noted stays as it is: its
 *     entries are on disk, and its count agrees with them, or the image is wrong.
 *  3. What changes tables as wholes (a snapshot that is made, deleted or gone back
 *     to, a smaller image) is no list of clusters: it disturbs the watch.
 *
 * At home, all of it; without a watch a note costs a look at a pointer.
 */
#ifndef BLOCKCORE_FORMAT_QCOW2_WATCH_H
#define BLOCKCORE_FORMAT_QCOW2_WATCH_H

#include "blockcore/format/qcow2/qcow2.h"

struct qcow2_watch {
	uint64_t clusters; /* of the file when it began */
	uint64_t noted; /* of them */
	const char *disturbed; /* by what, in words; NULL: it is not */
	uint64_t changed[]; /* a bit for each cluster */
};

/* All ranges are locked. One at a time: -EBUSY; -ENOMEM. */
int qcow2_watch_begin_co(struct qcow2 *image);
void qcow2_watch_end(struct qcow2 *image);
/* Whether it changed, or was not there when the watch began. */
bool qcow2_watch_has(const struct qcow2_watch *watch, uint64_t cluster);

/* For whoever changes something: host clusters by number; what an entry of a
 * table names; more than can be noted (`what` lives on). */
void qcow2_watch_note(struct qcow2 *image, uint64_t first, uint64_t count);
void qcow2_watch_note_entry(struct qcow2 *image, uint64_t word);
void qcow2_watch_disturb(struct qcow2 *image, const char *what);

#endif
