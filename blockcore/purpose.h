/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request of a format's own is for: the steps of a format by name, so that
 * `fault` can strike between two writes of metadata, whatever lies where. A format
 * says it in block_request.purpose where it makes a request; what others make of
 * that request on its way (aliases, parts, retries) keeps it. A host's request has
 * none until it comes to a view: behind that it is READ_AIO, WRITE_AIO ...
 *
 * Names are those of QEMU's blkdebug (BlkdebugEvent) where the step is the same. A
 * write that is followed by a flush of its own shares the purpose with it: the
 * operation of the request tells them apart.
 *
 * Invariant: the place in this list is in no file and in no document: names are.
 */
#ifndef BLOCKCORE_PURPOSE_H
#define BLOCKCORE_PURPOSE_H

enum block_purpose {
	PURPOSE_NONE, /* nothing is said; in a rule: "any" */

	/* tables that are read */
	PURPOSE_HEADER_LOAD,
	PURPOSE_L1_LOAD,
	PURPOSE_L2_LOAD,
	PURPOSE_REFTABLE_LOAD,
	PURPOSE_REFBLOCK_LOAD,
	PURPOSE_SNAPSHOT_TABLE_LOAD,
	PURPOSE_CHECK_LOAD, /* anything that a check counts */

	/* data */
	PURPOSE_READ_AIO,
	PURPOSE_READ_BACKING_AIO,
	PURPOSE_READ_COMPRESSED,
	PURPOSE_WRITE_AIO,
	PURPOSE_COW_READ, /* what is around a write to a new cluster */
	PURPOSE_COW_WRITE, /* such a write, with what is around it */

	/* clusters that are given out, and given back */
	PURPOSE_CLUSTER_ALLOC, /* refcounts of clusters reserved ahead */
	PURPOSE_CLUSTER_ALLOC_SPACE, /* their zeroes */
	PURPOSE_CLUSTER_FREE, /* the discard of what was not used */
	PURPOSE_REFBLOCK_ALLOC_WRITE, /* a new refcount block */
	PURPOSE_REFBLOCK_ALLOC_HOOKUP, /* its entry in the refcount table */
	PURPOSE_REFBLOCK_ALLOC_WRITE_TABLE, /* a larger table and its blocks */
	PURPOSE_REFBLOCK_ALLOC_SWITCH_TABLE, /* the header names that one */

	/* a commit: first what must be durable before it is named */
	PURPOSE_REFBLOCK_UPDATE,
	PURPOSE_L2_ALLOC_WRITE, /* zeroes where a new L2 table will lie */
	PURPOSE_L2_ALLOC_UPDATE, /* entries of a table that nothing names yet */
	PURPOSE_FLUSH_TO_OS, /* the flush behind that, and of data */
	/* ... then what names it */
	PURPOSE_L2_UPDATE,
	PURPOSE_L1_UPDATE,
	PURPOSE_FLUSH_TO_DISK, /* the flush that hosts have asked for */

	/* the header */
	PURPOSE_HEADER_BEGIN, /* autoclear bits go before the first change */
	PURPOSE_HEADER_DIRTY, /* the mark of counts that do not agree ... */
	PURPOSE_HEADER_CLEAN, /* ... goes */
	PURPOSE_HEADER_CORRUPT,
	PURPOSE_HEADER_SIZE,
	PURPOSE_HEADER_BACKING,
	PURPOSE_HEADER_SNAPSHOTS, /* another snapshot table, with a revert L1 */
	PURPOSE_OPEN_FLUSH, /* what a killed process has written */

	/* a longer L1 table */
	PURPOSE_L1_GROW_WRITE_TABLE,
	PURPOSE_L1_GROW_ACTIVATE_TABLE, /* the header names that one */

	/* snapshots */
	PURPOSE_SNAPSHOT_L1_WRITE,
	PURPOSE_SNAPSHOT_TABLE_WRITE,
	PURPOSE_SNAPSHOT_L2_UPDATE, /* a revert: bits in the snapshot's tables */
	PURPOSE_SNAPSHOT_FLUSH, /* before the header names them */

	/* a new image */
	PURPOSE_CREATE_MARK, /* "is being made": empty to whoever looks */
	PURPOSE_CREATE_TABLES,
	PURPOSE_CREATE_HEADER,

	PURPOSES
};

/* "any", "header_load" ... by number; NULL ends. */
extern const char *const block_purpose_names[PURPOSES + 1];

#endif
