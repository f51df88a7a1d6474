/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: WRITE. An overwrite of clusters that are the image's own goes from its
 * lane straight into the file. What must be allocated, or copied because a
 * snapshot or a compressed cluster holds it, is done at home, in coroutines that
 * lock the clusters they touch against each other.
 *
 *	[ head | data of the request | tail ]	in whole units of a new cluster
 *
 * Head and tail are what was read there before: of the backing file, of the
 * cluster that is replaced. Zeroes are not written to a cluster that holds them.
 *
 * Invariants
 *  1. An entry is set after the data has been written, or, if it is calm
 *     (qcow2.h), before that: the data of a request and its tables are on their
 *     way together then.
 *  2. A unit that is allocated is never read and written back here: an overwrite
 *     by a lane would be lost.
 */
#include "blockcore/format/qcow2/qcow2.h"
#include "blockcore/format/qcow2/share.h"

#include "blockcore/base/iov.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define RUN_BYTES_MOST (8u << 20) /* allocated and written at once */

/* -- the first change ----------------------------------------------------- */

static int begin_locked_co(struct qcow2 *image)
{
	uint64_t mask = image->geometry.cluster_bytes - 1;
	uint64_t autoclear = image->header.autoclear;
	int error =
		qcow2_pool_extend_co(image, (image->file_bytes + mask) & ~mask);

	if (!error && autoclear) {
		image->header.autoclear = 0;
		co_mutex_lock_co(&image->refcounts.write);
		error = qcow2_io_header_co(image, PURPOSE_HEADER_BEGIN);
		co_mutex_unlock(&image->refcounts.write);
		if (error) /* they are still there: the next one clears them */
			image->header.autoclear = autoclear;
	}
	if (!error)
		image->begun = true;
	return error;
}

int qcow2_write_begin_co(struct qcow2 *image)
{
	int error = 0;

	if (image->failed || image->corrupt)
		return -EIO;
	if (image->begun)
		return 0;
	co_mutex_lock_co(&image->begin);
	if (!image->begun)
		error = begin_locked_co(image);
	co_mutex_unlock(&image->begin);
	return error;
}

/* -- data into the file --------------------------------------------------- */

/* What is being written: `at` moves on to `end`. */
struct writer {
	struct qcow2 *image;
	uint64_t start, at, end;
	const struct iovec *iov;
	unsigned count;
	struct iovec *scratch; /* count + 2 */
};

/* Guest bytes [at, to) and what they are padded with to [pad_at, pad_to), to go
 * to clusters from `host` on, which is where guest offset `base` lies. */
struct fill {
	uint64_t base, host;
	uint64_t at, to, pad_at, pad_to;
	bool zeroed; /* it holds zeroes there until now */
	bool calm; /* the guest reads zeroes there, too: nothing is padded */
	uint8_t *head, *tail;
};

static int write_in_place_co(struct writer *w, const struct qcow2_piece *piece)
{
	unsigned count = iov_slice(w->scratch, w->count + 1, w->iov, w->count,
		w->at - w->start, piece->bytes);
	int error = qcow2_io_vector_co(w->image, PURPOSE_WRITE_AIO,
		w->image->format.file, BLOCK_WRITE, piece->host, piece->bytes,
		w->scratch, count);

	w->at += piece->bytes;
	return error;
}

/* Whether all of it reads as zeroes, without a look at data. */
static bool is_zero(struct qcow2 *image, uint64_t offset, uint64_t end)
{
	struct qcow2_piece piece;

	for (; offset < end; offset += piece.bytes) {
		qcow2_map_look(&image->map, offset, end - offset, &piece);
		if (piece.state == QCOW2_ZEROES ||
			(piece.state == QCOW2_HOLE &&
				offset >= image->backing_bytes))
			continue;
		return false;
	}
	return true;
}

static int read_pad_co(
	struct qcow2 *image, uint64_t offset, uint64_t end, uint8_t **pad)
{
	if (offset == end)
		return 0;
	*pad = qcow2_io_memory(end - offset);
	if (!*pad)
		return -ENOMEM;
	return qcow2_read_buffer_co(image, offset, end - offset, *pad);
}

static int write_padded_co(struct writer *w, const struct fill *f)
{
	struct iovec *iov = w->scratch;
	bool padded = f->head || f->tail;
	unsigned count = 0;

	if (f->head)
		iov[count++] = (struct iovec){f->head, f->at - f->pad_at};
	count += iov_slice(iov + count, w->count, w->iov, w->count,
		f->at - w->start, f->to - f->at);
	if (f->tail)
		iov[count++] = (struct iovec){f->tail, f->pad_to - f->to};
	return qcow2_io_vector_co(w->image,
		padded ? PURPOSE_COW_WRITE : PURPOSE_WRITE_AIO,
		w->image->format.file, BLOCK_WRITE,
		f->host + (f->pad_at - f->base), f->pad_to - f->pad_at, iov,
		count);
}

static int fill_co(struct writer *w, struct fill f)
{
	int error;

	if (f.calm || (f.zeroed && is_zero(w->image, f.pad_at, f.at)))
		f.pad_at = f.at;
	if (f.calm || (f.zeroed && is_zero(w->image, f.to, f.pad_to)))
		f.pad_to = f.to;
	error = read_pad_co(w->image, f.pad_at, f.at, &f.head);
	if (!error)
		error = read_pad_co(w->image, f.to, f.pad_to, &f.tail);
	if (!error)
		error = write_padded_co(w, &f);
	free(f.head);
	free(f.tail);
	return error;
}

/* -- entries -------------------------------------------------------------- */

#define ALL_UNITS 0xffffffffull

/* Bits of the subclusters of the cluster at `base` that lie in [at, to). */
static uint64_t units_in(
	const struct qcow2_geometry *g, uint64_t base, uint64_t at, uint64_t to)
{
	uint64_t end = base + g->cluster_bytes;

	at = at > base ? at : base;
	to = to < end ? to : end;
	if (at >= to)
		return 0;
	unsigned first = (unsigned)((at - base) >> g->unit_bits);
	unsigned last = (unsigned)((to - 1 - base) >> g->unit_bits);
	return (2ull << last) - (1ull << first);
}

/* An old cluster that is replaced holds bytes beside the request's. */
static bool carries(const struct qcow2_geometry *g, const uint64_t word[2])
{
	return (word[0] & QCOW2_COMPRESSED) ||
		(qcow2_entry_cluster(word[0]) &&
			(!g->extended || (word[1] & ALL_UNITS)));
}

/* The entry after [f->at, f->to) has been written to a new cluster. */
static void replaced(const struct qcow2_geometry *g, const struct fill *f,
	uint64_t base, const uint64_t old[2], uint64_t word[2])
{
	uint64_t written = units_in(g, base, f->at, f->to);
	uint64_t carried =
		old[0] & QCOW2_COMPRESSED ? ALL_UNITS : old[1] & ALL_UNITS;

	word[0] = (f->host + (base - f->base)) | QCOW2_COPIED;
	word[1] = g->extended ? written | carried : 0;
	if (g->extended && !(old[0] & QCOW2_COMPRESSED))
		word[1] |=
			old[1] & ~(word[1] << QCOW2_SUBCLUSTERS) & ~ALL_UNITS;
}

/* The entries would show zeroes if the data were lost, as before: see qcow2.h. */
static bool is_calm(struct qcow2 *image, const struct fill *f)
{
	return f->zeroed && is_zero(image, f->pad_at, f->pad_to);
}

static void set_entry(struct writer *w, struct qcow2_slice *slice,
	const struct fill *f, uint64_t at, const uint64_t word[2])
{
	struct qcow2_map *map = &w->image->map;

	if (f->calm)
		qcow2_map_set_calm(map, slice, at, word);
	else
		qcow2_map_set(map, slice, at, word);
}

static void link_clusters(struct writer *w, struct qcow2_slice *slice,
	const struct fill *f, uint64_t clusters)
{
	struct qcow2 *image = w->image;
	const struct qcow2_geometry *g = &image->geometry;

	for (uint64_t i = 0; i < clusters; i++) {
		uint64_t base = f->base + (i << g->cluster_bits);
		uint64_t old[2], word[2];

		qcow2_map_entry(&image->map, base, old);
		replaced(g, f, base, old, word);
		set_entry(w, slice, f, base, word);
		qcow2_epoch_free_entry(image, old[0]);
	}
}

/* -- allocating ----------------------------------------------------------- */

/* An entry that has a cluster of its own that may be written to. */
static bool is_own(const uint64_t word[2])
{
	return (word[0] & QCOW2_COPIED) && qcow2_entry_cluster(word[0]);
}

/* How many clusters in a row, of one slice, the request needs anew. */
static uint64_t count_needed(const struct writer *w)
{
	const struct qcow2_geometry *g = &w->image->geometry;
	uint64_t first = w->at >> g->cluster_bits;
	uint64_t last = (w->end - 1) >> g->cluster_bits;
	uint64_t slice_last = first | ((1ull << g->slice_bits) - 1);
	uint64_t most = RUN_BYTES_MOST >> g->cluster_bits, n;
	uint64_t word[2];

	last = last < slice_last ? last : slice_last;
	for (n = 1; first + n <= last && n < most; n++) {
		qcow2_map_entry(
			&w->image->map, (first + n) << g->cluster_bits, word);
		if (is_own(word))
			break;
	}
	return n;
}

static void pad(struct qcow2 *image, struct fill *f)
{
	const struct qcow2_geometry *g = &image->geometry;
	uint64_t last = (f->to - 1) & ~(g->cluster_bytes - 1), word[2];
	uint64_t mask = g->unit_bytes - 1, cluster = g->cluster_bytes - 1;

	qcow2_map_entry(&image->map, f->base, word);
	f->pad_at = f->at & ~(carries(g, word) ? cluster : mask);
	qcow2_map_entry(&image->map, last, word);
	mask = carries(g, word) ? cluster : mask;
	f->pad_to = (f->to + mask) & ~mask;
}

/* Clusters that have entries by now hold zeroes, or some of the data. */
static void allocation_failed(struct writer *w, struct qcow2_slice *slice,
	const struct fill *f, uint64_t clusters)
{
	struct qcow2 *image = w->image;
	unsigned bits = image->geometry.cluster_bits;

	if (!f->calm)
		qcow2_epoch_free(image, f->host, clusters);
	for (uint64_t i = 0; f->calm && i < clusters; i++)
		qcow2_map_doubt(&image->map, slice, f->base + (i << bits));
}

static int allocate_co(struct writer *w, struct qcow2_slice *slice)
{
	struct qcow2 *image = w->image;
	const struct qcow2_geometry *g = &image->geometry;
	struct fill f = {.base = w->at & ~(g->cluster_bytes - 1), .at = w->at};
	struct qcow2_grant grant;
	int error = qcow2_pool_take_co(image, count_needed(w), &grant);

	if (error)
		return error;
	f.host = grant.offset;
	f.zeroed = grant.zeroes;
	f.to = f.base + (grant.clusters << g->cluster_bits);
	f.to = f.to < w->end ? f.to : w->end;
	pad(image, &f);
	f.calm = is_calm(image, &f);
	if (f.calm)
		link_clusters(w, slice, &f, grant.clusters);
	error = fill_co(w, f);
	if (error)
		allocation_failed(w, slice, &f, grant.clusters);
	else if (!f.calm)
		link_clusters(w, slice, &f, grant.clusters);
	w->at = f.to;
	return error;
}

/* The cluster is the image's own, but these units of it are not in use. */
static int fill_own_co(struct writer *w, struct qcow2_slice *slice,
	const struct qcow2_piece *piece, uint64_t word[2])
{
	struct qcow2 *image = w->image;
	const struct qcow2_geometry *g = &image->geometry;
	uint64_t mask = g->unit_bytes - 1;
	struct fill f = {.base = w->at & ~(g->cluster_bytes - 1),
		.host = qcow2_entry_cluster(word[0]),
		.at = w->at,
		.to = w->at + piece->bytes,
		.zeroed = qcow2_map_is_zeroed(&image->map, slice, w->at)};
	uint64_t units = units_in(g, f.base, f.at, f.to);

	f.pad_at = f.at & ~mask;
	f.pad_to = (f.to + mask) & ~mask;
	f.calm = is_calm(image, &f);
	word[0] &= ~QCOW2_ZERO_FLAG;
	word[1] = g->extended
		? (word[1] | units) & ~(units << QCOW2_SUBCLUSTERS)
		: 0;
	if (f.calm)
		set_entry(w, slice, &f, w->at, word);
	int error = fill_co(w, f);
	if (error) {
		qcow2_map_doubt(&image->map, slice, w->at);
		return error;
	}
	if (!f.calm)
		set_entry(w, slice, &f, w->at, word);
	w->at = f.to;
	return 0;
}

static int write_new_co(struct writer *w)
{
	struct qcow2 *image = w->image;
	const struct qcow2_geometry *g = &image->geometry;
	uint64_t in_cluster = w->at & (g->cluster_bytes - 1);
	struct qcow2_slice *slice;
	struct qcow2_piece piece;
	uint64_t word[2];
	int error = qcow2_map_own_co(&image->map, w->at, &slice);

	if (error)
		return error;
	qcow2_map_entry(&image->map, w->at, word);
	qcow2_entry_look(g, word, in_cluster, &piece);
	if (piece.bytes > w->end - w->at)
		piece.bytes = w->end - w->at;
	if (piece.state == QCOW2_BAD)
		error = qcow2_io_corrupt(image, "wrong L2 entry for", w->at);
	else if (is_own(word))
		error = fill_own_co(w, slice, &piece, word);
	else
		error = allocate_co(w, slice);
	qcow2_map_unpin(slice);
	return error;
}

static int write_step_co(struct writer *w)
{
	struct qcow2_piece piece;

	qcow2_map_look(&w->image->map, w->at, w->end - w->at, &piece);
	if (piece.state == QCOW2_ABSENT)
		return qcow2_map_load_co(&w->image->map, w->at);
	if (piece.state == QCOW2_DATA && piece.ours)
		return write_in_place_co(w, &piece);
	return write_new_co(w);
}

int qcow2_write_range_co(struct qcow2 *image, uint64_t offset, uint64_t bytes,
	const struct iovec *iov, unsigned count)
{
	struct writer w = {.image = image,
		.start = offset,
		.at = offset,
		.end = offset + bytes,
		.iov = iov,
		.count = count,
		.scratch = malloc((count + 2) * sizeof *iov)};
	int error = w.scratch ? 0 : -ENOMEM;

	while (w.at < w.end && !error)
		error = write_step_co(&w);
	free(w.scratch);
	return error;
}

/* -- requests ------------------------------------------------------------- */

static int write_locked_co(struct qcow2_op *op)
{
	struct block_request *request = op->request;
	struct qcow2 *image = op->image;
	unsigned bits = image->geometry.cluster_bits;
	uint64_t offset = request->offset_bytes;
	uint64_t end = offset + request->length_bytes;

	qcow2_lock_co(op, offset >> bits, (end - 1) >> bits);
	qcow2_share_settle_co(image, offset, request->length_bytes);
	int error = qcow2_write_range_co(image, offset, request->length_bytes,
		request->iov, request->iov_count);
	qcow2_unlock(op);
	return error;
}

static void write_home_co(struct qcow2_op *op)
{
	op->image->slow_writes++;
	op->result = qcow2_write_begin_co(op->image);
	if (!op->result)
		op->result = write_locked_co(op);
	if (!op->result && (op->request->flags & BLOCK_FUA))
		op->result = qcow2_epoch_commit_co(op->image);
}

void qcow2_write_start(struct qcow2_lane *lane, struct block_request *request)
{
	struct qcow2 *image = lane->view->image;
	uint64_t offset = request->offset_bytes, bytes = request->length_bytes;
	struct qcow2_piece piece;

	qcow2_map_look(&image->map, offset, bytes, &piece);
	if (image->failed || image->corrupt) {
		block_complete(request, -EIO);
	} else if (piece.state == QCOW2_DATA && piece.ours &&
		piece.bytes == bytes && image->begun && !image->sharing) {
		if (request->flags & BLOCK_FUA)
			block_push(request, qcow2_flush_written, lane, 0);
		block_redirect_as(request, image->format.file,
			piece.host - offset, PURPOSE_WRITE_AIO);
	} else {
		qcow2_read_at_home(lane, request, write_home_co);
	}
}
