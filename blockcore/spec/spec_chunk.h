/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chunk of a source that a job copies while hosts use it: its turn in the source
 * (ticket.h), and what is read below the driver where it stands and written elsewhere,
 * as children of that turn. Each is a coroutine of its own, several at a time.
 *
 * Control lane. Functions return 0 or -errno, -ECANCELED once *cancelled.
 */
#ifndef BLOCKCORE_SPEC_SPEC_CHUNK_H
#define BLOCKCORE_SPEC_SPEC_CHUNK_H

#include "blockcore/core/ticket.h"
#include "blockcore/spec_move.h"

#define SPEC_CHUNK_BYTES JOB_CHUNK_BYTES /* at most: a mirror's granule */

struct spec_chunk {
	struct block_ticket ticket;
	/* Set by who makes it. */
	struct block_source *source;
	struct block_source *to; /* NULL: below the driver, like reads */
	bool skips_zeroes; /* where zeroes go there are zeroes */
	bool asks_zeroes; /* whether there are some */
	bool keeps_zeroes; /* blocks of zeroes are written as data */
	const bool *cancelled;
	uint64_t offset, bytes; /* at most SPEC_CHUNK_BYTES */
	/* Its own. */
	uint8_t *data, *compared; /* freed by who made it */
	struct block_request *child; /* in flight, NULL: none */
	bool child_done;
	bool to_failed; /* the last error but -ECANCELED was that of `to` */
	int child_result;
	struct iovec iov;
};

/* Has memory for the data, -ENOMEM. */
int spec_chunk_ready(struct spec_chunk *chunk);
/* What is held up goes on. */
void spec_chunk_cancel(struct spec_chunk *chunk);

/* The rest between block_ticket_enter_co and block_ticket_leave_co. */

/* What is where, below the driver. */
int spec_chunk_extents_co(struct spec_chunk *chunk, unsigned flags,
	uint64_t offset, uint64_t bytes, struct block_extents *answer);
/* Zeroes, or what is read, goes there. */
int spec_chunk_zero_co(
	struct spec_chunk *chunk, uint64_t offset, uint64_t bytes);
int spec_chunk_data_co(
	struct spec_chunk *chunk, uint64_t offset, uint64_t bytes);
/* What is read goes there where it is data for all that is known; holes do not. */
int spec_chunk_shown_co(
	struct spec_chunk *chunk, uint64_t offset, uint64_t bytes);
/* All that is shown goes there, holes as zeroes. */
int spec_chunk_whole_co(
	struct spec_chunk *chunk, uint64_t offset, uint64_t bytes);
/* What is read goes there where `other` shows something else (behind its end: zeroes). */
int spec_chunk_differing_co(struct spec_chunk *chunk,
	struct block_source *other, uint64_t offset, uint64_t bytes);
/* All of it, whatever is where: `extent_co` for each extent. */
#define SPEC_CHUNK_EXTENTS 32u
int spec_chunk_each_co(struct spec_chunk *chunk, unsigned flags,
	int (*extent_co)(
		struct spec_chunk *chunk, const struct block_extent *extent));

#endif
