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
 */
#include "blockcore/format/qcow2/qcow2.h"

#include <errno.h>

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
static void give_space_back_co(
	struct qcow2 *image, uint64_t cluster, uint64_t clusters)
{
	unsigned bits = image->geometry.cluster_bits;

	if (qcow2_options(image)->preallocation >= QCOW2_PREALLOCATE_FALLOC)
		return;
	qcow2_io_vector_co(image, PURPOSE_CLUSTER_FREE, image->format.file,
		BLOCK_DISCARD, cluster << bits, clusters << bits, NULL, 0);
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
			give_space_back_co(image, first, run);
		if (!error)
			error = qcow2_refcount_drop_co(
				image, first << bits, run);
	}
	return error;
}
