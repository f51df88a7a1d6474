/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings of requests: what the listener trace saves and `cairn-stack replay`
 * plays. A file is a header and entries, all little endian:
 *
 *	header, 64 bytes			entry, 40 bytes
 *	 0  8  "CAIRNREC"			 0  8  submitted, ns since the first
 *	 8  4  version, 1			 8  8  took, ns
 *	12  4  bytes of an entry, 40		16  8  offset, bytes
 *	16  8  entries				24  8  length, bytes
 *	24  8  overwritten before it was saved	32  4  result: 0 or -errno
 *	32  8  size of the source, bytes	36  2  flags: FUA 1, MAY_UNMAP 2,
 *	40 24  zero				       INTERNAL 4
 *						38  1  operation: enum block_opcode
 *						39  1  lane
 *
 * Entries lie in order of submission. Data is not recorded.
 *
 * Invariant: what is read is checked, for a file comes from anywhere: operations
 * are known, entries are in order, and the file is as long as it says.
 */
#ifndef BLOCKCORE_CORE_RECORDING_H
#define BLOCKCORE_CORE_RECORDING_H

#include "blockcore/block.h"

#define RECORDING_MAX_ENTRIES (64u << 20)

struct recording_entry {
	uint64_t submitted_ns, took_ns, offset_bytes, length_bytes;
	int32_t result;
	uint16_t flags;
	uint8_t op, lane;
};

struct recording {
	struct recording_entry *entry; /* malloc'ed, its owner's */
	uint64_t count, overwritten, size_bytes;
};

/* Sorts by the time of submission, counts that from the first, and writes a new
 * file; one that is there is left alone (-EEXIST). Blocks: worker pool. */
int recording_write(
	struct recording *recording, const char *path, struct err *err);
/* The opposite; `recording->entry` is to be freed unless this fails. Blocks. */
int recording_read(
	struct recording *recording, const char *path, struct err *err);

#endif
