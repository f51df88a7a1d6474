/* SPDX-License-Identifier: Apache-2.0 */
/* See archive.h. */
#include "webui/api/live/archive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define BLOCK 512u

/* POSIX.1-2017, pax, "ustar Interchange Format": offsets in the header. */
enum {
	AT_NAME = 0,
	AT_MODE = 100,
	AT_UID = 108,
	AT_GID = 116,
	AT_SIZE = 124,
	AT_TIME = 136,
	AT_SUM = 148,
	AT_TYPE = 156,
	AT_MAGIC = 257,
};

void archive_begin(struct archive *archive, int64_t time_s)
{
	*archive = (struct archive){.time_s = time_s};
}

static int reserve(struct archive *archive, size_t more)
{
	size_t wanted = archive->bytes + more;
	if (wanted > ARCHIVE_MAX_BYTES)
		return -ENOSPC;
	if (wanted <= archive->room)
		return 0;
	size_t room = archive->room ? archive->room : 64u << 10;
	while (room < wanted)
		room *= 2;
	uint8_t *data = realloc(archive->data, room);
	if (!data)
		return -ENOMEM;
	archive->data = data;
	archive->room = room;
	return 0;
}

static void put_octal(uint8_t *field, unsigned digits, uint64_t value)
{
	char text[24];
	snprintf(text, sizeof text, "%0*llo", (int)digits,
		(unsigned long long)value);
	memcpy(field, text, digits + 1);
}

static void put_header(uint8_t *header, const struct archive *archive,
	const char *name, size_t bytes)
{
	unsigned sum = 0;
	memset(header, 0, BLOCK);
	snprintf((char *)header + AT_NAME, 100, "%s", name);
	put_octal(header + AT_MODE, 7, 0600);
	put_octal(header + AT_UID, 7, 0);
	put_octal(header + AT_GID, 7, 0);
	put_octal(header + AT_SIZE, 11, bytes);
	put_octal(header + AT_TIME, 11, (uint64_t)archive->time_s);
	header[AT_TYPE] = '0';
	memcpy(header + AT_MAGIC, "ustar\00000", 8);
	/* Summed with the field itself as blanks. */
	memset(header + AT_SUM, ' ', 8);
	for (unsigned i = 0; i < BLOCK; i++)
		sum += header[i];
	put_octal(header + AT_SUM, 6, sum);
}

int archive_add(struct archive *archive, const char *name, const void *data,
	size_t bytes)
{
	size_t padded = (bytes + BLOCK - 1) / BLOCK * BLOCK;
	/* With room for the end: archive_pack cannot fail for it. */
	int failed = bytes > ARCHIVE_MAX_BYTES
		? -ENOSPC
		: reserve(archive, BLOCK + padded + 2u * BLOCK);
	if (failed) {
		archive->left_out++;
		return failed;
	}
	uint8_t *at = archive->data + archive->bytes;
	put_header(at, archive, name, bytes);
	memcpy(at + BLOCK, data, bytes);
	memset(at + BLOCK + bytes, 0, padded - bytes);
	archive->bytes += BLOCK + padded;
	archive->files++;
	return 0;
}

/* windowBits + 16: a gzip header (zlib.h, deflateInit2). */
static int deflate_all(
	struct archive *archive, uint8_t *out, size_t room, size_t *bytes)
{
	z_stream stream = {.next_in = archive->data,
		.avail_in = (uInt)archive->bytes,
		.next_out = out,
		.avail_out = (uInt)room};
	if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8,
		    Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	int result = deflate(&stream, Z_FINISH);
	*bytes = stream.total_out;
	deflateEnd(&stream);
	return result == Z_STREAM_END ? 0 : -ENOMEM;
}

int archive_pack(struct archive *archive, void **packed, size_t *bytes)
{
	*packed = NULL;
	if (reserve(archive, 2u * BLOCK) == -ENOMEM)
		return -ENOMEM;
	memset(archive->data + archive->bytes, 0, 2u * BLOCK);
	archive->bytes += 2u * BLOCK;
	size_t room = compressBound(archive->bytes) + 32;
	uint8_t *out = malloc(room);
	int failed = out ? deflate_all(archive, out, room, bytes) : -ENOMEM;
	if (failed) {
		free(out);
		return failed;
	}
	*packed = out;
	return 0;
}

void archive_free(struct archive *archive)
{
	free(archive->data);
}
