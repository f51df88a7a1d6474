/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: what a check counts and finds.
 */
#ifndef BLOCKCORE_FORMAT_QCOW2_CHECK_H
#define BLOCKCORE_FORMAT_QCOW2_CHECK_H

#include "blockcore/format/qcow2/watch.h"

/* The whole image, which nobody else changes. */
int qcow2_check_co(
	struct qcow2 *image, struct block_check *check, struct err *err);

/* The same in an image that is in use. Hosts change it meanwhile, and what they
 * change is not judged (watch.h); where it is repaired their changes wait. -EBUSY
 * with a text: tables change as wholes, or it is being checked. */
int qcow2_check_live_co(
	struct qcow2 *image, struct block_check *check, struct err *err);

/* -- between check*.c ---------------------------------- */

struct qcow2_checker {
	struct qcow2 *image;
	struct block_check *check;
	const struct qcow2_watch *watch; /* NULL: nothing changes meanwhile */
	uint64_t *l1; /* the current one as it was found, machine's order */
	uint32_t l1_entries;
	uint16_t *references; /* of each cluster; stays at the most it can */
	uint64_t clusters, room;
	bool repairing; /* what follows is not left half done */
	uint64_t leak, leaks; /* to be mended: the first one, how many */
	uint8_t *table; /* one L2 table */
};

/* What it starts from: the current L1 table as it is now. `end` also if that
 * fails. */
int qcow2_check_begin(struct qcow2_checker *c, struct err *err);
int qcow2_check_run_co(struct qcow2_checker *c, struct err *err);
void qcow2_check_end(struct qcow2_checker *c);

/* The cluster may be held against what was counted of it. */
static inline bool qcow2_check_is_still(
	const struct qcow2_checker *c, uint64_t cluster)
{
	return !c->watch || !qcow2_watch_has(c->watch, cluster);
}
/* So many bytes of tables are done. Others have their turn; not 0: stop. */
int qcow2_check_step_co(struct qcow2_checker *c, uint64_t bytes);
/* Counts it; the first one is kept in words. */
void qcow2_check_error(struct block_check *check, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The entry `i` of checker->table. */
void qcow2_check_entry(
	const struct qcow2_checker *c, uint64_t i, uint64_t word[2]);
/* After all has been counted: refcounts, and COPIED bits of the active map. */
int qcow2_check_counts_co(struct qcow2_checker *c);
int qcow2_check_bits_co(struct qcow2_checker *c);

#endif
