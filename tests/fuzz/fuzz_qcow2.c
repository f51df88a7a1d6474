/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a qcow2 image: header, L1 and L2 tables, refcounts, snapshots.
 * What is refused is refused with a text.
 */
#include "blockcore/base/log.h"
#include "tests/lib/qcow2_poke.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define IMAGE_MOST (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t bytes = (size + 511) & ~(size_t)511;
	uint8_t *image;
	struct qcow2_poked poked;

	if (!size || size > IMAGE_MOST)
		return 0;
	log_set_level(LOG_ERROR);
	image = calloc(1, bytes);
	memcpy(image, data, size);
	poked = qcow2_poke(image, bytes);
	assert(poked.opened || poked.text[0]);
	free(image);
	return 0;
}
