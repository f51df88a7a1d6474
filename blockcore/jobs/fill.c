/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fill: writes a pattern over a source, then reads it back and compares. Every
 * 512 bytes differ from all others and say where they belong, so what is lost,
 * torn, doubled or misplaced is found.
 *
 * Invariant: the cursor counts the bytes written, then on from `length` the
 * bytes verified.
 */
#include "blockcore/base/prng.h"
#include "blockcore/job.h"
#include "blockcore/jobs/jobs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct fill_options {
	uint64_t seed, offset_bytes, length_bytes;
	bool verify;
};

struct fill {
	struct job *job;
	struct block_source *source;
	struct block_lane *lane;
	const struct fill_options *options;
	uint64_t length_bytes; /* of the range filled */
	uint8_t *data; /* JOB_CHUNK_BYTES */
};

static const struct opt_spec fill_option_specs[] = {
	{.name = "seed",
		.type = OPT_UINT,
		.offset = offsetof(struct fill_options, seed),
		.fallback = "1",
		.help = "another seed, another pattern"},
	{.name = "offset",
		.type = OPT_SIZE,
		.offset = offsetof(struct fill_options, offset_bytes),
		.fallback = "0",
		.help = "where to start, a multiple of 512"},
	{.name = "length",
		.type = OPT_SIZE,
		.flags = OPT_OPTIONAL,
		.offset = offsetof(struct fill_options, length_bytes),
		.help = "how much, a multiple of 512; to the end if absent"},
	{.name = "verify",
		.type = OPT_BOOL,
		.offset = offsetof(struct fill_options, verify),
		.fallback = "true",
		.help = "read it back and compare"},
	OPT_END,
};

/* -- the pattern ---------------------------------------------------------- */

static void fill_sector(uint64_t seed, uint64_t offset, uint8_t *out)
{
	uint64_t word[BLOCK_SECTOR_BYTES / 8];

	uint64_t state = seed * BLOCK_SECTOR_BYTES ^ offset;

	word[0] = offset;
	for (unsigned i = 1; i < BLOCK_SECTOR_BYTES / 8; i++)
		word[i] = prng_next(&state);
	memcpy(out, word, sizeof(word));
}

static int fill_write_co(struct fill *fill, uint64_t offset, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += BLOCK_SECTOR_BYTES)
		fill_sector(fill->options->seed, offset + at, fill->data + at);
	return job_transfer_co(
		fill->job, BLOCK_WRITE, offset, bytes, fill->data);
}

static int fill_verify_co(
	struct fill *fill, uint64_t offset, uint64_t bytes, struct err *err)
{
	uint8_t expected[BLOCK_SECTOR_BYTES];
	int error = job_transfer_co(
		fill->job, BLOCK_READ, offset, bytes, fill->data);

	if (error)
		return error;
	for (uint64_t at = 0; at < bytes; at += BLOCK_SECTOR_BYTES) {
		fill_sector(fill->options->seed, offset + at, expected);
		if (memcmp(expected, fill->data + at, sizeof(expected)))
			return err_set(err, EIO,
				"the 512 bytes at %" PRIu64
				" are not what was written there",
				offset + at);
	}
	return 0;
}

/* -- the work ------------------------------------------------------------- */

static int fill_chunk_co(
	struct fill *fill, uint64_t cursor, uint64_t *bytes, struct err *err)
{
	bool verify = cursor >= fill->length_bytes;
	uint64_t within = verify ? cursor - fill->length_bytes : cursor;
	uint64_t offset = fill->options->offset_bytes + within;

	*bytes = fill->length_bytes - within;
	if (*bytes > JOB_CHUNK_BYTES)
		*bytes = JOB_CHUNK_BYTES;
	int error = verify ? fill_verify_co(fill, offset, *bytes, err)
			   : fill_write_co(fill, offset, *bytes);
	/* What is verified is what is durable. */
	if (!error && cursor + *bytes == fill->length_bytes)
		error = job_transfer_co(fill->job, BLOCK_FLUSH, 0, 0, NULL);
	if (error && error != -ECANCELED && err && !err->code)
		err_set(err, -error,
			"%s of %" PRIu64 " bytes at %" PRIu64 ": %s",
			verify ? "read" : "write", *bytes, offset,
			strerror(-error));
	return error;
}

static int fill_range(struct fill *fill, struct err *err)
{
	const struct fill_options *options = fill->options;
	uint64_t size = block_source_info(fill->source, fill->lane).size_bytes;
	uint64_t offset = options->offset_bytes;

	fill->length_bytes = options->length_bytes;
	if (!fill->length_bytes && offset < size)
		fill->length_bytes = size - offset;
	if ((offset | fill->length_bytes) % BLOCK_SECTOR_BYTES)
		return err_set(err, EINVAL,
			"offset and length must be multiples of %u",
			BLOCK_SECTOR_BYTES);
	if (offset >= size || fill->length_bytes > size - offset)
		return err_set(err, ERANGE,
			"the range ends beyond the source's %" PRIu64 " bytes",
			size);
	return 0;
}

static int fill_run_co(struct job *job, uint64_t cursor, struct err *err)
{
	struct fill fill = {
		.job = job,
		.source = job_source(job),
		.lane = block_core_lane(job_core(job), 0),
		.options = job_options(job),
	};
	int error = fill_range(&fill, err);

	if (error)
		return error;
	uint64_t total = fill.length_bytes * (fill.options->verify ? 2 : 1);
	job_set_total(job, total, cursor);
	fill.data = aligned_alloc(4096, JOB_CHUNK_BYTES);
	if (!fill.data)
		return err_set(err, ENOMEM, "no memory for a chunk");
	while (cursor < total && !error) {
		uint64_t bytes;

		error = fill_chunk_co(&fill, cursor, &bytes, err);
		if (error)
			break;
		cursor += bytes;
		error = job_step_co(job, cursor, bytes);
	}
	free(fill.data);
	return error;
}

const struct job_kind job_fill = {
	.name = "fill",
	.help = "write a pattern over all data, read it back, compare",
	.options = fill_option_specs,
	.options_bytes = sizeof(struct fill_options),
	.destroys = true,
	.run_co = fill_run_co,
};
