/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: an image that comes to stand by itself: what was below it has been copied
 * up, or reads as zeroes. And one that names another backing file than before.
 *
 * Invariants
 *  1. The header names no backing file only when all that the image needs is
 *     durable in itself.
 *  2. The name is dropped by one write of one sector: a power cut leaves the image
 *     with its backing file or without, and either reads the same.
 *  3. Another name is written beside the old one, durably, before the header tells of
 *     it.
 */
#include "blockcore/format/qcow2/create.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BACKING_AT 8u /* offset of the name: 8 bytes, its length: 4 */
#define BACKING_BYTES 12u

int qcow2_backing_free(struct block_format *format, struct err *err)
{
	struct qcow2 *image = qcow2_of(format);

	if (image->header.snapshots)
		return err_set(err, EBUSY,
			"%u snapshots inside of the image stand on the same "
			"backing file: delete them first",
			image->header.snapshots);
	if (image->failed || image->corrupt)
		return qcow2_io_refuse(image, -EIO, err);
	return 0;
}

/* The header again, with these bytes for where the name lies. */
static int write_name_co(
	struct qcow2 *image, const uint8_t bytes[BACKING_BYTES])
{
	uint8_t before[BACKING_BYTES];
	uint8_t *at = image->sector + BACKING_AT;

	memcpy(before, at, BACKING_BYTES);
	co_mutex_lock_co(&image->refcounts.write);
	memcpy(at, bytes, BACKING_BYTES);
	int error = qcow2_io_header_co(image, PURPOSE_HEADER_BACKING);
	if (error)
		memcpy(at, before, BACKING_BYTES);
	co_mutex_unlock(&image->refcounts.write);
	return error;
}

static int drop_co(struct qcow2 *image)
{
	static const uint8_t none[BACKING_BYTES];
	int error = qcow2_write_begin_co(image);

	if (!error)
		error = qcow2_epoch_commit_co(image);
	if (error)
		return error;
	memcpy(image->backing_at, image->sector + BACKING_AT, BACKING_BYTES);
	error = write_name_co(image, none);
	if (!error)
		image->backing_bytes = image->backing_reach = 0;
	return error;
}

static int restore_co(struct qcow2 *image)
{
	image->backing_bytes =
		block_source_info(image->format.backing, image->home)
			.size_bytes;
	image->backing_reach = image->backing_bytes;
	return write_name_co(image, image->backing_at);
}

int qcow2_backing_drop_co(
	struct block_format *format, bool drop, struct err *err)
{
	struct qcow2 *image = qcow2_of(format);
	int error = drop ? drop_co(image) : restore_co(image);

	return error ? err_set(err, -error, "the header cannot be written: %s",
			       strerror(-error))
		     : 0;
}

/* -- another name --------------------------------------------------------- */

#define NAME_LOOK_BYTES 4096u /* of the header's cluster */

struct renaming {
	struct qcow2 *image;
	struct qcow2_header header; /* with the new name */
	uint8_t *bytes; /* of the header's cluster, `count` */
	size_t count;
	struct qcow2_name_place place;
};

/* The name, if it lies behind the first sector. */
static int rename_place_co(struct renaming *r)
{
	const uint64_t mask = QCOW2_SECTOR_BYTES - 1;
	uint64_t first = r->place.at & ~mask;
	uint64_t end = (r->place.at + r->place.bytes + mask) & ~mask;

	if (end <= QCOW2_HEADER_SECTOR)
		return 0;
	int error = qcow2_io_write_co(r->image, PURPOSE_HEADER_BACKING, first,
		end - first, r->bytes + first);
	return error ? error
		     : qcow2_io_flush_co(r->image, PURPOSE_HEADER_BACKING);
}

static int rename_header_co(struct renaming *r)
{
	struct qcow2 *image = r->image;
	uint8_t before[QCOW2_HEADER_SECTOR];

	memcpy(before, image->sector, sizeof before);
	memcpy(image->sector, r->bytes, sizeof before);
	int error = qcow2_io_header_co(image, PURPOSE_HEADER_BACKING);
	if (error) {
		memcpy(image->sector, before, sizeof before);
		return error;
	}
	memcpy(image->header.backing, r->header.backing,
		sizeof image->header.backing);
	memcpy(image->header.backing_format, r->header.backing_format,
		sizeof image->header.backing_format);
	return 0;
}

/* Nobody else writes the header. */
static int rename_locked_co(struct renaming *r, struct err *err)
{
	struct qcow2 *image = r->image;
	int error = qcow2_io_read_co(
		image, PURPOSE_HEADER_LOAD, 0, r->count, r->bytes);

	if (error)
		return error;
	qcow2_header_patch(&image->header, image->sector);
	memcpy(r->bytes, image->sector, QCOW2_HEADER_SECTOR);
	error = qcow2_header_rename(
		r->bytes, r->count, &r->header, &r->place, err);
	if (!error)
		error = rename_place_co(r);
	return error ? error : rename_header_co(r);
}

static int rename_co(
	struct renaming *r, const char *name, const char *type, struct err *err)
{
	struct qcow2 *image = r->image;

	if (strlen(name) >= sizeof r->header.backing ||
		strlen(type) >= sizeof r->header.backing_format)
		return err_set(err, ENAMETOOLONG,
			"the name of the backing file is too long: 1023 bytes "
			"at most");
	r->header = image->header;
	strcpy(r->header.backing, name);
	strcpy(r->header.backing_format, type);
	int error = qcow2_write_begin_co(image);
	if (error)
		return error;
	co_mutex_lock_co(&image->refcounts.write);
	error = rename_locked_co(r, err);
	co_mutex_unlock(&image->refcounts.write);
	return error;
}

int qcow2_backing_name_co(struct block_format *format, const char *name,
	const char *type, struct err *err)
{
	struct qcow2 *image = qcow2_of(format);
	struct renaming *r = calloc(1, sizeof *r);
	struct err why = {0};
	int error = -ENOMEM;

	if (!r)
		return err_set(err, ENOMEM, "no memory for a header");
	r->image = image;
	r->count = image->geometry.cluster_bytes < NAME_LOOK_BYTES
		? image->geometry.cluster_bytes
		: NAME_LOOK_BYTES;
	r->bytes = qcow2_io_memory(NAME_LOOK_BYTES);
	if (r->bytes)
		error = rename_co(r, name, type, &why);
	free(r->bytes);
	free(r);
	if (error && !why.code)
		err_set(&why, -error, "the header cannot be written: %s",
			strerror(-error));
	if (error && err)
		*err = why;
	return error;
}

/* -- another backing file ------------------------------------------------- */

static uint64_t bytes_of(const struct qcow2 *image, struct block_source *source)
{
	return source ? block_source_info(source, image->home).size_bytes : 0;
}

void qcow2_backing_reach(
	struct block_format *format, struct block_source *coming)
{
	struct qcow2 *image = qcow2_of(format);
	uint64_t bytes = bytes_of(image, coming);

	image->backing_reach =
		bytes > image->backing_bytes ? bytes : image->backing_bytes;
}

int qcow2_backing_swap_co(struct block_format *format, struct block_source *to,
	struct format_name *name, struct err *err)
{
	struct qcow2 *image = qcow2_of(format);
	struct format_name *was = calloc(1, sizeof *was);

	if (!was)
		return err_set(err, ENOMEM, "no memory for a name");
	memcpy(was->name, image->header.backing, sizeof was->name);
	memcpy(was->type, image->header.backing_format, sizeof was->type);
	int error = qcow2_write_begin_co(image);
	if (!error)
		error = qcow2_epoch_commit_co(image);
	if (error)
		err_set(err, -error, "what was copied cannot be flushed: %s",
			strerror(-error));
	else
		error = qcow2_backing_name_co(
			format, name->name, name->type, err);
	if (!error) {
		format->backing = to;
		image->backing_bytes = bytes_of(image, to);
		image->backing_reach = image->backing_bytes;
		*name = *was;
	}
	free(was);
	return error;
}
