/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: READ. What is one run of one kind goes straight on to the file or the
 * backing file, or is zeroes; anything else is a coroutine on the lane that reads
 * piece by piece. What is not in memory of the map, home loads first.
 *
 * Invariant: a byte that is not written nowhere is zero: behind the end of a
 * shorter backing file, and behind the end of a file that was cut.
 */
#include "blockcore/format/qcow2/qcow2.h"

#include "blockcore/base/iov.h"
#include "blockcore/format/qcow2/compress.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* -- ops ------------------------------------------------------------------ */

struct qcow2_op *qcow2_read_op(
	struct qcow2_lane *lane, struct block_request *request)
{
	struct qcow2_op *op = slab_get(&lane->ops);

	if (!op)
		return NULL;
	*op = (struct qcow2_op){
		.request = request, .image = lane->view->image, .lane = lane};
	return op;
}

void qcow2_read_end(struct qcow2_op *op, int result)
{
	struct block_request *request = op->request;

	free(op->iov);
	slab_put(&op->lane->ops, op);
	block_complete(request, result);
}

static void op_came_back(struct loop_message *message)
{
	struct qcow2_op *op = container_of(message, struct qcow2_op, message);

	if (op->co)
		co_resume(op->co);
	else
		qcow2_read_end(op, op->result);
}

static void op_at_home_co(void *argument)
{
	struct qcow2_op *op = argument;

	op->run_co(op);
	if (op->lane->lane == op->image->home && !op->co) {
		qcow2_read_end(op, op->result);
		return;
	}
	op->message.run = op_came_back;
	loop_post(op->lane->lane->loop, &op->message);
}

static void op_arrived(struct loop_message *message)
{
	struct qcow2_op *op = container_of(message, struct qcow2_op, message);

	if (co_start(op_at_home_co, op))
		return;
	op->result = -ENOMEM;
	op->message.run = op_came_back;
	loop_post(op->lane->lane->loop, &op->message);
}

void qcow2_read_send_home(
	struct qcow2_op *op, void (*run_co)(struct qcow2_op *op))
{
	op->run_co = run_co;
	op->message.run = op_arrived;
	if (op->lane->lane == op->image->home)
		op_arrived(&op->message);
	else
		loop_post(op->image->home->loop, &op->message);
}

void qcow2_read_at_home(struct qcow2_lane *lane, struct block_request *request,
	void (*run_co)(struct qcow2_op *op))
{
	struct qcow2_op *op = qcow2_read_op(lane, request);

	if (op)
		qcow2_read_send_home(op, run_co);
	else
		block_complete(request, -ENOMEM);
}

int qcow2_read_home_co(struct qcow2_op *op, void (*run_co)(struct qcow2_op *op))
{
	if (op->lane->lane == op->image->home) {
		run_co(op);
		return op->result;
	}
	op->co = co_self();
	qcow2_read_send_home(op, run_co);
	co_yield ();
	op->co = NULL;
	return op->result;
}

/* -- one piece ------------------------------------------------------------ */

/* Where a reader stands: the same code reads on lanes and at home. */
struct reader {
	struct qcow2 *image;
	struct block_lane *lane;
	struct block_request *parent; /* of the transfers; NULL: none */
	enum block_purpose purpose; /* of what is read of the image's own */
	const struct iovec *iov;
	unsigned iov_count;
	struct iovec *scratch; /* as many, and one more */
	uint64_t skip; /* bytes of iov that are done */
};

struct part {
	struct co *co;
	bool done;
	int result;
};

static bool part_ended(struct block_request *child, struct block_frame *frame)
{
	struct part *part = frame->context;

	part->result = child->result;
	part->done = true;
	co_resume(part->co);
	return true;
}

static int child_read_co(struct reader *r, enum block_purpose purpose,
	struct block_source *source, uint64_t offset, uint64_t bytes,
	unsigned count)
{
	struct part part = {.co = co_self()};
	struct block_request *child = block_child_get(r->parent);

	if (!child)
		return -ENOMEM;
	child->op = BLOCK_READ;
	child->purpose = (uint8_t)purpose;
	child->offset_bytes = offset;
	child->length_bytes = bytes;
	child->iov = r->scratch;
	child->iov_count = count;
	child->done = block_child_put;
	block_push(child, part_ended, &part, 0);
	block_submit(source, child);
	while (!part.done)
		co_yield ();
	return part.result;
}

static int source_read_co(struct reader *r, enum block_purpose purpose,
	struct block_source *source, uint64_t offset, uint64_t bytes)
{
	unsigned count = iov_slice(r->scratch, r->iov_count + 1, r->iov,
		r->iov_count, r->skip, bytes);

	assert(count);
	if (r->parent)
		return child_read_co(r, purpose, source, offset, bytes, count);
	return qcow2_io_vector_co(r->image, purpose, source, BLOCK_READ, offset,
		bytes, r->scratch, count);
}

/* What of it lies before `end`; zeroes behind. */
static int read_until_co(struct reader *r, enum block_purpose purpose,
	struct block_source *source, uint64_t offset, uint64_t bytes,
	uint64_t end)
{
	uint64_t there = offset < end ? end - offset : 0;

	if (there < bytes)
		iov_zero(r->iov, r->iov_count, r->skip + there, bytes - there);
	else
		there = bytes;
	return there ? source_read_co(r, purpose, source, offset, there) : 0;
}

struct unpacking {
	unsigned compression;
	uint8_t *from, *to;
	size_t from_bytes, to_bytes;
};

static int unpack_work(void *argument)
{
	struct unpacking *u = argument;

	return qcow2_unpack(
		u->compression, u->from, u->from_bytes, u->to, u->to_bytes);
}

/* The compressed bytes: whole sectors around them. */
static int packed_read_co(
	struct reader *r, struct qcow2_packed packed, uint8_t *to)
{
	uint64_t skew = packed.offset % QCOW2_SECTOR_BYTES;
	struct iovec iov = {to, packed.bytes + skew};
	struct iovec scratch[2];
	struct reader whole = *r;
	struct block_source *file = r->image->format.file;

	whole.iov = &iov;
	whole.iov_count = 1;
	whole.scratch = scratch;
	whole.skip = 0;
	return read_until_co(&whole, PURPOSE_READ_COMPRESSED, file,
		packed.offset - skew, iov.iov_len,
		block_source_info(file, r->lane).size_bytes);
}

static int unpack_co(struct reader *r, struct unpacking *u,
	const struct qcow2_piece *piece, uint64_t in_cluster, uint64_t bytes)
{
	struct qcow2_packed packed =
		qcow2_entry_packed(&r->image->geometry, piece->packed);
	uint64_t skew = packed.offset % QCOW2_SECTOR_BYTES;
	uint8_t *raw = qcow2_io_memory(packed.bytes + skew);

	u->to = qcow2_io_memory(u->to_bytes);
	int error = raw && u->to ? packed_read_co(r, packed, raw) : -ENOMEM;
	if (!error) {
		u->from = raw + skew;
		u->from_bytes = packed.bytes;
		error = loop_work_co(r->lane->loop, unpack_work, u);
	}
	if (!error)
		iov_from_flat(r->iov, r->iov_count, r->skip, u->to + in_cluster,
			bytes);
	free(raw);
	free(u->to);
	return error;
}

static int read_packed_co(
	struct reader *r, uint64_t offset, const struct qcow2_piece *piece)
{
	const struct qcow2_geometry *g = &r->image->geometry;
	struct unpacking u = {.compression = r->image->header.compression,
		.to_bytes = g->cluster_bytes};

	if (qcow2_entry_packed(g, piece->packed).offset >= r->image->file_bytes)
		return qcow2_io_corrupt(r->image,
			"compressed cluster behind the end", piece->packed);
	return unpack_co(
		r, &u, piece, offset & (g->cluster_bytes - 1), piece->bytes);
}

static int read_piece_co(
	struct reader *r, uint64_t offset, const struct qcow2_piece *piece)
{
	struct qcow2 *image = r->image;

	switch (piece->state) {
	case QCOW2_DATA:
		if (piece->host >= image->file_bytes)
			return qcow2_io_corrupt(image,
				"data cluster behind the end", piece->host);
		return read_until_co(r, r->purpose, image->format.file,
			piece->host, piece->bytes,
			block_source_info(image->format.file, r->lane)
				.size_bytes);
	case QCOW2_HOLE:
		return read_until_co(r, PURPOSE_READ_BACKING_AIO,
			image->format.backing, offset, piece->bytes,
			image->backing_bytes);
	case QCOW2_ZEROES:
		iov_zero(r->iov, r->iov_count, r->skip, piece->bytes);
		return 0;
	case QCOW2_PACKED: return read_packed_co(r, offset, piece);
	default: return qcow2_io_corrupt(image, "wrong L2 entry for", offset);
	}
}

/* -- at home -------------------------------------------------------------- */

int qcow2_read_buffer_co(
	struct qcow2 *image, uint64_t offset, uint64_t bytes, void *to)
{
	struct iovec iov = {to, bytes}, scratch[2];
	struct reader r = {.image = image,
		.lane = image->home,
		.purpose = PURPOSE_COW_READ,
		.iov = &iov,
		.iov_count = 1,
		.scratch = scratch};
	struct qcow2_piece piece;
	int error = 0;

	while (r.skip < bytes && !error) {
		qcow2_map_look(
			&image->map, offset + r.skip, bytes - r.skip, &piece);
		if (piece.state == QCOW2_ABSENT) {
			error = qcow2_map_load_co(&image->map, offset + r.skip);
			continue;
		}
		error = read_piece_co(&r, offset + r.skip, &piece);
		r.skip += piece.bytes;
	}
	return error;
}

/* -- on a lane ------------------------------------------------------------ */

static void load_at_home_co(struct qcow2_op *op)
{
	op->result = qcow2_map_load_co(op->lane->view->map, op->first);
}

static int read_pieces_co(struct qcow2_op *op)
{
	struct block_request *request = op->request;
	struct qcow2 *image = op->image;
	struct reader r = {.image = image,
		.lane = op->lane->lane,
		.parent = request,
		.purpose = PURPOSE_READ_AIO,
		.iov = request->iov,
		.iov_count = request->iov_count,
		.scratch = op->iov};
	struct qcow2_piece piece;
	int error = 0;

	while (r.skip < request->length_bytes && !error) {
		uint64_t at = request->offset_bytes + r.skip;

		qcow2_map_look(op->lane->view->map, at,
			request->length_bytes - r.skip, &piece);
		if (piece.state == QCOW2_ABSENT) {
			op->first = at;
			error = qcow2_read_home_co(op, load_at_home_co);
			continue;
		}
		error = read_piece_co(&r, at, &piece);
		r.skip += piece.bytes;
	}
	return error;
}

static void read_co(void *argument)
{
	struct qcow2_op *op = argument;

	qcow2_read_end(op, read_pieces_co(op));
}

static void read_slowly(struct qcow2_lane *lane, struct block_request *request)
{
	struct qcow2_op *op = qcow2_read_op(lane, request);

	if (!op) {
		block_complete(request, -ENOMEM);
		return;
	}
	op->iov = malloc((request->iov_count + 1) * sizeof *op->iov);
	if (!op->iov || !co_start(read_co, op))
		qcow2_read_end(op, -ENOMEM);
}

/* One run: how far the source has to be moved to be the image. */
void qcow2_read_start(struct qcow2_lane *lane, struct block_request *request)
{
	struct qcow2 *image = lane->view->image;
	uint64_t offset = request->offset_bytes, bytes = request->length_bytes;
	struct qcow2_piece piece;

	qcow2_map_look(lane->view->map, offset, bytes, &piece);
	bool whole = piece.bytes == bytes;
	bool backed = image->backing_bytes > offset;
	if (whole && piece.state == QCOW2_DATA &&
		piece.host + bytes <= image->file_bytes) {
		block_redirect_as(request, image->format.file,
			piece.host - offset, PURPOSE_READ_AIO);
	} else if (whole && piece.state == QCOW2_HOLE && backed &&
		offset + bytes <= image->backing_bytes) {
		block_redirect_as(request, image->format.backing, 0,
			PURPOSE_READ_BACKING_AIO);
	} else if (whole &&
		(piece.state == QCOW2_ZEROES ||
			(piece.state == QCOW2_HOLE && !backed))) {
		iov_zero(request->iov, request->iov_count, 0, bytes);
		block_complete(request, 0);
	} else {
		read_slowly(lane, request);
	}
}
