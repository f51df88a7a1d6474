/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: what a check counts and finds.
 */
#ifndef BLOCKCORE_FORMAT_QCOW2_CHECK_H
#define BLOCKCORE_FORMAT_QCOW2_CHECK_H

#include "blockcore/format/qcow2/qcow2.h"

struct qcow2_check {
	uint64_t leaks, errors; /* clusters; entries and clusters */
	uint64_t fixed_leaks, fixed_errors;
	uint64_t clusters, allocated; /* of the guest */
	uint64_t end_bytes; /* of the last used cluster */
	bool repair_leaks, repair_errors;
	char first[128]; /* the first error, in words */
};
int qcow2_check_co(
	struct qcow2 *image, struct qcow2_check *check, struct err *err);

/* The same in an image that is in use: its changes wait meanwhile. */
int qcow2_check_live_co(
	struct qcow2 *image, struct qcow2_check *check, struct err *err);

/* -- between check.c and check_compare.c ---------------------------------- */

struct qcow2_checker {
	struct qcow2 *image;
	struct qcow2_check *check;
	uint16_t *references; /* of each cluster; stays at the most it can */
	uint64_t clusters, room;
	uint8_t *table; /* one L2 table */
};

/* Counts it; the first one is kept in words. */
void qcow2_check_error(struct qcow2_check *check, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The entry `i` of checker->table. */
void qcow2_check_entry(
	const struct qcow2_checker *c, uint64_t i, uint64_t word[2]);
/* After all has been counted: refcounts, and COPIED bits of the active map. */
int qcow2_check_counts_co(struct qcow2_checker *c);
int qcow2_check_bits_co(struct qcow2_checker *c);

#endif
