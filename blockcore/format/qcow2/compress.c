/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header. Deflate: a raw stream without zlib's header. zstd: one frame.
 */
#include "blockcore/format/qcow2/compress.h"

#include "blockcore/format/qcow2/header.h"

#include <errno.h>
#include <zlib.h>
#include <zstd.h>

#define WINDOW_BITS (-15) /* negative: raw; the largest there is */

static int unpack_deflate(
	const void *from, size_t from_bytes, void *to, size_t to_bytes)
{
	z_stream stream = {
		.next_in = (z_const Bytef *)from,
		.avail_in = (uInt)from_bytes,
		.next_out = to,
		.avail_out = (uInt)to_bytes,
	};

	if (inflateInit2(&stream, WINDOW_BITS) != Z_OK)
		return -ENOMEM;
	int result = inflate(&stream, Z_FINISH);
	inflateEnd(&stream);
	/* Z_BUF_ERROR: full before the end of the stream was seen. */
	if (result != Z_STREAM_END && result != Z_BUF_ERROR)
		return result == Z_MEM_ERROR ? -ENOMEM : -EIO;
	return stream.avail_out ? -EIO : 0;
}

static int unpack_zstd(
	const void *from, size_t from_bytes, void *to, size_t to_bytes)
{
	ZSTD_DStream *stream = ZSTD_createDStream();
	ZSTD_inBuffer in = {from, from_bytes, 0};
	ZSTD_outBuffer out = {to, to_bytes, 0};
	size_t before, left = 1;

	if (!stream)
		return -ENOMEM;
	do {
		before = in.pos + out.pos;
		left = ZSTD_decompressStream(stream, &out, &in);
	} while (!ZSTD_isError(left) && left && out.pos < to_bytes &&
		in.pos + out.pos > before);
	ZSTD_freeDStream(stream);
	return ZSTD_isError(left) || out.pos < to_bytes ? -EIO : 0;
}

int qcow2_unpack(unsigned compression, const void *from, size_t from_bytes,
	void *to, size_t to_bytes)
{
	if (compression == QCOW2_ZSTD)
		return unpack_zstd(from, from_bytes, to, to_bytes);
	return unpack_deflate(from, from_bytes, to, to_bytes);
}
