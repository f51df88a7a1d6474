/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another backing file in the header of an image. Pure.
 *
 *	fields | extensions, with the backing format | end	first sector
 *	name	there too if it fits, else in a later sector, beside the old name
 *
 * Invariant: whoever writes the name's sectors first and then the first sector leaves,
 * over a power cut, a header that names the old file or the new one.
 */
#include "blockcore/base/bytes.h"
#include "blockcore/format/qcow2/header.h"

#include <errno.h>
#include <string.h>

#define AT_BACKING_OFFSET 8u
#define AT_BACKING_BYTES 16u
#define EXTENSION_BYTES 8u /* type, length */

/* The extensions as they are to lie. */
struct layout {
	uint8_t sector[QCOW2_HEADER_SECTOR];
	size_t used;
};

static int no_room(struct err *err)
{
	return err_set(err, ENOSPC,
		"the header has no room for the name of another backing file");
}

static int add_extension(struct layout *l, uint32_t type, const void *data,
	size_t bytes, struct err *err)
{
	size_t padded = (bytes + 7) & ~(size_t)7;

	/* The end is one, too. */
	if (l->used + padded + 2 * EXTENSION_BYTES > sizeof l->sector)
		return no_room(err);
	put_be32(l->sector + l->used, type);
	put_be32(l->sector + l->used + 4, (uint32_t)bytes);
	memcpy(l->sector + l->used + EXTENSION_BYTES, data, bytes);
	l->used += EXTENSION_BYTES + padded;
	return 0;
}

/* All but the one that is to be another. */
static int copy_extensions(
	struct layout *l, const uint8_t *bytes, size_t end, struct err *err)
{
	size_t at = l->used;
	int error = 0;

	while (!error && at + EXTENSION_BYTES <= end) {
		uint32_t type = get_be32(bytes + at);
		uint32_t length = get_be32(bytes + at + 4);

		at += EXTENSION_BYTES;
		if (type == QCOW2_EXT_END)
			break;
		if (length > end - at)
			return no_room(err);
		if (type != QCOW2_EXT_BACKING_FORMAT)
			error = add_extension(l, type, bytes + at, length, err);
		at += ((size_t)length + 7) & ~(size_t)7;
	}
	return error;
}

/* Behind the extensions, or in later sectors where the old name is not; 0: nowhere. */
static size_t find_place(const struct layout *l, const uint8_t *bytes,
	size_t count, size_t length)
{
	uint64_t old = get_be64(bytes + AT_BACKING_OFFSET);
	uint64_t old_end = old + get_be32(bytes + AT_BACKING_BYTES);
	size_t at = l->used + EXTENSION_BYTES;

	if (at + length <= QCOW2_HEADER_SECTOR)
		return at;
	at = QCOW2_HEADER_SECTOR;
	if (old < at + length && old_end > at)
		at = (old_end + QCOW2_HEADER_SECTOR - 1) &
			~(uint64_t)(QCOW2_HEADER_SECTOR - 1);
	return at < count && length <= count - at ? at : 0;
}

int qcow2_header_rename(uint8_t *bytes, size_t count,
	const struct qcow2_header *header, struct qcow2_name_place *place,
	struct err *err)
{
	struct layout l = {.used = header->header_bytes};
	size_t length = strlen(header->backing);
	uint64_t name = get_be64(bytes + AT_BACKING_OFFSET);
	size_t end = name > l.used && name < count ? (size_t)name : count;

	*place = (struct qcow2_name_place){.bytes = length};
	if (l.used + EXTENSION_BYTES > sizeof l.sector)
		return no_room(err);
	memcpy(l.sector, bytes, l.used);
	int error = copy_extensions(&l, bytes, end, err);
	if (!error && length && header->backing_format[0])
		error = add_extension(&l, QCOW2_EXT_BACKING_FORMAT,
			header->backing_format, strlen(header->backing_format),
			err);
	if (error)
		return error;
	place->at = length ? find_place(&l, bytes, count, length) : 0;
	if (length && !place->at)
		return no_room(err);
	put_be64(l.sector + AT_BACKING_OFFSET, place->at);
	put_be32(l.sector + AT_BACKING_BYTES, (uint32_t)length);
	memcpy(bytes, l.sector, sizeof l.sector);
	memcpy(bytes + place->at, header->backing, length);
	return 0;
}
