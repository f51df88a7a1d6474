/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: an internal snapshot is made (share.c), deleted (unshare.c) or gone back to
 * (revert.c) while hosts write.
 *
 *	begin	the image is marked dirty, durably: that is the intent
 *	take	behind the gate: the map is durable; the L1 table is copied, and all
 *		L2 tables wait to be shared. The pause ends here.
 *	end	table by table: counts go up by one, COPIED bits go; whoever changes
 *		something in a table that waits does that one first. Then the L1
 *		copy and the new snapshot table are written, then all is
 *		committed, and one sector of the header names the snapshot and
 *		takes the mark away.
 *
 * To delete one is the way back: a new snapshot table is written, and one sector of
 * the header names it and marks the image dirty. From then on there is no such
 * snapshot. Table by table, counts go down by one, what nobody names any more gives
 * its space back (release.c), and where one is left, and it is the current map's,
 * COPIED bits are set; then the mark goes.
 *
 * To go back to one: the image is marked dirty; what the snapshot names is counted
 * once more, and a copy of its L1 table is written. Behind the gate the map is made
 * durable, and one sector of the header names that copy as the current table, the
 * old one as that of a new snapshot, and takes the mark away. COPIED bits in the
 * tables of a snapshot mean nothing, so those of the old current map stay; but a
 * snapshot's are taken away before its tables become the current map's.
 *
 * Invariants
 *  1. Until that sector is written there is no snapshot: who opens the image then
 *     finds it dirty and counts anew what its tables name, so nothing is left of it.
 *  2. The content of the snapshot is that of the moment behind the gate: nothing of
 *     a table that waits is changed, and nothing that is shared is written to.
 *  3. No count goes down, and no space goes, for a snapshot that the header still
 *     names.
 *  4. A COPIED bit is set while its cluster is locked: whoever copies the cluster
 *     then would lose what a lane overwrites.
 */
#ifndef BLOCKCORE_FORMAT_QCOW2_SHARE_H
#define BLOCKCORE_FORMAT_QCOW2_SHARE_H

#include "blockcore/format/qcow2/qcow2.h"

/* 0 if no snapshot is being made or deleted and one may be; or a text. */
int qcow2_share_check_idle(const struct qcow2 *image, struct err *err);
/* The same, and there may be one more. */
int qcow2_share_check_possible(const struct qcow2 *image, struct err *err);
/* How many references a cluster, by its number, is counted for; 0: it is free. */
int qcow2_share_count_co(
	struct qcow2 *image, uint64_t cluster, uint64_t *count);
/* One reference more: to a cluster, by its number; to what an L2 entry names. */
int qcow2_share_raise_co(struct qcow2 *image, uint64_t cluster);
int qcow2_share_raise_entry_co(struct qcow2 *image, uint64_t word);
/* Goes through an L2 table, slice by slice, each in memory and pinned meanwhile. */
struct qcow2_share_walk {
	/* For each entry (its first word); may be NULL. */
	int (*entry_co)(struct qcow2 *image, uint64_t word);
	/* After those of a slice, which begins at `guest`; may be NULL. */
	int (*slice_co)(struct qcow2_map *map, struct qcow2_slice *slice,
		uint64_t guest);
};
int qcow2_share_walk_co(struct qcow2_map *map, uint32_t l1_index,
	const struct qcow2_share_walk *walk);
/* One less to what an L2 table names, and to it: of references that were only counted,
 * so that another one is left. */
int qcow2_unshare_table_co(struct qcow2_map *map, uint32_t l1_index);
/* The same; with the last one their space goes, too (release.c). */
int qcow2_release_table_co(struct qcow2_map *map, uint32_t l1_index);
/* view.c: the current view's size is the image's. */
void qcow2_view_show(struct qcow2 *image);
/* block_format_kind's; at home. */
int qcow2_share_begin_co(
	struct block_format *format, const char *name, struct err *err);
int qcow2_share_take_co(struct block_format *format, struct err *err);
int qcow2_share_end_co(
	struct block_format *format, bool taken, struct err *err);
int qcow2_unshare_co(
	struct block_format *format, const char *name, struct err *err);
int qcow2_revert_begin_co(struct block_format *format, const char *name,
	const char *safety, struct err *err);
int qcow2_revert_take_co(struct block_format *format, struct err *err);
int qcow2_revert_end_co(
	struct block_format *format, bool taken, struct err *err);
/* Before a change of the range, which is locked: what of it waits is shared. */
void qcow2_share_settle_co(
	struct qcow2 *image, uint64_t offset, uint64_t bytes);

#endif
