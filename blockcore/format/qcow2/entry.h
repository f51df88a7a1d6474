/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an L2 entry says of a place in the image. Pure: geometry and numbers.
 *
 *	guest offset --> L1 index | L2 index | offset in the cluster
 *
 * L2 tables are read, cached and written in slices, which are at most 4 KiB. An
 * entry has one word, with extended L2 two: the second one has a bit for each of
 * 32 subclusters that is allocated (low half) or reads as zeroes (high half).
 */
#ifndef BLOCKCORE_FORMAT_QCOW2_ENTRY_H
#define BLOCKCORE_FORMAT_QCOW2_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#define QCOW2_COPIED (1ull << 63) /* refcount is exactly one: may be written */
#define QCOW2_COMPRESSED (1ull << 62)
#define QCOW2_ZERO_FLAG 1ull
#define QCOW2_OFFSET_MASK 0x00fffffffffffe00ull
#define QCOW2_SUBCLUSTERS 32u
#define QCOW2_SLICE_BYTES_MAX 4096u
#define QCOW2_SECTOR_BYTES 512u

struct qcow2_geometry {
	bool extended, has_zero_flag;
	unsigned version, cluster_bits;
	unsigned words; /* of an entry: 1, or 2 if extended */
	unsigned l2_bits; /* log2 of the entries of a table */
	unsigned slice_bits; /* log2 of the entries of a slice */
	unsigned unit_bits; /* log2 of what is allocated: subcluster, cluster */
	uint64_t cluster_bytes, unit_bytes;
	uint32_t slice_bytes, slices_per_table;
};

void qcow2_geometry_set(struct qcow2_geometry *geometry, unsigned version,
	unsigned cluster_bits, bool extended);

/* Of a place in the image. */
enum qcow2_state {
	QCOW2_HOLE, /* not allocated: the backing file shows through */
	QCOW2_ZEROES,
	QCOW2_DATA, /* at `host` in the file */
	QCOW2_PACKED, /* compressed */
	QCOW2_BAD, /* the entry contradicts itself */
	QCOW2_ABSENT, /* the slice is not in memory */
};

struct qcow2_piece {
	enum qcow2_state state;
	bool ours; /* DATA: may be overwritten in place */
	uint64_t host; /* DATA: of the first byte */
	uint64_t bytes; /* how far it is so */
	uint64_t packed; /* PACKED: the entry */
};

/* What the entry (word[1] only if extended) says of the cluster from `offset` in
 * it on; piece->bytes ends with the cluster at the latest. */
void qcow2_entry_look(const struct qcow2_geometry *geometry,
	const uint64_t word[2], uint64_t offset, struct qcow2_piece *piece);

/* Where a compressed cluster lies: any byte, any sector of the file. */
struct qcow2_packed {
	uint64_t offset, bytes; /* up to the end of the last sector */
};
struct qcow2_packed qcow2_entry_packed(
	const struct qcow2_geometry *geometry, uint64_t word);

/* The host cluster that a normal entry owns a reference to, 0: none. */
static inline uint64_t qcow2_entry_cluster(uint64_t word)
{
	return word & QCOW2_COMPRESSED ? 0 : word & QCOW2_OFFSET_MASK;
}

/* The host clusters in a row of which any entry owns a reference each. */
struct qcow2_row {
	uint64_t offset, clusters; /* 0 clusters: none */
};
struct qcow2_row qcow2_entry_row(
	const struct qcow2_geometry *geometry, uint64_t word);

#endif
