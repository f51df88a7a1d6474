/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: clusters that the map names no more give their space back to the file system,
 * so that a thin image takes up what it holds.
 *
 * Invariants
 *  1. A cluster's space goes before its count falls to 0: until then nobody takes it
 *     again. A power cut between the two leaves a leak.
 *  2. It goes only with the last reference: what a snapshot shows stays.
 *  3. Space that was reserved on purpose (preallocation) stays.
 *  4. Hosts' I/O goes on: one piece is given back at a time, as file systems let
 *     nobody write to a file meanwhile.
 */
#include "blockcore/format/qcow2/share.h"

#include <errno.h>
#include <stdlib.h>

#define PIECE_BYTES (16ull << 20)

/* Of the clusters from `first` on those alike in that one reference is left, or not. */
static int single_run_co(struct qcow2 *image, uint64_t first, uint64_t most,
	uint64_t *run, bool *single)
{
	unsigned bits = qcow2_refcount_block_bits(image);
	uint64_t at = first & ((1ull << bits) - 1), room = (1ull << bits) - at;
	struct qcow2_refblock *block;
	int error;

	do
		error = qcow2_refcount_load_co(image, first >> bits, &block);
	while (error == -EAGAIN);
	*run = 1;
	*single = !error && qcow2_refcount_get(image, block->data, at) == 1;
	if (error)
		return error == -ENOENT ? 0 : error;
	while (*run < most && *run < room &&
		(qcow2_refcount_get(image, block->data, at + *run) == 1) ==
			*single)
		++*run;
	return 0;
}

/* That it is not given back, as where the file cannot, does no harm. */
void qcow2_release_space_co(
	struct qcow2 *image, uint64_t offset, uint64_t clusters)
{
	uint64_t bytes = clusters << image->geometry.cluster_bits;
	uint64_t end = image->file_bytes;

	if (offset >= end)
		return;
	bytes = bytes < end - offset ? bytes : end - offset;
	if (qcow2_options(image)->preallocation >= QCOW2_PREALLOCATE_FALLOC)
		return;
	for (uint64_t part; bytes; offset += part, bytes -= part) {
		part = bytes < PIECE_BYTES ? bytes : PIECE_BYTES;
		qcow2_io_vector_co(image, PURPOSE_CLUSTER_FREE,
			image->format.file, BLOCK_DISCARD, offset, part, NULL,
			0);
	}
}

int qcow2_release_co(struct qcow2 *image, uint64_t offset, uint64_t clusters)
{
	unsigned bits = image->geometry.cluster_bits;
	uint64_t first = offset >> bits;
	int error = 0;

	for (uint64_t run; clusters && !error; first += run, clusters -= run) {
		bool single;

		error = single_run_co(image, first, clusters, &run, &single);
		if (!error && single)
			qcow2_release_space_co(image, first << bits, run);
		if (!error)
			error = qcow2_refcount_drop_co(
				image, first << bits, run);
	}
	return error;
}

/* -- an L2 table ---------------------------------------------------------- */

static int compare_rows(const void *left, const void *right)
{
	const struct qcow2_row *a = left, *b = right;

	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* Those that lie in a row in one go, wherever the guest has them. */
static int release_rows_co(
	struct qcow2 *image, struct qcow2_row *row, size_t count)
{
	unsigned bits = image->geometry.cluster_bits;
	int error = 0;

	qsort(row, count, sizeof *row, compare_rows);
	for (size_t i = 0, next; i < count && !error; i = next) {
		uint64_t offset = row[i].offset, clusters = row[i].clusters;

		for (next = i + 1; next < count &&
			row[next].offset == offset + (clusters << bits);
			next++)
			clusters += row[next].clusters;
		error = qcow2_release_co(image, offset, clusters);
	}
	return error;
}

static int release_slice_co(
	struct qcow2_map *map, struct qcow2_slice *slice, uint64_t guest)
{
	const struct qcow2_geometry *g = &map->image->geometry;
	struct qcow2_row *row = calloc(1ull << g->slice_bits, sizeof *row);
	uint64_t word[2];
	size_t count = 0;

	(void)slice;
	if (!row)
		return -ENOMEM;
	for (uint64_t i = 0; i < 1ull << g->slice_bits; i++) {
		qcow2_map_entry(map, guest + (i << g->cluster_bits), word);
		row[count] = qcow2_entry_row(g, word[0]);
		count += row[count].clusters != 0;
	}
	int error = release_rows_co(map->image, row, count);
	free(row);
	return error;
}

int qcow2_release_table_co(struct qcow2_map *map, uint32_t l1_index)
{
	static const struct qcow2_share_walk walk = {
		.slice_co = release_slice_co};
	int error = qcow2_share_walk_co(map, l1_index, &walk);

	return error ? error
		     : qcow2_release_co(map->image,
			       map->l1[l1_index] & QCOW2_OFFSET_MASK, 1);
}
