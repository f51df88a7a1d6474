/* SPDX-License-Identifier: Apache-2.0 */
/* See ring_largest.h. */
#include "blockcore/ring/ring_largest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#define SECTOR_BYTES 512u

/* A multiple of 512: what a disk of ours can have. */
static uint64_t largest_by(int fd)
{
	uint64_t fits = 0, most = INT64_MAX / SECTOR_BYTES;
	while (fits < most) {
		uint64_t try = most - (most - fits) / 2;
		if (ftruncate(fd, (off_t)(try * SECTOR_BYTES)) == 0)
			fits = try;
		else
			most = try - 1;
	}
	return fits * SECTOR_BYTES;
}

const char *ring_largest_text(
	const char *folder, int error, char text[RING_LARGEST_BYTES])
{
	text[0] = '\0';
	if (error != EFBIG || !folder)
		return text;
	int fd = open(folder, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (fd < 0)
		return text;
	snprintf(text, RING_LARGEST_BYTES,
		"; the largest file there has %llu bytes",
		(unsigned long long)largest_by(fd));
	close(fd);
	return text;
}
