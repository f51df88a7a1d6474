/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: WRITE_ZEROES and DISCARD, at home. Whole units become entries that say
 * "zeroes" (where nothing lies below: no entry); the rest of a unit at either
 * edge is written, unless it reads as zeroes already.
 *
 * Invariants
 *  1. The range reads as zeroes afterwards, whatever the backing file holds.
 *  2. DISCARD, and WRITE_ZEROES that may unmap, give whole clusters back.
 */
#include "blockcore/format/qcow2/qcow2.h"
#include "blockcore/format/qcow2/share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ALL_UNITS 0xffffffffull
#define WRITE_MOST (1u << 20)

static bool reads_zero(
	const struct qcow2 *image, const struct qcow2_piece *piece, uint64_t at)
{
	return piece->state == QCOW2_ZEROES ||
		(piece->state == QCOW2_HOLE && at >= image->backing_reach);
}

/* What is there; loads the map where it must. */
static int look_co(struct qcow2 *image, uint64_t at, uint64_t bytes,
	struct qcow2_piece *piece)
{
	for (;;) {
		qcow2_map_look(&image->map, at, bytes, piece);
		if (piece->state == QCOW2_BAD)
			return qcow2_io_corrupt(
				image, "wrong L2 entry for", at);
		if (piece->state != QCOW2_ABSENT)
			return 0;
		int error = qcow2_map_load_co(&image->map, at);
		if (error)
			return error;
	}
}

/* -- written zeroes ------------------------------------------------------- */

static int write_zeroes_co(struct qcow2 *image, uint64_t at, uint64_t end)
{
	uint64_t most = end - at < WRITE_MOST ? end - at : WRITE_MOST;
	uint8_t *zeroes = qcow2_io_memory(most);
	struct qcow2_piece piece;
	int error = zeroes ? 0 : -ENOMEM;

	if (zeroes)
		memset(zeroes, 0, most);
	for (; at < end && !error; at += piece.bytes) {
		uint64_t left = end - at < most ? end - at : most;
		struct iovec iov = {zeroes, left};

		error = look_co(image, at, left, &piece);
		if (error || reads_zero(image, &piece, at))
			continue;
		piece.bytes = left;
		error = qcow2_write_range_co(image, at, left, &iov, 1);
	}
	free(zeroes);
	return error;
}

/* -- entries -------------------------------------------------------------- */

/* The units [first, last] of an extended entry. */
static void zero_units(
	uint64_t word[2], bool unmap, unsigned first, unsigned last)
{
	uint64_t units = (2ull << last) - (1ull << first);

	if (word[0] & QCOW2_COMPRESSED) {
		word[0] = 0;
		word[1] = ALL_UNITS << QCOW2_SUBCLUSTERS;
		return;
	}
	word[1] = (word[1] & ~units) | units << QCOW2_SUBCLUSTERS;
	if (!(word[0] & QCOW2_COPIED) || (unmap && !(word[1] & ALL_UNITS)))
		word[0] = word[1] & ALL_UNITS ? word[0] : 0;
}

/* A whole cluster that is not extended. */
static void zero_cluster(uint64_t word[2], bool unmap, bool below)
{
	bool keep = !unmap && (word[0] & QCOW2_COPIED);

	if (keep)
		word[0] |= QCOW2_ZERO_FLAG;
	else
		word[0] = below ? QCOW2_ZERO_FLAG : 0;
}

struct zeroing {
	struct qcow2 *image;
	uint64_t at, end; /* whole units */
	bool unmap;
};

/* One cluster, or the part of it that is in the range. */
static int zero_entry_co(struct zeroing *z)
{
	struct qcow2 *image = z->image;
	const struct qcow2_geometry *g = &image->geometry;
	uint64_t base = z->at & ~(g->cluster_bytes - 1), old[2], word[2];
	uint64_t stop = base + g->cluster_bytes;
	struct qcow2_slice *slice;
	int error = qcow2_map_own_co(&image->map, z->at, &slice);

	if (error)
		return error;
	stop = stop < z->end ? stop : z->end;
	qcow2_map_entry(&image->map, base, old);
	memcpy(word, old, sizeof word);
	if (g->extended)
		zero_units(word, z->unmap,
			(unsigned)((z->at - base) >> g->unit_bits),
			(unsigned)((stop - 1 - base) >> g->unit_bits));
	else
		zero_cluster(word, z->unmap || !g->has_zero_flag,
			base < image->backing_reach);
	if (word[0] != old[0] || word[1] != old[1]) {
		qcow2_map_set(&image->map, slice, base, word);
		if (qcow2_entry_cluster(word[0]) !=
				qcow2_entry_cluster(old[0]) ||
			(old[0] & QCOW2_COMPRESSED))
			qcow2_epoch_free_entry(image, old[0]);
	}
	qcow2_map_unpin(slice);
	z->at = stop;
	return 0;
}

/* Entries can say "zeroes", or nothing below makes them say it. */
static bool can_say_zero(const struct zeroing *z)
{
	const struct qcow2 *image = z->image;

	if (image->geometry.extended || image->geometry.has_zero_flag)
		return true;
	return z->at >= image->backing_reach;
}

/* A compressed cluster of which a part stays is written, not said. */
static bool is_partly_packed(
	const struct zeroing *z, const struct qcow2_piece *piece)
{
	const struct qcow2_geometry *g = &z->image->geometry;
	uint64_t base = z->at & ~(g->cluster_bytes - 1);

	return piece->state == QCOW2_PACKED &&
		(z->at > base || z->end < base + g->cluster_bytes);
}

static int zero_step_co(struct zeroing *z)
{
	struct qcow2 *image = z->image;
	struct qcow2_piece piece;
	uint64_t to;
	int error = look_co(image, z->at, z->end - z->at, &piece);

	if (error)
		return error;
	if (reads_zero(image, &piece, z->at) &&
		(!z->unmap || piece.state == QCOW2_HOLE)) {
		z->at += piece.bytes;
		return 0;
	}
	if (can_say_zero(z) && !is_partly_packed(z, &piece))
		return zero_entry_co(z);
	to = (z->at | (image->geometry.cluster_bytes - 1)) + 1;
	to = to < z->end ? to : z->end;
	error = write_zeroes_co(image, z->at, to);
	z->at = to;
	return error;
}

int qcow2_zero_range_co(
	struct qcow2 *image, uint64_t offset, uint64_t bytes, bool unmap)
{
	uint64_t mask = image->geometry.unit_bytes - 1, end = offset + bytes;
	/* The last unit may reach behind the end of the image. */
	uint64_t stop = end >= image->header.size_bytes ? end + mask : end;
	struct zeroing z = {.image = image,
		.at = (offset + mask) & ~mask,
		.end = stop & ~mask,
		.unmap = unmap};
	int error;

	if (z.at >= z.end)
		return write_zeroes_co(image, offset, end);
	error = write_zeroes_co(image, offset, z.at);
	while (z.at < z.end && !error)
		error = zero_step_co(&z);
	if (!error && z.end < end)
		error = write_zeroes_co(image, z.end, end);
	return error;
}

/* -- requests ------------------------------------------------------------- */

static void zero_home_co(struct qcow2_op *op)
{
	struct block_request *request = op->request;
	struct qcow2 *image = op->image;
	unsigned bits = image->geometry.cluster_bits;
	uint64_t offset = request->offset_bytes, bytes = request->length_bytes;
	bool unmap = request->op == BLOCK_DISCARD ||
		(request->flags & BLOCK_MAY_UNMAP);

	op->result = qcow2_write_begin_co(image);
	if (op->result)
		return;
	qcow2_lock_co(op, offset >> bits, (offset + bytes - 1) >> bits);
	qcow2_share_settle_co(image, offset, bytes);
	op->result = qcow2_zero_range_co(image, offset, bytes, unmap);
	qcow2_unlock(op);
	if (!op->result && (request->flags & BLOCK_FUA))
		op->result = qcow2_epoch_commit_co(image);
}

void qcow2_zero_start(struct qcow2_lane *lane, struct block_request *request)
{
	qcow2_read_at_home(lane, request, zero_home_co);
}
