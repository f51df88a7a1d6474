/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: an image that comes to stand by itself: what was below it has been copied
 * up, or reads as zeroes.
 *
 * Invariants
 *  1. The header names no backing file only when all that the image needs is
 *     durable in itself.
 *  2. The name is dropped by one write of one sector: a power cut leaves the image
 *     with its backing file or without, and either reads the same.
 */
#include "blockcore/format/qcow2/create.h"

#include <errno.h>
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
		return err_set(err, EIO, "the image refuses changes");
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
	int error = qcow2_io_header_co(image);
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
		image->backing_bytes = 0;
	return error;
}

static int restore_co(struct qcow2 *image)
{
	image->backing_bytes =
		block_source_info(image->format.backing, image->home)
			.size_bytes;
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
