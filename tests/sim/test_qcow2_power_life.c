/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts of the format qcow2 in what happens to an image beside writes: it is
 * made, preallocated, closed and opened, made larger and smaller, repaired,
 * opened after a crash of another program, and it has compressed clusters.
 */
#include "tests/lib/qcow2_scripts.h"

#define WIDE ", subclusters: \"on\", cluster_size: 64K"
#define OLD ", version: \"2\", cluster_size: 4K"
#define WRITES W([LOAD_WRITE] = 10, [LOAD_FLUSH] = 2, [LOAD_READ] = 1)
#define STEPS(first, ...) \
	W(qcow2_cuts_##first##_co, qcow2_cuts_work_co, __VA_ARGS__)
#define MAKE_CUT STEPS(make_cut, NULL)
#define GARBAGE STEPS(make_on_garbage, qcow2_cuts_work_co)
#define ZEROED \
	STEPS(make_on_zeroes, qcow2_cuts_work_co, qcow2_cuts_work_co, \
		qcow2_cuts_work_co)
#define GROW STEPS(make, qcow2_cuts_grow_co, qcow2_cuts_work_co)
#define SHRINK \
	STEPS(make, qcow2_cuts_shrink_co, qcow2_cuts_work_co, \
		qcow2_cuts_grow_co, qcow2_cuts_work_co)
#define REOPEN STEPS(make, qcow2_cuts_reopen_co, qcow2_cuts_work_co)
#define REPAIR \
	STEPS(make, qcow2_cuts_leak_co, qcow2_cuts_repair_co, \
		qcow2_cuts_work_co)
#define CROWD STEPS(make, qcow2_cuts_crowd_co, qcow2_cuts_work_co)
#define SOIL STEPS(make, qcow2_cuts_soil_co, qcow2_cuts_work_co)
#define PACK STEPS(pack, NULL)
#define SNAPSHOT STEPS(snapshot, NULL)
#define BASE QCOW2_CUTS_SECTORS
static const struct qcow2_script scripts[] = {
	{"make", PLAIN, WRITES, 1, 12, 0, 0, MAKE_CUT},
	{"make, clusters of 512", SMALL, WRITES, 1, 12, 0, BASE, MAKE_CUT},
	{"make on garbage", PLAIN, ZEROES, 1, 12, 0, 0, GARBAGE},
	{"make on garbage, subclusters", PARTS, WRITES, 1, 12, 0, 0, GARBAGE},
	{"make on garbage, subclusters of 2K", WIDE, ZEROES, 1, 12, 0, 0,
		GARBAGE},
	{"zeroed", PLAIN ", zeroed: true", DISCARDS, 1, 12, 48, 0, ZEROED},
	{"zeroed, subclusters", WIDE ", zeroed: true", DISCARDS, 1, 200, 200, 0,
		ZEROED},
	{"zeroed, over a backing file", PARTS ", zeroed: true", ZEROES, 1, 24,
		0, BASE, ZEROED},
	{"preallocate on garbage, subclusters",
		PARTS ", preallocation: metadata", WRITES, 1, 12, 0, 0,
		GARBAGE},
	{"preallocate", PLAIN ", preallocation: metadata", WRITES, 1, 12, 0, 0,
		MAKE_CUT},
	{"preallocate, subclusters", PARTS ", preallocation: full", WRITES, 1,
		12, 0, 0, MAKE_CUT},
	{"grow", PLAIN, WRITES, 1, 12, 0, 0, GROW},
	{"grow, clusters of 512", SMALL, WRITES, 1, 12, 0, 0, GROW},
	{"grow over a backing file", PARTS, WRITES, 1, 12, 0, BASE, GROW},
	{"grow over a longer backing file", PARTS, WRITES, 1, 12, 0,
		QCOW2_CUTS_SECTORS_MOST, GROW},
	{"shrink", PLAIN, WRITES, 1, 12, 0, 0, SHRINK},
	{"shrink, subclusters", PARTS, ZEROES, 1, 12, 0, BASE, SHRINK},
	{"close and open", PLAIN, DISCARDS, 1, 24, 0, 0, REOPEN},
	{"close and open, subclusters", PARTS, ZEROES, 1, 24, 0, BASE, REOPEN},
	{"repair", PLAIN, DISCARDS, 1, 24, 0, 0, REPAIR},
	{"repair, version 2", OLD, DISCARDS, 1, 24, 0, 0, REPAIR},
	{"a larger refcount table", SMALL ", refcount_bits: 64", WRITES, 1, 8,
		0, 0, CROWD},
	{"open what is dirty", PLAIN, WRITES, 1, 12, 0, 0, SOIL},
	{"open what is dirty, subclusters", PARTS, DISCARDS, 1, 40, 0, BASE,
		SOIL},
	{"overwrite deflated clusters", "cluster_size=4k", WRITES, 1, 12, 0, 0,
		PACK},
	{"overwrite zstd clusters",
		"cluster_size=16k,compression_type=zstd,extended_l2=on", FUAS,
		1, 12, 0, 0, PACK},
	{"discard deflated clusters", "cluster_size=4k", ZEROES, 1, 40, 0, 0,
		PACK},
	{"discard parts of zstd clusters",
		"cluster_size=16k,compression_type=zstd,extended_l2=on", ZEROES,
		1, 40, 0, 0, PACK},
	{"write beside a snapshot", "cluster_size=4k", WRITES, 1, 12, 0, 0,
		SNAPSHOT},
	{"write beside a snapshot, clusters of 512", "cluster_size=512",
		DISCARDS, 1, 12, 0, 0, SNAPSHOT},
	{"write beside a snapshot, subclusters",
		"cluster_size=16k,extended_l2=on", FUAS, 1, 12, 0, 0, SNAPSHOT},
};

int main(void)
{
	return qcow2_cuts_main(scripts, sizeof scripts / sizeof scripts[0]);
}
