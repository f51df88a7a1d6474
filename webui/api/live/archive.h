/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tar archive in memory (POSIX ustar), then gzip: for support bundles.
 *
 * Invariants
 *  1. At most ARCHIVE_MAX_BYTES; what does not fit is left out and said in
 *     `left_out`, so a bundle never takes the daemon's memory.
 *  2. Names are plain, below 100 bytes; every file has mode 0600 and one time.
 */
#ifndef WEBUI_API_LIVE_ARCHIVE_H
#define WEBUI_API_LIVE_ARCHIVE_H

#include <stddef.h>
#include <stdint.h>

#define ARCHIVE_MAX_BYTES (64u << 20)

struct archive {
	uint8_t *data;
	size_t bytes, room;
	int64_t time_s;
	unsigned files, left_out;
};

void archive_begin(struct archive *archive, int64_t time_s);
/* Copies. 0, or -ENOSPC, -ENOMEM (then it is left out). */
int archive_add(struct archive *archive, const char *name, const void *data,
	size_t bytes);
/* Ends and packs it: *packed is to be freed. Takes milliseconds for a megabyte: for
 * the worker pool. 0 or -ENOMEM. */
int archive_pack(struct archive *archive, void **packed, size_t *bytes);
void archive_free(struct archive *archive);

#endif
