/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files in which what a source shows lies: how who keeps something beside an
 * image (marks of changed blocks) knows over a stop whether it is the same image,
 * untouched.
 *
 * A file's print is one number of its inode, size, and times of the last change of
 * content (mtime) and of anything (ctime), which no program can set back. The number
 * of the device is not in it: it may be another after each start of the machine.
 *
 * Invariants
 *  1. Equal prints: nobody has changed the file in between, but by the chance of
 *     2^-64, or within one tick of the file system's clock.
 *  2. What has no print (a block device, memory, the simulator's disk) makes the whole
 *     unknown: nobody may take it for untouched.
 */
#ifndef BLOCKCORE_CORE_IMAGE_H
#define BLOCKCORE_CORE_IMAGE_H

#include "blockcore/block.h"

#define BLOCK_IMAGE_FILES 128u /* of a longer chain of images all is unknown */

struct block_image {
	bool known;
	unsigned count;
	struct block_image_file {
		char *path;
		/* When it was opened, before anything was done to it; 0: others
		 * may have used it since, so what counts is what it is now. */
		uint64_t print;
	} file[BLOCK_IMAGE_FILES];
};

/* The print of the regular file there now; 0: there is none. Blocks. */
uint64_t block_image_print(const char *path);

/* One number of the prints of all of its files: those that they had when they were
 * opened (see above), or as they are now; 0: some have none. Blocks. */
uint64_t block_image_digest(const struct block_image *image, bool opened);

/* Which regular file that is, whatever is written to it: a number of its inode and its
 * time of birth, where the file system knows that. 0: there is none. Blocks. */
uint64_t block_image_identity(const char *path);

/* What a source's bottom lies in: see block_image_get. */
void block_image_of(struct block_source *source, struct block_image *image);
/* What lies below a driver (a bottom) that is open. Its paths are the caller's, until
 * block_image_free. Out of memory: it is unknown. Control lane. */
void block_image_get(struct block_driver *bottom, struct block_image *image);
void block_image_free(struct block_image *image);

#endif
