/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts of the format qcow2 while hosts write (tests/lib/qcow2_cuts.h has
 * how). The suite has to fail for the mistakes that
 * tests/sim/test_qcow2_mutants.sh makes.
 */
#include "tests/lib/qcow2_scripts.h"

#define LARGE ", subclusters: \"off\", cluster_size: 64K"
#define WIDE ", subclusters: \"on\", cluster_size: 64K"
#define OLD ", version: \"2\", cluster_size: 4K"
#define WRITES W([LOAD_WRITE] = 10, [LOAD_FLUSH] = 2, [LOAD_READ] = 1)
#define LATE_FUAS W([LOAD_WRITE] = 8, [LOAD_FUA] = 2)
#define FLUSHES W([LOAD_WRITE] = 4, [LOAD_FLUSH] = 8)
#define READS \
	W([LOAD_WRITE] = 6, [LOAD_DISCARD] = 4, [LOAD_FLUSH] = 4, \
		[LOAD_READ] = 8)
#define COMPARES W([LOAD_WRITE] = 3, [LOAD_COMPARE] = 6, [LOAD_FLUSH] = 2)
#define WORK W(qcow2_cuts_make_co, qcow2_cuts_work_co)
#define TWICE W(qcow2_cuts_make_co, qcow2_cuts_work_co, qcow2_cuts_work_co)
#define THRICE \
	W(qcow2_cuts_make_co, qcow2_cuts_work_co, qcow2_cuts_work_co, \
		qcow2_cuts_work_co)
#define BASE QCOW2_CUTS_SECTORS
static const struct qcow2_script scripts[] = {
	{"write", PLAIN, WRITES, 1, 20, 0, 0, WORK},
	{"write, clusters of 512", SMALL, WRITES, 1, 8, 0, 0, WORK},
	{"write, clusters of 64K", LARGE, WRITES, 1, 20, 0, 0, WORK},
	{"write, subclusters", PARTS, WRITES, 1, 20, 0, 0, WORK},
	{"write, version 2", OLD, WRITES, 1, 20, 0, 0, WORK},
	{"write, counts of 2 bits", PLAIN ", refcount_bits: 2", WRITES, 1, 20,
		0, 0, WORK},
	{"overwrite", PLAIN, WRITES, 2, 6, 8, 0, WORK},
	{"overwrite, subclusters", PARTS, WRITES, 1, 6, 24, 0, WORK},
	{"fua", PLAIN, FUAS, 1, 12, 0, 0, WORK},
	{"fua, subclusters", PARTS, FUAS, 1, 12, 0, 0, WORK},
	{"fua after writes", PLAIN, LATE_FUAS, 1, 3, 24, 0, TWICE},
	{"fua, hot", PLAIN, FUAS, 1, 4, 12, 0, WORK},
	{"flush", PLAIN, FLUSHES, 4, 4, 0, 0, WORK},
	{"flush, subclusters", PARTS, FLUSHES, 2, 4, 0, 0, WORK},
	{"zero", PLAIN, ZEROES, 1, 40, 0, 0, WORK},
	{"zero, subclusters", PARTS, ZEROES, 1, 60, 0, 0, WORK},
	{"zero, subclusters of 2K", WIDE, ZEROES, 1, 40, 60, 0, TWICE},
	{"zero, version 2", OLD, ZEROES, 1, 40, 0, 0, WORK},
	{"discard", PLAIN, DISCARDS, 4, 12, 0, 0, WORK},
	{"discard, clusters of 512", SMALL, DISCARDS, 1, 24, 64, 0, WORK},
	{"discard, subclusters", PARTS, DISCARDS, 1, 60, 0, 0, WORK},
	{"discard and write again", PLAIN, DISCARDS, 8, 2, 4, 0, TWICE},
	{"discard and write parts", PLAIN, DISCARDS, 1, 12, 48, 0, THRICE},
	{"discard, write parts, subclusters", WIDE, DISCARDS, 1, 200, 200, 0,
		THRICE},
	{"read what is discarded", PLAIN, READS, 8, 8, 8, 0, THRICE},
	{"compare and write", PLAIN, COMPARES, 1, 4, 8, 0, WORK},
	{"copy up", PLAIN, WRITES, 1, 12, 0, BASE, WORK},
	{"copy up, subclusters", PARTS, WRITES, 1, 12, 0, BASE, WORK},
	{"copy up, clusters of 64K", LARGE, FUAS, 1, 12, 0, BASE, WORK},
	{"copy up, a shorter backing file", WIDE, WRITES, 1, 12, 0, 101, WORK},
	{"copy up, a backing file that ends in a cluster", PLAIN, WRITES, 1, 12,
		0, 101, WORK},
	{"zero over a backing file", PLAIN, ZEROES, 1, 40, 0, BASE, WORK},
	{"zero over a backing file, subclusters", PARTS, ZEROES, 1, 60, 0, BASE,
		WORK},
	{"discard over a backing file, version 2", OLD, DISCARDS, 1, 40, 0,
		BASE, WORK},
};

int main(void)
{
	return qcow2_cuts_main(scripts, sizeof scripts / sizeof scripts[0]);
}
