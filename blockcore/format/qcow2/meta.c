/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: which host clusters hold tables: a bit for each. Data never goes there,
 * whatever an entry of a damaged image says.
 */
#include "blockcore/format/qcow2/qcow2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int qcow2_map_mark_meta(struct qcow2 *image, uint64_t offset, uint64_t clusters)
{
	uint64_t first = offset >> image->geometry.cluster_bits;
	uint64_t end = first + clusters;

	if (end > image->meta_clusters) {
		uint64_t room = (end + end / 4 + 512) & ~511ull;
		uint8_t *grown = realloc(image->meta, room / 8);

		if (!grown)
			return -ENOMEM;
		memset(grown + image->meta_clusters / 8, 0,
			(room - image->meta_clusters) / 8);
		image->meta = grown;
		image->meta_clusters = room;
	}
	for (uint64_t i = first; i < end; i++)
		image->meta[i / 8] |= (uint8_t)(1u << i % 8);
	return 0;
}

void qcow2_map_unmark_meta(
	struct qcow2 *image, uint64_t offset, uint64_t clusters)
{
	uint64_t first = offset >> image->geometry.cluster_bits;

	for (uint64_t i = first; i < first + clusters; i++) {
		if (i < image->meta_clusters)
			image->meta[i / 8] &= (uint8_t) ~(1u << i % 8);
	}
}

bool qcow2_map_is_meta(const struct qcow2 *image, uint64_t offset)
{
	uint64_t i = offset >> image->geometry.cluster_bits;

	return i < image->meta_clusters && (image->meta[i / 8] >> i % 8 & 1);
}
