/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header.
 */
#include "blockcore/format/qcow2/entry.h"

void qcow2_geometry_set(struct qcow2_geometry *g, unsigned version,
	unsigned cluster_bits, bool extended)
{
	unsigned slice_log = cluster_bits < 12 ? cluster_bits : 12;
	unsigned entry_log = extended ? 4 : 3;

	*g = (struct qcow2_geometry){
		.extended = extended,
		.has_zero_flag = version >= 3 && !extended,
		.version = version,
		.cluster_bits = cluster_bits,
		.words = extended ? 2 : 1,
		.l2_bits = cluster_bits - entry_log,
		.slice_bits = slice_log - entry_log,
		.unit_bits = extended ? cluster_bits - 5 : cluster_bits,
		.cluster_bytes = 1ull << cluster_bits,
		.slice_bytes = 1u << slice_log,
		.slices_per_table = 1u << (cluster_bits - slice_log),
	};
	g->unit_bytes = 1ull << g->unit_bits;
}

/* A host offset that is not on a cluster, or one in the header. */
static bool is_misplaced(const struct qcow2_geometry *g, uint64_t word)
{
	return word & QCOW2_OFFSET_MASK & (g->cluster_bytes - 1);
}

/* -- extended entries ----------------------------------------------------- */

static enum qcow2_state unit_state(uint64_t bitmap, unsigned unit)
{
	bool allocated = bitmap >> unit & 1;
	bool zero = bitmap >> (unit + QCOW2_SUBCLUSTERS) & 1;

	if (allocated && zero)
		return QCOW2_BAD;
	return allocated ? QCOW2_DATA : zero ? QCOW2_ZEROES : QCOW2_HOLE;
}

/* How many units from `unit` on, it included, have the same two bits. */
static unsigned units_alike(uint64_t bitmap, unsigned unit)
{
	uint64_t allocated = (uint32_t)bitmap >> unit;
	uint64_t zero = bitmap >> (unit + QCOW2_SUBCLUSTERS);
	uint64_t other = (allocated ^ -(allocated & 1)) | (zero ^ -(zero & 1));
	/* Behind the last unit nothing is alike. */
	uint64_t end = 1ull << (QCOW2_SUBCLUSTERS - unit);

	return (unsigned)__builtin_ctzll(other | end);
}

static void look_extended(const struct qcow2_geometry *g,
	const uint64_t word[2], uint64_t offset, struct qcow2_piece *piece)
{
	unsigned unit = (unsigned)(offset >> g->unit_bits);
	unsigned end = unit + units_alike(word[1], unit);
	uint64_t host = word[0] & QCOW2_OFFSET_MASK;

	piece->state = unit_state(word[1], unit);
	piece->bytes = ((uint64_t)end << g->unit_bits) - offset;
	piece->host = host + offset;
	if (piece->state == QCOW2_DATA && !host)
		piece->state = QCOW2_BAD;
}

/* -- all ------------------------------------------------------------------ */

static void look_plain(const struct qcow2_geometry *g, uint64_t word,
	uint64_t offset, struct qcow2_piece *piece)
{
	uint64_t host = word & QCOW2_OFFSET_MASK;

	piece->bytes = g->cluster_bytes - offset;
	piece->host = host + offset;
	if (word & QCOW2_ZERO_FLAG)
		piece->state = g->has_zero_flag ? QCOW2_ZEROES : QCOW2_BAD;
	else
		piece->state = host ? QCOW2_DATA : QCOW2_HOLE;
}

void qcow2_entry_look(const struct qcow2_geometry *g, const uint64_t word[2],
	uint64_t offset, struct qcow2_piece *piece)
{
	piece->ours = word[0] & QCOW2_COPIED;
	if (word[0] & QCOW2_COMPRESSED) {
		piece->state = piece->ours ? QCOW2_BAD : QCOW2_PACKED;
		piece->packed = word[0];
		piece->bytes = g->cluster_bytes - offset;
		return;
	}
	if (g->extended)
		look_extended(g, word, offset, piece);
	else
		look_plain(g, word[0], offset, piece);
	if (is_misplaced(g, word[0]))
		piece->state = QCOW2_BAD;
}

struct qcow2_packed qcow2_entry_packed(
	const struct qcow2_geometry *g, uint64_t word)
{
	unsigned offset_bits = 62 - (g->cluster_bits - 8);
	uint64_t offset = word & ((1ull << offset_bits) - 1);
	uint64_t more = (word & (QCOW2_COMPRESSED - 1)) >> offset_bits;
	uint64_t end = (offset & ~(uint64_t)(QCOW2_SECTOR_BYTES - 1)) +
		(more + 1) * QCOW2_SECTOR_BYTES;

	return (struct qcow2_packed){offset, end - offset};
}

struct qcow2_row qcow2_entry_row(
	const struct qcow2_geometry *geometry, uint64_t word)
{
	struct qcow2_row row = {.offset = qcow2_entry_cluster(word)};

	if (word & QCOW2_COMPRESSED) {
		struct qcow2_packed packed = qcow2_entry_packed(geometry, word);
		uint64_t end = packed.offset + packed.bytes - 1;

		row.offset = packed.offset & ~(geometry->cluster_bytes - 1);
		row.clusters = (end >> geometry->cluster_bits) -
			(row.offset >> geometry->cluster_bits) + 1;
	} else if (row.offset) {
		row.clusters = 1;
	}
	return row;
}
