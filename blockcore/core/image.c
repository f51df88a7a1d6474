/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header.
 */
#include "blockcore/core/image.h"

#include "blockcore/base/prng.h"
#include "blockcore/core/core.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static uint64_t image_hash(const uint64_t *word, unsigned count)
{
	uint64_t print = 0;

	for (unsigned i = 0; i < count; i++) {
		uint64_t state = print ^ word[i];

		print = prng_next(&state);
	}
	return print ? print : 1;
}

uint64_t block_image_print(const char *path)
{
	struct stat s;

	if (stat(path, &s) || !S_ISREG(s.st_mode))
		return 0;
	const uint64_t word[] = {s.st_ino, (uint64_t)s.st_size,
		(uint64_t)s.st_mtim.tv_sec, (uint64_t)s.st_mtim.tv_nsec,
		(uint64_t)s.st_ctim.tv_sec, (uint64_t)s.st_ctim.tv_nsec};
	return image_hash(word, sizeof word / sizeof word[0]);
}

uint64_t block_image_identity(const char *path)
{
	struct statx s;

	if (statx(AT_FDCWD, path, 0, STATX_TYPE | STATX_INO | STATX_BTIME,
		    &s) ||
		!S_ISREG(s.stx_mode))
		return 0;
	bool born = s.stx_mask & STATX_BTIME;
	const uint64_t word[] = {s.stx_ino,
		born ? (uint64_t)s.stx_btime.tv_sec : 0,
		born ? s.stx_btime.tv_nsec : 0};
	return image_hash(word, 3);
}

uint64_t block_image_digest(const struct block_image *image, bool opened)
{
	uint64_t digest = image->count;

	for (unsigned i = 0; i < image->count; i++) {
		const struct block_image_file *file = &image->file[i];
		uint64_t print = opened && file->print
			? file->print
			: block_image_print(file->path);
		uint64_t state = digest ^ print;

		if (!print)
			return 0;
		digest = prng_next(&state);
	}
	return image->known ? digest : 0;
}

static void image_add(
	struct block_image *image, const char *path, uint64_t print)
{
	struct block_image_file *file = &image->file[image->count];

	if (image->count < BLOCK_IMAGE_FILES)
		file->path = strdup(path);
	if (image->count == BLOCK_IMAGE_FILES || !file->path) {
		image->known = false;
		return;
	}
	file->print = print;
	image->count++;
}

/* `used`: it may have been open before the source that asks. */
static void image_walk(
	struct block_driver *bottom, bool used, struct block_image *image)
{
	const struct block_kind *kind = bottom->kind;
	struct block_source *below;
	unsigned sources = 0;

	if (kind->file) {
		uint64_t print;
		const char *path = kind->file(bottom, &print);

		if (path)
			image_add(image, path, used ? 0 : print);
		else
			image->known = false;
		return;
	}
	/* A view that does not write may be of an image that is in use. */
	used |= bottom->info.read_only;
	while (kind->below && (below = kind->below(bottom, sources))) {
		image_walk(block_stack_bottom(below->current),
			used || below->listed, image);
		sources++;
	}
	if (!sources)
		image->known = false;
}

void block_image_get(struct block_driver *bottom, struct block_image *image)
{
	image->known = true;
	image->count = 0;
	image_walk(bottom, false, image);
}

void block_image_of(struct block_source *source, struct block_image *image)
{
	block_image_get(block_stack_bottom(source->current), image);
}

void block_image_free(struct block_image *image)
{
	while (image->count)
		free(image->file[--image->count].path);
	image->known = false;
}
