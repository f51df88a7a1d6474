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

/* The first sector as it is to be. */
struct layout {
	uint8_t sector[QCOW2_HEADER_SECTOR];
	size_t used; /* where extensions go on */
	bool bare; /* without the names of features, which only help messages */
};

/* What is there. */
struct found {
	size_t end; /* of all extensions, and what ends them */
	size_t format; /* where the backing format's data are; 0: nowhere */
	size_t format_room;
};

static int no_room(struct err *err)
{
	return err_set(err, ENOSPC,
		"the header has no room for the name of another backing file: "
		"choose a shorter one, or flatten the image");
}

static int find_extensions(
	const uint8_t *bytes, size_t at, size_t end, struct found *found)
{
	*found = (struct found){.end = at};
	while (at + EXTENSION_BYTES <= end) {
		uint32_t type = get_be32(bytes + at);
		uint32_t length = get_be32(bytes + at + 4);

		at += EXTENSION_BYTES;
		found->end = at;
		if (type == QCOW2_EXT_END)
			return 0;
		if (length > end - at)
			return -ENOSPC; /* further than we look */
		if (type == QCOW2_EXT_BACKING_FORMAT) {
			found->format = at;
			found->format_room = ((size_t)length + 7) & ~(size_t)7;
		}
		at += ((size_t)length + 7) & ~(size_t)7;
		found->end = at;
	}
	return 0;
}

/* The format's name where the old one was, if both take as much room: all others stay
 * where they are. */
static bool put_format(struct layout *l, const struct found *found,
	const struct qcow2_header *header)
{
	size_t bytes = strlen(header->backing_format);

	if (!*header->backing)
		return true;
	if (!found->format ||
		((bytes + 7) & ~(size_t)7) != found->format_room ||
		found->format + found->format_room > sizeof l->sector)
		return false;
	put_be32(l->sector + found->format - 4, (uint32_t)bytes);
	memset(l->sector + found->format, 0, found->format_room);
	memcpy(l->sector + found->format, header->backing_format, bytes);
	return true;
}

static int add_extension(
	struct layout *l, uint32_t type, const void *data, size_t bytes)
{
	size_t padded = (bytes + 7) & ~(size_t)7;

	/* The end is one, too. */
	if (l->used + padded + 2 * EXTENSION_BYTES > sizeof l->sector)
		return -ENOSPC;
	put_be32(l->sector + l->used, type);
	put_be32(l->sector + l->used + 4, (uint32_t)bytes);
	memcpy(l->sector + l->used + EXTENSION_BYTES, data, bytes);
	l->used += EXTENSION_BYTES + padded;
	return 0;
}

/* All others anew, and the backing format's. */
static int lay_out(struct layout *l, const uint8_t *bytes, size_t end,
	const struct qcow2_header *header)
{
	size_t at = l->used;
	int error = 0;

	memset(l->sector + at, 0, sizeof l->sector - at);
	while (!error && at + EXTENSION_BYTES <= end) {
		uint32_t type = get_be32(bytes + at);
		uint32_t length = get_be32(bytes + at + 4);

		at += EXTENSION_BYTES;
		if (type == QCOW2_EXT_END)
			break;
		if (type != QCOW2_EXT_BACKING_FORMAT &&
			!(l->bare && type == QCOW2_EXT_FEATURES))
			error = add_extension(l, type, bytes + at, length);
		at += ((size_t)length + 7) & ~(size_t)7;
	}
	if (!error && header->backing_format[0])
		error = add_extension(l, QCOW2_EXT_BACKING_FORMAT,
			header->backing_format, strlen(header->backing_format));
	l->used += EXTENSION_BYTES; /* the end */
	return error;
}

/* Behind the extensions in the first sector, or in later ones where neither they nor
 * the old name are; 0: nowhere. */
static size_t find_place(
	size_t used, const uint8_t *bytes, size_t count, size_t length)
{
	uint64_t old = get_be64(bytes + AT_BACKING_OFFSET);
	uint64_t old_end = old + get_be32(bytes + AT_BACKING_BYTES);
	size_t at = used;

	if (at + length <= QCOW2_HEADER_SECTOR)
		return at;
	if (at < QCOW2_HEADER_SECTOR)
		at = QCOW2_HEADER_SECTOR;
	if (old < at + length && old_end > at)
		at = old_end;
	return at < count && length <= count - at ? at : 0;
}

static int lay_out_at_all(struct layout *l, const uint8_t *bytes, size_t end,
	const struct qcow2_header *header)
{
	size_t start = l->used;
	int error = lay_out(l, bytes, end, header);

	if (!error)
		return 0;
	l->used = start;
	l->bare = true;
	return lay_out(l, bytes, end, header);
}

int qcow2_header_rename(uint8_t *bytes, size_t count,
	const struct qcow2_header *header, struct qcow2_name_place *place,
	struct err *err)
{
	struct layout l = {.used = header->header_bytes};
	size_t length = strlen(header->backing);
	uint64_t name = get_be64(bytes + AT_BACKING_OFFSET);
	size_t end = name > l.used && name < count ? (size_t)name : count;
	struct found found;

	*place = (struct qcow2_name_place){.bytes = length};
	if (l.used + EXTENSION_BYTES > sizeof l.sector ||
		find_extensions(bytes, l.used, end, &found))
		return no_room(err);
	memcpy(l.sector, bytes, sizeof l.sector);
	if (put_format(&l, &found, header))
		l.used = found.end;
	else if (lay_out_at_all(&l, bytes, end, header))
		return no_room(err);
	place->at = length ? find_place(l.used, bytes, count, length) : 0;
	if (length && !place->at)
		return no_room(err);
	put_be64(l.sector + AT_BACKING_OFFSET, place->at);
	put_be32(l.sector + AT_BACKING_BYTES, (uint32_t)length);
	memcpy(bytes, l.sector, sizeof l.sector);
	memcpy(bytes + place->at, header->backing, length);
	return 0;
}
