/* SPDX-License-Identifier: Apache-2.0 */
/* See spec_chunk.h. */
#include "blockcore/spec/spec_chunk.h"

#include "blockcore/base/co.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What is told apart when blocks of zeroes are looked for. */
#define CHUNK_ZERO_BYTES (64u << 10)

int spec_chunk_ready(struct spec_chunk *chunk)
{
	if (!chunk->data)
		chunk->data = aligned_alloc(4096, SPEC_CHUNK_BYTES);
	return chunk->data ? 0 : -ENOMEM;
}

void spec_chunk_cancel(struct spec_chunk *chunk)
{
	if (chunk->child)
		block_cancel(chunk->child);
	else if (!chunk->ticket.arrived)
		block_cancel(&chunk->ticket.request);
}

/* -- children ------------------------------------------------------------- */

static void chunk_child_done(struct block_request *child)
{
	struct block_ticket *ticket =
		container_of(child->parent, struct block_ticket, request);
	struct spec_chunk *chunk =
		container_of(ticket, struct spec_chunk, ticket);

	chunk->child_result = child->result;
	chunk->child_done = true;
	chunk->child = NULL;
	block_child_put(child);
	co_resume(ticket->co);
}

static struct block_request *chunk_child(struct spec_chunk *chunk,
	enum block_opcode op, uint64_t offset, uint64_t bytes)
{
	struct block_request *child = block_child_get(&chunk->ticket.request);

	if (!child)
		return NULL;
	child->op = (uint8_t)op;
	child->flags = BLOCK_INTERNAL;
	child->offset_bytes = offset;
	child->length_bytes = bytes;
	child->iov = NULL;
	child->iov_count = 0;
	child->done = chunk_child_done;
	chunk->child = child;
	chunk->child_done = false;
	return child;
}

/* `to` NULL: below the driver. */
static int chunk_send_co(struct spec_chunk *chunk, struct block_request *child,
	struct block_source *to)
{
	if (to)
		block_submit(to, child);
	else
		block_pass(child);
	while (!chunk->child_done)
		co_yield ();
	if (chunk->child_result == 0 && *chunk->cancelled)
		return -ECANCELED;
	chunk->to_failed =
		to && chunk->child_result && chunk->child_result != -ECANCELED;
	return chunk->child_result;
}

static int chunk_move_co(struct spec_chunk *chunk, struct block_source *to,
	enum block_opcode op, uint64_t offset, uint64_t bytes)
{
	struct block_request *child = chunk_child(chunk, op, offset, bytes);

	if (!child)
		return -ENOMEM;
	if (op == BLOCK_WRITE_ZEROES) {
		child->flags |= BLOCK_MAY_UNMAP;
	} else {
		chunk->iov = (struct iovec){
			chunk->data + (offset - chunk->offset), bytes};
		child->iov = &chunk->iov;
		child->iov_count = 1;
	}
	return chunk_send_co(chunk, child, to);
}

/* -- what there is -------------------------------------------------------- */

int spec_chunk_extents_co(struct spec_chunk *chunk, unsigned flags,
	uint64_t offset, uint64_t bytes, struct block_extents *answer)
{
	struct block_info info =
		block_source_info(chunk->source, chunk->ticket.request.lane);

	if (!(info.ops & BLOCK_OP(BLOCK_EXTENTS))) {
		answer->extent[0] =
			(struct block_extent){offset, bytes, BLOCK_EXTENT_DATA};
		answer->count = 1;
		return 0;
	}
	struct block_request *child =
		chunk_child(chunk, BLOCK_EXTENTS, offset, bytes);
	if (!child)
		return -ENOMEM;
	child->flags |= (uint16_t)flags;
	child->extents = answer;
	int error = chunk_send_co(chunk, child, NULL);
	return error || answer->count ? error : -EIO;
}

static int chunk_each_co(struct spec_chunk *chunk, unsigned flags, uint64_t at,
	uint64_t end,
	int (*extent_co)(
		struct spec_chunk *chunk, const struct block_extent *extent))
{
	struct block_extent extent[SPEC_CHUNK_EXTENTS];
	int error = 0;

	while (at < end && !error) {
		struct block_extents answer = {
			.extent = extent, .room = SPEC_CHUNK_EXTENTS};

		error = spec_chunk_extents_co(
			chunk, flags, at, end - at, &answer);
		for (uint32_t i = 0; i < answer.count && !error; i++) {
			error = extent_co(chunk, &extent[i]);
			at += extent[i].length_bytes;
		}
	}
	return error;
}

int spec_chunk_each_co(struct spec_chunk *chunk, unsigned flags,
	int (*extent_co)(
		struct spec_chunk *chunk, const struct block_extent *extent))
{
	return chunk_each_co(chunk, flags, chunk->offset,
		chunk->offset + chunk->bytes, extent_co);
}

/* -- copied --------------------------------------------------------------- */

static bool is_zero(const uint8_t *data, uint64_t bytes)
{
	return data[0] == 0 && !memcmp(data, data + 1, bytes - 1);
}

/* Whether `to` is known to show zeroes there. */
static int chunk_shows_zeroes_co(
	struct spec_chunk *chunk, uint64_t offset, uint64_t bytes, bool *zeroes)
{
	struct block_extent extent[SPEC_CHUNK_EXTENTS];
	struct block_extents answer = {
		.extent = extent, .room = SPEC_CHUNK_EXTENTS};
	struct block_info info =
		block_source_info(chunk->to, chunk->ticket.request.lane);
	uint64_t at = offset;

	*zeroes = false;
	if (!(info.ops & BLOCK_OP(BLOCK_EXTENTS)))
		return 0;
	struct block_request *child =
		chunk_child(chunk, BLOCK_EXTENTS, offset, bytes);
	if (!child)
		return -ENOMEM;
	child->extents = &answer;
	int error = chunk_send_co(chunk, child, chunk->to);
	for (uint32_t i = 0; i < answer.count; i++) {
		if (!(extent[i].flags & BLOCK_EXTENT_ZERO))
			break;
		at += extent[i].length_bytes;
	}
	*zeroes = !error && at >= offset + bytes;
	return error;
}

int spec_chunk_zero_co(
	struct spec_chunk *chunk, uint64_t offset, uint64_t bytes)
{
	bool zeroes = chunk->skips_zeroes;
	int error = !zeroes && chunk->asks_zeroes
		? chunk_shows_zeroes_co(chunk, offset, bytes, &zeroes)
		: 0;

	if (error || zeroes)
		return error;
	return chunk_move_co(
		chunk, chunk->to, BLOCK_WRITE_ZEROES, offset, bytes);
}

/* A run of blocks that are all zero or all not, from `at`. */
static uint64_t chunk_run(
	const struct spec_chunk *chunk, uint64_t at, uint64_t end, bool *zero)
{
	uint64_t to = at;

	do {
		uint64_t next = (to | (CHUNK_ZERO_BYTES - 1)) + 1;
		if (next > end)
			next = end;
		bool this = !chunk->keeps_zeroes &&
			is_zero(chunk->data + (to - chunk->offset), next - to);
		if (to == at)
			*zero = this;
		else if (this != *zero)
			break;
		to = next;
	} while (to < end);
	return to;
}

int spec_chunk_data_co(
	struct spec_chunk *chunk, uint64_t offset, uint64_t bytes)
{
	uint64_t end = offset + bytes;
	int error = chunk_move_co(chunk, NULL, BLOCK_READ, offset, bytes);

	while (offset < end && !error) {
		bool zero = false;
		uint64_t to = chunk_run(chunk, offset, end, &zero);

		error = zero ? spec_chunk_zero_co(chunk, offset, to - offset)
			     : chunk_move_co(chunk, chunk->to, BLOCK_WRITE,
				       offset, to - offset);
		offset = to;
	}
	return error;
}

static int chunk_shown_extent_co(
	struct spec_chunk *chunk, const struct block_extent *extent)
{
	return extent->flags & BLOCK_EXTENT_ZERO
		? 0
		: spec_chunk_data_co(
			  chunk, extent->offset_bytes, extent->length_bytes);
}

int spec_chunk_shown_co(
	struct spec_chunk *chunk, uint64_t offset, uint64_t bytes)
{
	return chunk_each_co(
		chunk, 0, offset, offset + bytes, chunk_shown_extent_co);
}

static int chunk_whole_extent_co(
	struct spec_chunk *chunk, const struct block_extent *extent)
{
	return extent->flags & BLOCK_EXTENT_ZERO
		? spec_chunk_zero_co(
			  chunk, extent->offset_bytes, extent->length_bytes)
		: spec_chunk_data_co(
			  chunk, extent->offset_bytes, extent->length_bytes);
}

int spec_chunk_whole_co(
	struct spec_chunk *chunk, uint64_t offset, uint64_t bytes)
{
	return chunk_each_co(
		chunk, 0, offset, offset + bytes, chunk_whole_extent_co);
}

/* -- compared -------------------------------------------------------------- */

/* What the other one shows there. */
static int chunk_other_co(struct spec_chunk *chunk, struct block_source *other,
	uint64_t offset, uint64_t bytes)
{
	uint64_t size =
		block_source_info(other, chunk->ticket.request.lane).size_bytes;
	uint64_t there = offset < size ? size - offset : 0;
	uint8_t *compared = chunk->compared + (offset - chunk->offset);

	there = there < bytes ? there : bytes;
	memset(compared + there, 0, bytes - there);
	if (!there)
		return 0;
	struct block_request *child =
		chunk_child(chunk, BLOCK_READ, offset, there);
	if (!child)
		return -ENOMEM;
	chunk->iov = (struct iovec){compared, there};
	child->iov = &chunk->iov;
	child->iov_count = 1;
	return chunk_send_co(chunk, child, other);
}

/* The next run of blocks that are alike in both, or are not. */
static uint64_t chunk_alike(
	const struct spec_chunk *chunk, uint64_t at, uint64_t end, bool *alike)
{
	uint64_t to = at;

	do {
		uint64_t next = (to | (CHUNK_ZERO_BYTES - 1)) + 1;
		if (next > end)
			next = end;
		bool this = !memcmp(chunk->data + (to - chunk->offset),
			chunk->compared + (to - chunk->offset), next - to);
		if (to == at)
			*alike = this;
		else if (this != *alike)
			break;
		to = next;
	} while (to < end);
	return to;
}

int spec_chunk_differing_co(struct spec_chunk *chunk,
	struct block_source *other, uint64_t offset, uint64_t bytes)
{
	uint64_t end = offset + bytes;

	if (!chunk->compared)
		chunk->compared = aligned_alloc(4096, SPEC_CHUNK_BYTES);
	if (!chunk->compared)
		return -ENOMEM;
	int error = chunk_move_co(chunk, NULL, BLOCK_READ, offset, bytes);
	if (!error)
		error = chunk_other_co(chunk, other, offset, bytes);
	while (offset < end && !error) {
		bool alike = false;
		uint64_t to = chunk_alike(chunk, offset, end, &alike);
		const uint8_t *data = chunk->data + (offset - chunk->offset);

		if (!alike)
			error = chunk_move_co(chunk, chunk->to,
				is_zero(data, to - offset) ? BLOCK_WRITE_ZEROES
							   : BLOCK_WRITE,
				offset, to - offset);
		offset = to;
	}
	return error;
}
