/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "blockcore/core/beside.h"

#include "blockcore/core/image.h"
#include "blockcore/kind.h"

#include <string.h>

/* What of a document says where it lies, whoever has written it: without sizes and
 * other options, listeners, and backing files, which the image itself may name. */
static const char *const telling[] = {
	"protocol", "format", "source", "type", "path", "file"};
#define TELLING (sizeof telling / sizeof telling[0])

static uint64_t text_hash(uint64_t hash, const char *text)
{
	do { /* FNV-1a, with the end */
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3ull;
	} while (*text++);
	return hash;
}

static uint64_t doc_hash(uint64_t hash, const struct doc *node, bool *lasts)
{
	if (node->kind == DOC_SCALAR) {
		*lasts &= strcmp(node->text, "mem") != 0;
		return text_hash(hash, node->text);
	}
	for (unsigned i = 0; i < TELLING; i++) {
		const struct doc *child = doc_find(node, telling[i]);

		if (child)
			hash = doc_hash(
				text_hash(hash, telling[i]), child, lasts);
	}
	return hash;
}

uint64_t block_beside_print(const struct block_driver *driver, const char *key)
{
	bool lasts = true;
	uint64_t hash = doc_hash(
		0xcbf29ce484222325ull, doc_find(driver->document, key), &lasts);

	/* What is in memory is another one each time. */
	return lasts ? hash
		     : loop_random(block_core_lane(driver->core, 0)->loop);
}

uint64_t block_beside_file(struct block_source *source)
{
	struct block_image image;
	uint64_t file = 0;

	block_image_of(source, &image);
	if (image.count)
		file = block_image_identity(image.file[0].path);
	block_image_free(&image);
	return file;
}
